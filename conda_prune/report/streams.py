"""Text streams that can fail without ending the work whose results they carry.

A full disk, a closed standard output or a reader that left (`conda-prune fix channel | head -1`) must not end a run
between the packages and their index. So a stream remembers its first failure and drops everything after it; the work
goes on, and in the end the exit code says what was lost.
"""

from __future__ import annotations

import io
import os
from typing import Any, TextIO


class _Writer(io.RawIOBase):
    """The lowest layer of a stream: `failure` is why nothing is written any more."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.failure: OSError | None = None
        self._raw = raw

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                # None: a pipe that does not block (another program may have set that) is full.
                while (written := self._raw.write(data)) is None:
                    import select

                    select.select([], [self._raw], [])
                return written
            except OSError as error:
                self.failure = error
        return len(data)

    def close(self) -> None:
        """Close what is written to, unless that is a standard stream."""
        if not self.closed:
            super().close()
            try:
                if self._raw.fileno() > 2:
                    self._raw.close()
            except OSError as error:
                self.failure = self.failure or error


def standard_stream(stream: TextIO | None, descriptor: int) -> TextIO:
    """Return standard output or error as a stream that goes on when it fails, also where Python found it closed.

    Characters that its encoding lacks are written as escapes. What is not a stream of Python's own is returned as it
    is.
    """
    if stream is None:
        return _text(io.FileIO(descriptor, "w", closefd=False), "utf-8", line_buffering=True)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # Under `python -u` there is no buffer between the text and the file.
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return _text(raw, stream.encoding, line_buffering=stream.line_buffering or stream.write_through)


def open_persistent(path: str) -> TextIO:
    """Open a text file for writing that goes on when that fails; raise OSError or ValueError if it cannot be opened.

    What the file holds is still there: truncate it once it is certain that it is the right one.
    """
    raw = io.FileIO(path, "w", opener=lambda path, flags: os.open(path, flags & ~os.O_TRUNC, 0o666))
    return _text(raw, "utf-8", newline="\n", line_buffering=True)


def _text(raw: Any, encoding: str, *, line_buffering: bool, newline: str | None = None) -> TextIO:
    buffer = io.BufferedWriter(_Writer(raw))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", newline, line_buffering)


def failure_of(stream: TextIO) -> OSError | None:
    """Return why something that was written to a stream, and flushed, did not get there."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Writer) else None


def reserve_standard_descriptors() -> None:
    """Open the descriptors 0, 1 and 2 where they are closed, so that no other file gets their numbers.

    What prints to standard output would otherwise write into a package that was opened as file 1. Reading from such an
    input, and writing to such an output, fails as it does when they are closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The wrong way round, so that they cannot be used. The lowest number that is free is the one wanted.
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)
            os.set_inheritable(descriptor, True)
