"""Ends the command line within a second when it is interrupted, and removes everything temporary.

Normally, a signal raises an exception in the main thread, and every step undoes what it did. While a package is being
written, that would take too long. libzstd finishes every job that it has begun, so freeing a compressor at level 19
took 17 seconds, during which it holds Python's lock and no other code runs. So during that work, nothing is unwound.
Instead, the functions registered here undo what matters, and the process ends without freeing anything.

When the signal arrives, the main thread may be waiting for a compressor. Python would run the signal handler only after
that. But it also writes the signal's number to a file descriptor at once, and a thread of ours reads it there.

Programs that use this package as a library keep their own handlers, so there, an interruption always unwinds.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Signals that ask a process to end. SIGHUP means that its terminal was closed, SIGBREAK is Ctrl-Break on Windows."""

critical = threading.RLock()
"""Held during work that must be done completely or not at all: the process does not end in the middle of it."""

_undo: list[Callable[[], None]] = []
_is_installed = _is_watched = _ends_at_once = False


def raise_at_signals() -> None:
    """Make signals that ask the process to end raise KeyboardInterrupt (SIGINT) or SystemExit (128 + number).

    Only the first signal does so, because a second one must not interrupt the undoing. Signals that the process was
    started to ignore (nohup) are still ignored.
    """
    global _is_installed
    _is_installed = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def ignore_signals() -> None:
    """From now on, ignore all signals that ask the process to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: object) -> NoReturn:
    ignore_signals()
    if _ends_at_once:
        end(128 + number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """End the process at once if a signal arrives during the `with` block. Only for the main thread.

    Use it for work in which only registered functions have to undo something. It has no effect unless
    `raise_at_signals` was called.
    """
    global _ends_at_once
    if _is_installed and not _is_watched:
        _watch()
    _ends_at_once = _is_installed
    try:
        yield
    finally:
        _ends_at_once = False


def _watch() -> None:
    global _is_watched
    reader, writer = os.pipe()
    if os.name != "nt":
        os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_at_signals, args=(reader,), name="conda-prune signals", daemon=True).start()
    _is_watched = True


def _end_at_signals(reader: int) -> None:
    while True:
        for number in os.read(reader, 1):
            if number in SIGNALS and _ends_at_once:
                end(128 + number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer signals that end the program until the `with` block is done, because it must not be left half done.

    Python only interrupts the main thread, so nothing is done in other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    previous = {}
    try:
        with critical:
            try:
                for number in SIGNALS:
                    if callable(handler := signal.getsignal(number)):
                        previous[number] = handler
                        signal.signal(number, lambda number, frame: arrived.append(number))
                yield
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)
    finally:
        for number in arrived[:1]:
            previous[number](number, None)


def register(undo: Callable[[], None]) -> None:
    """Call `undo` if the process ends at once. The thread that registered it may still be running then.

    So `undo` must not wait for anything, and may only rely on what is always true outside of `critical`.
    """
    _undo.append(undo)


def unregister(undo: Callable[[], None]) -> None:
    """Remove a registered function, if it is still registered."""
    if undo in _undo:
        _undo.remove(undo)


def end(code: int) -> NoReturn:
    """Call the registered functions, last one first, and end the process without waiting for its threads."""
    with critical:
        for undo in reversed(_undo):
            try:
                undo()
            except Exception:
                pass  # The next run cleans up, as after a run that was killed.
        if code == 128 + signal.SIGINT and os.isatty(2):
            os.write(2, b"\n")  # The line has a ^C or a progress bar in it.
        os._exit(code)
