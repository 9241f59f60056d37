"""A file is replaced whole or not at all.

The new content is written to a temporary file beside the target, synced, and renamed over it: after a crash at any
point the target is the old file or the new one (POSIX rename). What differs between systems in this stands here and
nowhere else.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from types import TracebackType
from typing import BinaryIO, cast

from ..errors import CannotWrite, Changed, PruneError
from ..model import Identity
from .container import identity_of

TEMPORARY_PREFIX = ".conda-prune-"


class Staging:
    """A temporary file that becomes `target` when `commit` is called, and vanishes when it is not.

    `original` is the file whose mode, owner and attributes the result takes over. Raises CannotWrite at once where the
    target could not be replaced, before anything is written.
    """

    def __init__(self, target: str, original: str) -> None:
        self.target = os.path.realpath(target)
        self.original = original
        self._directory = os.path.dirname(self.target)
        try:
            os.makedirs(self._directory, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"{self._directory} cannot be made: {error.strerror}") from error
        check_writable(self.target)
        try:
            descriptor, self.path = tempfile.mkstemp(".tmp", TEMPORARY_PREFIX, self._directory)
        except OSError as error:
            raise CannotWrite(f"a file cannot be made in {self._directory}: {error.strerror}") from error
        self.file = cast("BinaryIO", os.fdopen(descriptor, "w+b"))

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
        except OSError:
            pass  # What could not be flushed is thrown away with the file.
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def finish(self) -> None:
        """Bring the written bytes to the disk with the original's mode, owner and attributes, and close the file."""
        self.file.flush()
        status = os.stat(self.original)
        _take_over(self.file.fileno(), self.original, self.path, status)
        os.fsync(self.file.fileno())
        self.file.close()

    def commit(self, expected: Identity | None, backup: str | None = None) -> None:
        """Rename the finished file over the target.

        Raises Changed when the target is not the file of `expected` any more. With `backup`, the target's old content
        stays under that name; raises CannotWrite when something has the name already.
        """
        if expected is not None:
            try:
                found = identity_of(os.stat(self.target))
            except FileNotFoundError:
                found = None
            if found != expected:
                raise Changed("the file was changed while it was being fixed", "run the command again")
        if backup is not None:
            _back_up(self.target, backup)
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            if backup is not None:
                os.unlink(backup)
            raise CannotWrite(f"the file cannot be replaced: {error.strerror}") from error
        sync_directory(self._directory)


def sync_directory(directory: str) -> None:
    """Bring a directory's names to the disk, where the system can: Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(target: str) -> None:
    """Raise CannotWrite where a file, or the directory that it is in, is read-only."""
    target = os.path.realpath(target)
    # The mode counts even for root: who took the write bits away meant it.
    for path, what in ((os.path.dirname(target), "its directory"), (target, "the file")):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            continue
        if not mode & 0o222 or not os.access(path, os.W_OK):
            raise CannotWrite(f"{what} is read-only (mode {stat.S_IMODE(mode):04o})", "make it writable, or use -o DIR")


def _take_over(descriptor: int, original: str, path: str, status: os.stat_result) -> None:
    """Give the new file the original's mode exactly, its owner and extended attributes as far as we may."""
    if hasattr(os, "fchown"):
        try:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        except PermissionError:
            pass
    if hasattr(os, "listxattr"):
        try:
            for name in os.listxattr(original):
                os.setxattr(path, name, os.getxattr(original, name))
        except OSError:
            pass
    # Last: changing the owner clears set-id bits.
    os.chmod(path, stat.S_IMODE(status.st_mode))


def _back_up(target: str, backup: str) -> None:
    if os.path.lexists(backup):
        raise CannotWrite(f"the backup {backup} exists already", "move it away, or choose another --backup suffix")
    try:
        os.link(target, backup)
    except OSError:
        try:
            shutil.copy2(target, backup)
        except OSError as error:
            raise PruneError(f"the backup {backup} cannot be made: {error.strerror}") from error
