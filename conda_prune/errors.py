"""Why the work on one package ended: each error says what is wrong and what the reader can do.

An error ends the work on its package and on no other. The message leaves the package's name out: whoever
reports the error knows it, and prints `<package>: <message>`.
"""

from __future__ import annotations

import errno

_BEGINNING, _END = 700, 300
"""Characters of a reason that are told: what it quotes of a package may have megabytes."""
_NO_MEMORY = ("can't start new thread", "not enough memory", "cannot allocate memory", "failed to map segment")
"""What Python says of threads, zstd and libarchive of their own memory, and the system of modules to import."""


class PruneError(Exception):
    """The work on one package ended; the package is as it was.

    `reason` says what is wrong, with the evidence; `hint` what the reader can do: the class's own advice where none is
    given, or nothing.
    """

    advice = ""

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


class CannotWrite(PruneError):
    """The result cannot be written where it should go."""


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
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return True
        # Our own words may hold a package's.
        if not isinstance(cause, PruneError) and any(words in str(cause).lower() for words in _NO_MEMORY):
            return True
        cause = cause.__cause__
    return False
