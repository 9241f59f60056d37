"""Tells a source archive from a package: a `.tar.bz2` is a package when it holds `info/index.json` (CEP 34).

The answer "source archive" is certain: it takes a tar that is readable to its end, without any of the files that make a
package. Whatever is damaged, or too large to be read to its end, may have been a package. Python's `tarfile` reads
here, not our own reader: source archives hold what no package may hold (sparse files, global headers, absolute links).
"""

from __future__ import annotations

import bz2
import os
import posixpath
import tarfile
from typing import BinaryIO, cast

from ..errors import LimitExceeded
from ..system import open_regular

_MARKS = {"info/index.json", "info/paths.json", "info/files"}
"""Files of packages; one without its index.json is a damaged package, not a source archive."""
_CHUNK = 1 << 20


def is_source_archive(path: str, limit: int) -> bool:
    """Return whether a `.tar.bz2` is certainly not a package; at most `limit` bytes are unpacked.

    Reading stops at `info/index.json`, which is among the first members of most packages.
    """
    try:
        with open_regular(path) as file, bz2.open(file) as unpacked:
            if os.fstat(file.fileno()).st_size == 0:
                return False
            stream = _Stream(cast(BinaryIO, unpacked), limit)
            tar = tarfile.TarFile(fileobj=stream, mode="r")  # type: ignore[arg-type]
            while (member := tar.next()) is not None:
                if posixpath.normpath(member.name).lstrip("/") in _MARKS:
                    return False
                tar.members = []  # type: ignore[attr-defined]  # It remembers every member.
            # tarfile also ends, without an error, where it cannot read a header.
            return not any(stream.last) and not stream.rest_holds(b"info/index.json")
    except Exception:  # tarfile raises whatever a damaged header leads to.
        return False


class _Stream:
    """A file that tarfile can only read forwards, and only in small pieces: it would take a header of any size."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._at = 0
        self.last = b""

    def read(self, length: int) -> bytes:
        """Return the next bytes, fewer than `length` at the end only."""
        if length > _CHUNK or self._at > self._limit:
            raise LimitExceeded("too much to read")
        self.last = self._file.read(length)
        self._at += len(self.last)
        return self.last

    def seek(self, position: int) -> None:
        """Skip what is before a position."""
        while self._at < position:
            if not self.read(min(_CHUNK, position - self._at)):
                raise EOFError("the file is too short")

    def rest_holds(self, name: bytes) -> bool:
        """Return whether a name is in what was not read yet: other readers may not stop at the end of the tar."""
        before = b""
        while piece := self.read(_CHUNK):
            if name in before + piece:
                return True
            before = piece[-len(name) :]
        return False

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at
