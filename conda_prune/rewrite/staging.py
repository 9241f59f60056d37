"""Replaces a file completely or not at all.

The new content is written to a temporary file in the target's directory, synced, and renamed over the target. After a
crash at any point, the target is either the old file or the new one (POSIX rename).

The name of the temporary file follows from the target's name, and a run keeps that file locked while it works. So runs
on the same target take turns. A temporary file without a lock was left by a killed run, and the next run removes it.

All names are looked up in the directory that was opened at the beginning (see `directory.py`).
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from contextlib import ExitStack
from types import TracebackType
from typing import Any, BinaryIO, cast

from .. import interruption, system
from ..archive.container import identity_of
from ..compression.byte_range import CHUNK, ByteRange
from ..errors import CannotWrite, Changed
from ..model import Identity
from .attributes import Attributes, read_attributes, set_attributes
from .directory import Directory, make_directory
from .lock_wait import announced
from .target import (
    check_backup,
    check_target,
    check_type,
    resolved,
)

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".conda-prune-", ".tmp"


def temporary_of(target: str) -> str:
    """Return the path of the temporary file for a resolved target, which is in the same directory."""
    directory, name = os.path.split(target)
    return os.path.join(directory, _temporary_name(name))


def _temporary_name(name: str) -> str:
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{TEMPORARY_PREFIX}{digest}{TEMPORARY_SUFFIX}"


def remove_leftover(target: str, *, replace_link: bool = False) -> None:
    """Remove the temporary file that a killed run left for a target, if possible. Errors are ignored."""
    directory, name = os.path.split(resolved(target, replace_link=replace_link))
    try:
        with Directory.open(directory) as opened:
            system.remove_abandoned(opened.at(_temporary_name(name)), opened.descriptor, wait=False)
    except OSError:
        pass


class Staging:
    """A temporary file that becomes `target` when `commit` is called, and is removed otherwise.

    The result gets the mode, owner and attributes of `original`: a path, or better the descriptor of the file that was
    read. `space` is about how many bytes the result takes, for messages. If `target` is a link, the link is kept and
    the file that it leads to is replaced. With `replace_link`, the link itself is replaced, and the target may be
    read-only. `directory` is the target's directory, if it is already open. `shown` is the target's name in messages.

    Entering the `with` block waits for another run on the same target, and says so after a second. It raises
    CannotWrite if the target cannot be replaced, before anything is written.
    """

    file: BinaryIO
    _raw: BinaryIO
    _directory: Directory

    def __init__(
        self,
        target: str,
        original: str | int,
        space: int = 0,
        *,
        replace_link: bool = False,
        directory: Directory | None = None,
        shown: str = "",
    ) -> None:
        self.target = resolved(target, replace_link=replace_link)
        self._shown = shown or target
        self.original = original
        self.path = temporary_of(self.target)
        self._name = os.path.basename(self.target)
        self._temporary = os.path.basename(self.path)
        self._made: list[tuple[Directory, str]] = []
        self._backups: list[str] = []
        self._space = space
        self._replace_link = replace_link
        self._given = directory
        self._opened = ExitStack()
        self._is_open = False
        self._is_replaced = False

    def __enter__(self) -> Staging:
        interruption.register(self._abandon)
        try:
            self._open_directory()
            check_target(self._directory, self._name, replace_link=self._replace_link)
            self._reserve()
        except BaseException:
            self._discard()
            raise
        return self

    def _open_directory(self) -> None:
        if self._given is not None:
            self._directory = self._given
            return
        path = os.path.dirname(self.target)
        try:
            self._directory = make_directory(path, self._made, self._opened)
        except OSError as error:
            action = "opened" if os.path.isdir(path) else "made"
            raise CannotWrite(f"{path} cannot be {action}: {error.strerror}") from error

    def _reserve(self) -> None:
        try:
            while not self._is_open:
                at, dir_fd = self._directory.at(self._temporary), self._directory.descriptor
                # This waits while another run is at work. The wait can be interrupted.
                with announced(self.path, self._shown):
                    system.remove_abandoned(at, dir_fd)
                with system.uninterrupted():
                    try:
                        descriptor = system.create_locked(at, dir_fd)
                    except FileExistsError:
                        continue
                    except FileNotFoundError:
                        if self._directory.is_still_at_its_path():
                            raise
                        self._open_directory()  # Another run made the directory, failed, and removed it again.
                        continue
                    self._raw = cast("BinaryIO", _ExplainingFile(descriptor, self._failed))
                    self.file = cast("BinaryIO", io.BufferedRandom(cast("Any", self._raw)))
                    self._is_open = True
        except system.Occupied:
            raise CannotWrite(
                f"another run is working on it, or was killed and left {self.path}",
                "remove that file if no other run is working on it",
            ) from None
        except OSError as error:
            raise CannotWrite(f"a file cannot be made in {self._directory.path}: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _abandon(self) -> None:
        """Remove what was made, because the process ends; another thread may still be writing to the file."""
        if self._is_replaced:
            return
        self._remove(self._backups)
        if self._is_open:
            if not system.REPLACES_OPEN_FILES:
                os.close(self._raw.fileno())
            self._directory.unlink(self._temporary)
        for parent, name in reversed(self._made):
            parent.rmdir(name)

    def _discard(self) -> None:
        with system.uninterrupted():
            interruption.unregister(self._abandon)
            if self._is_open:
                self._is_open = False
                if self._is_replaced:
                    system.close_quietly(self.file)
                else:
                    try:
                        at = self._directory.at(self._temporary)
                        system.discard(self.file, at, self._directory.descriptor)
                    except OSError:
                        pass  # The next run on the target removes it.
            if not self._is_replaced:
                for parent, name in reversed(self._made):
                    try:
                        parent.rmdir(name)
                    except OSError:
                        break  # It is no longer empty.
            self._opened.close()

    def restart(self) -> None:
        """Discard what was written, so that it can be written again."""
        self.file.seek(0)
        self.file.truncate()

    @property
    def content(self) -> ByteRange:
        """What was written, after `finish`."""
        return ByteRange(self._raw, 0, os.fstat(self._raw.fileno()).st_size)

    def finish(self) -> None:
        """Set the original's mode, owner and attributes, and flush the file to the disk."""
        try:
            self.file.flush()
            set_attributes(self.file.fileno(), self._attributes())
            system.sync_file(self.file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _attributes(self) -> Attributes:
        if isinstance(self.original, int):
            return read_attributes(self.original)
        with system.open_regular(self.original) as file:
            return read_attributes(file.fileno())

    def commit(self, expected: Identity | None, backup: str | None = None) -> tuple[str, ...]:
        """Rename the finished file over the target; return warnings for the user.

        `expected` is the version of the target that was read: raises Changed if it is a different one now. `backup` is
        a suffix: the old content is kept under the target's name with that suffix. Raises CannotWrite if something else
        already has that name.
        """
        made = self._backups
        backup = self._name + backup if backup is not None else None
        try:
            if backup is not None:
                self._back_up(backup, made)
            with system.uninterrupted():
                names = self._check(expected, backup)
                if not system.REPLACES_OPEN_FILES:
                    self.file.close()
                self._directory.rename(self._temporary, self._name)
                self._is_replaced = True
        except OSError as error:
            raise CannotWrite(f"the file cannot be replaced: {error.strerror}") from error
        finally:
            if not self._is_replaced:
                self._remove(made)
        warnings = []
        if names > 1:
            warnings.append(f"{self.target} had another name (a hard link), which keeps the old content")
        try:
            self._directory.sync()
        except OSError as error:
            where = self._directory.path
            warnings.append(f"{where} cannot be synced ({error.strerror}): a power failure may undo the fix")
        return tuple(warnings)

    def _check(self, expected: Identity | None, backup: str | None) -> int:
        """Return how many names (hard links) the target has, not counting the backup.

        Raises Changed if the target is not the version `expected`. Raises CannotWrite if it cannot be replaced, or if
        something else now has the temporary file's name.
        """
        if not system.is_at(self.file.fileno(), self._directory.at(self._temporary), self._directory.descriptor):
            raise CannotWrite(
                f"another program removed or replaced the temporary file {self.path}",
                "run the command again when nothing else writes to that directory",
            )
        try:
            status = self._directory.status(self._name)
        except FileNotFoundError:
            if expected is None:
                return 0
            raise Changed("the file was removed while it was being fixed", "run the command again") from None
        if expected is not None and identity_of(status) != expected:
            raise Changed("the file was changed while it was being fixed", "run the command again")
        check_type(status, self.target)
        is_linked = backup is not None and os.path.samestat(status, self._directory.status(backup))
        return status.st_nlink - is_linked

    def _back_up(self, backup: str, made: list[str]) -> None:
        """Make the backup, and flush its name to the disk. If it is new, its name is added to `made`."""
        try:
            if not check_backup(self._directory, self._name, backup):
                with system.uninterrupted():
                    try:
                        self._directory.link(self._name, backup)
                        made.append(backup)
                    except OSError:
                        pass  # The file system has no hard links, or another program has just made the backup.
                if not made and not check_backup(self._directory, self._name, backup) and self._copy(backup):
                    made.append(backup)
            self._directory.sync()
        except OSError as error:
            path = os.path.join(self._directory.path, backup)
            raise CannotWrite(f"the backup {path} cannot be made: {error.strerror}") from error

    def _copy(self, backup: str) -> bool:
        """Copy the target to another entry of its directory, completely or not at all; return whether that was done.

        It is not done if another program has made a copy in the meantime. Raises CannotWrite if that is not a copy.
        """
        path = os.path.join(self._directory.path, backup)
        with (
            self._directory.open_regular(self._name, buffering=0) as original,
            Staging(path, original.fileno(), replace_link=True, directory=self._directory) as copy,
        ):
            shutil.copyfileobj(original, copy.file, CHUNK)
            copy.finish()
            status = os.fstat(original.fileno())
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(copy.file.fileno() if os.utime in os.supports_fd else copy.path, ns=times)
            if check_backup(self._directory, self._name, backup):
                return False
            copy.commit(None)
        return True

    def _remove(self, names: list[str]) -> None:
        for name in names:
            try:
                self._directory.unlink(name)
            except OSError:
                pass  # It has the target's content, so it does no harm.

    def _failed(self, error: OSError) -> CannotWrite:
        needed = f"; about {self._space} bytes are needed" if self._space else ""
        where = os.path.dirname(self.target)
        return CannotWrite(f"a temporary file cannot be written in {where}: {error.strerror}{needed}")


class _ExplainingFile(io.FileIO):
    """A file whose write errors are explained to the user, even if a library is writing to it."""

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
