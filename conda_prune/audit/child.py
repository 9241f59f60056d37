"""Processes that work for an audit: how one is started and talked to, and how it starts and ends itself.

Messages are pickled objects on its standard input and output. It ends with `os._exit`, since py-rattler's async runtime
crashes when Python ends in a third of all runs.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeAlias

from ..errors import PruneError
from ..isolation import command, take_over_streams
from .settings import Settings

TOO_MUCH_MEMORY = 77
"""The exit code of a process that took more memory than it may."""
READY = "ready"
"""The first message of a process, unless that is why it cannot work."""
Emit: TypeAlias = Callable[[object], None]


class Died(Exception):
    """A process ended before it had answered everything; says how."""


class Child:
    """A process of a module of ours, to which objects are sent and which sends objects back.

    The first that it gets are the settings, and the first that it sends is READY, which `receive` takes in. Until then
    it starts, and this process can do something else.
    """

    def __init__(self, module: str, settings: Settings) -> None:
        # In a session of its own, Ctrl-C on a terminal reaches this process only, which then kills that one.
        self._process = subprocess.Popen(
            command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._is_ready = False
        self._lock = threading.Lock()
        self.send(settings)

    def send(self, thing: object) -> None:
        """Send something to the process, which always reads. What a dead one does not get is noticed by `receive`."""
        assert self._process.stdin is not None
        # Pauses are sent by other threads.
        with self._lock, suppress(OSError, ValueError):
            pickle.dump(thing, self._process.stdin)
            self._process.stdin.flush()

    def receive(self) -> Any:
        """Return the next message of the process; raise Died if it will send none, PruneError if it cannot work."""
        if not self._is_ready:
            try:
                first = self._load()
            except Died as death:
                raise PruneError(f"a process of this run {death}", "its messages are above") from death
            if isinstance(first, PruneError):
                raise first
            self._is_ready = True
        return self._load()

    def _load(self) -> Any:
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise Died(_end(self._process.wait())) from None

    def kill(self) -> None:
        """End the process, if it is still there."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _end(code: int) -> str:
    if code == TOO_MUCH_MEMORY:
        return "took too much memory"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def serve(work: Callable[[BinaryIO, Emit], None]) -> None:
    """Do the work of a process, which gets the stream of its tasks and a function that sends, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        tasks, results = take_over_streams()

        def emit(thing: object) -> None:
            pickle.dump(thing, results)
            results.flush()

        work(tasks, emit)
        code = 0
    except BrokenPipeError:
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
