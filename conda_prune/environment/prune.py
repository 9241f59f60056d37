"""Carries out a plan in a prefix: all of it or nothing, and never outside of the prefix.

Dropped files, and the old versions of rewritten files, are moved to a directory of our own below `conda-meta`. When all
of them are there, that directory is renamed: this one call commits the work. Until then, everything is moved back if
anything goes wrong, by the next run if this one is killed.

Neither rattler-build nor conda-build packages what is below a `conda-meta` (`filter_file` in rattler-build's
packaging/file_mapper.rs, `filter_files` in conda-build's utils.py), so what a killed run leaves is never packaged.

Every directory is opened from the one above without following links, and every file must be the one that was judged,
before and after it is moved. So no link can lead out of the prefix, even if another user creates it while this runs.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO

from .. import system
from ..errors import CannotWrite, Changed
from ..model import Drop, Edit, Rewrite
from ..rewrite.attributes import read_attributes, set_attributes
from ..rewrite.directory import Directory
from ..rewrite.lock_wait import announced
from .records import CONDA_META

_LOCK = ".conda-prune-prefix.tmp"
"""A file that a run holds locked while it changes the prefix."""
_UNDO, _DONE = ".conda-prune-prefix.undo", ".conda-prune-prefix.done"
"""The directory of our own, before and after the commit: files in the first are moved back, files in the second
removed.

Each of its directories mirrors the prefix: `dropped` has the dropped files, `replaced` the old and `new` the new
versions of rewritten ones."""
_DROPPED, _REPLACED, _NEW = "dropped", "replaced", "new"
_AGAIN = "run the command again"
_UNCHANGED = "nothing was changed"
_UNWRITABLE = f"{CONDA_META} cannot be written to"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file was judged. Another file of that name, or the same file written to, has another identity."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Return the identity of the file with this status, which must come from `os.stat` or `os.lstat`.

        On Windows, the device and inode that `DirEntry.stat` returns are 0.
        """
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def prune(root: Directory, edits: Mapping[str, Edit], seen: Mapping[str, FileIdentity], owned: Collection[str]) -> None:
    """Carry out the edits in a prefix, and remove the directories that become empty and that no package owns.

    Raises Changed if a file is not the one that was judged, CannotWrite if one cannot be removed. Nothing was changed
    then.
    """
    with _locked(root) as meta:
        _recover(root, meta, owned)
        for directory, paths in _by_directory(root, edits):
            for path in paths:
                _check(directory, path, seen[path])
        try:
            meta.mkdir(_UNDO, 0o700)
            with meta.enter(_UNDO) as undo:
                _move_all(root, undo, edits, seen)
            with system.uninterrupted():
                meta.rename(_UNDO, _DONE)
                _finish(root, meta, owned)
        except BaseException as error:
            with system.uninterrupted():
                _restore(root, meta)
            if isinstance(error, OSError):
                raise CannotWrite(f"{_UNWRITABLE}: {error.strerror}", _UNCHANGED) from error
            raise


def recover(root: Directory, owned: Collection[str]) -> None:
    """Clean up after a run that was killed: undo what it had not committed, and finish what it had.

    Raises CannotWrite if that is not possible.
    """
    try:
        with root.enter(CONDA_META) as meta:
            if not any(map(meta.exists, (_LOCK, _UNDO, _DONE))):
                return
    except OSError:
        return  # There is no conda-meta, so nothing can have been left in it.
    with _locked(root) as meta:
        _recover(root, meta, owned)


def _recover(root: Directory, meta: Directory, owned: Collection[str]) -> None:
    with system.uninterrupted():
        _restore(root, meta)
        _finish(root, meta, owned)


