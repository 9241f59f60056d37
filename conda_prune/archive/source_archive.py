"""Distinguishes source archives from packages: a `.tar.bz2` is a package if it has an `info/index.json` (CEP 34).

The answer "source archive" is certain: the tar could be read to its end, and has none of the files that make a package.
A file that is damaged, or too large to be read to its end, may be a package. This module reads with Python's `tarfile`
instead of our own reader, because source archives may contain what no package may (sparse files, absolute links).
"""

from __future__ import annotations

import bz2
import os
import posixpath
import tarfile
from typing import BinaryIO, cast

from ..errors import LimitExceeded
from ..system import open_regular

_PACKAGE_FILES = {"info/index.json", "info/paths.json", "info/files"}
"""Files that only packages have. With one of the others but no index.json, it is a damaged package."""
_CHUNK = 1 << 20


def is_source_archive(path: str, limit: int) -> bool:
    """Return whether a `.tar.bz2` is certainly not a package. At most `limit` bytes are unpacked.

    Reading stops at a file of a package, which is among the first members of most packages.
    """
    try:
        with open_regular(path) as file, bz2.open(file) as unpacked:
            if os.fstat(file.fileno()).st_size == 0:
                return False
            stream = _Stream(cast("BinaryIO", unpacked), limit)
            tar = tarfile.TarFile(fileobj=stream, mode="r")  # type: ignore[arg-type]
            while (member := tar.next()) is not None:
                if posixpath.normpath(member.name).lstrip("/") in _PACKAGE_FILES:
                    return False
                tar.members = []  # type: ignore[attr-defined]  # It would keep every member.
            # tarfile also stops, without an error, at a header that it cannot read.
            return not any(stream.last) and not stream.rest_holds(b"info/index.json")
    except Exception:  # A damaged header can make tarfile raise anything.
        return False


class _Stream:
    """A file that can only be read forward and in small pieces, because tarfile would read a header of any size."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._at = 0
        self.last = b""

    def read(self, length: int) -> bytes:
        """Return the next `length` bytes, or fewer at the end."""
        if length > _CHUNK or self._at > self._limit:
            raise LimitExceeded("too much to read")
        self.last = self._file.read(length)
        self._at += len(self.last)
        return self.last

    def seek(self, position: int) -> None:
        """Skip everything before a position."""
        while self._at < position:
            if not self.read(min(_CHUNK, position - self._at)):
                raise EOFError("the file is too short")

    def rest_holds(self, name: bytes) -> bool:
        """Return whether the unread rest contains a name: other readers may not stop where the tar ends."""
        before = b""
        while piece := self.read(_CHUNK):
            if name in before + piece:
                return True
            before = piece[-len(name) :]
        return False

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._at
