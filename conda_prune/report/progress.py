"""A progress bar on a terminal when the work on a package lasts; nothing anywhere else."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

_PATIENCE = 1.0
"""Seconds of work before a bar appears."""


class Meter:
    """Counts bytes of work on a package; shows them as a bar on standard error where that is a terminal and no CI's."""

    def __init__(self, path: str, *, quiet: bool = False) -> None:
        self._path = path
        self._shown = not quiet and sys.stderr.isatty() and not os.environ.get("CI")
        self._started = time.monotonic()
        self._total = 0
        self._waiting = 0
        self._bar: Any = None

    def __enter__(self) -> Meter:
        return self

    def expect(self, total: int) -> None:
        """Say how many bytes of work there will be, as far as that is known."""
        self._total = total

    def __call__(self, done: int) -> None:
        """Take note of `done` more bytes."""
        if not self._shown:
            return
        self._waiting += done
        if self._bar is None and time.monotonic() - self._started > _PATIENCE and self._total:
            import click

            from .escape import escaped

            label = escaped(os.path.basename(self._path))
            self._bar = click.progressbar(length=self._total, label=label, file=sys.stderr)
            self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(min(self._waiting, max(0, self._total - self._bar.pos)))
            self._waiting = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
            # The line of results takes the bar's place.
            sys.stderr.write("\033[A\033[2K")
            sys.stderr.flush()
