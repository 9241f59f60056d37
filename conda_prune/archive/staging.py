"""A file is replaced whole or not at all.

The new content is written to a temporary file beside the target, synced, and renamed over it: after a crash at any
point the target is the old file or the new one (POSIX rename). A target has one temporary name, and whoever works on
the target holds that file locked: runs on one target take turns, and what a killed run left is known as such and
removed by the next one.
"""

from __future__ import annotations

import filecmp
import hashlib
import io
import os
import shutil
import stat
from types import TracebackType
from typing import Any, BinaryIO, cast

from .. import interruption
from ..compression.byte_range import ByteRange
from ..errors import CannotWrite, Changed
from ..model import Identity
from . import system
from .container import identity_of
from .waiting import announced

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".conda-prune-", ".tmp"


def temporary_of(target: str) -> str:
    """Return the path of a target's temporary file: in its directory, so that it can be renamed over the target."""
    directory, name = os.path.split(os.path.realpath(target))
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return os.path.join(directory, f"{TEMPORARY_PREFIX}{digest}{TEMPORARY_SUFFIX}")


def remove_leftover(target: str) -> None:
    """Remove the temporary file that a killed run left for a target; nothing is said where that does not work."""
    try:
        system.remove_abandoned(temporary_of(target), wait=False)
    except OSError:
        pass


