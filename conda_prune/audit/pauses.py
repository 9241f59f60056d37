"""Passes pauses on between the processes of one machine that read packages, and from and to a cluster.

A server that limits the rate counts the requests of all processes together. So where one of them is refused, all pause.
Pauses are given as seconds from now: the clocks of two machines need not agree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Pause(NamedTuple):
    """No request to a host for so many seconds."""

    host: str
    seconds: float


class Pauses:
    """The pauses of a process, which its readers have to make. Its methods may be called from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._readers: list[Callable[[Pause], None]] = []

    def announce(self, pause: Pause) -> None:
        """Pass a pause on to all readers, and to those that begin before it is over."""
        with self._lock:
            self._until[pause.host] = max(self._until.get(pause.host, 0.0), time.monotonic() + pause.seconds)
            readers = list(self._readers)
        for send in readers:
            send(pause)

    @contextmanager
    def passed_to(self, send: Callable[[Pause], None]) -> Iterator[None]:
        """Pass all pauses on to a reader, in a `with` statement."""
        with self._lock:
            self._readers.append(send)
            now = time.monotonic()
            present = [Pause(host, until - now) for host, until in self._until.items() if until > now]
        try:
            for pause in present:
                send(pause)
            yield
        finally:
            with self._lock:
                self._readers.remove(send)
