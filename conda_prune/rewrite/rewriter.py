"""Carries out a plan: splices every component, compresses it with its own settings, and reads the result back.

Nothing is decided here. Before the first byte is written, the plan's edits say which bytes are removed and changed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from ..archive.container import Archive
from ..archive.zip_write import NewContent
from ..compression import level_recovery as stream_settings
from ..compression.byte_range import ByteRange
from ..compression.recompress import Rewritten, is_small, recompress
from ..compression.splicer import new_size
from ..compression.stream import CannotReuse, Stream
from ..compression.threads import Submit, ThreadBudget
from ..errors import NotVerified
from ..model import (
    Component,
    Compression,
    CompressionSettings,
    Edit,
    Package,
    Size,
    Splice,
)
from .following import Following
from .splices import expected_members, splices_of
from .staging import Staging
from .verify import NOTHING, ExpectedPackage, ExpectedTar, Verified, verify

Progress = Callable[[int], None]

_SMALL = 1 << 24
"""Bytes of content up to which a component is compressed in memory."""


@dataclass(frozen=True, slots=True)
class CompressionRequest:
    """How to write. `level` None keeps the original settings; `recorded` is a level that the package itself states."""

    level: int | None = None
    recorded: int | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Written:
    """The package's file before and after, and how it was compressed."""

    before: Size
    after: Size
    compression: Compression


@dataclass(frozen=True)
class RewriteJob:
    """What to write: a completely read package, its edits, and the settings to compress each component with."""

    archive: Archive
    package: Package
    edits: Mapping[str, Edit]
    compression: Mapping[str, CompressionSettings]
    settings: CompressionRequest
    progress: Progress
    submit: Submit


def rewrite_package(job: RewriteJob, staging: Staging) -> Written:
    """Write the edited package to the staged file, and verify it.

    If reused blocks turn out not to fit, write it again without reuse. Raises NotVerified if the result still does not
    read back as planned.
    """
    before = job.submit(partial(digest, job.archive.whole))
    done: dict[str, Rewritten] = {}
    progress = ResettableProgress(job.progress)
    try:
        return _write(replace(job, progress=progress), done, staging, before, plain=False)
    except (NotVerified, CannotReuse) as error:
        # Reused blocks may be the reason, so try once more without reuse.
        if isinstance(error, NotVerified) and not any(rewritten.reused for rewritten in done.values()):
            raise
    progress.reset()
    staging.restart()
    return _write(job, {}, staging, before, plain=True)


def _write(
    job: RewriteJob, done: dict[str, Rewritten], staging: Staging, before: Callable[[], Size], *, plain: bool
) -> Written:
    writing = _Writing(job, done, staging, plain=plain)
    try:
        job.archive.write(staging.file, writing.contents())
        return read_back(job, done, staging, before, writing.verified)
    finally:
        writing.cancel()


def read_back(
    job: RewriteJob,
    done: Mapping[str, Rewritten],
    staging: Staging,
    before: Callable[[], Size],
    verified: Callable[[], Mapping[str, Verified]] = lambda: NOTHING,
) -> Written:
    """Finish and verify the staged file, which was written for a job; `done` are the components that were rewritten.

    `before` returns the size and SHA-256 of the original, `verified` the components that were read back already. Raises
    NotVerified if the result does not read back as planned.
    """
    staging.finish()
    after = job.submit(partial(digest, staging.content))
    expected = ExpectedPackage(
        job.archive.format,
        {component.name: expected_members(component, job.edits) for component in job.package.components},
        {name: rewritten.crc for name, rewritten in done.items()},
        job.archive.entry_names,
    )
    verify(staging.path, job.archive.path, expected, job.progress, verified())
    payload = job.compression["pkg" if "pkg" in job.compression else "tar"]
    compression = Compression(
        payload.codec,
        payload.level,
        payload.source,
        sum(rewritten.reused for rewritten in done.values()),
        sum(rewritten.recompressed for rewritten in done.values()),
    )
    return Written(before(), after(), compression)


