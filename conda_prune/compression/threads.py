"""Pipes between threads that end: with their producer's result, or with its failure.

A consumer that gave up never blocks its producer, so no thread outlives the work that started it. Decompressing,
hashing and libarchive release Python's lock, so that threads joined like this use as many cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Generic, Protocol, TypeVar, cast

_PATIENCE = 0.5
"""Seconds after which Windows looks for a Ctrl-C; other systems interrupt the wait."""

T = TypeVar("T")


class PipeClosed(Exception):
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
        """Wait for room and append; raise PipeClosed when the reader gave up."""
        with self._changed:
            while len(self._things) >= self._depth and not self._abandoned:
                self._changed.wait(_PATIENCE)
            if self._abandoned:
                raise PipeClosed
            self._things.append(thing)
            self._changed.notify_all()

    def close(self, failure: BaseException | None = None) -> None:
        """End the pipe; its reader gets what is in it, then `failure` is raised there."""
        with self._changed:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self) -> list[T]:
        """Read no more, so that whoever writes gets PipeClosed; return what was waiting."""
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
    """Yield `things`, made by another thread, at most `depth` of them ahead; raise what making them raised.

    The thread has ended when this ends. Close it where not all things are taken.
    """
    iterator = iter(things)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="conda-prune ahead") as pool:
        # One thread runs them in order, so each call of `next` finds the iterator as the call before left it. After a
        # failure the iterator has ended, and what was asked for in advance comes to nothing.
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        try:
            while (thing := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, iterator, end))
                yield cast("T", thing)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def sink(take: Callable[[T], object], depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function that passes things on to `take`, which another thread calls in order, at most `depth` behind.

    All are taken when this ends, unless it ends by an error. What `take` raises is raised here.
    """
    waiting: deque[Future[object]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="conda-prune sink") as pool:

        def put(thing: T) -> None:
            if len(waiting) >= depth:
                waiting.popleft().result()
            waiting.append(pool.submit(take, thing))

        try:
            yield put
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class ThreadBudget:
    """Lets work that takes much memory run at the same time as long as it needs no more than `count` threads.

    Work gets its threads in the order in which it reserved them: later work may wait although there are enough for it.
    Otherwise, work that needs many threads could wait for ever.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._free = self.count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def reserve(self) -> object:
        """Return a place in the queue; `threads` must be called with it, or all later work waits for that."""
        place = object()
        with self._changed:
            self._queue.append(place)
        return place

    @contextmanager
    def threads(self, count: int, place: object = None) -> Iterator[None]:
        """Wait until `count` threads are free for the work at a place in the queue, or at its end; return them after
        it.
        """
        place = place or self.reserve()
        with self._changed:
            while self._queue[0] is not place or self._free < count:
                self._changed.wait(_PATIENCE)
            self._queue.popleft()
            self._free -= count
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


class Submit(Protocol):
    """Takes work, and returns a function that returns or raises what became of it."""

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]: ...


@contextmanager
def worker_pool(threads: int) -> Iterator[Submit]:
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
