"""Does the same work on many packages, one after the other or in worker processes, with the results in order.

A worker that dies costs the package that it was working on and no other: its place is taken by a new one.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

_PATIENCE = 30.0
"""Seconds that a worker gets to undo what it is at."""

_AHEAD = 8
"""Tasks a worker to choose the largest from: more would delay the first results."""

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


def run(
    tasks: Sequence[Task],
    work: Callable[[Task], Outcome],
    died: Callable[[Task, str], Outcome],
    jobs: int,
    size: Callable[[Task], int] = lambda task: 0,
) -> Iterator[Outcome]:
    """Yield `work(task)` for every task, in the order of the tasks, as soon as all before it are done.

    `work` and the tasks go to other processes where `jobs` is more than one, so both can be pickled. `died` makes the
    outcome for a task whose process ended under it, from how it ended. Of those that come next, the largest by `size`
    are begun first, so that no worker is left with a long one at the end.
    """
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    pool = _Pool(tasks, work, died, min(jobs, len(tasks)), size)
    try:
        yield from pool.outcomes()
    finally:
        pool.close()


class _Pool(Generic[Task, Outcome]):
    def __init__(
        self,
        tasks: Sequence[Task],
        work: Callable[[Task], Outcome],
        died: Callable[[Task, str], Outcome],
        jobs: int,
        size: Callable[[Task], int],
    ) -> None:
        self._tasks = tasks
        self._work = work
        self._died = died
        self._size = size
        self._ahead = _AHEAD * jobs
        self._waiting: list[tuple[int, int]] = []
        self._next = 0
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, tuple[BaseProcess, int]] = {}
        for _ in range(jobs):
            self._start()

    def outcomes(self) -> Iterator[Outcome]:
        done: dict[int, Outcome] = {}
        turn = 0
        while turn < len(self._tasks):
            if turn in done:
                yield done.pop(turn)
                turn += 1
                continue
            for connection in wait(list(self._workers)):
                assert isinstance(connection, Connection)
                process, index = self._workers[connection]
                try:
                    done[index] = connection.recv()
                except (EOFError, OSError):
                    done[index] = self._bury(connection, process, index)
                    self._start()
                else:
                    self._give(connection, process)

    def close(self) -> None:
        """End the workers: each undoes what it is at, and is killed only if it does not get there."""
        for connection, (process, _) in self._workers.items():
            connection.close()
            process.terminate()
        for process, _ in self._workers.values():
            process.join(_PATIENCE)
            if process.exitcode is None:
                process.kill()
                process.join()

    def _take(self) -> int | None:
        """Return the largest of the next tasks, or None when all were given out."""
        while self._next < len(self._tasks) and len(self._waiting) < self._ahead:
            self._waiting.append((self._size(self._tasks[self._next]), -self._next))
            self._next += 1
        if not self._waiting:
            return None
        largest = max(self._waiting)
        self._waiting.remove(largest)
        return -largest[1]

    def _start(self) -> None:
        if self._next >= len(self._tasks) and not self._waiting:
            return
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with _signals_held():
            process.start()
            theirs.close()
            self._give(mine, process)

    def _give(self, connection: Connection, process: BaseProcess) -> None:
        index = self._take()
        if index is None:
            self._workers.pop(connection, None)
            connection.close()
            process.join()
            return
        self._workers[connection] = process, index
        try:
            connection.send(self._tasks[index])
        except OSError:
            pass  # It died already; the wait for its answer finds that out.

    def _bury(self, connection: Connection, process: BaseProcess, index: int) -> Outcome:
        del self._workers[connection]
        connection.close()
        process.join()
        code = process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return self._died(self._tasks[index], f"its worker process {how}")


@contextmanager
def _signals_held() -> Iterator[None]:
    """Start a process that a terminal's Ctrl-C does not reach, and be interrupted only once it is known.

    Ctrl-C goes to all processes, and the parent is to end the others. They inherit the blocked signals from their
    first instruction on. Windows has no such thing; there, each of them unwinds by itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker  # Windows has none.

    # It would start with the first worker, and unblock the signals on its way.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Callable[[Task], Outcome]) -> None:
    """Work until the other end closes. A termination unwinds the work, so that nothing temporary stays."""
    signal.signal(signal.SIGTERM, _unwind)
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass


def _unwind(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
