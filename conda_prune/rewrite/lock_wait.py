"""Says so when a run waits for another one, and for which."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 1.0
"""Seconds that nobody notices."""


@contextmanager
def announced(path: str, target: str) -> Iterator[None]:
    """Print a line to standard error when the block takes more than a second.

    The block waits for the lock on the file `path`, whose holder works on `target`. Nothing is started when there is no
    such file, since then there is nothing to wait for.
    """
    if not os.path.lexists(path):
        yield
        return
    timer = threading.Timer(_PATIENCE, _announce, (path, target))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:
        pass  # There may be no more threads: then the wait is silent.
    try:
        yield
    finally:
        timer.cancel()


def holder_of(path: str) -> int | None:
    """Return the id of the process that holds a file locked, None where the system does not tell."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            # "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1309 0 EOF"; who waits has "->" behind the number.
            found = re.search(rf"^\d+: FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) or None if found else None  # 0: a process outside of this container.


def _announce(path: str, target: str) -> None:
    holder = holder_of(path)
    who = f"process {holder}" if holder else "another run"
    name = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in target)
    try:
        print(f"waiting for {who}, which is working on {name}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        pass  # Standard error is closed, or there is none.
