"""Reads a finished package with an independent reader, and compares every member with the plan.

The reader is libarchive, which mamba also uses, and which shares no code with the writer. If the system does not have
it, Python's tarfile is used instead. Both are more tolerant than rattler, so our own strict reader also checks the
container. The CRC-32 of each rewritten tar covers the bytes that are not in any member. One thread decompresses, and
another one parses and hashes.

A component may be read back while it is written (`following.py`). When the package is finished, it must still have the
same compressed bytes: their number and CRC-32 are compared.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import MappingProxyType
from typing import BinaryIO, Generic, Literal, NamedTuple, NoReturn, TypeVar
from unicodedata import normalize

from .. import system
from ..archive.zip import STORED, read_zip
from ..compression.byte_range import ByteRange
from ..compression.threads import ahead
from ..compression.zstd import frame as zstd
from ..errors import NotVerified
from ..model import Format
from .libarchive import has_libarchive
from .readers import (
    Blocks,
    Expected,
    libarchive_content,
    libarchive_members,
    libarchive_streams,
    stdlib_content,
    stdlib_members,
    stdlib_streams,
)

T = TypeVar("T")

_DEPTH = 16
"""Blocks that wait between decompressing and hashing."""
_WAIT = 0.5
"""Seconds after which a wait is repeated. On Windows, Ctrl-C is only handled between waits."""


@dataclass(frozen=True, slots=True)
class ExpectedPackage:
    """What the result must be. `members` are those of each component, in order.

    `crcs` are the CRC-32 that the tars of rewritten components must have, headers and padding included. `entries` are
    the names in the zip, in order; none for a .tar.bz2.
    """

    format: Format
    members: Mapping[str, Iterable[Expected]]
    crcs: Mapping[str, int]
    entries: Sequence[str]


class Verified(NamedTuple):
    """A compressed stream that was read back: how many bytes it has, and their CRC-32."""

    size: int
    crc: int


NOTHING: Mapping[str, Verified] = MappingProxyType({})


def verify(
    path: str,
    name: str,
    expected: ExpectedPackage,
    progress: Callable[[int], None] = lambda done: None,
    verified: Mapping[str, Verified] = NOTHING,
) -> None:
    """Raise NotVerified unless the package in the file `path` is as expected, with nothing else in it.

    `name` is the package's name in messages, since `path` is a temporary file. `verified` are the components of a
    `.conda` that were read back already.
    """
    verification = Verification(partial(_verify, path, name, expected, verified), progress)
    try:
        verification.result()
    finally:
        verification.cancel()


class Verification(Generic[T]):
    """Verifies in another thread: `work` gets a function that it must call with the bytes of content it has verified.

    Python runs signal handlers in the main thread, and if one raised an exception in a callback from libarchive, it
    would be swallowed, so Ctrl-C would do nothing.

    The result comes through a SimpleQueue, which has no lock that a signal handler could leave locked. A Future has
    one: if the handler raises just after the main thread has locked it, before the `with` block has begun, the thread
    that verifies waits for it forever, and so does the end of the program (python/cpython#74174).
    """

    def __init__(self, work: Callable[[Callable[[int], None]], T], progress: Callable[[int], None]) -> None:
        cancelled = Event()
        outcome: SimpleQueue[Callable[[], T]] = SimpleQueue()

        def watched(done: int) -> None:
            if cancelled.is_set():
                raise NotVerified("the verification was interrupted")
            progress(done)

        def run() -> None:
            try:
                result = work(watched)
            except BaseException as error:
                outcome.put(partial(_raise, error))
            else:
                outcome.put(lambda: result)

        self._cancelled = cancelled
        self._outcome = outcome
        Thread(target=run, name="conda-prune verify").start()

    def result(self) -> T:
        """Wait, and return the result of `work`, or raise its exception. May be called once."""
        while True:
            try:
                outcome = self._outcome.get(timeout=_WAIT)
            except Empty:
                continue
            return outcome()

    def cancel(self) -> None:
        """End the work soon, if it has not ended. This does not wait."""
        self._cancelled.set()


def _raise(error: BaseException) -> NoReturn:
    raise error


class ExpectedTar(NamedTuple):
    """The members that the tar of a component must have."""

    component: str
    members: Iterable[Expected]


def verify_stream(
    pieces: Generator[bytes, None, None],
    codec: Literal["zstd", "bzip2"],
    expected: ExpectedTar,
    progress: Callable[[int], None],
) -> tuple[Verified, int]:
    """Read back a compressed stream, and return what was read, and the CRC-32 of its content.

    `pieces` may wait until they are written. Raises NotVerified unless the tar in the stream has the expected members.
    """
    content, found = (libarchive_content, libarchive_members) if has_libarchive() else (stdlib_content, stdlib_members)
    packed = _Counted(pieces)
    try:
        with closing(pieces):
            crc = _verify_tar(content(packed.counted(), codec), found, expected, progress)
            return Verified(packed.size, packed.crc), crc
    except (NotVerified, MemoryError):
        raise
    except Exception as error:
        raise NotVerified(f"the {expected.component} component of the result cannot be read back: {error}") from error


def _verify(
    path: str,
    name: str,
    expected: ExpectedPackage,
    verified: Mapping[str, Verified],
    progress: Callable[[int], None],
) -> None:
    streams, found = (libarchive_streams, libarchive_members) if has_libarchive() else (stdlib_streams, stdlib_members)
    entries: list[str] = []
    components: set[str] = set()
    try:
        with system.open_regular(path, buffering=0) as file:
            if expected.format is Format.CONDA:
                _check_container(file)
            for component, pieces in streams(file, path, expected.format, entries, verified):
                components.add(component)
                if component in verified:
                    _check_same_stream(component, pieces, verified[component])
                    continue
                crc = _verify_tar(pieces, found, ExpectedTar(component, expected.members[component]), progress)
                if component in expected.crcs:
                    check_crc(component, crc, expected.crcs[component])
    except (NotVerified, MemoryError):
        raise
    except Exception as error:
        raise NotVerified(f"the result of fixing {name} cannot be read back: {error}") from error
    if _composed(entries) != _composed(expected.entries) or components != set(expected.members):
        raise NotVerified(f"the result of fixing {name} has the zip entries {entries}")


def _verify_tar(
    pieces: Iterator[bytes],
    found: Callable[[Blocks], Iterator[Expected]],
    expected: ExpectedTar,
    progress: Callable[[int], None],
) -> int:
    """Return the CRC-32 of a tar; raise NotVerified unless its members, found by `found`, are as expected."""
    tar = _Counted(pieces)
    with closing(ahead(tar.counted(), _DEPTH)) as blocks:
        _compare(expected.component, found(Blocks(blocks)), expected.members, progress)
    return tar.crc


def check_crc(component: str, found: int, expected: int) -> None:
    """Raise NotVerified unless the content of a component has the expected CRC-32."""
    if found != expected:
        raise NotVerified(f"the {component} component of the result does not have the expected bytes")


def _check_same_stream(component: str, packed: Iterator[bytes], verified: Verified) -> None:
    """Raise NotVerified unless these are the compressed bytes that were read back."""
    stream = _Counted(packed)
    deque(stream.counted(), maxlen=0)
    if Verified(stream.size, stream.crc) != verified:
        raise NotVerified(f"the {component} component of the result changed after it was read back")


def _composed(names: Iterable[str]) -> list[str]:
    """Return names as libarchive returns them (NFD becomes NFC)."""
    return [normalize("NFC", name) for name in names]


def _check_container(file: BinaryIO) -> None:
    """Raise NotVerified, or the error of our own reader, for what a tolerant reader would accept in a .conda."""
    whole = ByteRange(file, 0, os.fstat(file.fileno()).st_size)
    for entry in read_zip(whole).entries:
        if entry.method != STORED or entry.descriptor:
            raise NotVerified(f"the zip entry {entry.name!r} of the result is not stored with its real sizes")
        if entry.name.endswith(".tar.zst"):
            packed = whole.slice(entry.data, entry.data + entry.packed)
            frame = zstd.read_frame(packed)
            zstd.check_window(frame)
            deque(zstd.walk_blocks(packed, frame), maxlen=0)


def _compare(
    component: str, members: Iterable[Expected], expected: Iterable[Expected], progress: Callable[[int], None]
) -> None:
    for found, wanted in zip_longest(members, expected):
        if found is None or wanted is None or not _same(found, wanted):
            raise NotVerified(f"the {component} component of the result has {found} instead of {wanted}")
        progress(found.size)


class _Counted:
    """Bytes that are passed to another reader. `size` and `crc` are their number and CRC-32 after all were passed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.size = self.crc = 0
        self._pieces = pieces

    def counted(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            self.crc = zlib.crc32(piece, self.crc)
            yield piece


def _same(found: Expected, wanted: Expected) -> bool:
    """Return whether two members are the same, whichever way libarchive has decoded the name and the link.

    Names may be NFD or NFC, because libarchive composes PAX names. Only one of the two may have a PAX header.
    """
    if found == wanted:
        return True
    name, link = found.stored or (found.name, found.link)
    return (
        _composed([wanted.name])[0] in _composed([found.name, name])
        and _composed([wanted.link])[0] in _composed([found.link, link])
        and replace(found, name=wanted.name, link=wanted.link) == wanted
    )
