"""Pipes between threads that end: with their producer's result, or with its failure.

A consumer that gave up never blocks its producer, so no thread outlives the work that started it. Decompressing,
hashing and libarchive release Python's lock, so that threads joined like this use as many cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Generic, Protocol, TypeVar

_PATIENCE = 0.5
"""Seconds after which Windows looks for a Ctrl-C; other systems interrupt the wait."""

T = TypeVar("T")


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
                self._changed.wait(_PATIENCE)
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
                    self._changed.wait(_PATIENCE)
                if not self._things:
                    if self._failure is not None:
                        raise self._failure
                    return
                thing = self._things.popleft()
                self._changed.notify_all()
            yield thing


def ahead(things: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield `things`, made on a thread of their own, at most `depth` of them ahead; raise what making them raised.

    Their thread has ended when this ends, also where it is closed early.
    """
    pipe: Pipe[T] = Pipe(depth)

    def make() -> None:
        try:
            for thing in things:
                pipe.put(thing)
            pipe.close()
        except BaseException as error:
            pipe.close(error)

    thread = threading.Thread(target=make, name="conda-prune ahead", daemon=True)
    thread.start()
    try:
        yield from pipe
    finally:
        pipe.abandon()
        thread.join()


@contextmanager
def sink(take: Callable[[T], object], depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function whose arguments `take` gets on a thread of its own, in order, at most `depth` behind.

    All are taken when this ends, unless it ends by an error. What `take` raises is raised here.
    """
    pipe: Pipe[T] = Pipe(depth)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for thing in pipe:
                take(thing)
        except BaseException as error:
            failures.append(error)
            pipe.abandon()

    thread = threading.Thread(target=work, name="conda-prune sink", daemon=True)
    thread.start()
    try:
        yield pipe.put
    except Gone:
        pass
    except BaseException:
        pipe.abandon()
        raise
    finally:
        pipe.close()
        thread.join()
    if failures:
        raise failures[0]


class Turns:
    """Lets work that takes much memory be done at the same time as long as it needs no more than `count` threads.

    Who came first is served first: what comes later may wait for it.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._free = self.count
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    def stand_in_line(self) -> object:
        """Return a place in the line."""
        place = object()
        with self._changed:
            self._line.append(place)
        return place

    @contextmanager
    def take(self, count: int, place: object = None) -> Iterator[None]:
        """Wait for `count` turns, at a place in the line or at its end, and give them back."""
        place = place or self.stand_in_line()
        with self._changed:
            while self._line[0] is not place or self._free < count:
                self._changed.wait(_PATIENCE)
            self._line.popleft()
            self._free -= count
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


class Beside(Protocol):
    """Takes work, and returns a function that returns or raises what became of it."""

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]: ...


@contextmanager
def helpers(threads: int) -> Iterator[Beside]:
    """Give work to do beside one's own, on one thread less than `threads`; without any, it is done when asked for.

    What was given is done, or was never begun, when this ends.
    """
    if threads <= 1:
        yield cache
        return
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="conda-prune") as pool:
        try:
            yield lambda work: pool.submit(work).result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
