"""Reads as much of a package as the judgement needs, and turns a plan into a result."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from ..archive.container import Archive
from ..archive.reader import read_package
from ..errors import PruneError
from ..judgement.contents import Contents, content_wanted, contents_of
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..model import (
    Package,
    Plan,
    Result,
    Size,
)
from .progress import Progress


class JudgedPackage(NamedTuple):
    """A package that was read, its contents, and the plan for it."""

    package: Package
    contents: Contents
    plan: Plan


def plan_from_metadata(archive: Archive, options: Options, threads: int, *, progress: Progress) -> JudgedPackage:
    """Read the info component alone, and return the plan as far as that allows. The payload is never read."""
    package = read_package(archive, content_wanted, payload=False, progress=progress, threads=threads)
    contents = contents_of(package)
    return JudgedPackage(package, contents, make_plan(package, options, contents))


def read_and_plan(archive: Archive, options: Options, threads: int, *, deep: bool, progress: Progress) -> JudgedPackage:
    """Read a package, and plan what to do with it. Without `deep`, the payload is read only if the plan needs it.

    A plan may need the content of more files, such as a RECORD that lists a dropped file. Which ones is known only
    after planning, so the package is read again until nothing is missing. No real package had to be read more than
    twice. Raises PruneError if a needed file is larger than the limit on texts.
    """
    wanted: frozenset[str] = frozenset()
    package = read_package(archive, content_wanted, payload=deep, progress=progress, threads=threads)
    contents = contents_of(package)
    plan = make_plan(package, options, contents)
    while plan.needs or (plan.needs_payload and not package.complete):
        if plan.needs and plan.needs <= wanted:
            raise PruneError(
                f"{len(plan.needs)} files are too large to be held in memory, such as {min(plan.needs)!r}",
                "raise --max-text if you trust the package",
            )
        wanted |= plan.needs
        keep = partial(_bytes_to_keep, wanted, archive.limits.text)
        package = read_package(archive, keep, payload=True, progress=progress, threads=threads)
        contents = contents_of(package)
        plan = make_plan(package, options, contents)
    return JudgedPackage(package, contents, plan)


def _bytes_to_keep(wanted: frozenset[str], limit: int, name: str) -> int:
    return limit if name in wanted else content_wanted(name)


def result_of(
    judged: JudgedPackage, status: Literal["clean", "findings", "fixed", "refused"], *, deep: bool, seconds: float
) -> Result:
    """Return the result of a plan that was made or carried out. `seconds` is how long that took."""
    package, contents, plan = judged
    index = contents.index
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
        members=len(contents.files),
        findings=plan.findings,
        notes=package.notes + plan.notes,
        before=Size(package.identity.size, ""),
        deep=deep,
        seconds=seconds,
        error=plan.refusal or None,
        unused_keep=plan.unused_keep,
        remainders=plan.remainders,
    )
