"""Output streams that tolerate failures, so that a run is finished even if its results cannot be printed.

A full disk, a closed standard output or a closed pipe (`conda-prune fix channel | head -1`) must not end a run after
the packages are repaired but before their index is refreshed. So a stream remembers its first failure and discards
everything after it. The work goes on, and at the end the exit code reports the loss.
"""

from __future__ import annotations

import io
import os
from typing import Any, TextIO


class _TolerantFile(io.RawIOBase):
    """The lowest layer of a stream. `failure` is the first error; nothing is written after it."""

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
                # None means that the pipe is full and non-blocking (another program may have made it so).
                while (written := self._raw.write(data)) is None:
                    import select

                    select.select([], [self._raw], [])
                return written
            except OSError as error:
                self.failure = error
        return len(data)

    def close(self) -> None:
        """Close the underlying file, unless it is a standard stream."""
        if not self.closed:
            super().close()
            try:
                if self._raw.fileno() > 2:
                    self._raw.close()
            except OSError as error:
                self.failure = self.failure or error


def standard_stream(stream: TextIO | None, descriptor: int) -> TextIO:
    """Return standard output or standard error as a stream that tolerates failures, even if Python found it closed.

    Characters that its encoding lacks are written as escapes. Lines end in \\n on all systems, so output has the same
    bytes on all of them. A stream that was replaced by another kind of object is returned unchanged.
    """
    if stream is None:
        return _text(io.FileIO(descriptor, "w", closefd=False), "utf-8", line_buffering=True)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # With `python -u`, there is no buffer between the text layer and the file.
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return _text(raw, stream.encoding, line_buffering=stream.line_buffering or stream.write_through)


def open_tolerant(path: str) -> TextIO:
    """Open a text file for writing, as a stream that tolerates failures. Raises OSError or ValueError if it cannot.

    The file is not emptied: truncate it once it is certain that it is the right file.
    """
    raw = io.FileIO(path, "w", opener=lambda path, flags: os.open(path, flags & ~os.O_TRUNC, 0o666))
    return _text(raw, "utf-8", line_buffering=True)


def _text(raw: Any, encoding: str, *, line_buffering: bool) -> TextIO:
    buffer = io.BufferedWriter(_TolerantFile(raw))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", "\n", line_buffering)


def failure_of(stream: TextIO) -> OSError | None:
    """Return the error that kept flushed data from being written, or None if all of it was written."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _TolerantFile) else None


def reserve_standard_descriptors() -> None:
    """Open the file descriptors 0, 1 and 2 if they are closed, so that no other file gets their numbers.

    Otherwise a package might be opened as descriptor 1, and everything printed would be written into it. Reading from
    or writing to a reserved descriptor fails, just as it does with a closed one.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The access mode is the opposite of what the stream needs, so using it fails. The system returns the lowest
            # free descriptor, which is this one.
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)
            os.set_inheritable(descriptor, True)
