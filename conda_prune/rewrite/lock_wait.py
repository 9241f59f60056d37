"""Tells the user when a run waits for another run, and which one that is."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_DELAY = 1.0
"""Seconds to wait silently."""


@contextmanager
def announced(path: str, target: str) -> Iterator[None]:
    """Print a line to standard error if the `with` block takes more than a second.

    The block waits for the lock on the file `path`, whose holder is working on `target`. If the file does not exist,
    there is nothing to wait for, and no timer is started.
    """
    if not os.path.lexists(path):
        yield
        return
    timer = threading.Timer(_DELAY, _announce, (path, target))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:
        pass  # The limit on threads is reached, so wait silently.
    try:
        yield
    finally:
        timer.cancel()


def holder_of(path: str) -> int | None:
    """Return the id of the process that has a file locked, or None if the system does not say."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            # "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1309 0 EOF". A process that waits has "->" after the first number.
            lock = re.search(rf"^\d+: FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(lock[1]) or None if lock else None  # 0 is a process outside this container.


def _announce(path: str, target: str) -> None:
    holder = holder_of(path)
    who = f"process {holder}" if holder else "another run"
    name = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in target)
    try:
        print(f"waiting for {who}, which is working on {name}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        pass  # Standard error is closed, or there is none.
