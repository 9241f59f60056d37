"""Reads as much of a package as its judgement needs, and turns a plan into a result."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ..archive.container import Archive
from ..archive.reader import read_package
from ..errors import PruneError
from ..judgement.contents import content_wanted, contents_of
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..model import Package, Plan, Result, Size
from .progress import Progress


def read_and_plan(
    archive: Archive, options: Options, threads: int, *, deep: bool, progress: Progress
) -> tuple[Package, Plan]:
    """Read a package and return it with its plan. Without `deep`, the payload is read only where the plan needs it.

    A plan may need the content of more files, such as a RECORD that lists a dropped file. Which ones is known only
    after planning, so the package is read again until nothing is missing; twice is the most for all real packages.
    Raises PruneError where a file that is needed is larger than the limit on texts.
    """
    wanted: frozenset[str] = frozenset()
    package = read_package(archive, content_wanted, payload=deep, progress=progress, threads=threads)
    plan = make_plan(package, options)
    while plan.needs or (plan.needs_payload and not package.complete):
        if plan.needs and plan.needs <= wanted:
            raise PruneError(
                f"{len(plan.needs)} files are too large to be held in memory, {min(plan.needs)!r} among them",
                "raise --max-text if you trust it",
            )
        wanted |= plan.needs
        keep = partial(_bytes_to_keep, wanted, archive.limits.text)
        package = read_package(archive, keep, payload=True, progress=progress, threads=threads)
        plan = make_plan(package, options)
    return package, plan


def _bytes_to_keep(wanted: frozenset[str], limit: int, name: str) -> int:
    return limit if name in wanted else content_wanted(name)


def result_of(
    plan: Plan, status: Literal["clean", "findings", "fixed", "refused"], *, deep: bool, seconds: float
) -> Result:
    """Return the result of a plan that was made, or carried out, with the given status."""
    package = plan.package
    index = contents_of(package).index
    name, version, build, subdir = (str(index.get(key) or "") for key in ("name", "version", "build", "subdir"))
    return Result(
        path=package.path,
        status=status,
        format=package.format,
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        variant=plan.variant,
        members=len(contents_of(package).files),
        findings=plan.findings,
        notes=package.notes + plan.notes,
        before=Size(package.identity.size, ""),
        deep=deep,
        seconds=seconds,
        error=plan.refusal or None,
        unused_keep=plan.unused_keep,
    )
