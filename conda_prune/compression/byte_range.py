"""A range of bytes of an open file. It is read by position, so threads can share it, and never past its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from .. import system
from ..errors import Damaged, PruneError

CHUNK = 1 << 20
"""Bytes read at a time: enough to make Python's overhead negligible, and little memory on any machine."""


class ByteRange:
    """The `size` bytes of `file` from `start`. The file must be unbuffered and stay open."""

    __slots__ = ("file", "size", "start")

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file = file
        self.start = start
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` in the range, or fewer at its end.

        Raises Damaged if the file is now shorter than the range, PruneError if it cannot be read.
        """
        length = max(0, min(length, self.size - offset))
        pieces = []
        while length:
            try:
                piece = system.read_at(self.file, self.start + offset, length)
            except OSError as error:
                raise PruneError(f"it cannot be read: {error.strerror}") from error
            if not piece:
                raise Damaged("the file became shorter while it was read", "try again when nothing writes to it")
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunks(self, start: int = 0, stop: int | None = None, length: int = CHUNK) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` (default: the end) in pieces of up to `length`."""
        stop = self.size if stop is None else min(stop, self.size)
        while start < stop:
            piece = self.read(start, min(length, stop - start))
            yield piece
            start += len(piece)

    def slice(self, start: int, stop: int) -> ByteRange:
        """Return the part of this range from `start` to `stop`."""
        return ByteRange(self.file, self.start + start, max(0, min(stop, self.size) - start))


class ByteRangeReader:
    """A byte range as a file object, for libraries that read from front to back. `position` counts the bytes read."""

    def __init__(self, byte_range: ByteRange) -> None:
        self.byte_range = byte_range
        self.position = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or all that remain if `size` is negative; an empty string at the end."""
        data = self.byte_range.read(self.position, self.byte_range.size if size < 0 else size)
        self.position += len(data)
        return data
