"""All differences between operating systems in reading, locking, syncing and replacing files are handled here.

The rest of the code calls these functions for their effect. Windows has no positioned reads, cannot replace or delete a
file that is open, and has no directory syncs (see `windows`). macOS needs a command of its own to flush a file to the
disk, and ignores case and normalization in names. Tests replace these to run the behavior of one system on another.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from . import interruption

REPLACES_OPEN_FILES = os.name != "nt"
"""Whether a file can be renamed, replaced and deleted while it is open ("CreateFileW function": sharing modes)."""
SHARES_DESCRIPTORS = os.name != "nt"
"""Whether C libraries have Python's descriptors ("Potential errors passing CRT objects across DLL boundaries")."""
DIRECTORIES_HAVE_MODES = os.name != "nt"
"""Whether the mode of a directory says who may change its names. Windows has a read-only attribute, but ignores it for
directories ("File Attribute Constants"), and Explorer sets it for those with an icon."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
SAFE_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags for opening a file in a directory that others may write to: do not follow links, do not inherit to children."""
_POLL = 0.05
"""Seconds between two attempts to use a file that another process has open, if there is no call that waits."""
_LEASE_BREAK = 45.0
"""Seconds after which Linux revokes a lease that its holder does not give up (/proc/sys/fs/lease-break-time)."""
_TYPES = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_DESCRIPTOR = re.compile(r"/dev/(?:stdin|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")
_seeking = threading.Lock()
uninterrupted = interruption.uninterrupted

