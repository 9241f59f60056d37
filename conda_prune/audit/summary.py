"""What people see of an audit: a line of progress on a terminal while it runs, and a summary at the end."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from ..quantities import plural, size_text
from ..report.escape import escaped
from .outcome import Outcome

_EVERY = 0.5
"""Seconds between two updates of the line."""
_RECENT = 30.0
"""Seconds over which the rate is averaged: it changes when a server limits it."""
_MOST_FAILURES = 10
"""Failures that the summary names; the results file has all."""


class Tally:
    """Counts outcomes; keeps no more than a few of them, however many there are."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._dropped_bytes = 0
        self._failures: list[tuple[str, str]] = []
        self._skips: Counter[str] = Counter()
        self._unused_keep: tuple[str, ...] | None = None

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.statuses[outcome.status] += 1
        self._kinds.update(outcome.kinds)
        self._dropped_bytes += outcome.dropped_bytes
        if outcome.status == "skipped":
            self._skips[outcome.reason] += 1
        elif outcome.reason and len(self._failures) < _MOST_FAILURES:
            self._failures.append((outcome.shown, outcome.reason))
        if self._unused_keep is None:
            self._unused_keep = outcome.unused_keep
        elif self._unused_keep and self._unused_keep != outcome.unused_keep:
            self._unused_keep = tuple(glob for glob in self._unused_keep if glob in outcome.unused_keep)

    @property
    def unused_keep(self) -> tuple[str, ...]:
        """The globs of `keep` that match no file; none if a package was not judged, which may have such a file."""
        return self._unused_keep or ()

    @property
    def failed(self) -> int:
        """How many packages were not judged, or contradict themselves."""
        return self.statuses["error"] + self.statuses["refused"]

    def lines(self, already_there: int) -> Iterator[str]:
        """Yield the summary: what was found, what was left out, and what failed. None is escaped for its stream."""
        judged = self.statuses["clean"] + self.statuses["findings"]
        stray = sum(self._kinds.values())
        were = "was" if already_there == 1 else "were"
        there = f" ({already_there} {were} already in the results file)" if already_there else ""
        found = self.statuses["findings"]
        verb = "holds" if found == 1 else "hold"
        yield f"{plural(judged, 'package')} judged{there}: {found} {verb} stray bytecode"
        if stray:
            kinds = ", ".join(f"{kind} {count}" for kind, count in self._kinds.most_common())
            size = f", {size_text(self._dropped_bytes)} unpacked" if self._dropped_bytes else ""
            yield f"{plural(stray, 'stray file')}{size}: {kinds}"
        for reason, count in self._skips.most_common():
            yield f"skipped {plural(count, 'package')}: {reason}"
        yield from self.failure_lines()

    def failure_lines(self) -> Iterator[str]:
        """Yield what failed, nothing if all went well."""
        if self.failed:
            yield f"{plural(self.failed, 'package')} could not be judged:"
            for shown, reason in self._failures:
                yield f"  {shown}: {reason}"
            if (rest := self.failed - len(self._failures)) > 0:
                yield f"  and {rest} more, in the results file"


class ProgressLine:
    """One line on standard error, if that is a terminal and not a CI's: how many are done, how fast, how long to go."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty() and not os.environ.get("CI")
        self._total = 0
        self._done = 0
        self._marks = [(time.monotonic(), 0)]

    def expect(self, count: int) -> None:
        """Add to the number of packages that there are."""
        self._total += count

    def advance(self) -> None:
        """Count a package that is done, or that is left out."""
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._marks[-1][0] >= _EVERY:
            self._marks = [mark for mark in self._marks if now - mark[0] < _RECENT] or self._marks[-1:]
            self._marks.append((now, self._done))
            self._write(progress_text(self._done, self._total, self._rate()))

    def say(self, message: str) -> None:
        """Print a message on a line of its own."""
        self.clear()
        print(escaped(message), file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._write("")

    def _rate(self) -> float:
        (begun, before), (now, done) = self._marks[0], self._marks[-1]
        return (done - before) / (now - begun) if now > begun else 0.0

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\033[2K{text}")
        sys.stderr.flush()


def progress_text(done: int, total: int, rate: float) -> str:
    """Return the line for so many packages of a total (0: not known) at a rate per second."""
    if total <= 0 or done > total:
        return f"[{done}] {rate:.0f}/s"
    left = f", {_clock((total - done) / rate)} left" if rate > 0 else ""
    return f"[{done}/{total}] {100 * done // total} %, {rate:.0f}/s{left}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
