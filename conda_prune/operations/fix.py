"""`fix`: repair one package in five steps: read, plan, recover settings, write, commit.

The package is replaced in the last step, after the result was read back. Before that, whatever goes wrong leaves the
package and its directory as they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..archive.container import Archive
from ..channel.sidecars import sidecar_warnings
from ..compression.threads import Submit, worker_pool
from ..errors import PruneError
from ..judgement.contents import Contents
from ..judgement.options import Options
from ..judgement.variant.evidence import recorded_level
from ..model import CompressionSettings, Format, Limits, Result
from ..rewrite.rewriter import CompressionRequest, RewriteJob, recover_compression, rewrite_package
from ..rewrite.staging import Staging, remove_leftover
from ..rewrite.target import check_suffix
from ..rewrite.verify import INSTALL_HINT, has_libarchive
from ..system import cores
from .planning import Judged, read_and_plan, result_of
from .progress import NULL_PROGRESS, Progress
from .retry import retry_if_changed
from .target import check_target, result_path


@dataclass(frozen=True, slots=True)
class FixOptions:
    """How and where `fix` writes: `output_dir` None means in place, `level` None the package's own compression level,
    `backup` a suffix under which the original stays, `threads` 0 one per core.
    """

    output_dir: str | None = None
    level: int | None = None
    backup: str | None = None
    dry_run: bool = False
    threads: int = 0
    obstacles: Mapping[str, PruneError] = field(default_factory=dict)
    """Why packages in a directory (its real path) must not be replaced: their records could not be renewed."""

    @property
    def in_place(self) -> bool:
        """Whether the result replaces the package."""
        return self.output_dir is None


def fix_package(
    path: str,
    options: Options,
    how: FixOptions,
    *,
    limits: Limits | None = None,
    progress: Progress = NULL_PROGRESS,
) -> Result:
    """Repair a package and return what was done; one without findings is not written.

    The payload is read in any case, so that nothing damaged passes as clean. Raises PruneError where the package
    cannot be read or written, UsageError for a backup suffix that leads elsewhere; the package and its directory are
    then as they were.
    """
    if how.backup is not None:
        check_suffix(how.backup)
    result = retry_if_changed(lambda: _fix_once(path, options, how, limits or Limits(), progress))
    if result.status == "clean" and not how.dry_run:
        # Another run fixed it, but was killed before it could remove its temporary file.
        remove_leftover(result.output or path, replace_link=result.output is not None)
    return result


def _fix_once(path: str, options: Options, how: FixOptions, limits: Limits, progress: Progress) -> Result:
    started = time.perf_counter()
    target = result_path(path, how.output_dir)
    how = replace(how, threads=how.threads or cores())
    with Archive(path, limits) as archive, worker_pool(how.threads) as submit:
        progress.expect(3 * archive.content_size)
        forecast = _forecast(archive, target, options, how, progress, submit)

        # 1. Read and 2. plan.
        judged = read_and_plan(archive, options, how.threads, deep=True, progress=progress)
        package, contents, plan = judged
        if plan.status != "findings" or plan.edits is None or how.dry_run:
            return _leave_unchanged(archive, target, judged, how, started)
        check_target(target, in_place=how.in_place, backup=how.backup, obstacles=how.obstacles)

        # At the package's own level, the result is about as large as the package.
        space = archive.whole.size if how.level is None else archive.content_size
        with Staging(target, archive.descriptor, space, replace_link=not how.in_place) as staging:
            # 3. Recover the settings.
            request, settings = forecast or _recover(archive, contents, how)
            # 4. Write, and read the result back.
            job = RewriteJob(archive, package, plan.edits, settings(), request, progress, submit)
            written = rewrite_package(job, staging)
            # 5. Commit.
            archive.check_unwritten()
            archive.close()
            identity, backup = (package.identity, how.backup) if how.in_place else (None, None)
            warnings = staging.commit(identity, backup) + sidecar_warnings(target)
    return replace(
        result_of(judged, "fixed", deep=True, seconds=time.perf_counter() - started),
        before=written.before,
        after=written.after,
        output=target,
        compression=written.compression,
        warnings=warnings if has_libarchive() else (*warnings, INSTALL_HINT),
    )


_Recovery = tuple[CompressionRequest, Callable[[], Mapping[str, CompressionSettings]]]


def _forecast(
    archive: Archive, target: str, options: Options, how: FixOptions, progress: Progress, submit: Submit
) -> _Recovery | None:
    """Plan from a `.conda`'s info component alone. Where that finds something, begin to recover the settings.

    It takes a fraction of a second and saves two waits: a target that cannot be written is reported before the payload
    is decompressed, and the settings are recovered on another thread while it is. Whether to write, and what, is
    decided later, by the plan of the whole package.
    """
    if how.dry_run or archive.format is not Format.CONDA:
        return None
    # Neither outlives this function: the facts about a million files take a gigabyte, and are about to be read again.
    _, contents, plan = read_and_plan(archive, options, how.threads, deep=False, progress=progress)
    if plan.status != "findings":
        return None
    check_target(target, in_place=how.in_place, backup=how.backup, obstacles=how.obstacles)
    request = _request(contents, how)
    return request, submit(partial(recover_compression, archive, request))


def _recover(archive: Archive, contents: Contents, how: FixOptions) -> _Recovery:
    request = _request(contents, how)
    return request, partial(recover_compression, archive, request)


def _request(contents: Contents, how: FixOptions) -> CompressionRequest:
    return CompressionRequest(how.level, recorded_level(contents.texts), how.threads)


def _leave_unchanged(archive: Archive, target: str, judged: Judged, how: FixOptions, started: float) -> Result:
    """Return the result for a package that is not repaired; a clean one is copied to the output directory, so that
    it holds every package of the call.
    """
    plan = judged.plan
    result = result_of(judged, plan.status, deep=True, seconds=time.perf_counter() - started)
    archive.check_unwritten()
    if plan.status != "clean" or how.in_place or how.dry_run:
        return result
    with Staging(target, archive.descriptor, archive.whole.size, replace_link=True) as staging:
        for piece in archive.whole.chunks():
            staging.file.write(piece)
        staging.finish()
        archive.check_unwritten()
        staging.commit(None)
    return replace(result, output=target)
