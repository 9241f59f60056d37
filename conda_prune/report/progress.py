"""Shows a progress bar on a terminal when a package takes more than a second, and nothing anywhere else."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

_DELAY = 1.0
"""Seconds of work before the bar appears."""


class ProgressBar:
    """Counts the bytes of work done on a package. The bar needs a terminal as standard error, outside CI."""

    def __init__(self, path: str, *, quiet: bool = False) -> None:
        self._path = path
        self._enabled = not quiet and sys.stderr.isatty() and not os.environ.get("CI")
        self._started = time.monotonic()
        self._total = 0
        self._not_shown_yet = 0
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def expect(self, total: int) -> None:
        """Set how many bytes of work there will be, as far as that is known."""
        self._total = total

    def __call__(self, done: int) -> None:
        """Add bytes of work that are done; a negative number takes back work that has to be repeated."""
        if not self._enabled:
            return
        self._not_shown_yet += done
        if self._bar is None and time.monotonic() - self._started > _DELAY and self._total:
            import click

            from .escape import escaped

            label = escaped(os.path.basename(self._path))
            self._bar = click.progressbar(length=self._total, label=label, file=sys.stderr)
            self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(min(self._not_shown_yet, max(0, self._total - self._bar.pos)))
            self._not_shown_yet = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
            # The result is printed where the bar was.
            sys.stderr.write("\033[A\033[2K")
            sys.stderr.flush()
