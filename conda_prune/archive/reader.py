"""Reads a package once and keeps facts: names, kinds, sizes, hashes, offsets and the few texts that were asked for.

A package that is returned was read to its last byte, with all checksums checked. The payload itself is not kept, so
memory grows with the number of members, not with their size.
"""

from __future__ import annotations

import os
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    Span,
)
from .container import Archive, PackedComponent
from .tar import Deferred, TarReader, immediately
from .tar_header import REBUILD

T = TypeVar("T")
Keep = Callable[[str], int]
"""keep(path): how many leading bytes of a member's content to keep; 0 for none."""
Progress = Callable[[int], None]
"""progress(count): called with the bytes of content processed since the last call."""

_DEPTH = 4
"""Pieces of content, of at most 1 MiB each, that wait to be hashed."""
_READ_FROM_INFO = frozenset({"info/index.json", "info/paths.json"})
"""Files that clients look for in the info component only, even if another component also has them."""


def read_package(
    archive: Archive, keep: Keep, *, payload: bool, progress: Progress = lambda done: None, threads: int = 1
) -> Package:
    """Return the facts of a package.

    Unless `payload` is set, only the info component of a .conda is read, and its files are not hashed. Raises Damaged,
    Unsupported or LimitExceeded.
    """
    complete = payload or archive.component("pkg") is None
    components: list[Component] = []
    for packed in archive.components:
        if packed.name != "pkg" or payload:
            components.append(read_component(archive, packed, keep, progress, threads, hashed=complete))
    return package_of(archive, components, complete)


def package_of(archive: Archive, components: list[Component], complete: bool) -> Package:
    """Return the facts of a package from its components, in the order of the file; raise what `read_package` raises."""
    limits = archive.limits.within(sum(_packed_size(archive, packed) for packed in archive.components))
    _check_names(components, limits)
    info = archive.component("info")
    return Package(
        archive.path,
        archive.format,
        archive.identity,
        tuple(components),
        complete,
        tuple(archive.notes),
        limits=limits if info is None else archive.limits.within(_packed_size(archive, info)),
    )


def read_component(
    archive: Archive, packed: PackedComponent, keep: Keep, progress: Progress, threads: int, *, hashed: bool
) -> Component:
    """Return the facts of one component. Raises Damaged, Unsupported or LimitExceeded."""
    archive.check_window(packed)
    if archive.has_huge_window(packed):
        note = f"the {packed.name} component's zstd window is larger than conda clients accept"
        if note not in archive.notes:  # A component may be read more than once.
            archive.notes.append(note)
    archive.check_crc(packed)
    if (archive.stated_size(packed) or 0) > archive.limits.unpacked:
        raise _too_large(archive)
    size = 0
    blocks: list[BlockInfo] = []
    threaded = threads > 1 and packed.byte_range.size >= LARGE
    with (
        closing(CODECS[packed.codec].read(packed.byte_range, threads)) as pieces,
        _hashing(threaded) as (defer, flush),
    ):
        reader = tar_reader(archive, packed, keep, defer if hashed else None)
        for piece, block in pieces:
            size += len(piece)
            if block is not None:
                blocks.append(block)
            archive.hold_block(piece, block)
            if size > archive.limits.unpacked:
                raise _too_large(archive)
            reader.feed(piece)
            flush()
            progress(len(piece))
    return reader.finish(packed.name)._replace(blocks=tuple(blocks))


def read_stored(archive: Archive, packed: PackedComponent, spans: Sequence[Span]) -> list[bytes]:
    """Return what a component has at each span, in order: a member with its headers and padding, if spans are right.

    Nothing after the last span is decompressed. At the end of the component, bytes may be missing. Raises Damaged.
    """
    waiting = deque(spans)
    found: list[bytes] = []
    held = bytearray()
    at = 0
    with closing(CODECS[packed.codec].read(packed.byte_range, 1)) as pieces:
        for piece, _ in pieces:
            while waiting and waiting[0].start < at + len(piece):
                span = waiting[0]
                held += piece[max(0, span.start - at) : span.stop - at]
                if span.stop > at + len(piece):
                    break
                found.append(bytes(held))
                held.clear()
                waiting.popleft()
            at += len(piece)
            if not waiting:
                break
    return found


