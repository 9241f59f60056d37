"""`check` and `fix` for one package: the only place where the archive and the judgement meet.

check   path ─ read ─ Package ─ make_plan ─ Plan ─ Result
fix     path ─ read ─ Package ─ make_plan ─ Plan ─ rewrite, verify, replace ─ Result

What only a fix needs is imported where it is used: of a check, starting is most of the cost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Protocol

from .archive.container import Archive
from .archive.reader import read_package
from .archive.system import cores
from .errors import (
    CannotWrite,
    Changed,
    IndexNotRefreshed,
    OutOfFiles,
    OutOfMemory,
    PruneError,
    lacks_files,
    lacks_memory,
)
from .judgement.contents import content_wanted, contents_of
from .judgement.plan import Options, make_plan
from .judgement.variant.evidence import recorded_level
from .model import Compression, File, Format, Limits, Package, Plan, Result, Size


class Progress(Protocol):
    """Is told how many bytes of work to expect, and called with the bytes done since the last call."""

    def expect(self, total: int) -> None:
        """Say how many bytes there will be, as far as that is known."""

    def __call__(self, done: int) -> None:
        """Take note of more bytes."""


class _Unwatched:
    """Takes note of nothing."""

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        pass


UNWATCHED = _Unwatched()


@dataclass(frozen=True, slots=True)
class Writing:
    """How and where `fix` writes: `output_dir` None means in place; `level` None means the package's own."""

    output_dir: str | None = None
    level: int | None = None
    backup: str | None = None
    dry_run: bool = False
    threads: int = 0
    obstacles: Mapping[str, PruneError] = field(default_factory=dict)
    """Why packages in a directory (its real path) must not be replaced: their records could not be renewed."""