class Staging:
    """A temporary file that becomes `target` when `commit` is called, and vanishes when it is not.

    `original` is the file whose mode, owner and attributes the result takes over; `space` tells in messages how many
    bytes the result takes, about. `shown` is what messages call the target. Entering waits for another run on the same
    target, and says so after a second. Raises CannotWrite at once where the target could not be replaced, before
    anything is written.
    """

    file: BinaryIO
    _raw: BinaryIO

    def __init__(self, target: str, original: str, space: int = 0, *, shown: str = "") -> None:
        self.target = os.path.realpath(target)
        self._shown = shown or target
        self.original = original
        self.path = temporary_of(self.target)
        self._directory = os.path.dirname(self.target)
        self._made: list[str] = []
        self._backups: list[str] = []
        self._space = space
        self._open = False
        self._replaced = False

    def __enter__(self) -> Staging:
        interruption.register(self._abandon)
        try:
            self._make_directory()
            check_writable(self.target)
            self._reserve()
        except BaseException:
            self._discard()
            raise
        return self

    def _make_directory(self) -> None:
        try:
            _make_directories(self._directory, self._made)
        except OSError as error:
            raise CannotWrite(f"{self._directory} cannot be made: {error.strerror}") from error

    def _reserve(self) -> None:
        try:
            while not self._open:
                # Waits where another run is at work, and can be interrupted in that.
                with announced(self.path, self._shown):
                    system.remove_abandoned(self.path)
                with system.uninterrupted():
                    try:
                        descriptor = system.create_locked(self.path)
                    except FileExistsError:
                        continue
                    except FileNotFoundError:
                        if os.path.isdir(self._directory):
                            raise
                        self._make_directory()  # Another run had made it, failed and removed it.
                        continue
                    self._raw = cast("BinaryIO", _Reporting(descriptor, self._failed))
                    self.file = cast("BinaryIO", io.BufferedRandom(cast("Any", self._raw)))
                    self._open = True
        except system.Occupied:
            raise CannotWrite(
                f"another run is at work on it, or was killed and left {self.path}",
                "remove that file when no other run is at work",
            ) from None
        except OSError as error:
            raise CannotWrite(f"a file cannot be made in {self._directory}: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _abandon(self) -> None:
        """Remove what is there; the process ends, perhaps while another thread is still writing to the file."""
        if self._replaced:
            return
        _remove(self._backups)
        if self._open:
            if not system.REPLACES_OPEN_FILES:
                os.close(self._raw.fileno())
            os.unlink(self.path)
        for made in reversed(self._made):
            os.rmdir(made)

    def _discard(self) -> None:
        with system.uninterrupted():
            interruption.unregister(self._abandon)
            if self._open:
                self._open = False
                if self._replaced:
                    system.close_quietly(self.file)
                    return
                try:
                    system.discard(self.file, self.path)
                except OSError:
                    pass  # The next run on the target removes it.
            for made in reversed(self._made):
                try:
                    os.rmdir(made)
                except OSError:
                    break  # Something else is in it by now.

    def restart(self) -> None:
        """Throw away what was written, to write again."""
        self.file.seek(0)
        self.file.truncate()

    @property
    def content(self) -> ByteRange:
        """What was written, after `finish`."""
        return ByteRange(self._raw, 0, os.fstat(self._raw.fileno()).st_size)

    def finish(self) -> None:
        """Bring the written bytes to the disk with the original's mode, owner and attributes."""
        try:
            self.file.flush()
            system.take_over(self.file.fileno(), self.path, self.original)
            system.sync_file(self.file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def commit(self, expected: Identity | None, backup: str | None = None) -> tuple[str, ...]:
        """Rename the finished file over the target; return what the user should know about that.

        Raises Changed when the target is not the file of `expected` any more. With `backup`, the target's old content
        stays under that name; raises CannotWrite when something has the name already.
        """
        made = self._backups
        try:
            if backup is not None:
                _back_up(self.target, backup, made)
            with system.uninterrupted():
                names = self._check(expected) - _is_link(self.target, backup)
                if not system.REPLACES_OPEN_FILES:
                    self.file.close()
                os.replace(self.path, self.target)
                self._replaced = True
        except OSError as error:
            raise CannotWrite(f"the file cannot be replaced: {error.strerror}") from error
        finally:
            if not self._replaced:
                _remove(made)
        warnings = []
        if names > 1:
            warnings.append(f"{self.target} had another name (a hard link), which keeps the old content")
        try:
            system.sync_directory(self._directory)
        except OSError as error:
            warnings.append(f"{self._directory} cannot be synced ({error.strerror}): a power failure may undo the fix")
        return tuple(warnings)

    def _check(self, expected: Identity | None) -> int:
        """Return how many names the target has; raise Changed when it is not the file of `expected`."""
        try:
            status = os.stat(self.target)
        except FileNotFoundError:
            if expected is None:
                return 0
            raise Changed("the file vanished while it was being fixed", "run the command again") from None
        if expected is not None and identity_of(status) != expected:
            raise Changed("the file was changed while it was being fixed", "run the command again")
        return status.st_nlink

    def _failed(self, error: OSError) -> CannotWrite:
        needed = f"; about {self._space} bytes are needed" if self._space else ""
        return CannotWrite(f"a temporary file cannot be written in {self._directory}: {error.strerror}{needed}")


class _Reporting(io.FileIO):
    """A file that says in the user's words why it cannot be written, whoever writes to it."""

    def __init__(self, descriptor: int, failed: Any) -> None:
        super().__init__(descriptor, "r+b")
        self._failed = failed

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise self._failed(error) from error

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            raise self._failed(error) from error


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


def _make_directories(directory: str, made: list[str]) -> None:
    """Make a directory and those above it, and sync every name that this adds; `made` gets those made here."""
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for new in reversed(missing):
        with system.uninterrupted():
            try:
                os.mkdir(new)
                made.append(new)
            except FileExistsError:
                if not os.path.isdir(new):
                    raise
        system.sync_directory(os.path.dirname(new))


def _back_up(target: str, backup: str, made: list[str]) -> None:
    """Give the target's content another name, on the disk before anything else happens; `made` gets the name."""
    try:
        # The same content under that name is a backup, too: a killed run made it.
        if not os.path.isfile(backup) or not filecmp.cmp(target, backup, shallow=False):
            if os.path.lexists(backup):
                raise CannotWrite(
                    f"the backup {backup} exists already", "move it away, or choose another --backup suffix"
                )
            _link_backup(target, backup, made)
            if not made:
                _copy_backup(target, backup)
                made.append(backup)
        system.sync_directory(os.path.dirname(backup))
    except OSError as error:
        raise CannotWrite(f"the backup {backup} cannot be made: {error.strerror}") from error


def _link_backup(target: str, backup: str, made: list[str]) -> None:
    with system.uninterrupted():
        try:
            os.link(target, backup)
            made.append(backup)
        except OSError:
            pass  # A file system without hard links.


def _copy_backup(target: str, backup: str) -> None:
    """Copy the target, whole or not at all."""
    with Staging(backup, target) as copy, open(target, "rb", buffering=0) as original:
        shutil.copyfileobj(original, copy.file, 1 << 20)
        copy.finish()
        status = os.stat(target)
        os.utime(copy.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.commit(None)


def _is_link(target: str, backup: str | None) -> bool:
    return backup is not None and os.path.exists(target) and os.path.samefile(target, backup)


def _remove(paths: list[str]) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass  # It holds what the target holds: nothing is lost with it, nor by it.
