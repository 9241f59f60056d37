"""What Windows does differently, and what is done about it.

Quoted titles are those of pages of learn.microsoft.com. This module is imported only when it is needed. Its functions
also run on other systems, so that the tests can substitute them there. Where one flag or call is enough, it is in the
module that is named here:

- This module: sharing violations, the read-only attribute, long, UNC and drive-relative paths, quoting, closed pipes,
  memory.
- Reserved names: "Naming Files, Paths, and Namespaces" says that `NUL` and `NUL.txt` are devices. `system.open_regular`
  opens regular files only.
- Names without case: the same page says that OSCAR and oscar are one file. `system.name_key` compares names.
- Directories cannot be flushed: "FlushFileBuffers function" takes files and volumes. `system.sync_directory` does
  nothing. "NTFS overview": after a failure, NTFS restores its consistency from a log.
- Modes of directories: `system.DIRECTORIES_HAVE_MODES`. Descriptors in C libraries: `system.SHARES_DESCRIPTORS`.
- Encodings: standard streams have the code page of the console, such as cp1252 or 65001, unless they are a console
  themselves (docs.python.org: `sys.stdout`). `report.escape` and `report.streams` escape what an encoding lacks.
- Line ends: text streams write CRLF (docs.python.org: `io.TextIOWrapper`). `report.streams` writes LF.
- Ctrl-C and Ctrl-Break: "CTRL+C and CTRL+BREAK Signals" says that a new thread handles them. `interruption` has a
  thread that ends the process.
- Processes do not fork (docs.python.org: `multiprocessing`, "spawn"). `cli.jobs` and `audit.child` start new ones.
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

Renaming or deleting a file that someone has open fails with one of them, unless it was opened with FILE_SHARE_DELETE
("CreateFileW function": the access to delete is also the one to rename). The C runtime, which opens files for Python,
has no flag for that ("_sopen, _wsopen": shared for reading and writing). If the open file is the one that would be
replaced, the error is the first. That is not documented, and the first also means that this user may not change the
file. It is also the error of opening a file that is deleted once it is closed ("DeleteFileW function").
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

_PLAIN_WORD = re.compile(r"[\w+=:./\\-][\w+=:./\\~@-]*")
"""A word that neither cmd.exe nor PowerShell reads in any other way.

"cmd" lists the characters that need double quotes, "about_Parsing" those that PowerShell interprets, such as commas,
and `@` at the start. PowerShell 7.5 also reads `~` at the start as the home directory.
"""

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

    A write then fails with ERROR_BROKEN_PIPE or ERROR_NO_DATA ("System Error Codes (0-499)"). For the first, the C
    runtime reports EPIPE; for the second, it has no number of its own and reports EINVAL. The standard library's
    `subprocess` has the same condition.
    """
    return os.name == "nt" and error.errno == errno.EINVAL


def quoted(word: str) -> str:
    """Return a word as it can be typed in cmd.exe and in PowerShell.

    Single quotes have no meaning in cmd.exe ("cmd": double quotes). Names of files cannot contain double quotes. Before
    a double quote, a backslash has to be doubled ("Parsing C command-line arguments"). Within double quotes, `%NAME%`
    is still a variable in cmd.exe, and so is `$NAME` in PowerShell: one form for both shells does not exist.
    """
    if _PLAIN_WORD.fullmatch(word):
        return word
    backslashes = len(word) - len(word.rstrip("\\"))
    return f'"{word}{backslashes * chr(92)}"'


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


def resident() -> int:
    """Return the bytes of memory that this process takes, its working set ("GetProcessMemoryInfo function").

    0 if the system does not answer, or is not Windows.
    """
    import ctypes
    import sys

    if sys.platform != "win32":
        return 0
    # PROCESS_MEMORY_COUNTERS: its size and the number of page faults, then the peak and the size of the working set,
    # and six more sizes.
    counters = (ctypes.c_size_t * 9)(ctypes.sizeof(ctypes.c_size_t) * 9)
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    question = ctypes.c_void_p(kernel32.GetCurrentProcess()), counters, ctypes.c_uint32(ctypes.sizeof(counters))
    return counters[2] if kernel32.K32GetProcessMemoryInfo(*question) else 0
