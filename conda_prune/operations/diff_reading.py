"""Reads a package with the standard library and zstandard, for comparing two of them.

Deliberately a second implementation next to `archive/`: it shares no code with what reads packages for a repair, so
that the two can disagree. A package is read once, as a stream; what is kept is four digests for each member, and the
listings.
"""

from __future__ import annotations

import bz2
import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from ..errors import Damaged, NotAPackage, PruneError

PATHS_JSON = "info/paths.json"
_LINE_LISTS = ("info/files", "info/has_prefix", "info/no_link")
_PIECE = 1 << 20
_LISTING_LIMIT = 1 << 29
"""Bytes of a listing that are read into memory at most."""
_BYTECODE_HEADER = 16
"""Bytes of a .pyc that a re-stamped source time and size may change (PEP 552)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a component's tar, as digests.

    `header` is that of the raw header blocks, extension headers included; `attributes` that of the same blocks without
    what an edit may change: size, checksum, type and link target. `tail` is that of a .pyc's content after its header.
    """

    path: str
    kind: str
    size: int
    link: str
    header: bytes
    attributes: bytes
    content: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class Component:
    """One tar stream: its members in order, how it is compressed, and the listings that it holds."""

    members: Mapping[str, Member]
    compression: str
    listings: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Contents:
    """A package as the standard library reads it. `container` describes the zip's entries, or the bz2 stream."""

    size: int
    container: Sequence[str]
    components: Mapping[str, Component]


def read_contents(path: str) -> Contents:
    """Return what a package holds; raise NotAPackage or Damaged where it cannot be read."""
    try:
        size = os.stat(path).st_size
        if path.endswith(".conda"):
            return _read_conda(path, size)
        if path.endswith(".tar.bz2"):
            with open(path, "rb") as file:
                level = file.read(4)
            with bz2.open(path, "rb") as stream:
                return Contents(size, (), {"tar": _read_tar(stream, f"bzip2 {level[3:].decode('ascii', 'replace')}")})
    except PruneError:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error
    except OSError as error:
        raise NotAPackage(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    raise NotAPackage(f"{path} ends neither in .conda nor in .tar.bz2", "name a conda package")


def _read_conda(path: str, size: int) -> Contents:
    components = {}
    with zipfile.ZipFile(path) as archive:
        container = []
        for entry in archive.infolist():
            method = "stored" if entry.compress_type == zipfile.ZIP_STORED else f"method {entry.compress_type}"
            container.append(f"{entry.filename} ({method}, {'-'.join(map(str, entry.date_time))})")
            for name in ("info", "pkg"):
                if entry.filename.startswith(name + "-") and entry.filename.endswith(".tar.zst"):
                    with archive.open(entry) as packed:
                        compression = _describe_frame(packed.read(64))
                    with archive.open(entry) as packed, _decompressed(packed) as stream:
                        components[name] = _read_tar(stream, compression)
    return Contents(size, container, components)


def _describe_frame(head: bytes) -> str:
    """Return what a zstd frame's header says about how it was compressed; the level is not recorded there."""
    import zstandard

    try:
        frame = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError as error:
        raise Damaged(f"a component is not compressed with zstd: {error}") from error
    # A frame that holds all its content in one segment has no window of its own, but its content's size.
    single = bool(head[4] & 0x20)
    window = "one segment" if single else f"window {frame.window_size}"
    sized = "content size" if frame.content_size != zstandard.CONTENTSIZE_UNKNOWN else "no content size"
    return f"zstd, {window}, {sized}, {'checksum' if frame.has_checksum else 'no checksum'}"


@contextmanager
def _decompressed(packed: IO[bytes]) -> Iterator[IO[bytes]]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(packed, closefd=False) as stream:
            yield stream
    except zstandard.ZstdError as error:
        raise Damaged(f"a component cannot be decompressed: {error}") from error


class _Recorder:
    """Passes a stream on to tarfile and remembers what passed since the last member, so that raw headers are there."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._start = 0

    def read(self, size: int) -> bytes:
        pieces = b""
        while len(pieces) < size and (piece := self._stream.read(size - len(pieces))):
            pieces += piece
        self._kept += pieces
        return pieces

    def take(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop` of the stream, which must not have been forgotten."""
        return bytes(self._kept[start - self._start : stop - self._start])

    def forget(self, before: int) -> None:
        """Forget what comes before an offset."""
        if (done := min(before, self._start + len(self._kept)) - self._start) > 0:
            del self._kept[:done]
            self._start += done


_KINDS = {
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.DIRTYPE: "directory",
}


def _read_tar(stream: IO[bytes], compression: str) -> Component:
    recorder = _Recorder(stream)
    members: dict[str, Member] = {}
    listings: dict[str, bytes] = {}
    opened: Any = recorder
    with tarfile.open(fileobj=opened, mode="r|", errorlevel=2, encoding="utf-8", errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            path = info.name.removeprefix("./")
            if path in members:
                raise Damaged(f"the member {path!r} is there twice")
            header = recorder.take(info.offset, info.offset_data)
            recorder.forget(info.offset_data)
            kind = "file" if info.isreg() else _KINDS.get(info.type, f"type {info.type!r}")
            content, tail = hashlib.sha256(), hashlib.sha256()
            listed = bytearray() if _is_listing(path) and info.size <= _LISTING_LIMIT else None
            if info.isreg() and (file := tar.extractfile(info)) is not None:
                done = 0
                while piece := file.read(_PIECE):
                    content.update(piece)
                    if path.endswith(".pyc"):
                        tail.update(piece[max(0, _BYTECODE_HEADER - done) :])
                    if listed is not None:
                        listed += piece
                    done += len(piece)
                    recorder.forget(info.offset_data + done)
                if done != info.size:
                    raise Damaged(f"the member {path!r} is cut off")
            if listed is not None:
                listings[path] = bytes(listed)
            members[path] = Member(
                path,
                kind,
                info.size,
                info.linkname,
                hashlib.sha256(header).digest(),
                _attributes(header),
                content.digest(),
                tail.digest(),
            )
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep every member that it has read.
    while stream.read(_PIECE):
        pass  # Reading to the end is what makes the decompressor check its checksum.
    return Component(members, compression, listings)


def _attributes(header: bytes) -> bytes:
    """Return a digest of a member's last header block without size, checksum, type and link target (POSIX ustar)."""
    block = bytearray(header[-tarfile.BLOCKSIZE :])
    for start, stop in ((124, 136), (148, 257)):
        block[start:stop] = bytes(stop - start)
    return hashlib.sha256(block).digest()


def _is_listing(path: str) -> bool:
    return (
        path == PATHS_JSON
        or path in _LINE_LISTS
        or path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt"))
    )
