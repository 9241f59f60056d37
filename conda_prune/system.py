"""What differs between operating systems when files are read, locked, synced and replaced stands here and nowhere else.

The rest of the code asks for the effect and takes what the system has: Windows reads by position only through a shared
offset, cannot replace or delete a file that is open, and has neither directory syncs nor owners; macOS needs a command
of its own to reach the disk. Tests substitute these functions to run one system's behaviour on another.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from . import interruption

REPLACES_OPEN_FILES = os.name != "nt"
"""Whether a file can be renamed, replaced and deleted while it is open."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
SAFELY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open a file with that may be written to: never through a link, and not for child processes."""
_POLL = 0.05
"""Seconds between two looks at a file that somebody else has open, where waiting is not possible."""
_SHARING_VIOLATION = 32
"""Windows' number of the error that a file is open elsewhere."""
_LEASE_BREAK = 45.0
"""Seconds after which Linux takes a lease away from whoever does not give it up (/proc/sys/fs/lease-break-time)."""
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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split_cores(packages: int, jobs: int, threads: int) -> tuple[int, int]:
    """Return how many packages to work on at the same time, and how many threads each gets.

    0 stands for as many as there are cores: each package then gets its share of them.
    """
    jobs = max(1, min(jobs or cores(), packages))
    return jobs, threads or max(1, cores() // jobs)


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Return up to `length` bytes of an unbuffered file from `offset`; safe between threads."""
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), length, offset)
    with _seeking:
        file.seek(offset)
        return file.read(length)


class NotRegular(OSError):
    """A name leads to something that is not a regular file; `errno` is EISDIR for a directory, else EINVAL."""


def open_regular(path: str, *, buffering: int = -1, dir_fd: int | None = None, follow_links: bool = True) -> BinaryIO:
    """Open a regular file for reading; never wait for anybody and never touch a device.

    Anyone may put a named pipe (FIFO) or a link to a device where a file with a well-known name is looked for: opening
    the pipe would wait for a writer for ever, and opening some devices does something. The type is checked before the
    file is opened, and again on the descriptor, since the name may lead to something else by then.

    `buffering` is that of `open`. Relative paths start at the directory `dir_fd`. Raises NotRegular, an OSError whose
    `strerror` says in plain words what is there instead, other OSErrors, and ValueError for a path with a NUL.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    _check_regular(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_links), path)
    deadline = time.monotonic() + _LEASE_BREAK
    while True:
        try:
            descriptor = os.open(path, flags, dir_fd=dir_fd)
            break
        except BlockingIOError:
            # Another process has a lease on the file (fcntl F_SETLEASE, as Samba takes) and has just been told to give
            # it up. Only a blocking open would wait for that, and a blocking open could also be given a pipe.
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
    """Return what kind of file a status is of, in plain words."""
    return _TYPES.get(stat.S_IFMT(status.st_mode), "something else")


def open_named(path: str) -> BinaryIO:
    """Open a file that the user named as input: a regular file, or a descriptor of this process.

    A descriptor (`/dev/fd/63`, `/dev/stdin`) is what a shell passes for `<(command)`: a pipe, but one whose writer was
    started for it. Raises what `open_regular` raises.
    """
    if _DESCRIPTOR.fullmatch(path):
        return open(path, "rb")
    return open_regular(path)


class Occupied(Exception):
    """Another run may be using the file, and this system cannot tell whether it lives."""


def create_locked(path: str, dir_fd: int | None = None) -> int:
    """Return a descriptor of a new, empty, private file that this process holds locked.

    Relative paths start at the directory `dir_fd`. Raises FileExistsError where the name is taken, also in the
    meantime, OSError where nothing can be created.
    """
    descriptor = os.open(path, _NEW | SAFELY, 0o600, dir_fd=dir_fd)
    try:
        _lock(descriptor, wait=True)
        # Between the two calls, a process that cleans up may have taken the file for an abandoned one.
        if not is_at(descriptor, path, dir_fd):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    except BaseException:
        if is_at(descriptor, path, dir_fd):
            os.unlink(path, dir_fd=dir_fd)
        os.close(descriptor)
        raise
    return descriptor


