"""Threads that work on one package, and how they end: with a result, or with the first failure.

Decompressing, compressing, hashing and libarchive release Python's lock, so each of them on a thread uses a core. All
threads are those of `concurrent.futures`. `Pipe` is ours: in a `queue.Queue`, a producer whose consumer failed waits
for room forever.
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
"""Seconds after which a wait looks for Ctrl-C on Windows; other systems interrupt the wait itself."""

T = TypeVar("T")


class PipeClosed(Exception):
    """The reader of a pipe gave up, so writing to it is pointless."""


class Pipe(Generic[T]):
    """A queue from one thread to another that holds at most `depth` items, and that either side can end."""

    def __init__(self, depth: int) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._closed = self._abandoned = False
        self._failure: BaseException | None = None

    def put(self, item: T) -> None:
        """Wait for room and append an item; raise PipeClosed if the reader gave up."""
        with self._changed:
            while len(self._items) >= self._depth and not self._abandoned:
                self._changed.wait(_PATIENCE)
            if self._abandoned:
                raise PipeClosed
            self._items.append(item)
            self._changed.notify_all()

    def close(self, failure: BaseException | None = None) -> None:
        """End the pipe: its reader gets the items in it, and then `failure` is raised there."""
        with self._changed:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self) -> list[T]:
        """Stop reading, so that writing raises PipeClosed; return the items that were waiting."""
        with self._changed:
            self._abandoned = True
            waiting = list(self._items)
            self._items.clear()
            self._changed.notify_all()
        return waiting

    def __iter__(self) -> Iterator[T]:
        """Yield the items until the pipe is closed."""
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    self._changed.wait(_PATIENCE)
                if not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield `items`, produced by another thread up to `depth` items ahead; raise what producing them raised.

    When this ends, so has the thread. Close it if not all items are taken.
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="conda-prune ahead") as pool:
        # One thread runs them in order, so each call of `next` finds the iterator as the call before left it. After a
        # failure the iterator has ended, and the calls that were submitted in advance return `end`.
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, iterator, end))
                yield cast("T", item)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def sink(take: Callable[[T], object], depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function that passes items to `take`, which another thread calls in order, up to `depth` items later.

    All items are taken when this ends, unless it ends with an exception. What `take` raises is raised here.
    """
    waiting: deque[Future[object]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="conda-prune sink") as pool:

        def put(item: T) -> None:
            if len(waiting) >= depth:
                waiting.popleft().result()
            waiting.append(pool.submit(take, item))

        try:
            yield put
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class ThreadBudget:
    """Limits compression to `count` threads, each of which may hold hundreds of megabytes.

    Work gets its threads in the order in which it reserved them, even if later work needs fewer and could start.
    Otherwise work that needs many threads could wait forever.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._free = self.count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def reserve(self) -> object:
        """Return a place in the queue. `threads` must be called with it: all later work waits for that."""
        place = object()
        with self._changed:
            self._queue.append(place)
        return place

    @contextmanager
    def threads(self, count: int, place: object = None) -> Iterator[None]:
        """Take `count` threads for the block, when they are free and it is the turn of `place` (default: a new one)."""
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
    """Starts work, and returns a function that waits for it and returns its result or raises its exception."""

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]: ...


@contextmanager
def worker_pool(threads: int) -> Iterator[Submit]:
    """Give a function that submits work to `threads - 1` threads, since the caller's is one, too.

    With a single thread, work is done when its result is asked for. When this ends, all work is done or never began.
    """
    if threads <= 1:
        yield cache
        return
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="conda-prune") as pool:
        try:
            yield lambda work: pool.submit(work).result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