@contextmanager
def _locked(root: Directory) -> Iterator[Directory]:
    """Open the prefix's `conda-meta` and lock it against other runs. If there is none, make it for as long as the block
    runs.
    """
    with ExitStack() as opened:
        try:
            if not root.exists(CONDA_META):
                if obstacle := root.obstacle(CONDA_META):
                    raise CannotWrite(f"{_UNWRITABLE}: {obstacle}", f"make the prefix writable; {_UNCHANGED}")
                with system.uninterrupted(), suppress(FileExistsError):
                    root.mkdir(CONDA_META)
                    opened.callback(_remove_if_empty, root, CONDA_META)
            meta = opened.enter_context(root.enter(CONDA_META))
            if obstacle := meta.obstacle(_LOCK):
                raise CannotWrite(f"{_UNWRITABLE}: {obstacle}", f"make it writable; {_UNCHANGED}")
            _take_lock(meta, opened)
        except system.Occupied:
            raise CannotWrite(
                f"another run is at work on it, or was killed and left {os.path.join(meta.path, _LOCK)}",
                "remove that file when no other run is at work",
            ) from None
        except OSError as error:
            raise CannotWrite(f"{_UNWRITABLE}: {error.strerror}", _UNCHANGED) from error
        yield meta


def _take_lock(meta: Directory, opened: ExitStack) -> None:
    at = meta.at(_LOCK)
    while True:
        with announced(os.path.join(meta.path, _LOCK), os.path.dirname(meta.path)):
            system.remove_abandoned(at, meta.descriptor)  # Waits while another run is at work.
        with system.uninterrupted():
            try:
                lock = os.fdopen(system.create_locked(at, meta.descriptor), "r+b")
            except FileExistsError:
                continue
            opened.callback(_give_up_lock, lock, meta)
            return


def _give_up_lock(lock: BinaryIO, meta: Directory) -> None:
    try:
        system.discard(lock, meta.at(_LOCK), meta.descriptor)
    except OSError:
        pass  # The next run removes it.


def _remove_if_empty(directory: Directory, name: str) -> None:
    try:
        directory.rmdir(name)
    except OSError:
        pass  # Something else is in it, or it was removed.


def _check(directory: Directory, path: str, seen: FileIdentity) -> None:
    """Raise Changed if a file is not the one that was judged, CannotWrite if it cannot be removed."""
    name = os.path.basename(path)
    try:
        status = directory.status(name)
    except FileNotFoundError:
        raise Changed(f"{path} vanished while the prefix was judged", _AGAIN) from None
    if FileIdentity.of(status) != seen:
        raise Changed(f"{path} was changed while the prefix was judged", _AGAIN)
    if obstacle := directory.obstacle(name):
        raise CannotWrite(f"{path} cannot be removed: {obstacle}", f"make it writable; {_UNCHANGED}")


def _move_all(root: Directory, undo: Directory, edits: Mapping[str, Edit], seen: Mapping[str, FileIdentity]) -> None:
    rewrites = {path: edit for path, edit in edits.items() if isinstance(edit, Rewrite)}
    for directory, paths in _by_directory(root, rewrites):
        for path in paths:
            with _reported(path, "rewritten"), _parent(undo, f"{_NEW}/{path}", make=True) as new:
                _write(directory, os.path.basename(path), new, rewrites[path].content)
    for directory, paths in _by_directory(root, rewrites):
        for path in paths:
            name = os.path.basename(path)
            with _reported(path, "rewritten"), _parent(undo, f"{_NEW}/{path}") as new:
                _move(directory, path, undo, _REPLACED, seen[path])
                try:
                    # A link and not a move: as long as the file is also in `new`, it is known to be ours.
                    new.link(name, name, directory)
                except OSError:
                    new.move(name, directory, name)
    for directory, paths in _by_directory(root, (path for path, edit in edits.items() if isinstance(edit, Drop))):
        for path in paths:
            with _reported(path, "removed"):
                _move(directory, path, undo, _DROPPED, seen[path])


def _write(directory: Directory, name: str, new: Directory, content: bytes) -> None:
    """Write the new version of a file, with the attributes of the old one."""
    with directory.open_regular(name) as old:
        attributes = read_attributes(old.fileno())
    with open(new.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content)
        file.flush()
        set_attributes(file.fileno(), attributes)
        system.sync_file(file.fileno())


def _move(directory: Directory, path: str, undo: Directory, kind: str, seen: FileIdentity) -> None:
    """Move a file of the prefix to the same path below `kind`. Raises Changed if it is not the one that was judged."""
    name = os.path.basename(path)
    with _parent(undo, f"{kind}/{path}", make=True) as other:
        directory.move(name, other, name)
        if FileIdentity.of(other.status(name)) != seen:
            raise Changed(f"{path} was changed while the prefix was judged", _AGAIN)