class ResettableProgress:
    """Passes progress on, and takes it back if the work starts again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, done: int) -> None:
        self._done += done
        self._progress(done)

    def reset(self) -> None:
        self._progress(-self._done)


class _Writing:
    """Writes the components that change. Writing one puts its `Rewritten` into `done`.

    Small components are compressed in memory, on another thread while the first large one is written. Large ones are
    read back while they are written, if there is more than one thread.
    """

    def __init__(self, job: RewriteJob, done: dict[str, Rewritten], staging: Staging, *, plain: bool) -> None:
        self._job = job
        self._done = done
        self._staging = staging
        self._plain = plain
        self._budget = ThreadBudget(job.settings.threads)
        self._following: dict[str, Following] = {}

    def contents(self) -> dict[str, NewContent]:
        """Return the new content of every component that changes."""
        job = self._job
        contents: dict[str, NewContent] = {}
        for component in job.package.components:
            splices = splices_of(component, job.edits)
            packed = job.archive.component(component.name)
            if packed is None or not (splices or job.settings.level is not None or job.archive.has_huge_window(packed)):
                continue
            if component.size <= _SMALL:
                write = partial(_write_result, job.submit(partial(self._in_memory, component, splices)))
            elif job.settings.threads > 1:
                write = partial(self._follow, component, splices)
            else:
                write = partial(self._rewrite, component, splices)
            contents[component.name] = NewContent(write, component.size + sum(len(splice.new) for splice in splices))
        return contents

    def verified(self) -> dict[str, Verified]:
        """Wait until all components that are read back by now are as expected; raise NotVerified if one is not."""
        return {name: following.result(self._done[name].crc) for name, following in self._following.items()}

    def cancel(self) -> None:
        """End what still runs."""
        for following in self._following.values():
            following.cancel()

    def _rewrite(self, component: Component, splices: tuple[Splice, ...], out: IO[bytes]) -> None:
        done = rewrite_component(self._job, component, splices, out, self._budget, self._plain)
        self._done[component.name] = done

    def _in_memory(self, component: Component, splices: tuple[Splice, ...]) -> bytes:
        self._rewrite(component, splices, out := io.BytesIO())
        return out.getvalue()

    def _follow(self, component: Component, splices: tuple[Splice, ...], out: IO[bytes]) -> None:
        job = self._job
        expected = ExpectedTar(component.name, expected_members(component, job.edits))
        codec = job.compression[component.name].codec
        following = Following(self._staging, out, codec, expected, job.progress, at_once=True)
        self._following[component.name] = following
        self._rewrite(component, splices, following.out)
        following.end()


def rewrite_component(
    job: RewriteJob,
    component: Component,
    splices: tuple[Splice, ...],
    out: IO[bytes],
    budget: ThreadBudget,
    plain: bool = False,
) -> Rewritten:
    """Write a component to `out` with the splices applied. With `plain`, nothing is reused.

    It takes six parameters because it passes four of them on to `recompress`.
    """
    packed = job.archive.component(component.name)
    assert packed is not None  # noqa: S101 (for mypy: it was read)
    settings = job.compression[component.name]
    stream = Stream(packed.byte_range, settings, component.size, component.blocks, job.archive.held)
    whole = plain or is_small(settings, new_size(stream.size, splices))
    return recompress(stream, splices, out, budget, job.progress, whole)


def _write_result(result: Callable[[], bytes], out: IO[bytes]) -> None:
    out.write(result())


def recover_compression(archive: Archive, settings: CompressionRequest) -> dict[str, CompressionSettings]:
    """Return the settings to compress each component with: with the requested level, or as it was."""
    recovered: dict[str, CompressionSettings] = {}
    payload: CompressionSettings | None = None
    # The payload comes first: it is the larger sample, and writers compress the info component with the same settings.
    for packed in sorted(archive.components, key=lambda packed: packed.name == "info"):
        archive.check_window(packed)
        if settings.level is not None:
            recovered[packed.name] = stream_settings.asked(packed.codec, settings.level)
        else:
            payload = stream_settings.recover(packed.byte_range, packed.codec, payload, settings.recorded)
            recovered[packed.name] = payload
    return recovered


def digest(content: ByteRange) -> Size:
    """Return the size and SHA-256 of a file."""
    sha256 = hashlib.sha256()
    for piece in content.chunks():
        sha256.update(piece)
    return Size(content.size, sha256.hexdigest())
