"""Checks, before anything is written, that a target can be replaced and that its backup can be made.

The directory must allow the replacement, the target must be a file, and the backup `<package><suffix>` never replaces
anything else. These checks give early and clear errors; the calls that replace files may still fail later.
"""

from __future__ import annotations

import os
import stat

from .. import system
from ..compression.byte_range import CHUNK
from ..errors import CannotWrite, UsageError
from ..model import Format
from .directory import Directory

_FORBIDDEN = frozenset('/\\:*?"<>|')
"""Characters that have a meaning in a path on some operating system."""
_HINT = "use a suffix such as .orig"


def resolved(target: str, *, replace_link: bool = False) -> str:
    """Return the real path of a file that will be replaced.

    If it is a link, the link is kept and the file that it leads to is replaced. With `replace_link`, the link itself is
    replaced.
    """
    if replace_link:
        directory, name = os.path.split(target)
        return os.path.join(os.path.realpath(directory), name)
    return os.path.realpath(target)


def check_writable(target: str, *, replace_link: bool = False, backup: str | None = None) -> None:
    """Raise CannotWrite if a file cannot be replaced, as far as can be known, or if its backup cannot be made.

    `backup` is a suffix. With `replace_link`, a link itself is replaced, and the file may be read-only.
    """
    directory, name = os.path.split(resolved(target, replace_link=replace_link))
    try:
        with Directory.open(directory) as opened:
            check_target(opened, name, replace_link=replace_link)
            if backup is not None and opened.exists(name):
                _check_backup(opened, name, name + backup)
    except FileNotFoundError:
        pass  # The directory will be made.
    except OSError as error:
        raise CannotWrite(f"{directory} cannot be opened: {error.strerror}") from error


def _check_backup(directory: Directory, name: str, backup: str) -> None:
    try:
        check_backup(directory, name, backup)
    except OSError as error:
        path = os.path.join(directory.path, backup)
        raise CannotWrite(
            f"the backup {path} cannot be made: {error.strerror}", "choose another --backup suffix"
        ) from error


def check_target(directory: Directory, name: str, *, replace_link: bool) -> None:
    """Raise CannotWrite if an entry of an open directory cannot be replaced, as far as can be known."""
    hint = "make it writable, or use another -o DIR" if replace_link else "make it writable, or use -o DIR"
    if obstacle := directory.obstacle(name):
        raise CannotWrite(obstacle, hint)
    try:
        status = directory.status(name)
    except FileNotFoundError:
        return
    check_type(status, os.path.join(directory.path, name))
    # The mode counts even for root, because the write bits were removed on purpose. With `-o`, an existing result
    # has the mode of its package, so read-only only means that an earlier run wrote it.
    if not replace_link and (not status.st_mode & 0o222 or not directory.may_write(name)):
        raise CannotWrite(f"the file is read-only (mode {stat.S_IMODE(status.st_mode):04o})", hint)


def check_type(status: os.stat_result, path: str) -> None:
    """Raise CannotWrite unless a path is a regular file or a link, according to its status."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise CannotWrite(f"{path} is {system.type_of(status)}", "move it away, or use another -o DIR")


def check_suffix(suffix: str) -> None:
    """Raise UsageError if a backup with this suffix would be in another directory, or would itself be a package.

    The rules of all operating systems apply at once, so that a command works everywhere or nowhere.
    """
    if not suffix:
        raise UsageError("the backup suffix is empty: the backup would be the package itself", _HINT)
    for bad in suffix:
        if bad in _FORBIDDEN or not bad.isprintable():
            raise UsageError(f"the backup suffix {suffix!r} contains {bad!r}", _HINT)
    if ".." in suffix or suffix.endswith((".", " ")):
        # Windows ignores dots and spaces at the end of a name: `x.conda.` is `x.conda`.
        raise UsageError(f"the backup suffix {suffix!r} contains '..' or ends in a dot or a space", _HINT)
    for format_ in Format:
        if suffix.lower().endswith(format_.value):
            raise UsageError(
                f"the backup suffix {suffix!r} ends in {format_.value}: the backup would be taken for a package", _HINT
            )


def check_backup(directory: Directory, name: str, backup: str) -> bool:
    """Return whether the entry `backup` has the content of the file `name`, so that it does not have to be made.

    A run that was killed leaves such a backup. It may be a copy, or a hard link to the same file, which keeps the old
    content when `name` is replaced. Raises CannotWrite if `backup` is anything else: a file with other content, or a
    symbolic link, which would lead to the new content afterwards. Raises OSError if it cannot be read.
    """
    try:
        status = directory.status(backup)
    except FileNotFoundError:
        return False
    path = os.path.join(directory.path, backup)
    hint = "move it away, or choose another --backup suffix"
    if not stat.S_ISREG(status.st_mode):
        raise CannotWrite(f"the backup {path} already exists, and is {system.type_of(status)}", hint)
    if not _is_same_content(directory, name, backup):
        raise CannotWrite(f"the backup {path} already exists, with other content", hint)
    return True


def _is_same_content(directory: Directory, name: str, backup: str) -> bool:
    if os.path.samestat(directory.status(name), directory.status(backup)):
        return True
    with directory.open_regular(name) as one, directory.open_regular(backup) as other:
        if os.fstat(one.fileno()).st_size != os.fstat(other.fileno()).st_size:
            return False
        while piece := one.read(CHUNK):
            if piece != other.read(CHUNK):
                return False
        return not other.read(1)
