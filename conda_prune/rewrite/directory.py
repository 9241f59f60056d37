"""A directory that is opened once; every name in it is then looked up below its descriptor.

Whoever may write to a directory above a file, or to its own, can put a link in the place of either between two system
calls. With whole paths the second call would follow that link, and change a file somewhere else. Below a descriptor,
a name always means an entry of the directory that was opened, and no call here follows a link in that entry.

Where the system has no calls that take a descriptor (Windows), whole paths are used.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO

from .. import system

BY_DESCRIPTOR = {
    os.access, os.link, os.mkdir, os.open, os.rename, os.rmdir, os.stat, os.unlink,
} <= os.supports_dir_fd  # fmt: skip
"""Whether this system's calls take a directory's descriptor."""

# O_PATH (Linux) also opens directories that may be written to and searched, but not listed.
_LOOK_UP = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)  # fmt: skip


class Directory:
    """An open directory; use it in a `with` statement. `path` is for messages and for systems without descriptors.

    Methods that take a name concern the entry itself, never what a link in its place leads to. All raise OSError.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor
        """To be passed as `dir_fd`, together with `at(name)`; None where whole paths are used."""

    @classmethod
    def open(cls, path: str) -> Directory:
        """Open a directory by its path, following links. Raises OSError where there is none."""
        if BY_DESCRIPTOR:
            return cls(path, os.open(path, _LOOK_UP))
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return cls(path, None)

    def enter(self, name: str) -> Directory:
        """Open the directory `name` in this one; raises OSError where that is a link or not a directory."""
        path = os.path.join(self.path, name)
        if self.descriptor is None:
            # The best there is without descriptors: nothing has been swapped so far.
            expected = os.path.join(os.path.realpath(self.path), name)
            if os.path.normcase(os.path.realpath(path)) != os.path.normcase(expected):
                raise NotADirectoryError(errno.ENOTDIR, "it is a link", path)
            return Directory.open(path)
        return Directory(path, os.open(name, _LOOK_UP | os.O_NOFOLLOW, dir_fd=self.descriptor))

    def __enter__(self) -> Directory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; later calls fail rather than go by whole paths."""
        if self.descriptor is not None and self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def at(self, name: str) -> str:
        """Return how a call names an entry: `name` where it also gets the descriptor, else the whole path."""
        return os.path.join(self.path, name) if self.descriptor is None else name

    def status(self, name: str = "") -> os.stat_result:
        """Return the status of an entry, or that of the directory itself."""
        # Always from a call of `stat`: entries of `os.scandir` have neither device nor inode on Windows.
        if name:
            return os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        return os.stat(self.path) if self.descriptor is None else os.fstat(self.descriptor)

    def exists(self, name: str) -> bool:
        """Return whether there is an entry of that name, also where it is a link to nothing."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        if self.descriptor is None:
            return sorted(os.listdir(self.path))
        # The descriptor itself may be one that only looks names up (O_PATH).
        opened = self.open_file(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(opened))
        finally:
            os.close(opened)

    def is_still_at_its_path(self) -> bool:
        """Return whether the path leads to this directory still."""
        try:
            return os.path.samestat(os.stat(self.path), self.status())
        except OSError:
            return False

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open an entry and return its descriptor."""
        return os.open(self.at(name), flags | system.SAFELY, mode, dir_fd=self.descriptor)

    def open_regular(self, name: str, *, buffering: int = -1) -> BinaryIO:
        """Open an entry for reading; raises NotRegular where it is a link, or anything but a regular file."""
        return system.open_regular(self.at(name), buffering=buffering, dir_fd=self.descriptor, follow_links=False)

    def rename(self, old: str, new: str) -> None:
        """Give an entry another name, replacing what has it."""
        os.replace(self.at(old), self.at(new), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def move(self, name: str, other: Directory, new: str) -> None:
        """Move an entry to another directory, replacing what has the name there."""
        os.replace(self.at(name), other.at(new), src_dir_fd=self.descriptor, dst_dir_fd=other.descriptor)

    def link(self, old: str, new: str, other: Directory | None = None) -> None:
        """Give an entry another name, here or in another directory; raises FileExistsError where something has it."""
        other = other or self
        follow = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
        os.link(self.at(old), other.at(new), src_dir_fd=self.descriptor, dst_dir_fd=other.descriptor, **follow)

    def unlink(self, name: str) -> None:
        """Remove an entry that is not a directory."""
        os.unlink(self.at(name), dir_fd=self.descriptor)

    def mkdir(self, name: str, mode: int = 0o777) -> None:
        """Make a directory."""
        os.mkdir(self.at(name), mode, dir_fd=self.descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        os.rmdir(self.at(name), dir_fd=self.descriptor)

    def sync(self) -> None:
        """Bring the directory's names to the disk."""
        if self.descriptor is None:
            system.sync_directory(self.path)
        else:
            system.sync_directory(".", dir_fd=self.descriptor)

    def obstacle(self, name: str) -> str:
        """Return why an entry could not be removed or replaced, as far as that can be known; nothing where it could.

        The write bits of the directory's mode count even for root: whoever took them away meant it.
        """
        directory = self.status()
        if _is_frozen(directory, self._flags(".")):
            return "its directory is immutable or append-only"
        if not directory.st_mode & 0o222 or not self.may_write():
            return f"its directory is read-only (mode {stat.S_IMODE(directory.st_mode):04o})"
        try:
            entry = self.status(name)
        except FileNotFoundError:
            return ""
        if directory.st_mode & stat.S_ISVTX and os.name != "nt":
            # unlink(2): in such a directory (/tmp), only the owners of the file and of the directory may remove it.
            if os.geteuid() not in (0, entry.st_uid, directory.st_uid):
                return f"it belongs to another user, and its directory is sticky (mode {directory.st_mode & 0o7777:o})"
        if stat.S_ISREG(entry.st_mode) and _is_frozen(entry, self._flags(name)):
            return "it is immutable or append-only"
        return ""

    def may_write(self, name: str = "") -> bool:
        """Return whether this process may write to an entry, or change the names in the directory itself."""
        # Not with `effective_ids`: that takes a system call which some containers refuse (faccessat2).
        mode = os.W_OK if name or self.descriptor is None else os.W_OK | os.X_OK
        path = self.at(name) if name else self.path if self.descriptor is None else "."
        return os.access(path, mode, dir_fd=self.descriptor)

    def _flags(self, name: str) -> int:
        """Return Linux's flags of a directory or a regular file (chattr(1)), 0 where it has none."""
        if self.descriptor is None or sys.platform != "linux":
            return 0
        try:
            import fcntl

            opened = self.open_file(name, os.O_RDONLY | os.O_NONBLOCK)
        except (ImportError, OSError):
            return 0
        try:
            return int(struct.unpack("l", fcntl.ioctl(opened, _GET_FLAGS, bytes(struct.calcsize("l"))))[0])
        except OSError:
            return 0  # A file system without such flags.
        finally:
            os.close(opened)


