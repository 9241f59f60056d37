"""Why the work on one package ended: each error says what is wrong and what the reader can do.

An error ends the work on its package and on no other. The message leaves the package's name out: whoever
reports the error knows it, and prints `<package>: <message>`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

_BEGINNING, _END = 700, 300
"""Characters of a reason that are told: what it quotes of a package may have megabytes."""
_NO_MEMORY = ("can't start new thread", "not enough memory", "cannot allocate memory", "failed to map segment")
"""What Python says of threads, zstd and libarchive of their own memory, and the system of modules to import."""
_NO_FILES = ("too many open files",)
"""What the system says of modules to import."""


class PruneError(Exception):
    """The work on one package ended; the package is as it was.

    `reason` says what is wrong, with the evidence; `hint` what the reader can do: the class's own advice where none is
    given, or nothing. `path` is the package's, as it was given to `check` or `fix`.
    """

    advice = ""
    path = ""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        if len(reason) > _BEGINNING + _END:
            reason = f"{reason[:_BEGINNING]} … {reason[-_END:]}"
        self.reason = reason
        self.hint = hint or self.advice

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


class NotAPackage(PruneError):
    """The path holds no conda package: not a file, another format, no package inside."""


class Damaged(PruneError):
    """The package is truncated, corrupt, or contradicts itself."""

    advice = "download or build it again"


class Unsupported(PruneError):
    """The package is readable, but uses something that clients read differently or not at all."""

    advice = "build it again"


class BadMetadata(PruneError):
    """A file below `info/` cannot be read as what it must be."""

    advice = "build it again"


class LimitExceeded(PruneError):
    """The package unpacks to more than the limits allow."""


class OutOfMemory(PruneError):
    """The process may not use as much memory as the package needs."""


class OutOfFiles(PruneError):
    """The process may not have as many files open as the work needs."""

    advice = "allow more (ulimit -n), or use fewer --jobs"


class CannotWrite(PruneError):
    """The result cannot be written where it should go."""


class IndexNotRefreshed(PruneError):
    """The package was repaired, or found clean; but the channel's index next to it was not refreshed.

    `result` says what was done to the package.
    """

    advice = "fix the package again, which then only refreshes the index"

    def __init__(self, reason: str, result: object) -> None:
        super().__init__(reason)
        self.result = result


class Changed(PruneError):
    """The package was changed by somebody else while it was being worked on."""

    advice = "run the command again"


class NotVerified(PruneError):
    """The finished result does not read back as planned, and was thrown away."""

    advice = "nothing was written; please report this"


class UsageError(PruneError):
    """An option does not fit this package, or is not one."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error, or what caused it, says that there is no memory: in Python's words or a library's."""
    return any(isinstance(cause, MemoryError) or _says(cause, (errno.ENOMEM,), _NO_MEMORY) for cause in _causes(error))


def lacks_files(error: BaseException) -> bool:
    """Return whether an error, or what caused it, says that no more files can be open in this process or system."""
    return any(_says(cause, (errno.EMFILE, errno.ENFILE), _NO_FILES) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _says(error: BaseException, numbers: tuple[int, ...], phrases: tuple[str, ...]) -> bool:
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    # Our own errors may quote a package.
    return not isinstance(error, PruneError) and any(phrase in str(error).lower() for phrase in phrases)
