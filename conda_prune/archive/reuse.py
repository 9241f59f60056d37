"""What both codecs need to keep compressed data: splices made piece by piece, and pipes between threads that end.

A pipe ends with its producer's result or its failure, and a consumer that gave up never blocks its producer: no thread
outlives the rewriting that started it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..model import Splice

T = TypeVar("T")


class Unfit(Exception):
    """The stream is not built as the rewriting took for granted; compress it as a whole."""


@dataclass(frozen=True, slots=True)
class Reused:
    """A finished stream: the SHA-256 of its content, and how many bytes of that were kept compressed."""

    sha256: str
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


class Gone(Exception):
    """Nobody reads this pipe any more."""


class Pipe(Generic[T]):
    """A queue from one thread to another that holds at most `depth` things."""

    def __init__(self, depth: int) -> None:
        self._things: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._closed = self._abandoned = False
        self._failure: BaseException | None = None

    def put(self, thing: T) -> None:
        """Wait for room and append; raise Gone when the reader gave up."""
        with self._changed:
            while len(self._things) >= self._depth and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Gone
            self._things.append(thing)
            self._changed.notify_all()

    def close(self, failure: BaseException | None = None) -> None:
        """End the pipe; its reader gets what is in it, then `failure` is raised there."""
        with self._changed:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self) -> list[T]:
        """Read no more, so that whoever writes gets Gone; return what was waiting."""
        with self._changed:
            self._abandoned = True
            waiting = list(self._things)
            self._things.clear()
            self._changed.notify_all()
        return waiting

    def __iter__(self) -> Iterator[T]:
        """Yield what is put in until the pipe is closed."""
        while True:
            with self._changed:
                while not self._things and not self._closed:
                    self._changed.wait()
                if not self._things:
                    if self._failure is not None:
                        raise self._failure
                    return
                thing = self._things.popleft()
                self._changed.notify_all()
            yield thing
