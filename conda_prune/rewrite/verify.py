"""Reads a finished package with an independent reader, and compares every member with the plan.

The reader is libarchive, which mamba also uses, and which shares no code with the writer. If the system does not have
it, Python's tarfile is used instead. Both are more tolerant than rattler, so our own strict reader also checks the
container. The CRC-32 of each rewritten tar covers the bytes that are not in any member. One thread decompresses, and
another one parses and hashes.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from threading import Event
from typing import Any, BinaryIO, TypeAlias, cast
from unicodedata import normalize

from .. import system
from ..archive.zip import STORED, read_zip
from ..compression.byte_range import CHUNK, ByteRange
from ..compression.threads import ahead
from ..compression.zstd import frame as zstd
from ..errors import NotVerified
from ..model import FileKind, Format
from .libarchive import has_libarchive, stored_names

_BLOCK = 1 << 17
_DEPTH = 16
"""Blocks that wait between decompressing and hashing."""
_WAIT = 0.5
"""Seconds after which a wait is repeated. On Windows, Ctrl-C is only handled between waits."""


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


@dataclass(frozen=True, slots=True)
class ExpectedPackage:
    """What the result must be. `members` are those of each component, in order.

    `crcs` are the CRC-32 that the tars of rewritten components must have, headers and padding included. `entries` are
    the names in the zip, in order; none for a .tar.bz2.
    """

    format: Format
    members: Mapping[str, Iterable[Expected]]
    crcs: Mapping[str, int]
    entries: Sequence[str]


def verify(
    path: str, name: str, expected: ExpectedPackage, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Raise NotVerified unless the package in the file `path` is as expected, with nothing else in it.

    `name` is the package's name in messages, since `path` is a temporary file.
    """
    cancelled = Event()

    def watched(done: int) -> None:
        if cancelled.is_set():
            raise NotVerified("the verification was interrupted")
        progress(done)

    # Verify in another thread. Python runs signal handlers in the main thread, and if one raised an exception in a
    # callback from libarchive, it would be swallowed, so Ctrl-C would do nothing.
    pool = ThreadPoolExecutor(1, thread_name_prefix="conda-prune verify")
    try:
        verification = pool.submit(_verify, path, name, expected, watched)
        while not verification.done():
            wait([verification], _WAIT)
        verification.result()
    finally:
        cancelled.set()
        pool.shutdown(wait=False)


def _verify(path: str, name: str, expected: ExpectedPackage, progress: Callable[[int], None]) -> None:
    streams, members = (
        (_libarchive_streams, _libarchive_members) if has_libarchive() else (_stdlib_streams, _stdlib_members)
    )
    entries: list[str] = []
    components: set[str] = set()
    try:
        with system.open_regular(path, buffering=0) as file:
            if expected.format is Format.CONDA:
                _check_container(file)
            for component, pieces in streams(file, path, expected.format, entries):
                components.add(component)
                tar = _Tar(pieces)
                with closing(ahead(tar.counted(), _DEPTH)) as blocks:
                    _compare(component, members(_Blocks(blocks)), expected.members[component], progress)
                if tar.crc != expected.crcs.get(component, tar.crc):
                    raise NotVerified(f"the {component} component of the result does not have the expected bytes")
    except (NotVerified, MemoryError):
        raise
    except Exception as error:
        raise NotVerified(f"the result of fixing {name} cannot be read back: {error}") from error
    if _composed(entries) != _composed(expected.entries) or components != set(expected.members):
        raise NotVerified(f"the result of fixing {name} has the zip entries {entries}")


def _composed(names: Iterable[str]) -> list[str]:
    """Return names as libarchive returns them (NFD becomes NFC)."""
    return [normalize("NFC", name) for name in names]


def _check_container(file: BinaryIO) -> None:
    """Raise NotVerified, or the error of our own reader, for what a tolerant reader would accept in a .conda."""
    whole = ByteRange(file, 0, os.fstat(file.fileno()).st_size)
    for entry in read_zip(whole).entries:
        if entry.method != STORED or entry.descriptor:
            raise NotVerified(f"the zip entry {entry.name!r} of the result is not stored with its real sizes")
        if entry.name.endswith(".tar.zst"):
            packed = whole.slice(entry.data, entry.data + entry.packed)
            frame = zstd.read_frame(packed)
            zstd.check_window(frame)
            deque(zstd.walk_blocks(packed, frame), maxlen=0)