@contextmanager
def _reported(path: str, done: str) -> Iterator[None]:
    """Raise CannotWrite for an OSError."""
    try:
        yield
    except OSError as error:
        elsewhere = error.errno == errno.EXDEV
        why = f"it is on another file system than {CONDA_META}" if elsewhere else error.strerror
        raise CannotWrite(f"{path} cannot be {done}: {why}", _UNCHANGED) from error


def _restore(root: Directory, meta: Directory) -> None:
    """Move back everything that an uncommitted run moved away, unless a new file has taken its name."""
    if not meta.exists(_UNDO):
        return
    try:
        with meta.enter(_UNDO) as undo:
            for kind in (_DROPPED, _REPLACED):
                for path in _files(undo, kind):
                    name = os.path.basename(path)
                    with _parent(undo, f"{kind}/{path}") as old, _parent(root, path, make=True) as directory:
                        if not directory.exists(name) or (
                            kind == _REPLACED and _is_new_version(undo, path, directory.status(name))
                        ):
                            old.move(name, directory, name)
        _remove_tree(meta, _UNDO)
    except OSError as error:
        raise CannotWrite(
            f"what was moved to {os.path.join(meta.path, _UNDO)} cannot be moved back: {error.strerror}",
            "the next run of conda-prune prefix --fix tries again",
        ) from error


def _is_new_version(undo: Directory, path: str, status: os.stat_result) -> bool:
    """Return whether a file with this status is a new version that the uncommitted run wrote."""
    try:
        with _parent(undo, f"{_NEW}/{path}") as new:
            return os.path.samestat(new.status(os.path.basename(path)), status)
    except OSError:
        return False


def _finish(root: Directory, meta: Directory, owned: Collection[str]) -> None:
    """Remove the files of a committed run, and the directories that became empty."""
    try:
        if not meta.exists(_DONE):
            return
        with meta.enter(_DONE) as done:
            dropped = _files(done, _DROPPED)
        for path in _directories(dropped):
            if system.name_key(path) not in owned:
                try:
                    with _parent(root, path) as directory:
                        _remove_if_empty(directory, os.path.basename(path))
                except OSError:
                    pass  # A directory above it was removed.
        _remove_tree(meta, _DONE)
    except OSError:
        pass  # It does no harm there, and the next run removes it.


def _remove_tree(directory: Directory, name: str) -> None:
    with directory.enter(name) as below:
        for entry in below.names():
            if stat.S_ISDIR(below.status(entry).st_mode):
                _remove_tree(below, entry)
            else:
                below.unlink(entry)
    directory.rmdir(name)


def _files(directory: Directory, kind: str) -> list[str]:
    """Return the paths, below `kind`, of everything there that is not a directory."""
    found = []
    pending = [kind] if directory.exists(kind) else []
    while pending:
        here = pending.pop()
        with _parent(directory, f"{here}/") as opened:
            for name in opened.names():
                path = f"{here}/{name}"
                if stat.S_ISDIR(opened.status(name).st_mode):
                    pending.append(path)
                else:
                    found.append(path[len(kind) + 1 :])
    return found


def _directories(paths: Iterable[str]) -> list[str]:
    """Return all directories above the paths, deepest first."""
    found = set()
    for path in paths:
        while "/" in path:
            path = path.rpartition("/")[0]
            found.add(path)
    return sorted(found, key=lambda path: (-path.count("/"), path))


def _by_directory(root: Directory, paths: Iterable[str]) -> Iterator[tuple[Directory, list[str]]]:
    """Yield each directory of the paths, open, with its paths; raise Changed if one is gone."""
    for parent, group in groupby(sorted(paths, key=os.path.dirname), key=os.path.dirname):
        with ExitStack() as opened:
            try:
                directory = opened.enter_context(_parent(root, f"{parent}/" if parent else ""))
            except OSError as error:
                raise Changed(f"{parent} cannot be opened anymore: {error.strerror}", _AGAIN) from error
            yield directory, list(group)


@contextmanager
def _parent(directory: Directory, path: str, *, make: bool = False) -> Iterator[Directory]:
    """Open the directory that a path is in, below another one, without following links; `make` missing ones."""
    with ExitStack() as opened:
        for name in path.split("/")[:-1]:
            if make and not directory.exists(name):
                directory.mkdir(name)
            directory = opened.enter_context(directory.enter(name))
        yield directory
