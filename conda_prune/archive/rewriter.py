"""Carries a plan out: splices every component, compresses it with its own settings, and reads the result back.

It decides nothing: what goes and what changes is in the plan's edits, byte for byte, before the first byte is written.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from ..compression import settings as stream_settings
from ..compression.byte_range import ByteRange
from ..compression.recompress import Rewritten, recompress
from ..compression.stream import CannotReuse, Stream
from ..compression.threads import Submit, ThreadBudget
from ..errors import NotVerified
from ..model import (
    Component,
    Compression,
    CompressionSettings,
    Drop,
    Edit,
    FileKind,
    Package,
    Patch,
    Relink,
    Rewrite,
    Size,
    Splice,
)
from . import tar_header
from .container import Archive, Part
from .staging import Staging
from .verify import Expected, verify
from .zip_write import NewContent

Progress = Callable[[int], None]

_SMALL = 1 << 24
"""Bytes of content of a component that may be compressed in memory."""


@dataclass(frozen=True, slots=True)
class Settings:
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
class Rewriting:
    """What is to be written: a complete package with its edits, and how each part is to be compressed."""

    archive: Archive
    package: Package
    edits: Mapping[str, Edit]
    compression: Mapping[str, CompressionSettings]
    settings: Settings
    progress: Progress
    submit: Submit


def rewrite_package(work: Rewriting, staging: Staging) -> Written:
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


def _contents(work: Rewriting, done: dict[str, Rewritten], plain: bool) -> dict[str, NewContent]:
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


def recover_compression(archive: Archive, settings: Settings) -> dict[str, CompressionSettings]:
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


def splices_of(component: Component, edits: Mapping[str, Edit]) -> tuple[Splice, ...]:
    """Return a component's edits as splices of its tar stream, in order."""
    splices: list[Splice] = []
    names = _stored_names(component, edits)
    kept = 0
    for file, span in zip(component.files, component.spans, strict=True):
        edit = edits.get(file.path)
        if not isinstance(edit, Drop):
            kept = span.stop
        if isinstance(edit, Drop):
            start = span.start
            if splices and splices[-1].stop == start and not splices[-1].new:
                start = splices.pop().start
            splices.append(Splice(start, span.stop))
        elif isinstance(edit, Rewrite):
            raw, size = component.headers[file.path], len(edit.content)
            headers = tar_header.with_size(raw, size, regular=file.kind is FileKind.HARDLINK)
            splices.append(Splice(span.start, span.content, headers))
            splices.append(Splice(span.content, span.stop, edit.content))
            splices.append(Splice(span.stop, span.stop, tar_header.padding(size)))
        elif isinstance(edit, Patch):
            splices.append(Splice(span.content, span.content + len(edit.head), edit.head))
        elif isinstance(edit, Relink):
            headers = tar_header.with_link(component.headers[file.path], names[edit.target])
            splices.append(Splice(span.start, span.content, headers))
    if component.spans and (stop := component.spans[-1].stop) > kept:
        # Python takes a global header that no member follows for damage: at the end it goes, too.
        splices = [splice for splice in splices if splice.start < kept or splice.new] + [Splice(kept, stop)]
    return tuple(splices)


def expected_members(component: Component, edits: Mapping[str, Edit]) -> Iterator[Expected]:
    """Yield what a foreign reader must find in the result's component."""
    names = _stored_names(component, edits)
    for file, span in zip(component.files, component.spans, strict=True):
        edit = edits.get(file.path)
        name = span.name.rstrip("/")
        if isinstance(edit, Drop):
            continue
        if isinstance(edit, Rewrite):
            yield Expected(name, FileKind.FILE, len(edit.content), edit.sha256, "")
        elif isinstance(edit, Patch):
            yield Expected(name, file.kind, file.size or 0, edit.sha256, "")
        elif isinstance(edit, Relink):
            yield Expected(name, FileKind.HARDLINK, 0, None, names[edit.target])
        else:
            yield Expected(name, file.kind, file.size or 0, file.sha256, file.link)


def _stored_names(component: Component, edits: Mapping[str, Edit]) -> dict[str, str]:
    """Return the names of the members that hard links are to lead to, as the tar stores them, by their paths."""
    targets = {edit.target for edit in edits.values() if isinstance(edit, Relink)}
    if not targets:
        return {}
    members = zip(component.files, component.spans, strict=True)
    return {file.path: span.name for file, span in members if file.path in targets}


def digest(content: ByteRange) -> Size:
    """Return the size and SHA-256 of a file."""
    found = hashlib.sha256()
    for piece in content.chunks():
        found.update(piece)
    return Size(content.size, found.hexdigest())