def _compare(
    component: str, members: Iterable[Expected], expected: Iterable[Expected], progress: Callable[[int], None]
) -> None:
    for found, wanted in zip_longest(members, expected):
        if found is None or wanted is None or not _same(found, wanted):
            raise NotVerified(f"the {component} component of the result has {found} instead of {wanted}")
        progress(found.size)


class _Tar:
    """A tar stream that is passed to another thread. `crc` is its CRC-32 after all of it was passed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.crc = 0
        self._pieces = pieces

    def counted(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.crc = zlib.crc32(piece, self.crc)
            yield piece


Streams: TypeAlias = "Iterator[tuple[str, Iterator[bytes]]]"


def _libarchive_streams(file: BinaryIO, path: str, format_: Format, entries: list[str]) -> Streams:
    import libarchive

    # Read from the descriptor, because the name may lead to another file by now. Windows does not let a file be
    # replaced while it is open, and there, a descriptor belongs to one C runtime and libarchive may use another one.
    opened, what = (
        (libarchive.fd_reader, file.fileno()) if system.SHARES_DESCRIPTORS else (libarchive.file_reader, path)
    )
    if format_ is Format.TAR_BZ2:
        with opened(what, "raw", "bzip2", block_size=_BLOCK) as archive:
            yield "tar", _raw(archive)
        return
    with opened(what, "zip", "none", block_size=_BLOCK) as outer:
        for entry in outer:
            entries.append(entry.pathname)
            component = entry.pathname.partition("-")[0]
            if not entry.pathname.endswith(".tar.zst") or component not in ("info", "pkg"):
                continue
            stream = _Blocks(entry.get_blocks(_BLOCK))
            with libarchive.stream_reader(stream, "raw", "zstd", block_size=_BLOCK) as inner:
                yield component, _raw(inner)
            stream.drain()


def _raw(archive: Any) -> Iterator[bytes]:
    """Yield the decompressed data of an archive in the format `raw`, which treats any data as one file."""
    for entry in archive:
        yield from entry.get_blocks(_BLOCK)


def _libarchive_members(stream: _Blocks) -> Iterator[Expected]:
    import libarchive

    with libarchive.stream_reader(stream, "tar", "none", block_size=_BLOCK) as archive:
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
        for block in entry.get_blocks(_BLOCK):
            digest.update(block)
            size += len(block)
        sha256 = digest.hexdigest()
    link = entry.linkpath if kind in (FileKind.HARDLINK, FileKind.SYMLINK) else ""
    return Expected(_text(entry.pathname).rstrip("/"), kind, size, sha256, _text(link), stored_names(entry))


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def _same(found: Expected, wanted: Expected) -> bool:
    """Return whether two members are the same, whichever way libarchive has decoded the name and the link.

    Names may be NFD or NFC, because libarchive composes PAX names. Only one of the two may have a PAX header.
    """
    if found == wanted:
        return True
    name, link = found.stored or (found.name, found.link)
    return (
        _composed([wanted.name])[0] in _composed([found.name, name])
        and _composed([wanted.link])[0] in _composed([found.link, link])
        and replace(found, name=wanted.name, link=wanted.link) == wanted
    )


class _Blocks:
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


def _stdlib_streams(file: BinaryIO, path: str, format_: Format, entries: list[str]) -> Streams:
    import bz2
    import zipfile

    if format_ is Format.TAR_BZ2:
        with bz2.open(file) as stream:
            yield "tar", _pieces(stream)
        return
    with zipfile.ZipFile(file) as outer:
        entries += outer.namelist()
        for name in outer.namelist():
            component = name.partition("-")[0]
            if name.endswith(".tar.zst") and component in ("info", "pkg"):
                with outer.open(name) as packed, zstd.decompressor().stream_reader(packed, closefd=False) as stream:
                    yield component, _pieces(stream)


def _pieces(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(_BLOCK):
        yield piece


def _stdlib_members(stream: _Blocks) -> Iterator[Expected]:
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
