"""Reads a finished package with a foreign reader and compares every member with the plan, and every byte of the tars.

libarchive is what mamba reads packages with, and shares no code with what wrote this one. Where the system has none,
the standard library's tarfile stands in. Both are more tolerant than rattler, so the strict reader that refuses foreign
packages looks at the container, too. Decompressing is one thread's work, taking the tar apart and hashing another's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
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

INSTALL_HINT = (
    "libarchive is not installed, so results are verified by Python's tarfile: "
    "apt install libarchive13, dnf install libarchive, brew install libarchive or conda install libarchive"
)
_BLOCK = 1 << 17
_DEPTH = 16
"""Blocks that wait between decompressing and hashing."""
_PATIENCE = 0.5
"""Seconds after which Windows looks for a Ctrl-C; other systems interrupt the wait."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a member of the result must be: `name` as stored but without a final slash; `sha256` None for what has no
    content.
    """

    name: str
    kind: FileKind
    size: int
    sha256: str | None
    link: str


@cache
def has_libarchive() -> bool:
    """Return whether the system has a libarchive that can be loaded.

    Raises OSError where that cannot be told because too many files are open.
    """
    try:
        import libarchive  # noqa: F401
    except (ImportError, OSError, AttributeError, TypeError):
        # Python looks for the library through other programs and about ten files, and hides why that failed.
        system.check_open_files(16)
        return False
    # Its warnings, of names that are no UTF-8 or odd attributes, are no errors; logging prints what nobody handles.
    logging.getLogger("libarchive").addHandler(logging.NullHandler())
    return True


def verify(
    path: str,
    name: str,
    format_: Format,
    expected: Mapping[str, Iterable[Expected]],
    crcs: Mapping[str, int],
    entries: Sequence[str],
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Raise NotVerified unless the package in the file `path` holds the expected members and nothing else.

    `name` is the package's own name. `expected` maps components to their members, `crcs` those that were written again
    to the CRC-32 that their whole tar must have, headers and padding too; `entries` are the zip's names, in order.
    """
    cancelled = Event()

    def watched(done: int) -> None:
        if cancelled.is_set():
            raise NotVerified("the verification was interrupted")
        progress(done)

    # In another thread: Python runs signal handlers in the main one, and what they raise while libarchive calls back
    # would be swallowed there, so that Ctrl-C did nothing.
    pool = ThreadPoolExecutor(1, thread_name_prefix="conda-prune verify")
    try:
        done = pool.submit(_verify, path, name, format_, expected, crcs, entries, watched)
        while not done.done():
            wait([done], _PATIENCE)
        done.result()
    finally:
        cancelled.set()
        pool.shutdown(wait=False)


def _verify(
    path: str,
    name: str,
    format_: Format,
    expected: Mapping[str, Iterable[Expected]],
    crcs: Mapping[str, int],
    entries: Sequence[str],
    progress: Callable[[int], None],
) -> None:
    streams, members = (
        (_libarchive_streams, _libarchive_members) if has_libarchive() else (_stdlib_streams, _stdlib_members)
    )
    seen_entries: list[str] = []
    seen: set[str] = set()
    try:
        with system.open_regular(path, buffering=0) as file:
            if format_ is Format.CONDA:
                _check_container(file)
            for component, pieces in streams(file, format_, seen_entries):
                seen.add(component)
                tar = _Tar(pieces)
                with closing(ahead(tar.counted(), _DEPTH)) as blocks:
                    _compare(component, members(_Blocks(blocks)), expected[component], progress)
                if tar.crc != crcs.get(component, tar.crc):
                    raise NotVerified(f"the bytes of the result's {component} component are not those that were kept")
    except (NotVerified, MemoryError):
        raise
    except Exception as error:
        raise NotVerified(f"the result of fixing {name} cannot be read back: {error}") from error
    if _composed(seen_entries) != _composed(entries) or seen != set(expected):
        raise NotVerified(f"the result of fixing {name} has the zip entries {seen_entries}")


def _composed(names: Iterable[str]) -> list[str]:
    """Return names as libarchive gives them (NFD to NFC)."""
    return [normalize("NFC", name) for name in names]


def _check_container(file: BinaryIO) -> None:
    """Raise NotVerified or what is wrong with a zip or a zstd frame that a lenient reader would pass over."""
    whole = ByteRange(file, 0, os.fstat(file.fileno()).st_size)
    for entry in read_zip(whole).entries:
        if entry.method != STORED or entry.descriptor:
            raise NotVerified(f"the result's zip entry {entry.name!r} is not stored with its real sizes")
        if entry.name.endswith(".tar.zst"):
            part = whole.slice(entry.data, entry.data + entry.packed)
            frame = zstd.read_frame(part)
            zstd.check_window(frame)
            deque(zstd.walk_blocks(part, frame), maxlen=0)


def _compare(
    component: str, members: Iterable[Expected], expected: Iterable[Expected], progress: Callable[[int], None]
) -> None:
    for found, wanted in zip_longest(members, expected):
        if found is None or wanted is None or not _same(found, wanted):
            raise NotVerified(f"the result's {component} component holds {found} instead of {wanted}")
        progress(found.size)


class _Tar:
    """A tar stream on its way from one thread to another; `crc` is its CRC-32 once all of it has come."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.crc = 0
        self._pieces = pieces

    def counted(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.crc = zlib.crc32(piece, self.crc)
            yield piece


Streams: TypeAlias = "Iterator[tuple[str, Iterator[bytes]]]"


def _libarchive_streams(file: BinaryIO, format_: Format, entries: list[str]) -> Streams:
    import libarchive

    # The file that is open, not what has its name by now. On Windows, libarchive's C library may not be Python's.
    opened, what = (libarchive.file_reader, file.name) if os.name == "nt" else (libarchive.fd_reader, file.fileno())
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
    """Yield what a reader of the format `raw`, which takes any data for one file, decompresses."""
    for entry in archive:
        yield from entry.get_blocks(_BLOCK)


def _libarchive_members(stream: _Blocks) -> Iterator[Expected]:
    import libarchive

    with libarchive.stream_reader(stream, "tar", "none", block_size=_BLOCK) as archive:
        yield from map(_foreign_member, archive)
    stream.drain()


def _foreign_member(entry: Any) -> Expected:
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
    return Expected(_text(entry.pathname).rstrip("/"), kind, size, sha256, _text(link))


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def _same(found: Expected, wanted: Expected) -> bool:
    """Compare two members. libarchive composes the names of PAX headers (NFD to NFC), so names may differ in that."""
    if found == wanted:
        return True
    composed = [
        replace(member, name=normalize("NFC", member.name), link=normalize("NFC", member.link))
        for member in (found, wanted)
    ]
    return composed[0] == composed[1]


class _Blocks:
    """An iterator of byte strings as the stream that libarchive, or tarfile, reads from.

    libarchive swallows what a callback raises and reports a damaged archive; so the error is kept for `drain`.
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
        """Read what is left, so that all check sums on the way are checked; raise what was swallowed."""
        if self._error is not None:
            raise self._error
        for _ in self._blocks:
            pass


def _stdlib_streams(file: BinaryIO, format_: Format, entries: list[str]) -> Streams:
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
