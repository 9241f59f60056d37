"""Results for GitHub Actions: an annotation for each package that needs attention, and a table in the step summary.

What makes the step fail is an error, and everything else that needs attention is a warning. The action says in
CONDA_PRUNE_FAIL_ON what makes its step fail: `findings` (also the default), `error` or `never`.

GitHub shows at most ten annotations of each level per step. If there are more, the tenth says how many are missing.
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

FAIL_ON = ("findings", "error", "never")
"""The values of CONDA_PRUNE_FAIL_ON; the first one is the default."""
MAX_ANNOTATIONS = 10
"""How many annotations of each level GitHub shows for one step."""
MAX_SUMMARY = 1 << 20
"""How many bytes GitHub accepts as the summary of one step: https://docs.github.com/actions (job summaries)."""


class GithubReport:
    """Prints annotations as results arrive; at the end, appends a table to the file that GITHUB_STEP_SUMMARY names."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._results: list[Result] = []
        self._held_back: dict[Level, list[str]] = {}
        self._printed: dict[Level, int] = {}

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        self._results.append(result)
        level = level_of(result)
        if level is None or (self._style.quiet and level != "error"):
            return
        line = annotation(result, level, self._style)
        if self._printed.get(level, 0) < MAX_ANNOTATIONS - 1:
            self._printed[level] = self._printed.get(level, 0) + 1
            self._print(line)
        else:
            self._held_back.setdefault(level, []).append(line)

    def end(self) -> None:
        for level, lines in self._held_back.items():
            where = "in the summary of this step" if os.environ.get("GITHUB_STEP_SUMMARY") else "with --format text"
            more = f"{len(lines)} more packages are listed {where}"
            self._print(lines[0] if len(lines) == 1 else f"::{level} title=conda-prune::{_escape_data(more)}")
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path and self._results:
            try:
                with open(path, "a", encoding="utf-8", newline="\n") as file:
                    file.write(summary(self._results))
            except OSError as error:
                print(text.warning_line(f"GITHUB_STEP_SUMMARY {path}: {error.strerror}"), file=sys.stderr)

    def _print(self, line: str) -> None:
        print(encodable(line, self._stream.encoding), file=self._stream)


def what_fails() -> str:
    """Return what makes the step fail: one of FAIL_ON. Raises ValueError for another value of the variable."""
    value = os.environ.get("CONDA_PRUNE_FAIL_ON") or FAIL_ON[0]
    if value not in FAIL_ON:
        raise ValueError(f"CONDA_PRUNE_FAIL_ON {value}: use {', '.join(FAIL_ON[:-1])} or {FAIL_ON[-1]}")
    return value


def level_of(result: Result) -> Level | None:
    """Return the annotation level of a result, or None if there is nothing to report."""
    if result.status in ("error", "refused"):
        return "warning" if what_fails() == "never" else "error"
    if result.status == "findings":
        return "error" if what_fails() == "findings" else "warning"
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
        lines = text.check_lines(result, fix_arguments=style.fix_arguments or "")[1:]
        if style.fix_arguments is None:
            lines = [line for line in lines if not line.startswith("  to fix ")]
    # The text output aligns columns with spaces. Two are enough to separate them.
    message = "\n".join(re.sub(" {2,}", "  ", line.strip()) for line in lines)
    path = _escape_property(escaped(result.path))
    return f"::{level} file={path},title={_escape_property(title)}::{_escape_data(message)}"


def _escape_data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(value: str) -> str:
    return _escape_data(value).replace(":", "%3A").replace(",", "%2C")


def summary(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table, with as many rows as fit into the summary of a step.

    Clean packages are counted but get no row.
    """
    head = f"### conda-prune\n\n{escape_markdown(text.summary_line(results))}\n"
    rows = [_row(result) for result in results if level_of(result) is not None]
    if not rows:
        return head + "\n"
    table = [head, "", "| package | Python | status | findings | size |", "|---|---|---|---|---|"]
    bytes_left = MAX_SUMMARY - 4096 - len("\n".join(table).encode())
    for index, row in enumerate(rows):
        bytes_left -= len(row.encode()) + 1
        if bytes_left < 0:
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
    return f"| {' | '.join(map(escape_markdown, cells))} |"


def _findings(result: Result) -> Iterator[str]:
    shown = [finding for finding in result.findings if not finding.quiet]
    for kind, group in sorted(text.by_kind(shown).items()):
        size = sum(finding.size for finding in group)
        yield f"{kind}: {plural(len(group), 'file')}{f', {size_text(size)}' if size else ''}"


def escape_markdown(value: str) -> str:
    """Return the text escaped so that Markdown shows it unchanged, even in a table."""
    return re.sub(r"([\\`*_\[\]<>#|~&@$])", r"\\\1", value)
