"""Results for GitHub Actions: an annotation for each package that needs attention, and a table in the step's summary.

GitHub shows ten annotations of each level in a step. If there are more, the tenth says how many.
Workflow commands: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from ..model import Result
from ..quantities import plural, size_text
from . import text
from .escape import encodable, escaped

if TYPE_CHECKING:
    from .output import Style

Level = Literal["error", "warning", "notice"]

SHOWN = 10
SUMMARY_BYTES = 1 << 20
"""Bytes of one step's summary that GitHub accepts: https://docs.github.com/actions (job summaries)."""


class GithubReport:
    """Annotations on the stream as results arrive; at the end, a table in the file that GITHUB_STEP_SUMMARY names."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._results: list[Result] = []
        self._held: dict[Level, list[str]] = {}
        self._printed: dict[Level, int] = {}

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        self._results.append(result)
        level = level_of(result)
        if level is None or (self._style.quiet and level != "error"):
            return
        line = annotation(result, level, self._style)
        if self._printed.get(level, 0) < SHOWN - 1:
            self._printed[level] = self._printed.get(level, 0) + 1
            self._print(line)
        else:
            self._held.setdefault(level, []).append(line)

    def end(self) -> None:
        for level, lines in self._held.items():
            where = "the summary of this step" if os.environ.get("GITHUB_STEP_SUMMARY") else "--format text"
            more = f"{len(lines)} more packages: {where} names them"
            self._print(lines[0] if len(lines) == 1 else f"::{level} title=conda-prune::{_data(more)}")
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path and self._results:
            try:
                with open(path, "a", encoding="utf-8", newline="\n") as file:
                    file.write(summary(self._results))
            except OSError as error:
                print(text.warning_line(f"GITHUB_STEP_SUMMARY {path}: {error.strerror}"), file=sys.stderr)

    def _print(self, line: str) -> None:
        print(encodable(line, self._stream.encoding), file=self._stream)


def level_of(result: Result) -> Level | None:
    """Return how much attention a result needs, or None if there is nothing to say."""
    if result.status in ("error", "refused"):
        return "error"
    if result.status == "findings":
        return "warning"
    visible = any(not finding.quiet for finding in result.findings) or result.notes
    return "notice" if result.status in ("fixed", "indexed") or visible else None


def annotation(result: Result, level: Level, style: Style) -> str:
    """Return the workflow command that annotates a package."""
    name = escaped(os.path.basename(result.path))
    if result.status in ("error", "refused"):
        title = f"{name} {'failed' if result.status == 'error' else 'is refused'}"
        lines = [escaped(result.error or "")]
    elif result.status in ("fixed", "indexed"):
        first, *lines = text.fix_lines(result)
        title = f"{name} was {'repaired' if result.status == 'fixed' else 'refreshed'}"
        lines.insert(0, first)
    else:
        what = text.what_text(result.findings)
        title = f"{name} would be repaired: {what}" if what else name
        lines = text.check_lines(result, fix_options=style.fix_options)[1:]
    # Columns are aligned with spaces; two are enough to keep them apart.
    message = "\n".join(re.sub(" {2,}", "  ", line.strip()) for line in lines)
    return f"::{level} file={_property(escaped(result.path))},title={_property(title)}::{_data(message)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def summary(results: Sequence[Result]) -> str:
    """Return the results as a table in GitHub's Markdown, with as many rows as fit into a step's summary.

    Clean packages are only counted.
    """
    head = f"### conda-prune\n\n{markdown(text.summary_line(results))}\n"
    rows = [_row(result) for result in results if level_of(result) is not None]
    if not rows:
        return head + "\n"
    table = [head, "", "| package | Python | status | findings | size |", "|---|---|---|---|---|"]
    room = SUMMARY_BYTES - 4096 - len("\n".join(table).encode())
    for index, row in enumerate(rows):
        room -= len(row.encode()) + 1
        if room < 0:
            table += ["", f"{len(rows) - index} more packages are not shown."]
            break
        table.append(row)
    return "\n".join(table) + "\n\n"


def _row(result: Result) -> str:
    sizes = ""
    if result.before and result.after:
        sizes = text.change_text(result.before, result.after)
    elif result.before:
        sizes = size_text(result.before.size)
    cells = (
        escaped(os.path.basename(result.path)),
        text.variant_text(result.variant, evidence=False),
        result.status,
        "; ".join(_findings(result)) or escaped(result.error or ""),
        sizes,
    )
    return f"| {' | '.join(map(markdown, cells))} |"


def _findings(result: Result) -> Iterator[str]:
    shown = [finding for finding in result.findings if not finding.quiet]
    for kind, group in sorted(text.by_kind(shown).items()):
        size = sum(finding.size for finding in group)
        yield f"{kind}: {plural(len(group), 'file')}{f', {size_text(size)}' if size else ''}"


def markdown(value: str) -> str:
    """Return a text that Markdown shows unchanged, also in a table."""
    return re.sub(r"([\\`*_\[\]<>#|~&@$])", r"\\\1", value)
