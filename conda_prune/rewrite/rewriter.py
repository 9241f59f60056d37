"""Carries a plan out: splices every component, compresses it with its own settings, and reads the result back.

It decides nothing: what goes and what changes is in the plan's edits, byte for byte, before the first byte is written.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from ..archive.container import Archive, Part
from ..archive.zip_write import NewContent
from ..compression import settings as stream_settings
from ..compression.byte_range import ByteRange
from ..compression.recompress import Rewritten, recompress
from ..compression.stream import CannotReuse, Stream
from ..compression.threads import Submit, ThreadBudget
from ..errors import NotVerified
from ..model import Component, Compression, CompressionSettings, Edit, Package, Size, Splice
from .splices import expected_members, splices_of
from .staging import Staging
from .verify import verify

Progress = Callable[[int], None]

_SMALL = 1 << 24
"""Bytes of content of a component that may be compressed in memory."""


@dataclass(frozen=True, slots=True)
class CompressionRequest:
    """How to write: `level` None keeps the original's; `recorded` is a level that the package itself states."""

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
    """What is to be written: a complete package with its edits, and how each part is to be compressed."""

    archive: Archive
    package: Package
    edits: Mapping[str, Edit]
    compression: Mapping[str, CompressionSettings]
    settings: CompressionRequest
    progress: Progress
    submit: Submit


def rewrite_package(work: RewriteJob, staging: Staging) -> Written:
    """Write the package with its edits made to the staged file, and verify that.

    Raises NotVerified when the result does not read back as planned.
    """
    archive = work.archive
    before = work.submit(partial(digest, archive.whole))
    done: dict[str, Rewritten] = {}
    for plain in (False, True):
        done.clear()
        counted = _Counted(work.progress)
        try:
            archive.write(staging.file, _contents(replace(work, progress=counted), done, plain))
            staging.finish()
            after = work.submit(partial(digest, staging.content))
            expected = {part.name: expected_members(part, work.edits) for part in work.package.components}
            crcs = {component: rewritten.crc for component, rewritten in done.items()}
            verify(staging.path, archive.path, archive.format, expected, crcs, archive.entry_names, counted)
            break
        except (NotVerified, CannotReuse) as error:
            # What was to be kept compressed does not fit together after all: once more, without that.
            if plain or (isinstance(error, NotVerified) and not any(rewritten.reused for rewritten in done.values())):
                raise
            counted.take_back()
            staging.restart()
    payload = work.compression["pkg" if "pkg" in work.compression else "tar"]
    compression = Compression(
        payload.codec,
        payload.level,
        payload.source,
        sum(rewritten.reused for rewritten in done.values()),
        sum(rewritten.recompressed for rewritten in done.values()),
    )
    return Written(before(), after(), compression)


class _Counted:
    """Passes progress on, and takes it back where the work starts again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, done: int) -> None:
        self._done += done
        self._progress(done)

    def take_back(self) -> None:
        self._progress(-self._done)


def _contents(work: RewriteJob, done: dict[str, Rewritten], plain: bool) -> dict[str, NewContent]:
    """Return the new content of every component that changes; what writing each did is put into `done`.

    Small ones are compressed in memory, by another thread while the first large one is written.
    """

    def rewrite(component: Component, part: Part, splices: tuple[Splice, ...], out: IO[bytes]) -> None:
        stream = Stream(part.byte_range, work.compression[component.name], component.size, component.blocks)
        done[component.name] = recompress(stream, splices, out, budget, work.progress, plain)

    def in_memory(component: Component, part: Part, splices: tuple[Splice, ...]) -> bytes:
        rewrite(component, part, splices, out := io.BytesIO())
        return out.getvalue()

    budget = ThreadBudget(work.settings.threads)
    contents: dict[str, NewContent] = {}
    for component in work.package.components:
        splices = splices_of(component, work.edits)
        part = work.archive.part(component.name)
        if part is None or not (splices or work.settings.level is not None or work.archive.is_wide(part)):
            continue
        if component.size <= _SMALL:
            write = partial(_put, work.submit(partial(in_memory, component, part, splices)))
        else:
            write = partial(rewrite, component, part, splices)
        contents[component.name] = NewContent(write, component.size + sum(len(splice.new) for splice in splices))
    return contents


def _put(made: Callable[[], bytes], out: IO[bytes]) -> None:
    out.write(made())


def recover_compression(archive: Archive, settings: CompressionRequest) -> dict[str, CompressionSettings]:
    """Return how each part is to be compressed: as asked, or as it was."""
    found: dict[str, CompressionSettings] = {}
    payload: CompressionSettings | None = None
    # The payload first: it is the larger sample, and its writer compressed the info component alike.
    for part in sorted(archive.parts, key=lambda part: part.component == "info"):
        archive.check_window(part)
        if settings.level is not None:
            found[part.component] = stream_settings.asked(part.codec, settings.level)
        else:
            found[part.component] = stream_settings.recover(part.byte_range, part.codec, payload, settings.recorded)
            payload = found[part.component]
    return found


def digest(content: ByteRange) -> Size:
    """Return the size and SHA-256 of a file."""
    found = hashlib.sha256()
    for piece in content.chunks():
        found.update(piece)
    return Size(content.size, found.hexdigest())
