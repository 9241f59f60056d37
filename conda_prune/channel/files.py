"""Reads the files of an index and replaces them, all or none, without losing what another indexer writes meanwhile.

First all files are read, then all new contents are written to temporary files, then every file is checked to be the
one that was read, and only then the first one is replaced. Another indexer (rattler-build, conda-index) does not know
our lock and may write at any time. If a file changes before the check, the work starts again from what is there. In
case a file changes between the check and its replacement, the system swaps the two files in one step, and the
displaced file is checked: if it is not the one that was read, the two are swapped back.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .. import system
from ..archive.container import identity_of
from ..errors import (
    BadMetadata,
    CannotWrite,
    Changed,
    PruneError,
)
from ..model import Identity
from ..rewrite.staging import (
    TEMPORARY_PREFIX,
    Staging,
    remove_leftover,
    temporary_of,
)
from ..rewrite.target import check_writable
from ..system import open_regular

LARGEST = 1 << 29
"""Bytes that a file of an index may have, and unpack to. The largest known: 254 MB (conda-forge's linux-64, CEP 16)."""
LARGEST_SHARD = 1 << 25
"""The same for shards and for an index of shards, which have "100s of kilobytes" and 670 kB there (CEP 16)."""

SCRATCH_PREFIX = f"{TEMPORARY_PREFIX}index-"
"""The prefix of the temporary directories in which rattler's indexer works, next to the packages."""

_LOCK = "index"
"""Not the name of a real file: the name of the temporary file that is locked is derived from it."""
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before further attempts while another program is writing."""

Answer = TypeVar("Answer")


def retry_while_changing(work: Callable[[], Answer]) -> Answer:
    """Return what the work returns, tried again while another program is writing the files that it reads.

    Some indexers write in place (rattler's): what cannot be read may be half written, and gets two more attempts.
    """
    for attempt, pause in enumerate(_PAUSES):
        try:
            return work()
        except BadMetadata:
            if attempt == 2:
                raise
        except Changed:
            pass
        time.sleep(pause)
    return work()


def join(directory: str, name: str) -> str:
    """Return the path of a file in a directory for messages, with the system's own separators only."""
    path = os.path.join(directory, name)
    return path.replace(os.altsep, os.sep) if os.altsep else path


def read(path: str) -> tuple[bytes, Identity]:
    """Return a file's content, and which version of the file it is of.

    Raises Changed when the file is being written, BadMetadata when it is too large, OSError when it cannot be read.
    """
    with open_regular(path) as file:
        identity = identity_of(os.fstat(file.fileno()))
        if identity.size > LARGEST:
            raise too_large(os.path.basename(path), LARGEST)
        # Not LARGEST + 1, because a buffer of that size would be allocated, which Windows counts as used memory.
        content = file.read(identity.size + 1)
        if len(content) != identity.size or identity_of(os.fstat(file.fileno())) != identity:
            raise Changed(f"{os.path.basename(path)} was written while it was read")
    return content, identity


def too_large(name: str, limit: int) -> BadMetadata:
    """Return the error for a file that is, or unpacks to, more bytes than a limit."""
    return BadMetadata(f"{name} is larger than {limit >> 20} MiB", "--reindex never leaves the index alone")


def inside(directory: str, name: str) -> str:
    """Return the real path of a file in a directory; raise PruneError when it is a link that leads out of it."""
    real = os.path.realpath(os.path.join(directory, name))
    if os.path.dirname(real) != os.path.realpath(directory):
        raise PruneError(
            f"{name} is a link that leads out of its directory, to {real}",
            "refresh that index with the tool that made the link, and use --reindex never here",
        )
    return real


def check_replaceable(path: str) -> None:
    """Raise CannotWrite when a file of an index, or its directory, is read-only."""
    try:
        check_writable(path)
    except CannotWrite as error:
        reason = f"{os.path.basename(path)} cannot be replaced: {error.reason}"
        raise CannotWrite(reason, "make it writable; --reindex never leaves the index alone") from error


def has_leftovers(directory: str, names: Iterable[str]) -> bool:
    """Return whether there is work of a run on files of an index: one that was killed, or one that is not done yet."""
    temporaries = [temporary_of(os.path.realpath(os.path.join(directory, name))) for name in (_LOCK, *names)]
    return any(map(os.path.lexists, temporaries)) or any(map(_is_scratch, os.listdir(directory)))


def remove_leftovers(directory: str, names: Iterable[str]) -> None:
    """Remove what killed runs left of their work on files of an index; the caller holds the lock."""
    for name in names:
        remove_leftover(os.path.join(directory, name))
    for name in os.listdir(directory):
        if _is_scratch(name):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)


def _is_scratch(name: str) -> bool:
    return name.startswith(SCRATCH_PREFIX)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the lock on the index of a directory: runs of conda-prune take turns.

    Raises CannotWrite when nothing can be written there.
    """
    # A temporary file that never becomes anything: it is locked as long as it exists, and removed in the end.
    name = os.path.join(directory, _LOCK)
    with Staging(name, name, shown=f"the index in {directory}"):
        yield


@dataclass(frozen=True)
class Replacement:
    """New content for a file of an index. `expected` is the version that was read, or None for a new file.

    `model` is the file whose mode and owner the new one gets.
    """

    path: str
    content: bytes
    expected: Identity | None
    model: str


def replace(replacements: Sequence[Replacement], unchanged: Sequence[tuple[str, Identity]]) -> None:
    """Replace files in the order given, all of them or none.

    `unchanged` are files that only have to be what they were when they were read. Raises Changed when any file is not
    what it was: before the first one is replaced if it is noticed then, or later; nothing of what others wrote is lost.
    """
    with ExitStack() as stack:
        staged = []
        for new in replacements:
            staging = stack.enter_context(Staging(new.path, new.model))
            staging.file.write(new.content)
            staging.finish()
            staged.append((new, staging, identity_of(os.stat(staging.path))))
        for path, expected in (*unchanged, *((new.path, new.expected) for new in replacements)):
            if _identity_at(path) != expected:
                raise _changed(path)
        with system.uninterrupted():
            for new, staging, written in staged:
                _replace(new, staging, written)
        for new, _, written in staged:
            if _identity_at(new.path) != written:
                raise _changed(new.path)
        for directory in {os.path.dirname(new.path) for new in replacements}:
            system.sync_directory(directory)


def _replace(new: Replacement, staging: Staging, written: Identity) -> None:
    if new.expected is None or not system.exchange(staging.path, staging.target):
        if new.expected is None and os.path.lexists(staging.target):
            raise _changed(new.path)
        staging.commit(new.expected)
        return
    # The temporary name now leads to the file that was displaced.
    if _identity_at(staging.path) != new.expected:
        system.exchange(staging.path, staging.target)
        if _identity_at(staging.path) != written:
            # The file was replaced once more before it was swapped back: the latest version belongs there.
            system.exchange(staging.path, staging.target)
            os.unlink(staging.path)
        raise _changed(new.path)
    os.unlink(staging.path)


def _identity_at(path: str) -> Identity | None:
    try:
        return identity_of(os.stat(path))
    except FileNotFoundError:
        return None


def _changed(path: str) -> Changed:
    return Changed(f"{os.path.basename(path)} was changed by another program while it was refreshed")


def add(path: str, content: bytes, model: str) -> bool:
    """Write a file that is named after its content; return whether it was not there yet.

    Raises PruneError when the name leads somewhere else.
    """
    if os.path.islink(path):
        raise PruneError(f"{path} is a link", "remove it")
    try:
        if read(path)[0] == content:
            return False
    except FileNotFoundError:
        pass
    with Staging(path, model) as staging:
        staging.file.write(content)
        staging.finish()
        staging.commit(None)
    return True