def remove_abandoned(path: str, dir_fd: int | None = None, *, wait: bool = True) -> None:
    """Remove a locked file whose process is gone; wait for a process that is at work, or leave its file to it.

    Raises Occupied where the file system has no locks, OSError where the file cannot be removed.
    """
    if not REPLACES_OPEN_FILES:
        while True:
            try:
                os.unlink(path, dir_fd=dir_fd)
            except FileNotFoundError:
                return
            except PermissionError as error:
                if not wait:
                    return
                if getattr(error, "winerror", _SHARING_VIOLATION) != _SHARING_VIOLATION:
                    raise
                time.sleep(_POLL)
            else:
                return
    try:
        descriptor = os.open(path, os.O_RDWR | SAFELY, dir_fd=dir_fd)
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
    """Lock an open file for this process; return False where that is impossible, or is only possible by waiting."""
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


def is_at(descriptor: int, path: str, dir_fd: int | None = None) -> bool:
    """Return whether a path is still a name of an open file."""
    try:
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def discard(file: BinaryIO, path: str, dir_fd: int | None = None) -> None:
    """Close and delete a locked file: deleted first where that is possible, so that nobody else can lock it.

    Where something else has taken its name, that is left alone.
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
            os.unlink(path, dir_fd=dir_fd)
        except FileNotFoundError:
            pass


def close_quietly(file: BinaryIO) -> None:
    """Close a file whose content no longer matters: what cannot be flushed is thrown away."""
    try:
        file.close()
    except Exception:
        pass


def sync_file(descriptor: int) -> None:
    """Bring a file's bytes to the disk."""
    try:
        import fcntl

        # macOS: fsync reaches the drive, which may still hold the bytes in its cache.
        full = fcntl.F_FULLFSYNC  # type: ignore[attr-defined,unused-ignore]
        fcntl.fcntl(descriptor, full)
    except (ImportError, AttributeError, OSError):
        os.fsync(descriptor)


def sync_directory(directory: str, dir_fd: int | None = None) -> None:
    """Bring a directory's names to the disk, where the system can: Windows does so by itself.

    A relative path starts at the directory `dir_fd`.
    """
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0), dir_fd=dir_fd)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems without such a sync
            raise
    finally:
        os.close(descriptor)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Make signals that end the program wait until the block is done: for what must not be left half done.

    Python interrupts only the main thread, so other threads need nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    previous = {}
    try:
        with interruption.critical:
            try:
                for number in interruption.SIGNALS:
                    if callable(handler := signal.getsignal(number)):
                        previous[number] = handler
                        signal.signal(number, lambda number, frame: arrived.append(number))
                yield
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)
    finally:
        for number in arrived[:1]:
            previous[number](number, None)


def check_open_files(count: int) -> None:
    """Raise OSError (EMFILE, ENFILE) unless this process may open `count` more files."""
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def memory_limit() -> int | None:
    """Return how many bytes of address space this process may use, None where nothing limits them."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def exchange(one: str, other: str) -> bool:
    """Swap the files behind two paths in one step, so that neither path is ever missing; return whether that was done.

    It is not where the system or the file system has no such call, or where the call fails: `os.replace` will then say
    why, or work. Linux: renameat2 with RENAME_EXCHANGE, since 3.15. macOS: renamex_np with RENAME_SWAP, since 10.12.
    """
    if os.name == "nt":
        return False
    import ctypes

    library = ctypes.CDLL(None)
    names = os.fsencode(os.path.abspath(one)), os.fsencode(os.path.abspath(other))
    if hasattr(library, "renameat2"):
        # The descriptors before the paths do not matter for absolute paths.
        return bool(library.renameat2(-1, names[0], -1, names[1], ctypes.c_uint(2)) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, ctypes.c_uint(2)) == 0)
    return False
