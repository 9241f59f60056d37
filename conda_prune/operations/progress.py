"""How an operation reports its progress, in bytes, without knowing who displays it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives how many bytes of work are expected, and how many are done."""

    def expect(self, total: int) -> None:
        """Set how many bytes of work there will be, as far as that is known."""

    def __call__(self, done: int) -> None:
        """Add bytes of work done since the last call; a negative number takes back work that has to be repeated."""

    def warn(self, line: str) -> None:
        """Receive a warning that must be read before the work goes on. It is also in the result."""


class _NullProgress:
    """Ignores all progress."""

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        pass

    def warn(self, line: str) -> None:
        pass


NULL_PROGRESS = _NullProgress()
