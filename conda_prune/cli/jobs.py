"""Runs many tasks, one after the other or in worker processes, and yields the outcomes in order.

If a worker process dies, only the task that it was working on is lost. Each worker is served by a thread of this
process, which sends one task at a time and waits for the outcome. So it is known which task a dead worker had, and the
other workers are not affected. (`concurrent.futures.ProcessPoolExecutor` gives up all workers if one dies, does not
say which task it had, and starts its processes with `python -c`, which imports from the current directory: see
`isolation`.)

While a task runs, `work` may send messages, such as its progress. They arrive in the thread of its worker.

A worker reads tasks from its standard input. When that is closed, the worker undoes what it is doing and exits at once
(see `interruption`). This stops workers on every system, and it also happens if this process is killed.
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
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from .. import interruption, isolation

_STOP_TIMEOUT = 30.0
"""Seconds that a worker has to undo what it is doing, before it is killed."""
_POLL_INTERVAL = 0.5
"""Seconds between two checks for Ctrl-C on Windows. On other systems, Ctrl-C interrupts the wait."""
_LOOKAHEAD = 8
"""Tasks per worker that are sorted by size, the largest first. More would delay the first results."""
_POSIX = os.name != "nt"

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
Send: TypeAlias = Callable[[Any], None]
"""Sends a message from a task to the process that started the run."""


def run(
    tasks: Sequence[Task],
    work: Callable[[Task, Send], Outcome],
    worker_died: Callable[[Task, str], Outcome],
    jobs: int,
    size: Callable[[Task], int] = lambda task: 0,
    receive: Send = lambda message: None,
) -> Iterator[Outcome]:
    """Yield `work(task, send)` for every task, in the order of the tasks, each as soon as all before it are done.

    Messages that are sent during a task are passed to `receive`, from several threads at once. With more than one job,
    `work`, the tasks, the outcomes and the messages are pickled. If a worker dies or cannot be started, the
    outcome of its task is `worker_died(task, reason)`. Among the next tasks, the largest by `size` is started first, so
    that no worker is left with a long one at the end. Closing the iterator stops the workers.
    """
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield work(task, receive)
        return
    jobs = min(jobs, len(tasks))
    workers: list[_Worker[Task, Outcome]] = [_Worker(work) for _ in range(jobs)]
    idle: queue.SimpleQueue[_Worker[Task, Outcome]] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run_in_worker(task: Task) -> Outcome:
        worker = idle.get()
        try:
            return worker.run(task, receive)
        except _WorkerDied as error:
            return worker_died(task, str(error))
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(jobs, "conda-prune worker", _leave_signals_to_the_main_thread)
    try:
        order = _largest_first(tasks, _LOOKAHEAD * jobs, size)
        futures = {index: pool.submit(run_in_worker, tasks[index]) for index in order}
        for index in range(len(tasks)):
            yield _result(futures.pop(index))
    finally:
        for worker in workers:
            worker.stop()
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.join()


def _largest_first(tasks: Sequence[Task], group_size: int, size: Callable[[Task], int]) -> Iterator[int]:
    """Yield the indexes of the tasks. Within each group of `group_size` tasks, the largest comes first."""
    for start in range(0, len(tasks), group_size):
        yield from sorted(range(start, min(start + group_size, len(tasks))), key=lambda index: -size(tasks[index]))


def _result(future: Future[Outcome]) -> Outcome:
    while not future.done():
        wait([future], _POLL_INTERVAL)
    return future.result()


def _leave_signals_to_the_main_thread() -> None:
    """Block SIGINT and SIGTERM in this thread, and in the workers that it starts.

    A terminal sends SIGINT (Ctrl-C) to all processes in the foreground. Workers inherit the blocked signals, so SIGINT
    never reaches them, and a SIGTERM stays pending until a worker is ready for it.
    """
    if _POSIX:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


class _WorkerDied(Exception):
    """A worker ended without an outcome. The message says how."""


class _Worker(Generic[Task, Outcome]):
    """A worker process, started for its first task and again after it has died. One thread at a time uses it."""

    def __init__(self, work: Callable[[Task, Send], Outcome]) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, task: Task, receive: Send) -> Outcome:
        """Run a task, pass its messages on, and return its outcome. Raises _WorkerDied if there is none."""
        process = self._running_process()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _send(task, process.stdin)
            is_outcome, content = pickle.load(process.stdout)
            while not is_outcome:
                receive(content)
                is_outcome, content = pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            raise _WorkerDied(f"its worker process {self._end(process)}") from None
        outcome: Outcome = content
        return outcome

    def stop(self) -> None:
        """Tell the process to exit, and do not start another one."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _close(self._process.stdin)

    def join(self) -> None:
        """Wait for the process to exit. Kill it if that takes too long."""
        if self._process is not None:
            self._end(self._process)

    def _running_process(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise _WorkerDied("its worker process was stopped")
            if self._process is None:
                try:
                    self._process = subprocess.Popen(
                        isolation.command(__name__),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        # On Windows, Ctrl-C is not sent to another process group.
                        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                    )
                except OSError as error:
                    reason = f"its worker process cannot be started: {error.strerror}; use fewer --jobs"
                    raise _WorkerDied(reason) from error
                assert self._process.stdin is not None
                try:
                    _send(self._work, self._process.stdin)
                except OSError:
                    pass  # It has died already. Reading its outcome will show that.
            return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for the process to exit, and return a description of how it ended."""
        _close(process.stdin)
        try:
            code = process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        _close(process.stdout)
        with self._lock:
            self._process = None
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _send(message: object, pipe: Any) -> None:
    pickle.dump(message, pipe)
    pipe.flush()


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        pass  # The buffer holds data for a process that has ended.


def _serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Run as a worker. The first object to be read is the function to call, and every other one is a task for it.

    What is written are pairs: whether it is an outcome or a message, and its content.
    """
    interruption.raise_at_signals()
    if _POSIX:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    work = pickle.load(tasks)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, waiting), daemon=True).start()
    lock = threading.Lock()  # Several threads of a task may send messages.

    def send(message: Any) -> None:
        with lock:
            _send((False, message), results)

    while True:
        _send((True, work(waiting.get(), send)), results)


def _listen(tasks: BinaryIO, waiting: queue.SimpleQueue[Any]) -> None:
    """Pass tasks on to the main thread. When standard input is closed, end the process, even during a task."""
    try:
        while True:
            waiting.put(pickle.load(tasks))
    except (EOFError, OSError, pickle.UnpicklingError):
        interruption.end(128 + signal.SIGTERM)


if __name__ == "__main__":
    code = 1
    try:
        streams = isolation.take_over_streams()
        _serve(*streams)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
