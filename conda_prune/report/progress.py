"""Shows the progress of a whole run on a terminal, after a second of work, and nothing anywhere else.

There is one bar for all packages, and the names of those being worked on below it. Packages may be worked on in other
processes, so what happens to them arrives as messages: `PackageProgress` sends them, and `OverallProgress` receives
them. A result is printed while the bar is erased (`hidden`), so the two never mix.

rich draws the bar. Importing it takes 25 ms or more, so it is imported when the bar appears.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import interruption
from .escape import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType

_DELAY = 1.0
"""Seconds of work before the bar appears."""
_INTERVAL = 0.1
"""Seconds between two messages about one package."""
_LONGEST_BAR = 40
_LISTED = 4
"""How many of the packages being worked on are listed."""
_RELIABLE = 0.02
"""The part of the work from which on the time left can be estimated."""


class Working(NamedTuple):
    """The package at `path` is being worked on; `part` of the work is done, from 0 to 1."""

    path: str
    part: float


class Finished(NamedTuple):
    """The work on the package at `path` has ended."""

    path: str


class Warned(NamedTuple):
    """A warning that must be read before the work goes on."""

    line: str


Message = Working | Finished | Warned


def can_be_shown(*, quiet: bool) -> bool:
    """Return whether a bar may be drawn: standard error is a terminal that can move its cursor, outside CI."""
    return not quiet and sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


class PackageProgress:
    """Counts the bytes of work done on one package, and sends messages about it. Used in a `with` statement."""

    def __init__(self, path: str, send: Callable[[Message], None], *, shown: bool) -> None:
        self._path = path
        self._send = send
        self._shown = shown
        self._total = self._done = 0
        self._sent_at = 0.0

    def __enter__(self) -> PackageProgress:
        if self._shown:
            self._send(Working(self._path, 0))
        return self

    def expect(self, total: int) -> None:
        """Set how many bytes of work there will be, as far as that is known."""
        self._total = total

    def __call__(self, done: int) -> None:
        """Add bytes of work that are done; a negative number takes back work that has to be repeated."""
        self._done += done
        if self._shown and self._total and time.monotonic() - self._sent_at >= _INTERVAL:
            self._sent_at = time.monotonic()
            self._send(Working(self._path, min(1.0, max(0, self._done) / self._total)))

    def warn(self, line: str) -> None:
        """Send a warning that must be read before the work goes on."""
        self._send(Warned(line))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._send(Finished(self._path))


class OverallProgress:
    """Draws the bar for all packages of a run, used in a `with` statement. Any thread may call `receive`.

    `sizes` are the sizes of the packages in bytes, by path: a package of 1 GB counts more than one of 1 KB.
    `colors` is whether to use colors; None leaves that to the terminal.
    """

    def __init__(self, sizes: Mapping[str, int], *, shown: bool, colors: bool | None = None) -> None:
        self.shown = shown
        self._sizes = sizes
        self._total = max(1, sum(sizes.values()))
        self._colors = colors
        self._parts: dict[str, float] = {}
        self._finished: set[str] = set()
        self._finished_bytes = 0
        self._started = time.monotonic()
        # rich draws in a thread of its own, which holds rich's lock while it asks for the picture. So the picture needs
        # only the lock of the numbers, and no call of rich is made while that one is held.
        self._numbers_lock = threading.Lock()
        self._drawing_lock = threading.RLock()
        self._live: Any = None
        self._is_hidden = 0
        self._height = 0

    def __enter__(self) -> OverallProgress:
        interruption.register(self._restore_terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._drawing_lock:
            self.shown = False
            self._erase()
        interruption.unregister(self._restore_terminal)

    def receive(self, message: Working | Finished) -> None:
        """Record what happened to a package, and draw the bar if it is due."""
        if not self.shown:
            return
        if isinstance(message, Working):
            with self._numbers_lock:
                self._parts[message.path] = message.part
        else:
            self.finish(message.path)
        if time.monotonic() - self._started > _DELAY:
            with self._drawing_lock:
                self._draw()

    def finish(self, path: str) -> None:
        """Count a package as done, also if no message about its end arrived, because its process died."""
        with self._numbers_lock:
            self._parts.pop(path, None)
            if path not in self._finished:
                self._finished.add(path)
                self._finished_bytes += self._sizes.get(path, 0)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the bar during the `with` block, so that something can be printed where it was."""
        with self._drawing_lock:
            self._is_hidden += 1
            was_drawn = self._live is not None
            self._erase()
            try:
                yield
            finally:
                self._is_hidden -= 1
                if was_drawn:
                    self._draw()

    def _draw(self) -> None:
        is_done = len(self._finished) >= len(self._sizes)
        if self._live is not None or self._is_hidden or is_done or not self.shown:
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr, no_color=True if self._colors is False else None, highlight=False)
        self._live = Live(
            get_renderable=lambda: self._picture(console.width),
            console=console,
            transient=True,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _erase(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self, width: int) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._numbers_lock:
            part = self._part()
            working = sorted(self._parts)
            numbers = f"[{len(self._finished)}/{len(self._sizes)}]"
        rest = f"{part:.0%}{self._time_left(part)}"
        bar_width = min(_LONGEST_BAR, width - len(numbers) - len(rest) - 3)
        line = Table.grid(padding=(0, 1))
        if bar_width >= 5:
            line.add_row(numbers, ProgressBar(total=1, completed=part, width=bar_width), rest)
        else:
            line.add_row(f"{numbers} {rest}")
        names = [escaped(os.path.basename(path)) for path in working[:_LISTED]]
        if len(working) > _LISTED:
            names.append(f"and {len(working) - _LISTED} more")
        self._height = 1 + len(names)
        return Group(line, *(Text(f"  {name}", style="dim", no_wrap=True, overflow="ellipsis") for name in names))

    def _part(self) -> float:
        """Return how much of all the work is done, from 0 to 1."""
        done = self._finished_bytes + sum(part * self._sizes.get(path, 0) for path, part in self._parts.items())
        return min(1.0, done / self._total)

    def _time_left(self, part: float) -> str:
        if part < _RELIABLE:
            return ""
        seconds = round((time.monotonic() - self._started) * (1 - part) / part)
        hours, minutes = divmod(seconds // 60, 60)
        return f", {f'{hours}:{minutes:02}' if hours else minutes}:{seconds % 60:02} left"

    def _restore_terminal(self) -> None:
        """Erase the bar and show the cursor, when the process ends at once. It must not wait for a lock."""
        if self._live is not None:
            lines_above = b"\033[A\033[2K" * (self._height - 1)
            os.write(2, b"\r\033[2K" + lines_above + b"\033[?25h")