Returned = TypeVar("Returned")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split_cores(packages: int, jobs: int, threads: int) -> tuple[int, int]:
    """Return how many packages to work on at the same time, and how many threads each gets.

    0 means as many as there are cores; packages then share the cores.
    """
    jobs = max(1, min(jobs or cores(), packages))
    return jobs, threads or max(1, cores() // jobs)


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Return up to `length` bytes of an unbuffered file from `offset`. Several threads may do this at once."""
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), length, offset)
    with _seeking:
        file.seek(offset)
        return file.read(length)


class NotRegular(OSError):
    """A path is not a regular file. `errno` is EISDIR for a directory, otherwise EINVAL."""


def open_regular(path: str, *, buffering: int = -1, dir_fd: int | None = None, follow_links: bool = True) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for another process or opening a device.

    Other users may put a named pipe (FIFO) or a link to a device where we look for a file with a well-known name.
    Opening the pipe would wait forever for a writer, and opening some devices has effects. So the type is checked
    before the file is opened, and again on the descriptor, because the path may lead elsewhere by then.

    `buffering` is that of `open`. A relative path starts at the directory `dir_fd`. Raises NotRegular, whose `strerror`
    says in plain words what is there instead, any other OSError, and ValueError for a path with a NUL.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    path = long_path(path)
    _check_regular(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_links), path)
    deadline = time.monotonic() + _LEASE_BREAK
    while True:
        try:
            descriptor = os.open(path, flags, dir_fd=dir_fd)
            break
        except BlockingIOError:
            # Another process (such as Samba) has a lease on the file (fcntl F_SETLEASE), and was just told to give it
            # up. A blocking open would wait for that, but it would also wait if the file were replaced by a pipe.
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
    try:
        _check_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise NotRegular(number, f"it is {type_of(status)}, not a regular file", path)


def type_of(status: os.stat_result) -> str:
    """Return the type of a file in plain words, such as "a directory"."""
    return _TYPES.get(stat.S_IFMT(status.st_mode), "something else")


def open_named(path: str) -> BinaryIO:
    """Open a file that the user named as input: a regular file, or a descriptor of this process.

    For `<(command)`, a shell passes a descriptor such as `/dev/fd/63`. It is a pipe, but it has a writer, so opening it
    does not wait forever. Raises what `open_regular` raises.
    """
    if _DESCRIPTOR.fullmatch(path):
        return open(path, "rb")
    return open_regular(path)


def remove(path: str, dir_fd: int | None = None) -> None:
    """Delete an entry that is not a directory. On Windows, also if it is read-only, or open for a moment."""
    if REPLACES_OPEN_FILES:
        os.unlink(path, dir_fd=dir_fd)
    else:
        from . import windows

        windows.remove(path)


def replacing(work: Callable[[], Returned]) -> Returned:
    """Call `work`, which renames or replaces a file. On Windows, try again while someone has the file open."""
    if REPLACES_OPEN_FILES:
        return work()
    from . import windows

    return windows.retry_while_in_use(work)


def long_path(path: str) -> str:
    """Return a path in the form that system calls take if it is long. Only Windows has another form."""
    if os.name != "nt":
        return path
    from . import windows

    return windows.extended(path)


def name_key(path: str) -> str:
    """Return a text that is the same for all spellings of a path that lead to the same file.

    File systems on Windows ignore case, and some call names by another case than they were made with. Those of macOS
    usually ignore case and Unicode normalization, and HFS+ returns names in NFD.
    """
    if sys.platform == "darwin":
        import unicodedata

        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return os.path.normcase(path)


class Occupied(Exception):
    """Another run may be using the file, and this file system has no locks to find out."""


def create_locked(path: str, dir_fd: int | None = None) -> int:
    """Create an empty private file, lock it, and return its descriptor.

    A relative path starts at the directory `dir_fd`. Raises FileExistsError if the name is taken, or if another process
    removed the new file before it was locked. Raises OSError if nothing can be created.
    """
    descriptor = os.open(path, _NEW | SAFE_FLAGS, 0o600, dir_fd=dir_fd)
    try:
        _lock(descriptor, wait=True)
        # Between the two calls, another process may have seen a file without a lock, and removed it as abandoned.
        if not is_at(descriptor, path, dir_fd):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    except BaseException:
        if is_at(descriptor, path, dir_fd):
            os.unlink(path, dir_fd=dir_fd)
        os.close(descriptor)
        raise
    return descriptor


def remove_abandoned(path: str, dir_fd: int | None = None, *, wait: bool = True) -> None:
    """Remove a file made by `create_locked` whose process no longer exists.

    If the process is still at work, wait for it, or without `wait`, leave the file alone. Raises Occupied if the file
    system has no locks, OSError if the file cannot be removed.
    """
    if not REPLACES_OPEN_FILES:
        from . import windows

        windows.remove_abandoned(path, wait=wait)
        return
    try:
        descriptor = os.open(path, os.O_RDWR | SAFE_FLAGS, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    try:
        if not _lock(descriptor, wait=wait):
            if wait:
                raise Occupied
            return
        if is_at(descriptor, path, dir_fd):
            os.unlink(path, dir_fd=dir_fd)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file for this process; return False if that is impossible, or without `wait`, if it is locked."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            return False
        raise
    return True


def is_locked_elsewhere(descriptor: int) -> bool | None:
    """Lock an open file for this process; return whether another process has it locked, None without locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        return True if isinstance(error, OSError) and error.errno == errno.EWOULDBLOCK else None
    return False


def is_at(descriptor: int, path: str, dir_fd: int | None = None) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        status = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(status, os.fstat(descriptor))


def discard(file: BinaryIO, path: str, dir_fd: int | None = None) -> None:
    """Close and delete a locked file. If the system allows, delete it first, so that no other process can lock it.

    If another file now has its name, that file is left alone.
    """
    try:
        if REPLACES_OPEN_FILES and is_at(file.fileno(), path, dir_fd):
            os.unlink(path, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    finally:
        close_quietly(file)
    if not REPLACES_OPEN_FILES:
        try:
            remove(path)
        except FileNotFoundError:
            pass


def close_quietly(file: BinaryIO) -> None:
    """Close a file whose content no longer matters, ignoring errors."""
    try:
        file.close()
    except Exception:
        pass


def sync_file(descriptor: int) -> None:
    """Flush a file's bytes to the disk."""
    try:
        import fcntl

        # On macOS, fsync only passes the bytes to the drive, which may keep them in its cache.
        full = fcntl.F_FULLFSYNC  # type: ignore[attr-defined,unused-ignore]
        fcntl.fcntl(descriptor, full)
    except (ImportError, AttributeError, OSError):
        os.fsync(descriptor)


def sync_directory(directory: str, dir_fd: int | None = None) -> None:
    """Flush changes of a directory's names to the disk. Windows has no call for that; NTFS keeps a log of them.

    A relative path starts at the directory `dir_fd`.
    """
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0), dir_fd=dir_fd)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # The file system cannot do this.
            raise
    finally:
        os.close(descriptor)


def check_open_files(count: int) -> None:
    """Raise OSError (EMFILE, ENFILE) unless this process may open `count` more files."""
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def exchange(one: str, other: str) -> bool:
    """Swap the files at two paths in one step, so that neither path is ever missing; return whether that was done.

    The result is False if the system or file system has no such call, or if the call fails. Then use `os.replace`,
    which works or raises the reason. Linux has renameat2 with RENAME_EXCHANGE (since 3.15), macOS has renamex_np with
    RENAME_SWAP (since 10.12).
    """
    if os.name == "nt":
        return False
    import ctypes

    library = ctypes.CDLL(None)
    names = os.fsencode(os.path.abspath(one)), os.fsencode(os.path.abspath(other))
    if hasattr(library, "renameat2"):
        # The two directory descriptors are ignored, because the paths are absolute.
        return bool(library.renameat2(-1, names[0], -1, names[1], ctypes.c_uint(2)) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, ctypes.c_uint(2)) == 0)
    return False
