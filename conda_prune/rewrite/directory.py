"""A directory that is opened once, so that every name is looked up in it by its descriptor.

Another user who may write to a directory in a path can replace a part of the path by a link between two system calls.
The second call would follow that link and change a file elsewhere. With a descriptor, a name always means an entry of
the directory that was opened, and no call here follows a link in that entry.

On a system without calls that take a descriptor (Windows), whole paths are used, which have this race.
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
"""Whether this system has calls that take the descriptor of a directory."""

# With O_PATH (Linux), directories can be opened that this process may write to and search, but not list.
_LOOK_UP = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)  # fmt: skip


class Directory:
    """An open directory. Use it in a `with` statement. `path` is for messages, and for systems without descriptors.

    Methods that take a name act on the entry itself: if it is a link, they do not follow it. All may raise OSError.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor
        """Pass it as `dir_fd`, together with `at(name)`. None if whole paths are used."""

    @classmethod
    def open(cls, path: str) -> Directory:
        """Open a directory by its path, following links. Raises OSError if there is none."""
        if BY_DESCRIPTOR:
            return cls(path, os.open(path, _LOOK_UP))
        if not stat.S_ISDIR(os.stat(system.long_path(path)).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return cls(path, None)

    def enter(self, name: str) -> Directory:
        """Open the directory `name` in this one; raise OSError if it is a link or not a directory."""
        path = os.path.join(self.path, name)
        if self.descriptor is None:
            # Without descriptors, all we can check is that there is no link at the moment.
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
        """Close the descriptor. Later calls fail instead of falling back on whole paths."""
        if self.descriptor is not None and self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def at(self, name: str) -> str:
        """Return the path to pass to a call with `dir_fd`: the name itself, or the whole path without a descriptor."""
        return system.long_path(os.path.join(self.path, name)) if self.descriptor is None else name

    def status(self, name: str = "") -> os.stat_result:
        """Return the status of an entry, or of the directory itself."""
        # Statuses from `os.scandir` would have neither device nor inode on Windows.
        if name:
            return os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        return os.stat(system.long_path(self.path)) if self.descriptor is None else os.fstat(self.descriptor)

    def exists(self, name: str) -> bool:
        """Return whether there is an entry with that name; a dangling link counts."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        if self.descriptor is None:
            return sorted(os.listdir(system.long_path(self.path)))
        # Our own descriptor may be unable to list (O_PATH).
        opened = self.open_file(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(opened))
        finally:
            os.close(opened)

    def is_still_at_its_path(self) -> bool:
        """Return whether the path still leads to this directory."""
        try:
            return os.path.samestat(os.stat(system.long_path(self.path)), self.status())
        except OSError:
            return False

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open an entry and return its descriptor."""
        return os.open(self.at(name), flags | system.SAFE_FLAGS, mode, dir_fd=self.descriptor)

    def open_regular(self, name: str, *, buffering: int = -1) -> BinaryIO:
        """Open an entry for reading; raise NotRegular if it is a link, or anything else but a regular file."""
        return system.open_regular(self.at(name), buffering=buffering, dir_fd=self.descriptor, follow_links=False)

    def rename(self, old: str, new: str) -> None:
        """Rename an entry, replacing an existing entry with the new name."""
        self.move(old, self, new)

    def move(self, name: str, other: Directory, new: str) -> None:
        """Move an entry to another directory, replacing an existing entry with that name."""
        paths = self.at(name), other.at(new)
        system.replacing(lambda: os.replace(*paths, src_dir_fd=self.descriptor, dst_dir_fd=other.descriptor))

    def link(self, old: str, new: str, other: Directory | None = None) -> None:
        """Make a hard link to an entry, here or in another directory; raise FileExistsError if the name is taken."""
        other = other or self
        follow = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
        os.link(self.at(old), other.at(new), src_dir_fd=self.descriptor, dst_dir_fd=other.descriptor, **follow)

    def unlink(self, name: str) -> None:
        """Remove an entry that is not a directory."""
        system.remove(self.at(name), self.descriptor)

    def mkdir(self, name: str, mode: int = 0o777) -> None:
        """Make a directory."""
        os.mkdir(self.at(name), mode, dir_fd=self.descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        os.rmdir(self.at(name), dir_fd=self.descriptor)

    def sync(self) -> None:
        """Flush changes of the directory's names to the disk."""
        if self.descriptor is None:
            system.sync_directory(self.path)
        else:
            system.sync_directory(".", dir_fd=self.descriptor)

    def obstacle(self, name: str) -> str:
        """Return why an entry cannot be removed or replaced, as far as can be known, or "" if it can.

        The write bits of the directory's mode count even for root, because they were removed on purpose.
        """
        directory = self.status()
        if _is_frozen(directory, self._flags(".")):
            return "its directory is immutable or append-only"
        if (system.DIRECTORIES_HAVE_MODES and not directory.st_mode & 0o222) or not self.may_write():
            return f"its directory is read-only (mode {stat.S_IMODE(directory.st_mode):04o})"
        try:
            entry = self.status(name)
        except FileNotFoundError:
            return ""
        if directory.st_mode & stat.S_ISVTX and os.name != "nt":
            # In such a directory (/tmp), only the owner of the file or of the directory may remove a file (unlink(2)).
            if os.geteuid() not in (0, entry.st_uid, directory.st_uid):
                return f"it belongs to another user, and its directory is sticky (mode {directory.st_mode & 0o7777:o})"
        if stat.S_ISREG(entry.st_mode) and _is_frozen(entry, self._flags(name)):
            return "it is immutable or append-only"
        return ""

    def may_write(self, name: str = "") -> bool:
        """Return whether this process may write to an entry, or change the names in the directory itself."""
        # Without `effective_ids`, which needs a system call that some containers refuse (faccessat2).
        mode = os.W_OK if name or self.descriptor is None else os.W_OK | os.X_OK
        path = self.at(name) if name else system.long_path(self.path) if self.descriptor is None else "."
        return os.access(path, mode, dir_fd=self.descriptor)

    def _flags(self, name: str) -> int:
        """Return Linux's flags of a directory or a regular file (chattr(1)), or 0 if it has none."""
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
            return 0  # The file system has no such flags.
        finally:
            os.close(opened)


def _get_flags_number() -> int:
    """Return the number of the request FS_IOC_GETFLAGS: `_IOR('f', 1, long)` of linux/fs.h."""
    # "Reading" is bit 30 of a request on these architectures (their asm/ioctl.h), and bit 31 on all others.
    reading = 1 << 30 if os.uname().machine.startswith(("ppc", "mips", "sparc", "alpha")) else 1 << 31
    return reading | struct.calcsize("l") << 16 | ord("f") << 8 | 1


_GET_FLAGS = _get_flags_number() if sys.platform == "linux" else 0
_LINUX_FROZEN = 0x10 | 0x20
"""FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h."""
_BSD_FROZEN = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
"""The same flags of chflags(2), which macOS has."""


def _is_frozen(status: os.stat_result, flags: int) -> bool:
    return bool(flags & _LINUX_FROZEN or getattr(status, "st_flags", 0) & _BSD_FROZEN)


def make_directory(path: str, made: list[tuple[Directory, str]], opened: ExitStack) -> Directory:
    """Open a directory. If it or directories above it are missing, make them, and sync every new name.

    New directories are added to `made`, each as a name in its parent. Every opened directory is closed by `opened`.
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
                pass  # Another run made it. If it is not a directory, entering it fails.
        directory.sync()
        directory = opened.enter_context(directory.enter(name))
    return directory
