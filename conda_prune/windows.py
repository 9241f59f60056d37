"""What Windows does differently, and what is done about it.

Every constant and function names the page of learn.microsoft.com or docs.python.org that documents the behavior. Only
`system` imports this module, and only when it is needed. The functions also run on other systems, so that the tests can
substitute them there.

Differences that need a flag and no code of their own are the first constants in `system`. On Windows, `system` also
does not sync directories: NTFS keeps a log of changed names ("NTFS overview"), so a replacement is never half done.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable
from typing import TypeVar

_ACCESS_DENIED = 5
_SHARING_VIOLATION = 32
_LOCK_VIOLATION = 33
"""Error numbers of the page "System Error Codes (0-499)".

Replacing or deleting a file that someone has open fails with one of them, unless it was opened with FILE_SHARE_DELETE,
which Python does not do ("CreateFileW function"). If the open file is the one that would be replaced, it is the first
("MoveFileExW function"), which also means that this user may not change the file.
"""
_IN_USE = (_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION)
_PATIENCE = 2.0
"""Seconds to wait until a virus scanner or an indexer has closed a new file. Ctrl-C has to wait as long."""
_POLL = 0.05
_LONGEST_PATH = 247
"""The longest path that every call takes.

"Maximum Path Length Limitation": MAX_PATH is 260 characters with the NUL at the end, and a directory's path must leave
12 of them for a file name. Longer paths need a setting in the registry, or the prefix below.
"""
_VERBATIM = "\\\\?\\"
"""A path with this prefix may have 32,767 characters ("Naming Files, Paths, and Namespaces")."""

_PLAIN_WORD = re.compile(r"[\w@+=:,./\\~-]+")
"""A word that neither cmd.exe nor PowerShell reads in any other way."""

Result = TypeVar("Result")


def error_number(error: OSError) -> int:
    """Return Windows' number of an error. Without one, it counts as a sharing violation."""
    number: int | None = getattr(error, "winerror", None)
    return _SHARING_VIOLATION if number is None else number


def retry_while_in_use(work: Callable[[], Result]) -> Result:
    """Call `work`, which replaces or deletes a file, and try again for two seconds while someone has the file open.

    Raises the last error then. For a sharing violation, its text says that another program has the file open.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except PermissionError as error:
            if error_number(error) not in _IN_USE:
                raise
            if time.monotonic() > deadline:
                if error_number(error) == _ACCESS_DENIED:
                    raise
                text = "another program has it open"
                raise PermissionError(error.errno, text, error.filename) from error
        time.sleep(_POLL)


def is_closed_pipe(error: OSError) -> bool:
    """Return whether an error of a write to a pipe means that its reader has closed it.

    Windows then has the error ERROR_NO_DATA ("System Error Codes (0-499)"), for which the C runtime has no number of
    its own. It reports EINVAL. The standard library's `subprocess` has the same condition.
    """
    return os.name == "nt" and error.errno == errno.EINVAL


def quoted(word: str) -> str:
    """Return a word as it can be typed in cmd.exe and in PowerShell, where a backslash is an ordinary character.

    Single quotes have no meaning in cmd.exe ("cmd": double quotes). File names cannot contain double quotes.
    """
    return word if _PLAIN_WORD.fullmatch(word) else f'"{word}"'


def remove(path: str) -> None:
    """Delete a file, even if it is read-only, which makes DeleteFile fail ("DeleteFileW function").

    On other systems, only the directory's permissions matter. Raises OSError.
    """

    def unlink() -> None:
        try:
            os.unlink(path)
        except PermissionError as error:
            if error_number(error) != _ACCESS_DENIED or os.stat(path, follow_symlinks=False).st_mode & stat.S_IWRITE:
                raise
            os.chmod(path, stat.S_IREAD | stat.S_IWRITE)
            os.unlink(path)

    retry_while_in_use(unlink)


def remove_abandoned(path: str, *, wait: bool) -> None:
    """Delete a temporary file of a process that no longer exists.

    Locks are not needed for that: a process at work has the file open, so it cannot be deleted. With `wait`, wait for
    the process; otherwise, leave the file alone. Raises OSError if the file cannot be deleted for another reason.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except PermissionError as error:
            if not wait:
                return
            # Access is also denied for a moment to a file that was deleted while a scanner has it open.
            number = error_number(error)
            if number not in _IN_USE or (number == _ACCESS_DENIED and time.monotonic() > deadline):
                raise
        time.sleep(_POLL)


def extended(path: str) -> str:
    r"""Return a path in the form that may be longer than 260 characters, if it is long.

    `\\?\` turns normalization off ("Naming Files, Paths, and Namespaces"), so the path is normalized first: it is made
    absolute, including drive-relative paths such as `C:x`, with backslashes only. A share `\\server\share` becomes
    `\\?\UNC\server\share`.
    """
    import ntpath

    if path.startswith((_VERBATIM, "\\\\.\\")) or (ntpath.isabs(path) and len(path) <= _LONGEST_PATH):
        return path
    absolute = ntpath.abspath(path)
    if len(absolute) <= _LONGEST_PATH:
        return path
    if absolute.startswith("\\\\"):
        return f"{_VERBATIM}UNC{absolute[1:]}"
    return _VERBATIM + absolute
