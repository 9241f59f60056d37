"""Applies splices to content that arrives in pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ..model import Splice


class Splicer:
    """Applies splices, which are sorted and do not overlap. `old` is how many bytes of the stream have arrived."""

    def __init__(self, splices: Sequence[Splice]) -> None:
        self.old = 0
        self._waiting = deque(splices)
        self._skip = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the new content for the next `piece`; never an empty piece.

        If nothing changes in `piece`, the same object is yielded, without a copy.
        """
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

    def expected(self, stop: int) -> int:
        """Return how many bytes the old content from here to `stop` becomes."""
        start = max(self.old, self._skip)
        size = max(0, stop - start)
        for splice in self._waiting:
            if splice.start >= stop:
                break
            size += len(splice.new) - (min(splice.stop, stop) - splice.start)
        return size

    def finish(self) -> Iterator[bytes]:
        """Yield what is inserted after the last byte; raise ValueError if a splice lies outside the stream."""
        if self._skip > self.old:
            raise ValueError("a splice reaches beyond the end of its stream")
        for splice in self._waiting:
            if (splice.start, splice.stop) != (self.old, self.old):
                raise ValueError("a splice lies beyond the end of its stream")
            if splice.new:
                yield splice.new
        self._waiting.clear()


def spliced(pieces: Iterable[bytes], splices: Sequence[Splice]) -> Iterator[bytes]:
    """Yield the stream with the splices applied, in pieces; raise ValueError if a splice lies outside the stream."""
    splicer = Splicer(splices)
    for piece in pieces:
        yield from splicer.feed(piece)
    yield from splicer.finish()


def new_size(size: int, splices: Sequence[Splice]) -> int:
    """Return how many bytes `size` bytes of content become with the splices."""
    return size + sum(len(splice.new) - (splice.stop - splice.start) for splice in splices)
