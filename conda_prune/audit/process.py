"""Runs the process that reads packages, and loses no package when it dies.

What was in flight when it died is read again, one package at a time and with care: so it is known which package ended
the process, and only that one fails. The process is killed when the iterator is closed.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from ..errors import PruneError
from ..isolation import command
from .item import Item
from .outcome import Outcome, failed
from .reader import END, READY, TOO_MUCH_MEMORY
from .settings import Settings

_READER = "conda_prune.audit.reader"
_AHEAD = 4
"""Items that the process is given for each request that it may have in flight."""


class _Died(Exception):
    """The process ended before it had answered everything; says how."""


def read_all(
    items: Iterable[Item], settings: Settings, notify: Callable[[str], None] = lambda message: None
) -> Iterator[Outcome]:
    """Yield the outcome of every item, each as soon as it is known, in any order.

    Items are taken from `items` only as fast as they are read. `notify` gets messages for people. Raises PruneError
    where nothing can be read at all.
    """
    waiting = iter(items)
    numbered = enumerate(waiting)
    pending: dict[int, Item] = {}
    window = _AHEAD * settings.requests
    exhausted = False
    while not exhausted or pending:
        child = _Child(settings)
        try:
            while True:
                if not exhausted and len(pending) <= window // 2:
                    batch = list(islice(numbered, window - len(pending)))
                    exhausted = len(batch) < window - len(pending)
                    pending.update(batch)
                    child.send(batch)
                    if exhausted:
                        child.send(END)
                if not pending and exhausted:
                    return
                message = child.receive()
                if isinstance(message, str):
                    notify(message)
                    continue
                number, outcome = message
                del pending[number]
                yield outcome
        except _Died as death:
            if pending:
                notify(f"the reading process {death}: {len(pending)} packages are read again, one at a time")
        finally:
            child.kill()
        yield from _with_care(pending, settings, notify)
        pending.clear()


def _with_care(pending: dict[int, Item], settings: Settings, notify: Callable[[str], None]) -> Iterator[Outcome]:
    careful = settings._replace(requests=1, careful=True)
    child: _Child | None = None
    try:
        for number, item in pending.items():
            child = child or _Child(careful)
            try:
                child.send([(number, item)])
                while isinstance(message := child.receive(), str):
                    notify(message)
                yield message[1]
            except _Died as death:
                child.kill()
                child = None
                yield failed(item, f"the process that read it {death}")
    finally:
        if child is not None:
            child.kill()


class _Child:
    def __init__(self, settings: Settings) -> None:
        # In a session of its own, Ctrl-C on a terminal reaches this process only, which then kills that one.
        self._process = subprocess.Popen(
            command(_READER),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.send(settings)
        try:
            first = self.receive()
        except _Died as death:
            self.kill()
            raise PruneError(f"the process that reads packages {death}", "its messages are above") from death
        if first != READY:
            self.kill()
            assert isinstance(first, PruneError)
            raise first

    def send(self, thing: object) -> None:
        """Send something to the process, which always reads. What a dead one does not get is noticed by `receive`."""
        assert self._process.stdin is not None
        with suppress(OSError):
            pickle.dump(thing, self._process.stdin)
            self._process.stdin.flush()

    def receive(self) -> Any:
        """Return the next message of the process; raise _Died if there will be none."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise _Died(_end(self._process.wait())) from None

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
