"""Files of a prefix go by names below its own directory: no link, and nobody who swaps one in, leads out of it.

Every directory is opened from its parent without following links, and every file must be the one that was judged. A
file is gone or as it was; nothing is removed before all of them were found removable. Where the system has no such
opening (Windows), each directory's real path is compared before its files are touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import CannotWrite, Changed
from ..model import Drop, Edit, Rewrite

_BY_DESCRIPTOR = {os.open, os.unlink, os.rmdir, os.stat, os.rename} <= os.supports_dir_fd
_TEMPORARY = ".conda-prune-new.tmp"


@dataclass(frozen=True, slots=True)
class Seen:
    """Which file was judged: changes when another takes its name, or it is written to."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Seen:
        """Return which file a status is of."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def prune(prefix: str, edits: Mapping[str, Edit], seen: Mapping[str, Seen], owned: Collection[str]) -> None:
    """Carry out the edits in a prefix, and remove the directories that this empties and that nobody owns.

    Raises Changed where a file is not the one that was judged, CannotWrite where one cannot be removed.
    """
    for path in edits:
        with _entry(prefix, path) as entry:
            entry.check(seen[path])
    # Lists of installed files first: should this be interrupted, the next run still finds what is to be dropped.
    for path, edit in edits.items():
        if isinstance(edit, Rewrite):
            with _entry(prefix, path) as entry:
                entry.check(seen[path])
                entry.rewrite(edit)
    for path, edit in edits.items():
        if isinstance(edit, Drop):
            with _entry(prefix, path) as entry:
                entry.check(seen[path])
                entry.unlink()
    for directory in _directories(path for path, edit in edits.items() if isinstance(edit, Drop)):
        if os.path.normcase(directory) not in owned:
            with _entry(prefix, directory) as entry:
                entry.remove_if_empty()


def _directories(paths: Iterator[str]) -> list[str]:
    """Return all directories above the paths, deepest first."""
    found = set()
    for path in paths:
        while "/" in path:
            path = path.rpartition("/")[0]
            found.add(path)
    return sorted(found, key=lambda path: (-path.count("/"), path))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in an opened directory of the prefix; without descriptors, `name` is a whole path."""

    path: str
    name: str
    directory: int | None

    def check(self, seen: Seen) -> None:
        try:
            status = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            raise Changed(f"{self.path} vanished while the prefix was judged", "run the command again") from None
        if Seen.of(status) != seen:
            raise Changed(f"{self.path} was changed while the prefix was judged", "run the command again")
        parent = os.fstat(self.directory) if self.directory is not None else os.stat(os.path.dirname(self.name))
        if not parent.st_mode & 0o222:
            raise CannotWrite(
                f"the directory of {self.path} is read-only (mode {stat.S_IMODE(parent.st_mode):04o})",
                "make it writable; nothing was removed",
            )

    def unlink(self) -> None:
        self._try(lambda: os.unlink(self.name, dir_fd=self.directory), "removed")

    def remove_if_empty(self) -> None:
        try:
            os.rmdir(self.name, dir_fd=self.directory)
        except OSError:
            pass  # Something else is in it, or it is gone: both are well.

    def rewrite(self, edit: Rewrite) -> None:
        self._try(lambda: self._rewrite(edit.content), "rewritten")

    def _rewrite(self, content: bytes) -> None:
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        status = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        temporary = self.name.removesuffix(os.path.basename(self.name)) + _TEMPORARY
        created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=self.directory)
        try:
            with open(created, "wb") as new:
                new.write(content)
                new.flush()
                os.fsync(new.fileno())
                if hasattr(os, "fchmod"):
                    os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))
            os.replace(temporary, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        except BaseException:
            os.unlink(temporary, dir_fd=self.directory)
            raise

    def _try(self, act: Callable[[], None], done: str) -> None:
        try:
            act()
        except OSError as error:
            raise CannotWrite(f"{self.path} cannot be {done}: {error.strerror}") from error


@contextmanager
def _entry(prefix: str, path: str) -> Iterator[_Entry]:
    """Give the name of a path in its own directory, which is opened without following any link below the prefix."""
    parent, _, name = path.rpartition("/")
    if not _BY_DESCRIPTOR:
        root = os.path.realpath(prefix)
        directory = os.path.join(root, *parent.split("/")) if parent else root
        if os.path.normcase(os.path.realpath(directory)) != os.path.normcase(directory):
            raise Changed(f"{parent} became a link while the prefix was judged", "run the command again")
        yield _Entry(path, os.path.join(directory, name), None)
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(prefix, flags)
    try:
        for part in parent.split("/") if parent else ():
            try:
                below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as error:
                raise Changed(
                    f"{parent} cannot be entered any more: {error.strerror}", "run the command again"
                ) from error
            os.close(descriptor)
            descriptor = below
        yield _Entry(path, name, descriptor)
    finally:
        os.close(descriptor)
