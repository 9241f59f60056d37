"""Does the same work on many tasks, one after the other or in worker processes, with the results in order.

A worker process that dies costs the task that it was working on and no other. A thread of this process looks after each
worker: it sends one task at a time and waits for the result, so it is known what a dead worker was doing, and no other
worker is touched. (`concurrent.futures.ProcessPoolExecutor` gives up all workers when one dies, does not say which task
it had, and starts its processes through `python -c`, which finds modules in the current directory: see `isolation`.)

A worker reads tasks from its standard input. When that ends, the worker undoes what it is doing and ends at once (see
`interruption`). This is how it is stopped on every system, and it also happens when this process is killed.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, BinaryIO, Generic, TypeVar

from .. import interruption, isolation

_PATIENCE = 30.0
"""Seconds that a worker gets to undo what it is doing."""
_POLL = 0.5
"""Seconds after which Windows looks for a Ctrl-C; other systems interrupt the wait."""
_AHEAD = 8
"""Tasks per worker among which the largest is begun first. More would delay the first results."""
_POSIX = os.name != "nt"

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


def run(
    tasks: Sequence[Task],
    work: Callable[[Task], Outcome],
    died: Callable[[Task, str], Outcome],
    jobs: int,
    size: Callable[[Task], int] = lambda task: 0,
) -> Iterator[Outcome]:
    """Yield `work(task)` for every task, in the order of the tasks, each as soon as all before it are done.

    With more than one job, `work`, the tasks and the outcomes go through pickle. `died` makes the outcome of a task
    whose worker ended without a result, or could not be started, from the reason. Of the next tasks, the largest by
    `size` is begun first, so that no worker is left with a long one at the end. Closing the iterator stops the workers.
    """
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    jobs = min(jobs, len(tasks))
    workers: list[_Worker[Task, Outcome]] = [_Worker(work) for _ in range(jobs)]
    idle: queue.SimpleQueue[_Worker[Task, Outcome]] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def do(task: Task) -> Outcome:
        worker = idle.get()
        try:
            return worker.do(task)
        except _Died as death:
            return died(task, str(death))
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(jobs, "conda-prune worker", _leave_signals_to_the_main_thread)
    try:
        futures = {index: pool.submit(do, tasks[index]) for index in _largest_first(tasks, _AHEAD * jobs, size)}
        for index in range(len(tasks)):
            yield _result(futures.pop(index))
    finally:
        for worker in workers:
            worker.stop()
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.join()


def _largest_first(tasks: Sequence[Task], ahead: int, size: Callable[[Task], int]) -> Iterator[int]:
    """Yield the tasks' indexes: of every `ahead` tasks, the largest first."""
    for start in range(0, len(tasks), ahead):
        yield from sorted(range(start, min(start + ahead, len(tasks))), key=lambda index: -size(tasks[index]))


def _result(future: Future[Outcome]) -> Outcome:
    while not future.done():
        wait([future], _POLL)
    return future.result()


def _leave_signals_to_the_main_thread() -> None:
    """Block Ctrl-C and a termination in this thread, and in the workers that it starts.

    A terminal sends Ctrl-C to all processes. The workers inherit the blocked signals from their first instruction on,
    so Ctrl-C never reaches them, and a termination waits until they are ready for it.
    """
    if _POSIX:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


class _Died(Exception):
    """A worker ended without a result: says how."""


class _Worker(Generic[Task, Outcome]):
    """A worker process, started with its first task, and again after it died. One thread at a time uses it."""

    def __init__(self, work: Callable[[Task], Outcome]) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def do(self, task: Task) -> Outcome:
        """Return the outcome of a task; raise _Died where there will be none."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _send(task, process.stdin)
            outcome: Outcome = pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            raise _Died(f"its worker process {self._end(process)}") from None
        return outcome

    def stop(self) -> None:
        """Tell the process to end, and start no other."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _close(self._process.stdin)

    def join(self) -> None:
        """Wait until the process has ended; kill it if it takes too long."""
        if self._process is not None:
            self._end(self._process)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise _Died("its worker process was stopped")
            if self._process is None:
                try:
                    self._process = subprocess.Popen(
                        isolation.command(__name__),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        # On Windows, Ctrl-C does not reach a new process group.
                        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                    )
                except OSError as error:
                    raise _Died(f"its worker process cannot be started: {error.strerror}; use fewer --jobs") from error
                assert self._process.stdin is not None
                try:
                    _send(self._work, self._process.stdin)
                except OSError:
                    pass  # It died already: whoever waits for its result finds out.
            return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for the end of the process, and return how it ended."""
        _close(process.stdin)
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        _close(process.stdout)
        with self._lock:
            self._process = None
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _send(thing: object, pipe: Any) -> None:
    pickle.dump(thing, pipe)
    pipe.flush()


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        pass  # What could not be sent to a process that ended.


def _serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Be a worker: the first thing that is read is what to do, everything else a task."""
    interruption.raise_at_signals()
    if _POSIX:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    work = pickle.load(tasks)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, waiting), daemon=True).start()
    while True:
        _send(work(waiting.get()), results)


def _take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, and take them away from everything else in this process.

    What a library prints must not get between the results.
    """
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return tasks, results


def _listen(tasks: BinaryIO, waiting: queue.SimpleQueue[Any]) -> None:
    """Pass the tasks on to the main thread; end the process when no more can come, whatever it is doing."""
    try:
        while True:
            waiting.put(pickle.load(tasks))
    except (EOFError, OSError, pickle.UnpicklingError):
        interruption.end(128 + signal.SIGTERM)


if __name__ == "__main__":
    code = 1
    try:
        streams = _take_over_streams()
        _serve(*streams)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
