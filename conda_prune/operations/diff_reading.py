"""Reads a package with the standard library and zstandard, so that two packages can be compared.

This is deliberately a second implementation next to `archive/`. It shares no code with it, so that a bug in one of them
shows up as a difference. A package is read once, as a stream. Four digests are kept for each member, and the listings.
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
_CHUNK = 1 << 20
_LISTING_LIMIT = 1 << 29
"""How many bytes of a listing are read into memory at most."""
_BYTECODE_HEADER = 16
"""How many bytes the header of a .pyc has. It records the time and size of the source (PEP 552)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar. All bytes fields are SHA-256 digests.

    `header` is the digest of the raw header blocks with the extension headers. `attributes` leaves out what an edit may
    change: size, checksum, type and link target. `tail` is the digest of what follows the header of a .pyc.
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
    """One tar stream: its members in order, how it is compressed, and the content of its listings."""

    members: Mapping[str, Member]
    compression: str
    listings: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Contents:
    """A package as the standard library reads it. `container` describes the entries of the zip."""

    size: int
    container: Sequence[str]
    components: Mapping[str, Component]


def read_contents(path: str) -> Contents:
    """Return the contents of a package. Raises NotAPackage or Damaged if it cannot be read."""
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
    """Return what the header of a zstd frame says about its compression. The level is not recorded in it."""
    import zstandard

    try:
        frame = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError as error:
        raise Damaged(f"a component is not compressed with zstd: {error}") from error
    # A single-segment frame states no window size. Its window is its whole content.
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
    """Passes a stream on to tarfile and keeps a copy of the latest bytes, to get the raw headers from."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._start = 0

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (chunk := self._stream.read(size - len(data))):
            data += chunk
        self._kept += data
        return data

    def take(self, start: int, stop: int) -> bytes:
        """Return the bytes of the stream from `start` to `stop`. They must not have been forgotten."""
        return bytes(self._kept[start - self._start : stop - self._start])

    def forget(self, before: int) -> None:
        """Forget all bytes before an offset."""
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
                raise Damaged(f"two members are called {path!r}")
            header = recorder.take(info.offset, info.offset_data)
            recorder.forget(info.offset_data)
            kind = "file" if info.isreg() else _KINDS.get(info.type, f"type {info.type!r}")
            content, tail = hashlib.sha256(), hashlib.sha256()
            listed = bytearray() if _is_listing(path) and info.size <= _LISTING_LIMIT else None
            if info.isreg() and (file := tar.extractfile(info)) is not None:
                done = 0
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
                    if path.endswith(".pyc"):
                        tail.update(chunk[max(0, _BYTECODE_HEADER - done) :])
                    if listed is not None:
                        listed += chunk
                    done += len(chunk)
                    recorder.forget(info.offset_data + done)
                if done != info.size:
                    raise Damaged(f"the member {path!r} is truncated")
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
            tar.members.clear()  # type: ignore[attr-defined]  # Otherwise tarfile keeps every member that it has read.
    while stream.read(_CHUNK):
        pass  # The decompressor verifies the checksum only at the end of the stream.
    return Component(members, compression, listings)


def _attributes(header: bytes) -> bytes:
    """Return a digest of the last header block without its size, checksum, type and link target (POSIX ustar)."""
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
