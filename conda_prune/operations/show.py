"""`show`: find out everything about one package, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..archive.container import Archive
from ..judgement.listings.edits import forecast_edits
from ..judgement.options import Options
from ..judgement.variant.evidence import recorded_level
from ..model import (
    Action,
    Compression,
    File,
    Limits,
    Plan,
    Result,
)
from ..system import cores
from .planning import read_and_plan, result_of
from .progress import NULL_PROGRESS


def show_package(
    path: str, options: Options, *, deep: bool = True, limits: Limits | None = None
) -> tuple[Result, Plan, Mapping[str, File]]:
    """Return the result of a check, the plan, and the files of the package by path.

    If the payload was not read, the files are those that the package lists, and the plan has the edits of the listings
    in the info component only. With `deep`, the result also has the compression of the payload. Raises PruneError if
    the package cannot be read.
    """
    compression = None
    with Archive(path, limits or Limits()) as archive:
        judged = read_and_plan(archive, options, cores(), deep=deep, progress=NULL_PROGRESS)
        package, contents, plan = judged
        if deep:
            from ..rewrite.rewriter import CompressionRequest, recover_compression

            settings = recover_compression(archive, CompressionRequest(recorded=recorded_level(contents.texts)))
            payload = settings["pkg" if "pkg" in settings else "tar"]
            compression = Compression(payload.codec, payload.level, payload.source)
    if plan.edits is None and plan.status == "findings":
        drops = {finding.path for finding in plan.findings if finding.action is Action.DROP}
        plan = plan._replace(edits=forecast_edits(contents, drops))
    result = result_of(judged, plan.status, deep=package.complete, seconds=0)
    return replace(result, compression=compression), plan, {**package.files, **contents.files}
