"""Threads that work on one package, and how they end: with a result, or with the first failure.

Decompressing, compressing, hashing and libarchive release Python's lock, so each uses a core of its own when it runs on
its own thread. These threads are those of `concurrent.futures`. `Pipe` is ours because with a `queue.Queue`, a producer
whose consumer failed would wait for room forever.

Locks are acquired with `with` and not through their Condition, whose `__enter__` is Python code: if a signal handler
raised in it, the lock would stay locked, and the thread on the other side would wait forever (python/cpython#74174).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Generic, Protocol, TypeVar, cast

_WAIT = 0.5
"""Seconds after which a wait is repeated. On Windows, Ctrl-C is only handled between waits."""

T = TypeVar("T")


class PipeClosed(Exception):
    """The reader of a pipe has given up, so nothing more needs to be written to it."""


class Pipe(Generic[T]):
    """A queue from one thread to another. It holds at most `depth` items, and either side can end it."""

    def __init__(self, depth: int) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closed = self._abandoned = False
        self._failure: BaseException | None = None

    def put(self, item: T) -> None:
        """Append an item, waiting for room; raise PipeClosed if the reader has given up."""
        with self._lock:
            while len(self._items) >= self._depth and not self._abandoned:
                self._changed.wait(_WAIT)
            if self._abandoned:
                raise PipeClosed
            self._items.append(item)
            self._changed.notify_all()

    def close(self, failure: BaseException | None = None) -> None:
        """End the pipe. Its reader gets the remaining items, and then `failure`, if any, is raised there."""
        with self._lock:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self) -> list[T]:
        """Stop reading: from now on, writing raises PipeClosed. Return the items that were waiting."""
        with self._lock:
            self._abandoned = True
            waiting = list(self._items)
            self._items.clear()
            self._changed.notify_all()
        return waiting

    def __iter__(self) -> Iterator[T]:
        """Yield the items until the pipe is closed."""
        while True:
            with self._lock:
                while not self._items and not self._closed:
                    self._changed.wait(_WAIT)
                if not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield `items`, which another thread produces up to `depth` items ahead; raise what producing them raised.

    The thread ends before this generator does. Close the generator if you do not exhaust it.
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="conda-prune ahead") as pool:
        # The only thread makes the calls of `next` one after another, in order. After a failure, the iterator has
        # ended, so the calls that were submitted in advance return `end`.
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, iterator, end))
                yield cast("T", item)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def sink(take: Callable[[T], object], depth: int) -> Iterator[Callable[[T], None]]:
    """Provide a function that queues an item; another thread calls `take` for each item, in order.

    At most `depth` items wait. After the `with` block, all items have been taken, unless the block raised. An exception
    of `take` is raised here.
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
    """Limits compression to `count` threads, because each may hold hundreds of megabytes.

    Threads are granted in the order of reservation, even if a later reservation needs fewer threads and could start
    now. Otherwise, work that needs many threads could wait forever.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._free = self.count
        self._queue: deque[object] = deque()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def reserve(self) -> object:
        """Return a reservation. `threads` must be called with it, because all later reservations wait for that."""
        reservation = object()
        with self._lock:
            self._queue.append(reservation)
        return reservation

    @contextmanager
    def threads(self, count: int, reservation: object = None) -> Iterator[None]:
        """Take `count` threads for the `with` block, when it is the reservation's turn (default: a new reservation)."""
        reservation = reservation or self.reserve()
        with self._lock:
            while self._queue[0] is not reservation or self._free < count:
                self._changed.wait(_WAIT)
            self._queue.popleft()
            self._free -= count
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._lock:
                self._free += count
                self._changed.notify_all()


class Submit(Protocol):
    """Starts work, and returns a function that waits for it and returns its result or raises its exception."""

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]: ...


@contextmanager
def worker_pool(threads: int) -> Iterator[Submit]:
    """Provide a function that submits work to `threads - 1` threads, since the caller's thread is one of them.

    With `threads` 1, work is done when its result is requested. After the `with` block, no work is running any more.
    """
    if threads <= 1:
        yield cache
        return
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="conda-prune") as pool:
        try:
            yield lambda work: pool.submit(work).result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