def _get_flags_number() -> int:
    """Return the number of the request FS_IOC_GETFLAGS: `_IOR('f', 1, long)` of linux/fs.h."""
    # Where reading is bit 30 of a request (asm/ioctl.h of these), it is bit 31 everywhere else.
    reading = 1 << 30 if os.uname().machine.startswith(("ppc", "mips", "sparc", "alpha")) else 1 << 31
    return reading | struct.calcsize("l") << 16 | ord("f") << 8 | 1


_GET_FLAGS = _get_flags_number() if sys.platform == "linux" else 0
_LINUX_FROZEN = 0x10 | 0x20
"""FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h."""
_BSD_FROZEN = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
"""The same of chflags(2), which macOS has."""


def _is_frozen(status: os.stat_result, flags: int) -> bool:
    return bool(flags & _LINUX_FROZEN or getattr(status, "st_flags", 0) & _BSD_FROZEN)


def make_directory(path: str, made: list[tuple[Directory, str]], opened: ExitStack) -> Directory:
    """Open a directory; make it and those above it where they are missing, and sync every name that this adds.

    `made` gets the directories made here, each as a name in its parent; `opened` closes all that were opened.
    """
    missing = []
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path, name = os.path.split(path)
        missing.append(name)
    directory = opened.enter_context(Directory.open(path))
    for name in reversed(missing):
        with system.uninterrupted():
            try:
                directory.mkdir(name)
                made.append((directory, name))
            except FileExistsError:
                pass  # Another run made it, or it is not a directory: then entering it fails.
        directory.sync()
        directory = opened.enter_context(directory.enter(name))
    return directory
