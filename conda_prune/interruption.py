"""How the command line ends when it is interrupted: within a second, and nothing temporary stays.

A signal raises an exception in the main thread, and the work unwinds: every step undoes what it did. That is not
prompt while a package is being written. libzstd finishes every job that it has begun; so giving up a compressor at
level 19 took 17 seconds, in which the extension holds Python's lock and no other code runs. So during that work nothing
unwinds: what is registered here is undone, and the process ends as it is, without freeing anything.

The main thread may also be waiting for a compressor when the signal arrives; Python runs the signal's handler only
after that. But it writes the signal's number to a file descriptor at once, and a thread of ours reads it there.

Programs that use this package as a library keep their own handlers. There an interruption always unwinds.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Signals that ask a process to end. SIGHUP: its terminal was closed. SIGBREAK: Ctrl-Break on Windows."""

critical = threading.RLock()
"""Held while something is done that must be done as a whole: the process does not end in the middle of it."""

_undo: list[Callable[[], None]] = []
_is_installed = _is_watched = _ends_at_once = False


def raise_at_signals() -> None:
    """Make signals that ask the process to end raise KeyboardInterrupt (SIGINT) or SystemExit (128 + number).

    Only the first one does: another must not interrupt the undoing. Signals that the process was told to ignore, as
    by nohup, stay ignored.
    """
    global _is_installed
    _is_installed = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def ignore_signals() -> None:
    """Let no signal that asks the process to end interrupt it any more."""
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
    """End the process at once when a signal of `raise_at_signals` arrives during the block; the main thread only.

    The block is for work of which nothing but what is registered has to be undone. Without `raise_at_signals`, it does
    nothing.
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


def register(undo: Callable[[], None]) -> None:
    """Have `undo` called when the process ends at once, perhaps while the thread that registered it is at work.

    So it must not wait for anything, and can rely only on what is true outside of `critical`.
    """
    _undo.append(undo)


def unregister(undo: Callable[[], None]) -> None:
    """Forget what was registered, if it still is."""
    if undo in _undo:
        _undo.remove(undo)


def end(code: int) -> NoReturn:
    """Undo what is registered, the latest first, and end the process, whatever its threads are doing."""
    with critical:
        for undo in reversed(_undo):
            try:
                undo()
            except Exception:
                pass  # The next run removes it, as it does after a run that was killed.
        if code == 128 + signal.SIGINT and os.isatty(2):
            os.write(2, b"\n")  # The terminal has printed ^C, or a progress bar is there.
        os._exit(code)
