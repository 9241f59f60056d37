"""How an operation reports its progress: in bytes, to whoever draws the bar."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the bytes of work that are expected, and those that are done."""

    def expect(self, total: int) -> None:
        """Set how many bytes of work there will be, as far as that is known."""

    def __call__(self, done: int) -> None:
        """Add bytes that were worked on since the last call; a negative number takes back work that starts again."""


class _NullProgress:
    """Ignores all of it."""

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        pass


NULL_PROGRESS = _NullProgress()
