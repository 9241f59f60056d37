"""Reads a finished package with libraries that share no code with the writer: libarchive, or Python's own.

Both readers yield the components of a package, and the members of a tar. They are more tolerant than clients, so
`verify.py` does not rely on them to notice an odd container.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, TypeAlias, cast

from .. import system
from ..compression.byte_range import CHUNK, ByteRange
from ..compression.zstd import frame as zstd
from ..model import FileKind, Format
from .libarchive import stored_names

BLOCK = 1 << 17
"""Bytes that are read or decompressed at a time."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a member of the result must be.

    `name` is as stored, but without a final slash. `sha256` is None for members without content. `stored` are the name
    and the link as libarchive found them, before it decoded them.
    """

    name: str
    kind: FileKind
    size: int
    sha256: str | None
    link: str
    stored: tuple[str, str] | None = field(default=None, compare=False)


Streams: TypeAlias = "Iterator[tuple[str, Iterator[bytes]]]"


def libarchive_streams(
    file: BinaryIO, path: str, format_: Format, entries: list[str], packed: Collection[str]
) -> Streams:
    """Yield the components of a package with their tars; those in `packed` as they are in the file, compressed.

    The names of the zip's entries are added to `entries`.
    """
    import libarchive

    if "tar" in packed:
        yield "tar", _whole(file)
        return

    # Read from the descriptor, because the name may lead to another file by now. Windows does not let a file be
    # replaced while it is open, and there, a descriptor belongs to one C runtime and libarchive may use another one.
    opened, what = (
        (libarchive.fd_reader, file.fileno()) if system.SHARES_DESCRIPTORS else (libarchive.file_reader, path)
    )
    if format_ is Format.TAR_BZ2:
        with opened(what, "raw", "bzip2", block_size=BLOCK) as archive:
            yield "tar", _raw(archive)
        return
    with opened(what, "zip", "none", block_size=BLOCK) as outer:
        for entry in outer:
            entries.append(entry.pathname)
            component = entry.pathname.partition("-")[0]
            if not entry.pathname.endswith(".tar.zst") or component not in ("info", "pkg"):
                continue
            if component in packed:
                yield component, entry.get_blocks(BLOCK)
                continue
            stream = Blocks(entry.get_blocks(BLOCK))
            with libarchive.stream_reader(stream, "raw", "zstd", block_size=BLOCK) as inner:
                yield component, _raw(inner)
            stream.drain()


def _whole(file: BinaryIO) -> Iterator[bytes]:
    return ByteRange(file, 0, os.fstat(file.fileno()).st_size).chunks()


def libarchive_content(packed: Iterator[bytes], codec: Literal["zstd", "bzip2"]) -> Iterator[bytes]:
    """Yield the content of a compressed stream."""
    import libarchive

    stream = Blocks(packed)
    with libarchive.stream_reader(stream, "raw", codec, block_size=BLOCK) as archive:
        yield from _raw(archive)
    stream.drain()


def _raw(archive: Any) -> Iterator[bytes]:
    """Yield the decompressed data of an archive in the format `raw`, which treats any data as one file."""
    for entry in archive:
        yield from entry.get_blocks(BLOCK)


def libarchive_members(stream: Blocks) -> Iterator[Expected]:
    """Yield the members of a tar."""
    import libarchive

    with libarchive.stream_reader(stream, "tar", "none", block_size=BLOCK) as archive:
        yield from map(_libarchive_member, archive)
    stream.drain()


def _libarchive_member(entry: Any) -> Expected:
    kind = (
        FileKind.HARDLINK if entry.islnk
        else FileKind.SYMLINK if entry.issym
        else FileKind.DIRECTORY if entry.isdir
        else FileKind.FILE if entry.isreg
        else FileKind.OTHER
    )  # fmt: skip
    size, sha256 = 0, None
    if kind is FileKind.FILE:
        digest = hashlib.sha256()
        for block in entry.get_blocks(BLOCK):
            digest.update(block)
            size += len(block)
        sha256 = digest.hexdigest()
    link = entry.linkpath if kind in (FileKind.HARDLINK, FileKind.SYMLINK) else ""
    return Expected(_text(entry.pathname).rstrip("/"), kind, size, sha256, _text(link), stored_names(entry))


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


class Blocks:
    """An iterator of bytes as a stream that libarchive or tarfile can read.

    If a callback raises an exception, libarchive swallows it and reports a damaged archive. So the exception is stored,
    and raised again by `drain`.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._error: BaseException | None = None

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    return 0
                self._rest = memoryview(block)
            size = min(len(buffer), len(self._rest))
            memoryview(buffer).cast("B")[:size] = self._rest[:size]
            self._rest = self._rest[size:]
        except BaseException as error:
            self._error = error
            return -1
        return size

    def read(self, size: int) -> bytes:
        buffer = bytearray(size)
        done = 0
        while done < size and (more := self.readinto(memoryview(buffer)[done:])) > 0:
            done += more
        if self._error is not None:
            raise self._error
        return bytes(buffer[:done])

    def drain(self) -> None:
        """Read the rest, so that all checksums of decompression are checked; raise a stored exception."""
        if self._error is not None:
            raise self._error
        for _ in self._blocks:
            pass


def stdlib_streams(file: BinaryIO, path: str, format_: Format, entries: list[str], packed: Collection[str]) -> Streams:
    """Yield what `libarchive_streams` yields."""
    import bz2
    import zipfile

    if "tar" in packed:
        yield "tar", _whole(file)
        return
    if format_ is Format.TAR_BZ2:
        with bz2.open(file) as stream:
            yield "tar", _pieces(stream)
        return
    with zipfile.ZipFile(file) as outer:
        entries += outer.namelist()
        for name in outer.namelist():
            component = name.partition("-")[0]
            if name.endswith(".tar.zst") and component in ("info", "pkg"):
                with outer.open(name) as stream:
                    yield component, _pieces(stream) if component in packed else stdlib_content(_pieces(stream), "zstd")


def stdlib_content(packed: Iterator[bytes], codec: Literal["zstd", "bzip2"]) -> Iterator[bytes]:
    """Yield the content of a compressed stream."""
    import bz2

    stream = Blocks(packed)
    file = cast("BinaryIO", stream)
    with bz2.open(file) if codec == "bzip2" else zstd.decompressor().stream_reader(file, closefd=False) as content:
        yield from _pieces(content)
    stream.drain()


def _pieces(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(BLOCK):
        yield piece


def stdlib_members(stream: Blocks) -> Iterator[Expected]:
    """Yield the members of a tar."""
    with tarfile.open(fileobj=cast("Any", stream), mode="r|", errorlevel=2, errors="surrogateescape") as tar:
        for info in tar:
            yield _stdlib_member(tar, info)
    stream.drain()


def _stdlib_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Expected:
    kind = (
        FileKind.HARDLINK if info.islnk()
        else FileKind.SYMLINK if info.issym()
        else FileKind.DIRECTORY if info.isdir()
        else FileKind.FILE if info.isreg()
        else FileKind.OTHER
    )  # fmt: skip
    size, sha256 = 0, None
    if kind is FileKind.FILE:
        digest = hashlib.sha256()
        content = cast("Any", tar.extractfile(info))
        while block := content.read(CHUNK):
            digest.update(block)
            size += len(block)
        sha256 = digest.hexdigest()
    return Expected(info.name.rstrip("/"), kind, size, sha256, info.linkname)
