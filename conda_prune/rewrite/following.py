"""Reads a component back while it is written.

Writing often waits: for the compressor of one range, for the disk, for Python's lock. Reading back fills these gaps. It
is done by the independent reader of `verify.py`, in threads of its own. They follow the writer: where they have caught
up, they wait, and they end where the component ends.

The content's CRC-32 is compared at the end, when the writer knows it. The compressed bytes are compared once more with
those of the finished package, since something else may have written to the file in the meantime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import IO, BinaryIO, Literal, TypeVar, cast

from .. import system
from ..compression.byte_range import ByteRange
from ..errors import NotVerified
from .readers import BLOCK
from .staging import Staging
from .verify import ExpectedTar, Verification, Verified, check_crc, verify_stream

T = TypeVar("T")

_WAIT = 0.5
"""Seconds after which a wait is repeated. On Windows, Ctrl-C is only handled between waits."""


class Growth:
    """A number that one thread increases, while others wait for it."""

    def __init__(self) -> None:
        self._number = 0
        self._final = self._abandoned = False
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def reach(self, number: int) -> None:
        """Increase the number."""
        with self._lock:
            self._number = number
            self._changed.notify_all()

    def end(self) -> None:
        """Say that the number is final."""
        with self._lock:
            self._final = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """End every wait with NotVerified."""
        with self._lock:
            self._abandoned = True
            self._changed.notify_all()

    def beyond(self, number: int) -> int:
        """Wait until the number is larger than `number` or final, and return it."""
        with self._lock:
            while self._number <= number and not self._final and not self._abandoned:
                self._changed.wait(_WAIT)
            if self._abandoned:
                raise NotVerified("the verification was interrupted")
            return self._number

    def each(self, item: Callable[[int], T]) -> Iterator[T]:
        """Yield `item(0)`, `item(1)` and so on, as many as the number, each as soon as the number is large enough."""
        at = 0
        while (stop := self.beyond(at)) > at:
            yield from map(item, range(at, stop))
            at = stop


class Following:
    """Verifies a component that is written to `out`, which gets all of its compressed bytes, in order.

    With `at_once`, it is read back while it is written, otherwise as soon as it is complete. The members in `expected`
    are taken one by one, as members are read back, and may wait until they are known.
    """

    def __init__(
        self,
        staging: Staging,
        out: IO[bytes],
        codec: Literal["zstd", "bzip2"],
        expected: ExpectedTar,
        progress: Callable[[int], None],
        *,
        at_once: bool,
    ) -> None:
        self._component = expected.component
        self._size = Growth()
        self._written = _Written(out, staging.file, self._size if at_once else None)
        self.out = cast("IO[bytes]", self._written)
        pieces = _pieces(staging.path, staging.file.tell(), self._size)
        self._verification = Verification(partial(verify_stream, pieces, codec, expected), progress)

    def end(self) -> None:
        """Say that the component is complete."""
        self._size.reach(self._written.flushed())
        self._size.end()

    def result(self, crc: int) -> Verified:
        """Wait until all is read back; raise NotVerified unless it is as expected, and its content has this CRC-32."""
        verified, content_crc = self._verification.result()
        check_crc(self._component, content_crc, crc)
        return verified

    def cancel(self) -> None:
        """End what still runs. This does not wait."""
        self._size.abandon()
        self._verification.cancel()


class _Written:
    """Passes on what is written to `out`, an entry of a zip in `file` or the file itself, and counts its bytes.

    With `size`, each piece can be read from the file at once.
    """

    def __init__(self, out: IO[bytes], file: BinaryIO, size: Growth | None) -> None:
        self._out = out
        self._file = file
        self._done = 0
        self._size = size

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._done += len(data)
        if self._size is not None:
            self._size.reach(self.flushed())
        return len(data)

    def flushed(self) -> int:
        """Return how many bytes were written. All of them are in the file."""
        self._file.flush()
        return self._done


def _pieces(path: str, start: int, size: Growth) -> Generator[bytes, None, None]:
    """Yield the bytes of the file `path` from `start` on, as far as they are written."""
    with system.open_regular(path, buffering=0) as file:
        at = 0
        while (stop := size.beyond(at)) > at:
            yield from ByteRange(file, start + at, stop - at).chunks(length=BLOCK)
            at = stop
