"""`check`: read a package and report what is wrong with it. Nothing is written."""

from __future__ import annotations

import time

from ..archive.container import Archive
from ..judgement.options import Options
from ..model import Format, Limits, Result
from ..system import cores
from .planning import read_and_plan, result_of
from .progress import NULL_PROGRESS, Progress
from .retry import retry_if_changed


def check_package(
    path: str,
    options: Options,
    *,
    deep: bool = False,
    limits: Limits | None = None,
    progress: Progress = NULL_PROGRESS,
    threads: int = 0,
) -> Result:
    """Return what is wrong with a package. Raises PruneError if it cannot be read.

    The payload of a `.conda` is read only if `deep` is set or the judgement needs it. `threads` 0 means one per core.
    """
    return retry_if_changed(lambda: _check_once(path, options, deep, limits or Limits(), progress, threads or cores()))


def _check_once(path: str, options: Options, deep: bool, limits: Limits, progress: Progress, threads: int) -> Result:
    started = time.perf_counter()
    with Archive(path, limits) as archive:
        if deep or archive.format is Format.TAR_BZ2:
            progress.expect(archive.content_size)
        judged = read_and_plan(archive, options, threads, deep=deep, progress=progress)
        archive.check_unwritten()
    seconds = time.perf_counter() - started
    return result_of(judged, judged.plan.status, deep=judged.package.complete, seconds=seconds)
