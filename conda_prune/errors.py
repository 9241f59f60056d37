"""The errors that end the work on a package. Each one says what is wrong and what the user can do.

An error ends the work on its package and on no other. The message does not contain the name of the package: the code
that reports the error adds it, as `<package>: <message>`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

_HEAD, _TAIL = 700, 300
"""How many characters of a longer reason are kept. It may quote megabytes from a package."""
_NO_MEMORY = ("can't start new thread", "not enough memory", "cannot allocate memory", "failed to map segment")
"""Error messages for a lack of memory: of Python for threads, of zstd and libarchive, and of the dynamic linker."""
_NO_FILES = ("too many open files",)
"""Error message of the dynamic linker if no more files can be opened."""


class PruneError(Exception):
    """The work on a package ended with an error. The package is unchanged.

    Attributes:
        reason: What is wrong, with the evidence.
        hint: What the user can do; its default is the `advice` of the class, which may be empty.
        path: The path of the package, as it was passed to `check`, `fix` or `diff`.
    """

    advice = ""
    path = ""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        if len(reason) > _HEAD + _TAIL:
            reason = f"{reason[:_HEAD]} … {reason[-_TAIL:]}"
        self.reason = reason
        self.hint = hint or self.advice

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


class NotAPackage(PruneError):
    """The path is not a conda package: not a regular file, another format, or no package inside."""


class Damaged(PruneError):
    """The package is truncated, corrupt, or contradicts itself."""

    advice = "download or build it again"


class Unsupported(PruneError):
    """The package uses a feature that clients interpret differently or cannot read."""

    advice = "build it again"


class BadMetadata(PruneError):
    """A file in `info/` does not have the format that it must have."""

    advice = "build it again"


class LimitExceeded(PruneError):
    """The package needs more resources than the limits allow."""


class OutOfMemory(PruneError):
    """The package needs more memory than the process may use."""


class OutOfFiles(PruneError):
    """The work needs more open files than the process may have."""

    advice = "allow more (ulimit -n), or use fewer --jobs"


class CannotWrite(PruneError):
    """The result cannot be written where it should go."""


class IndexNotRefreshed(PruneError):
    """The package was repaired or found clean, but the channel index next to it was not refreshed.

    `result` is the result for the package.
    """

    advice = "fix the package again, which will only refresh the index"

    def __init__(self, reason: str, result: object) -> None:
        super().__init__(reason)
        self.result = result


class Changed(PruneError):
    """Another program changed the package during the work."""

    advice = "run the command again"


class NotVerified(PruneError):
    """The result was read back, differs from the plan, and was discarded."""

    advice = "nothing was written; please report this"


class UsageError(PruneError, ValueError):
    """An option is invalid, or does not apply to this package."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is a lack of memory, as Python or a library reports it."""
    return any(
        isinstance(cause, MemoryError) or _is_about(cause, (errno.ENOMEM,), _NO_MEMORY) for cause in _causes(error)
    )


def lacks_files(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is a lack of open files in this process or system."""
    return any(_is_about(cause, (errno.EMFILE, errno.ENFILE), _NO_FILES) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _is_about(error: BaseException, numbers: tuple[int, ...], phrases: tuple[str, ...]) -> bool:
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    # Do not search the text of our own errors: they may quote a package.
    return not isinstance(error, PruneError) and any(phrase in str(error).lower() for phrase in phrases)
