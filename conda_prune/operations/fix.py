"""`fix`: repair one package in five steps: read, plan, recover settings, write, commit.

The package is replaced in the last step, after the result was read back. If anything fails before that, the package and
its directory are unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ..archive.container import Archive
from ..channel.published import NO_INDEXES, IndexSurvey
from ..channel.sidecars import sidecar_warnings
from ..compression.threads import Submit, worker_pool
from ..judgement.contents import Contents
from ..judgement.options import Options
from ..judgement.variant.evidence import recorded_level
from ..model import (
    CompressionSettings,
    Format,
    Limits,
    Result,
)
from ..rewrite.libarchive import INSTALL_HINT, has_libarchive
from ..rewrite.rewriter import (
    CompressionRequest,
    RewriteJob,
    Written,
    recover_compression,
    rewrite_package,
)
from ..rewrite.staging import Staging, remove_leftover
from ..rewrite.target import check_suffix
from ..system import cores
from .one_pass import OnePass, forecast_of
from .planning import JudgedPackage, plan_from_metadata, read_and_plan, result_of
from .progress import NULL_PROGRESS, Progress
from .retry import retry_if_changed
from .target import check_target, publication_warning, result_path

_HOLD = 1 << 26
"""Bytes of a bz2 stream's content that are held from reading until writing. Decompressing them again would take as long
as the rest of a repair."""


@dataclass(frozen=True, slots=True)
class FixOptions:
    """How and where `fix` writes.

    `output_dir` None means in place; `level` None keeps the package's own compression level; `backup` is a suffix that
    is appended to the name of the original, which is then kept; `threads` 0 means one per core; `indexes` is
    what is known of the indexes next to the packages.
    """

    output_dir: str | None = None
    level: int | None = None
    backup: str | None = None
    dry_run: bool = False
    threads: int = 0
    indexes: IndexSurvey = NO_INDEXES

    @property
    def in_place(self) -> bool:
        """Whether the result replaces the package."""
        return self.output_dir is None


def fix_package(
    path: str,
    options: Options,
    fix_options: FixOptions,
    *,
    limits: Limits | None = None,
    progress: Progress = NULL_PROGRESS,
) -> Result:
    """Repair a package, and return what was done. A package without findings is not written.

    The payload is always read, so that no damaged package counts as clean. Raises PruneError if the package cannot be
    read or written, and UsageError for a backup suffix that leads to another directory. The package and its directory
    are then unchanged.
    """
    if fix_options.backup is not None:
        check_suffix(fix_options.backup)
    result = retry_if_changed(lambda: _fix_once(path, options, fix_options, limits or Limits(), progress))
    if result.status == "clean" and not fix_options.dry_run:
        # An earlier run has repaired it, but may have been killed before it removed its temporary file.
        remove_leftover(result.output or path, replace_link=result.output is not None)
    return result


def _fix_once(path: str, options: Options, fix_options: FixOptions, limits: Limits, progress: Progress) -> Result:
    started = time.perf_counter()
    target = result_path(path, fix_options.output_dir)
    fix_options = replace(fix_options, threads=fix_options.threads or cores())
    with Archive(path, limits) as archive, worker_pool(fix_options.threads) as submit:
        progress.expect(3 * archive.content_size)
        archive.hold = _HOLD if archive.format is Format.TAR_BZ2 and not fix_options.dry_run else 0
        forecast = _forecast(archive, target, options, fix_options, progress, submit)
        fix = _Fix(archive, target, fix_options, progress, started)
        with ExitStack() as opened:
            # If the info component says enough, all five steps are done in one pass over the payload.
            staging: Staging | None = None
            if forecast and forecast.one_pass and (known := forecast.one_pass.usable_settings(forecast.settings)):
                # If this fails, the same temporary file is used again, in the directory that is open already.
                staging = opened.enter_context(fix.staging())
                if done := forecast.one_pass.run(known, staging, fix.warn_if_published):
                    return fix.commit(staging, *done)

            # 1. Read and 2. plan.
            judged = read_and_plan(archive, options, fix_options.threads, deep=True, progress=progress)
            package, contents, plan = judged
            if plan.status != "findings" or plan.edits is None or fix_options.dry_run:
                opened.close()
                return _leave_unchanged(archive, target, judged, fix_options, started)
            check_target(target, in_place=fix_options.in_place, backup=fix_options.backup, indexes=fix_options.indexes)
            fix.warn_if_published()
            staging = staging or opened.enter_context(fix.staging())
            # 3. Recover the settings.
            request = _request(contents, fix_options)
            settings = forecast.settings() if forecast else recover_compression(archive, request)
            # 4. Write, and read the result back.
            job = RewriteJob(archive, package, plan.edits, settings, request, progress, submit)
            written = rewrite_package(job, staging)
            # 5. Commit.
            return fix.commit(staging, judged, written)


class _Fix:
    """One repair: where its result goes, and what is done before and after it is written."""

    def __init__(
        self, archive: Archive, target: str, fix_options: FixOptions, progress: Progress, started: float
    ) -> None:
        self._archive = archive
        self._target = target
        self._options = fix_options
        self._progress = progress
        self._started = started
        self._published: str | None = None

    def warn_if_published(self) -> str:
        """Warn if the package that is about to be replaced seems to be published, and return the warning, or ""."""
        if self._published is None:
            indexes = self._options.indexes
            self._published = publication_warning(self._target, indexes) if self._options.in_place else ""
            if self._published:
                self._progress.warn(self._published)
        return self._published

    def staging(self) -> Staging:
        """Return the file that the result is written to."""
        # At the package's own level, the result is about as large as the package.
        space = self._archive.whole.size if self._options.level is None else self._archive.content_size
        return Staging(self._target, self._archive.descriptor, space, replace_link=not self._options.in_place)

    def commit(self, staging: Staging, judged: JudgedPackage, written: Written) -> Result:
        """Replace the target, and return the result."""
        self._archive.check_unwritten()
        self._archive.close()
        in_place = self._options.in_place
        identity, backup = (judged.package.identity, self._options.backup) if in_place else (None, None)
        warnings = (
            *filter(None, [self.warn_if_published()]),
            *staging.commit(identity, backup),
            *sidecar_warnings(self._target, attestations=not in_place),
        )
        return replace(
            result_of(judged, "fixed", deep=True, seconds=time.perf_counter() - self._started),
            before=written.before,
            after=written.after,
            output=self._target,
            compression=written.compression,
            warnings=warnings if has_libarchive() else (*warnings, INSTALL_HINT),
        )


class _Forecast(NamedTuple):
    """What follows from the info component of a package with findings.

    `settings` waits for those that the package is compressed with, and returns them. `one_pass` is a repair that needs
    no plan before it starts; None if the package has to be read first.
    """

    settings: Callable[[], Mapping[str, CompressionSettings]]
    one_pass: OnePass | None


def _forecast(
    archive: Archive,
    target: str,
    options: Options,
    fix_options: FixOptions,
    progress: Progress,
    submit: Submit,
) -> _Forecast | None:
    """Plan from the info component of a `.conda` alone. If there are findings, start to recover the settings.

    This takes a fraction of a second and avoids two waits. A target that cannot be written is reported before the
    payload is decompressed. The settings are recovered on another thread while the payload is decompressed. Whether
    anything is written, and what, is decided later, by the plan for the whole package.
    """
    if fix_options.dry_run or archive.format is not Format.CONDA:
        return None
    # Keep only what is needed: the facts about a million files take a gigabyte, and they will be read again.
    _, contents, plan = plan_from_metadata(archive, options, fix_options.threads, progress=progress)
    if plan.status != "findings":
        return None
    if not plan.needs_payload:  # Otherwise the whole package may turn out to be clean.
        check_target(target, in_place=fix_options.in_place, backup=fix_options.backup, indexes=fix_options.indexes)
    request = _request(contents, fix_options)
    settings = submit(partial(recover_compression, archive, request))
    one_pass = None
    if fix_options.threads > 1 and fix_options.level is None and (payload := forecast_of(archive, contents, plan)):
        one_pass = OnePass(archive, payload, request, options, progress, submit)
    return _Forecast(settings, one_pass)


def _request(contents: Contents, fix_options: FixOptions) -> CompressionRequest:
    return CompressionRequest(fix_options.level, recorded_level(contents.texts), fix_options.threads)


def _leave_unchanged(
    archive: Archive, target: str, judged: JudgedPackage, fix_options: FixOptions, started: float
) -> Result:
    """Return the result for a package that is not repaired.

    A clean package is copied to the output directory, so that this directory contains every package of the call.
    """
    plan = judged.plan
    result = result_of(judged, plan.status, deep=True, seconds=time.perf_counter() - started)
    archive.check_unwritten()
    if plan.status != "clean" or fix_options.in_place or fix_options.dry_run:
        return result
    with Staging(target, archive.descriptor, archive.whole.size, replace_link=True) as staging:
        for piece in archive.whole.chunks():
            staging.file.write(piece)
        staging.finish()
        archive.check_unwritten()
        staging.commit(None)
    return replace(result, output=target)