def shares(packages: int, jobs: int, threads: int) -> tuple[int, int]:
    """Return how many packages to work on at the same time, and how many threads each gets.

    0 stands for as many as there are cores: each package then gets its share of them.
    """
    jobs = max(1, min(jobs or cores(), packages))
    return jobs, threads or max(1, cores() // jobs)


def check_package(
    path: str,
    options: Options,
    *,
    deep: bool = False,
    limits: Limits | None = None,
    progress: Progress = UNWATCHED,
    threads: int = 0,
) -> Result:
    """Return what is wrong with a package; nothing is written. Raises PruneError where it cannot be read."""
    return _twice(lambda: _check_once(path, options, deep, limits or Limits(), progress, threads or cores()))


def _check_once(path: str, options: Options, deep: bool, limits: Limits, progress: Progress, threads: int) -> Result:
    started = time.perf_counter()
    with Archive(path, limits) as archive:
        if deep or archive.format is Format.TAR_BZ2:
            progress.expect(archive.content_size)
        _, plan = _planned(archive, options, threads, deep=deep, progress=progress)
        archive.check_unwritten()
    return _result(plan, plan.status, deep=plan.package.complete, seconds=time.perf_counter() - started)


def fix_package(
    path: str,
    options: Options,
    writing: Writing,
    *,
    limits: Limits | None = None,
    progress: Progress = UNWATCHED,
) -> Result:
    """Repair a package and return what was done; one without findings is not written.

    The payload is read in any case, so that nothing damaged passes as clean. Raises PruneError where the package
    cannot be read or written, UsageError for a backup suffix that leads elsewhere; the package and its directory are
    then as they were.
    """
    if writing.backup is not None:
        from .archive.target import check_suffix

        check_suffix(writing.backup)
    result = _twice(lambda: _fix_once(path, options, writing, limits or Limits(), progress))
    if result.status == "clean" and not writing.dry_run:
        from .archive.staging import remove_leftover

        # Another run fixed it, but was killed before or after that.
        remove_leftover(result.output or path, replace_link=result.output is not None)
    return result


def fix_in_channel(
    path: str, options: Options, writing: Writing, reindex: str, *, limits: Limits | None = None
) -> Result:
    """Repair a package as `fix_package` does, and refresh the index next to it; the result has the records renewed.

    `reindex` is `auto`, `always` or `never`. Raises IndexNotRefreshed when the package was repaired and its index could
    not be refreshed, which is rare: what can be known beforehand is a CannotWrite, with the package as it was.
    """
    if reindex == "never" or writing.dry_run:
        return fix_package(path, options, writing, limits=limits)
    from .places.channel.refresh import find_obstacles, refresh_indexes

    always = reindex == "always"
    writing = replace(writing, obstacles=find_obstacles([_target(path, writing)], always=always))
    result = fix_package(path, options, writing, limits=limits)
    for index in refresh_indexes([result], always=always):
        if index.status == "error":
            raise IndexNotRefreshed(f"{index.path}: {index.error}", result)
        result = replace(result, records=result.records + index.records, warnings=result.warnings + index.warnings)
    return result


def _twice(work: Callable[[], Result]) -> Result:
    """Return the result of the work, which is done again, once, if somebody changed the package meanwhile.

    Raises OutOfMemory or OutOfFiles, with the limit, where the process may not use more.
    """
    try:
        try:
            return work()
        except Changed:
            return work()
    except Exception as error:
        if lacks_memory(error):
            from .archive.system import memory_limit

            allowed = memory_limit()
            of = f": {allowed >> 20} MiB are allowed (ulimit -v)" if allowed else ""
            raise OutOfMemory(
                f"there is not enough memory{of}", "use --threads 1 and fewer --jobs, or allow more"
            ) from error
        if lacks_files(error):
            raise OutOfFiles("too many files are open") from error
        raise


def _fix_once(path: str, options: Options, writing: Writing, limits: Limits, progress: Progress) -> Result:
    from .archive.rewriter import Rewriting, Settings, recover_compression, rewrite_package
    from .archive.staging import Staging
    from .archive.verify import INSTALL_HINT, has_libarchive
    from .compression.threads import worker_pool
    from .places.channel.sidecars import sidecar_warnings

    started = time.perf_counter()
    in_place = writing.output_dir is None
    threads = writing.threads or cores()
    with Archive(path, limits) as archive, worker_pool(threads) as submit:
        progress.expect(3 * archive.content_size)
        target = _target(path, writing)
        recovered = None
        if not writing.dry_run and archive.format is Format.CONDA:
            # A target that cannot be written is reported before the payload is decompressed.
            package, plan = _planned(archive, options, threads, deep=False, progress=progress)
            if plan.status == "findings":
                _check_target(target, writing)
                settings = Settings(writing.level, recorded_level(contents_of(package).texts), threads)
                recovered = submit(partial(recover_compression, archive, settings))
            del package, plan  # A million files take a gigabyte.
        package, plan = _planned(archive, options, threads, deep=True, progress=progress)
        if plan.status != "findings" or plan.edits is None or writing.dry_run:
            result = _result(plan, plan.status, deep=True, seconds=time.perf_counter() - started)
            archive.check_unwritten()
            if plan.status == "clean" and not in_place and not writing.dry_run:
                _copy(archive, target)
                return replace(result, output=target)
            return result
        _check_target(target, writing)
        # At the package's own level, the result is about as large as the package.
        space = archive.whole.size if writing.level is None else archive.content_size
        with Staging(target, archive.descriptor, space, replace_link=not in_place) as staging:
            settings = Settings(writing.level, recorded_level(contents_of(package).texts), threads)
            compression_of = recovered() if recovered else recover_compression(archive, settings)
            work = Rewriting(archive, package, plan.edits, compression_of, settings, progress, submit)
            written = rewrite_package(work, staging)
            archive.check_unwritten()
            archive.close()
            backup = writing.backup if in_place else None
            warnings = staging.commit(package.identity if in_place else None, backup) + sidecar_warnings(target)
    return replace(
        _result(plan, "fixed", deep=True, seconds=time.perf_counter() - started),
        before=written.before,
        after=written.after,
        output=target,
        compression=written.compression,
        warnings=warnings if has_libarchive() else (*warnings, INSTALL_HINT),
    )


def show_package(
    path: str, options: Options, *, deep: bool = True, limits: Limits | None = None
) -> tuple[Result, Plan, Mapping[str, File]]:
    """Return everything known about a package, and its files, listed ones where the payload was not read; nothing is
    written.
    """
    compression = None
    with Archive(path, limits or Limits()) as archive:
        package, plan = _planned(archive, options, cores(), deep=deep, progress=UNWATCHED)
        contents = contents_of(package)
        if deep:
            from .archive.rewriter import Settings, recover_compression

            settings = recover_compression(archive, Settings(recorded=recorded_level(contents.texts)))
            payload = settings["pkg" if "pkg" in settings else "tar"]
            compression = Compression(payload.codec, payload.level, payload.source)
    result = _result(plan, plan.status, deep=package.complete, seconds=0)
    return replace(result, compression=compression), plan, {**package.files, **contents.files}


def _planned(
    archive: Archive, options: Options, threads: int, *, deep: bool, progress: Progress
) -> tuple[Package, Plan]:
    """Read as much of the package as its judgement needs, and return it with its plan."""
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
        keep = partial(_kept, wanted, archive.limits.text)
        package = read_package(archive, keep, payload=True, progress=progress, threads=threads)
        plan = make_plan(package, options)
    return package, plan


def _kept(wanted: frozenset[str], limit: int, name: str) -> int:
    return limit if name in wanted else content_wanted(name)


def _check_target(target: str, writing: Writing) -> None:
    """Raise CannotWrite when the result must not, or cannot, replace what is there, or the backup cannot be made."""
    from .archive.target import check_writable, resolved
    from .places.surroundings import cache_of

    in_place = writing.output_dir is None
    if cache := cache_of(resolved(target, replace_link=not in_place)):
        raise CannotWrite(
            f"it is in {cache}, whose tool knows it by its hash", "fix the package where it was built, or use -o DIR"
        )
    for name in (target, os.path.realpath(target)):
        if obstacle := writing.obstacles.get(os.path.realpath(os.path.dirname(name) or ".")):
            raise CannotWrite(f"the index next to it cannot be refreshed: {obstacle.reason}", obstacle.hint)
    check_writable(target, replace_link=not in_place, backup=writing.backup if in_place else None)


def _target(path: str, writing: Writing) -> str:
    """Return the path of the result."""
    if writing.output_dir is None:
        return path
    target = os.path.join(writing.output_dir, os.path.basename(path))
    # A link in the output directory that leads to the package is replaced like any other; only an entry through which
    # the package was named, or is stored, must not be.
    if any(_is_same_entry(target, entry) for entry in (path, os.path.realpath(path))):
        raise CannotWrite(f"{writing.output_dir} holds the package itself", "use --in-place")
    return target


def _is_same_entry(one: str, other: str) -> bool:
    """Return whether two paths are the same name in the same directory, whatever links lead to that."""
    directories = [os.path.realpath(os.path.dirname(path)) for path in (one, other)]
    names = [os.path.normcase(os.path.basename(path)) for path in (one, other)]
    if names[0] != names[1] or not all(map(os.path.isdir, directories)):
        return False
    return os.path.samefile(*directories)


def _copy(archive: Archive, target: str) -> None:
    """Copy a clean package to the output directory, so that it holds every package of the call."""
    from .archive.staging import Staging

    with Staging(target, archive.descriptor, archive.whole.size, replace_link=True) as staging:
        for piece in archive.whole.chunks():
            staging.file.write(piece)
        staging.finish()
        archive.check_unwritten()
        staging.commit(None)


def _result(
    plan: Plan, status: Literal["clean", "findings", "fixed", "refused"], *, deep: bool, seconds: float
) -> Result:
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
