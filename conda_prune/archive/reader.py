"""Reads a package once and keeps facts: names, kinds, sizes, hashes, places and the few texts that were asked for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from ..compression.codec import CODECS, LARGE
from ..errors import Damaged, LimitExceeded, Unsupported
from ..model import (
    BlockInfo,
    Component,
    FileKind,
    Limits,
    Package,
)
from .container import Archive, Part
from .tar import Later, TarReader, now
from .tar_header import REBUILD

T = TypeVar("T")
Keep = Callable[[str], int]
"""Tells how many leading bytes of a member's content to keep; a reader of names only says 0."""
Progress = Callable[[int], None]
"""Is called with the bytes of content done since the last call."""

_DEPTH = 4
"""Pieces of content that wait to be hashed, of at most 1 MiB each."""
_READ_FROM_INFO = frozenset({"info/index.json", "info/paths.json"})
"""What clients look for in the info component only, whatever else holds it."""


def read_package(
    archive: Archive, keep: Keep, *, payload: bool, progress: Progress = lambda done: None, threads: int = 1
) -> Package:
    """Return the facts of a package: of a .conda its info component only, without hashes, unless `payload` is set.

    Raises Damaged, Unsupported or LimitExceeded; a package that returns was read to its last byte.
    """
    complete = payload or archive.part("pkg") is None
    components: list[Component] = []
    for part in archive.parts:
        if part.component != "pkg" or payload:
            components.append(_read_component(archive, part, keep, progress, threads, hashed=complete))
    limits = archive.limits.within(sum(_packed_size(archive, part) for part in archive.parts))
    _check_names(components, limits)
    info = archive.part("info")
    return Package(
        archive.path,
        archive.format,
        archive.identity,
        tuple(components),
        complete,
        tuple(archive.notes),
        limits=limits if info is None else archive.limits.within(_packed_size(archive, info)),
    )


def _read_component(
    archive: Archive, part: Part, keep: Keep, progress: Progress, threads: int, *, hashed: bool
) -> Component:
    archive.check_window(part)
    if archive.is_wide(part):
        archive.notes.append(f"the {part.component} component's zstd window is larger than conda clients accept")
    archive.check_crc(part)
    if (archive.stated_size(part) or 0) > archive.limits.unpacked:
        raise _too_large(archive)
    size = 0
    blocks: list[BlockInfo] = []
    threaded = threads > 1 and part.byte_range.size >= LARGE
    with (
        closing(CODECS[part.codec].read(part.byte_range, threads)) as pieces,
        _hashing(threaded) as (later, flush),
    ):
        reader = TarReader(keep, archive.limits.within(_packed_size(archive, part)), later if hashed else None)
        for piece, block in pieces:
            size += len(piece)
            if block is not None:
                blocks.append(block)
            if size > archive.limits.unpacked:
                raise _too_large(archive)
            reader.feed(piece)
            flush()
            progress(len(piece))
    return reader.finish(part.component)._replace(blocks=tuple(blocks))


def _packed_size(archive: Archive, part: Part) -> int:
    """Return the compressed size of a component: that of the file, where the zip compressed it a second time."""
    return min(part.byte_range.size, archive.whole.size)


@contextmanager
def _hashing(threaded: bool) -> Iterator[tuple[Later, Callable[[], None]]]:
    """Give what a reader of tars may do later, and what has that begun; all is done when this ends."""
    if not threaded:
        yield now, lambda: None
        return
    from ..compression.threads import sink

    waiting: list[tuple[Callable[[Any], object], Any]] = []

    def later(do: Callable[[T], object], what: T) -> None:
        waiting.append((do, what))

    def flush() -> None:
        if waiting:
            put(waiting.copy())
            waiting.clear()

    with sink(_do, _DEPTH) as put:
        yield later, flush


def _do(batch: list[tuple[Callable[[Any], object], Any]]) -> None:
    for do, what in batch:
        do(what)


def _too_large(archive: Archive) -> LimitExceeded:
    return LimitExceeded(
        f"it unpacks to more than {archive.limits.unpacked} bytes", "raise --max-unpacked if you trust it"
    )


def _check_names(components: list[Component], limits: Limits) -> None:
    """Raise Unsupported for names with which what is unpacked depends on the reader, or on the order.

    Raises LimitExceeded where the directories' names take more characters than metadata may take bytes.
    """
    seen: set[str] = set()
    for component in components:
        names = {file.path for file in component.files}
        if both := seen & names - {"."}:
            raise Unsupported(f"{min(both)!r} is in both of the package's components", REBUILD)
        seen |= names
        for file in component.files:
            # Whether a file of the other component is there when it is linked depends on the client.
            if file.kind is FileKind.HARDLINK and posixpath.normpath(file.link) not in names:
                raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which is not there")
        if component.name == "info" and (strangers := [name for name in names if not _in_info(name)]):
            raise Damaged(f"the info component holds {min(strangers)!r}, which is not below info/ (CEP 35)")
        if component.name == "pkg" and (read := names & _READ_FROM_INFO):
            raise Damaged(f"the pkg component holds {min(read)!r}, which belongs into the info component (CEP 35)")
    files = {file.path for component in components for file in component.files if file.kind is not FileKind.DIRECTORY}
    if below := _directories(seen, limits) & files:
        raise Unsupported(f"{min(below)!r} is no directory, and there are members below it", REBUILD)


def _directories(names: Iterable[str], limits: Limits) -> set[str]:
    """Return every directory that the names are in, at any depth.

    Raises LimitExceeded where they take too many characters: those of a deep name take a thousand times its own.
    """
    found: set[str] = set()
    held = 0
    for name in names:
        while (name := os.path.dirname(name)) and name not in found:
            found.add(name)
            held += len(name)
            if held > limits.text:
                raise LimitExceeded(
                    f"the names of its directories take more than {limits.text} bytes",
                    f"raise {limits.text_option} if you trust it",
                )
    return found


def _in_info(name: str) -> bool:
    return name in ("info", ".") or name.startswith("info/")