def tar_reader(archive: Archive, packed: PackedComponent, keep: Keep, defer: Deferred | None) -> TarReader:
    """Return a reader for the tar of a component, with the limits that its compressed size allows."""
    return TarReader(keep, archive.limits.within(_packed_size(archive, packed)), defer)


def _packed_size(archive: Archive, packed: PackedComponent) -> int:
    """Return the compressed size of a component. If the zip deflated it as well, it is not larger than the file."""
    return min(packed.byte_range.size, archive.whole.size)


@contextmanager
def _hashing(threaded: bool) -> Iterator[tuple[Deferred, Callable[[], None]]]:
    """Provide the function that a TarReader defers its hashing with, and one that starts all deferred calls.

    After the `with` block, all calls that were started are done.
    """
    if not threaded:
        yield immediately, lambda: None
        return
    from ..compression.threads import sink

    waiting: list[tuple[Callable[[Any], object], Any]] = []

    def defer(do: Callable[[T], object], what: T) -> None:
        waiting.append((do, what))

    def flush() -> None:
        if waiting:
            put(waiting.copy())
            waiting.clear()

    with sink(_do, _DEPTH) as put:
        yield defer, flush


def _do(batch: list[tuple[Callable[[Any], object], Any]]) -> None:
    for do, what in batch:
        do(what)


def _too_large(archive: Archive) -> LimitExceeded:
    return LimitExceeded(
        f"it unpacks to more than {archive.limits.unpacked} bytes", "raise --max-unpacked if you trust it"
    )


def _check_names(components: list[Component], limits: Limits) -> None:
    """Raise Unsupported if the result of unpacking would depend on the reader or on the order of components.

    Raises LimitExceeded if the names of directories have more characters than metadata may have bytes.
    """
    seen: set[str] = set()
    for component in components:
        names = {file.path for file in component.files}
        if both := seen & names - {"."}:
            raise Unsupported(f"{min(both)!r} is in both of the package's components", REBUILD)
        seen |= names
        for file in component.files:
            # It depends on the client whether files of the other component are unpacked before or after this link.
            if file.kind is FileKind.HARDLINK and posixpath.normpath(file.link) not in names:
                raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which does not exist")
        if component.name == "info" and (others := [name for name in names if not _in_info(name)]):
            raise Damaged(f"the info component holds {min(others)!r}, which is not below info/ (CEP 35)")
        if component.name == "pkg" and (read := names & _READ_FROM_INFO):
            raise Damaged(f"the pkg component holds {min(read)!r}, which belongs in the info component (CEP 35)")
    files = {file.path for component in components for file in component.files if file.kind is not FileKind.DIRECTORY}
    if below := _directories(seen, limits) & files:
        raise Unsupported(f"{min(below)!r} is not a directory, but there are members below it", REBUILD)


def _directories(names: Iterable[str], limits: Limits) -> set[str]:
    """Return every directory that contains one of the names, at any depth.

    Raises LimitExceeded if these have too many characters together. One deep name is enough: its directories may have a
    thousand times as many characters as the name itself.
    """
    directories: set[str] = set()
    characters = 0
    for name in names:
        while (name := os.path.dirname(name)) and name not in directories:
            directories.add(name)
            characters += len(name)
            if characters > limits.text:
                raise LimitExceeded(
                    f"the names of its directories take more than {limits.text} bytes",
                    f"raise {limits.text_option} if you trust it",
                )
    return directories


def _in_info(name: str) -> bool:
    return name in ("info", ".") or name.startswith("info/")
