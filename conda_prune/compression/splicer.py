"""What both codecs need to keep compressed data: splices made piece by piece in a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model import Splice


class CannotReuse(Exception):
    """The stream is not built as the rewriting took for granted; compress it as a whole."""


class NothingToKeep(CannotReuse):
    """No compressed data can be kept; this was found out before anything was written."""


@dataclass(frozen=True, slots=True)
class Reused:
    """A finished stream: the CRC-32 of what its content must be, and how many bytes of that were kept compressed."""

    crc: int
    reused: int


class Splicer:
    """Makes splices, sorted and apart, in a stream that comes in pieces; `old` is how many bytes came so far."""

    def __init__(self, splices: Sequence[Splice]) -> None:
        self.old = 0
        self._waiting = deque(splices)
        self._skip = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what becomes of the next `piece`: no empty pieces, and the object itself where it stays whole."""
        start, self.old = self.old, self.old + len(piece)
        at = min(max(start, self._skip), self.old)
        while self._waiting and self._waiting[0].start < self.old:
            splice = self._waiting.popleft()
            if splice.start > at:
                yield piece[at - start : splice.start - start]
            if splice.new:
                yield splice.new
            self._skip = splice.stop
            at = min(splice.stop, self.old)
        if at < self.old:
            yield piece[at - start :] if at > start else piece

    def pass_over(self, size: int) -> None:
        """Take the next `size` bytes as ones that stay, or go, as a whole, and that no splice begins in."""
        self.old += size

    def expected(self, stop: int) -> int:
        """Return how many bytes the rest of the stream before `stop` becomes."""
        start = max(self.old, self._skip)
        size = max(0, stop - start)
        for splice in self._waiting:
            if splice.start >= stop:
                break
            size += len(splice.new) - (min(splice.stop, stop) - splice.start)
        return size

    def finish(self) -> Iterator[bytes]:
        """Yield what is put behind the stream's end; raise ValueError where a splice does not lie in the stream."""
        if self._skip > self.old:
            raise ValueError("a splice reaches behind the end of its stream")
        for splice in self._waiting:
            if (splice.start, splice.stop) != (self.old, self.old):
                raise ValueError("a splice lies behind the end of its stream")
            if splice.new:
                yield splice.new
        self._waiting.clear()
