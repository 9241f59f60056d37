"""Results as text for people: a line for each package that needs attention, then one summary.

On a terminal, lines fit its width: details move to an indented second line, and no name is cut. Elsewhere, every
package stays on one line, so that the output can be searched with grep. Every number was measured; none is estimated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ..judgement.bytecode import parse_bytecode
from ..judgement.options import rule_of
from ..model import Action, Finding, Result
from ..quantities import plural, size_text
from . import text
from .escape import escaped

if TYPE_CHECKING:
    from .output import Style

_NARROW = 100
"""Columns of a terminal below which details always get a line of their own."""
_AFTER_NAME = 30
"""Columns for the size and the Python after a name."""
_FAR = 10
"""Lines after a failure from which on it is repeated at the end."""
_RED, _YELLOW, _GREEN, _DIM, _BOLD = 31, 33, 32, 2, 1
_COLORS = {"findings": _YELLOW, "fixed": _GREEN, "refused": _RED, "error": _RED, "clean": _DIM}


class _Line(NamedTuple):
    """A line: what stands out in color, and the rest."""

    colored: str
    rest: str = ""
    color: int = 0


class TextReport:
    """Prints a line for each result as it arrives, and the summary at the end."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        from .output import terminal_width

        self._stream = stream
        self._style = style
        self._results: list[Result] = []
        self._name_width = 0
        self._printed = 0
        self._failed_at: list[tuple[int, Result]] = []
        self._width = terminal_width(stream)

    def begin(self, paths: Sequence[str]) -> None:
        self._name_width = text.longest_name(paths)
        if self._width:
            self._name_width = min(self._name_width, max(0, self._width - _AFTER_NAME))

    def add(self, result: Result) -> None:
        self._results.append(result)
        if result.status in ("error", "refused"):
            self._failed_at.append((self._printed, result))
        if self._style.quiet or result.status == "error":
            return
        for line in self._lines(result):
            self._print(line)

    def end(self) -> None:
        if self._style.quiet or not self._results:
            return
        lines = [*self._repeated_failures(), *_summary(self._results, self._style)]
        if self._printed and lines:
            self._print(_Line(""))
        for line in lines:
            for part in self._fitted(line):
                self._print(part)

    def _fitted(self, line: _Line) -> Iterator[_Line]:
        """Yield a line of the summary, wrapped between words on a terminal. A command to copy stays one line."""
        if not self._width or line.color == _BOLD:
            yield line
            return
        import textwrap  # Imported here, since without a terminal nothing is wrapped.

        wrapped = textwrap.wrap(
            line.colored + line.rest,
            self._width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for part in wrapped:
            length = len(line.colored) if part.startswith(line.colored) else 0
            yield _Line(part[:length], part[length:], line.color)

    def _print(self, line: _Line) -> None:
        from .output import print_colored

        self._printed += 1
        print_colored(line.colored, line.color, line.rest, self._stream, self._style)

    def _lines(self, result: Result) -> Iterator[_Line]:
        if result.status == "indexed":
            for line in text.index_lines(result):
                head, space, rest = line.partition(" ")
                yield _Line(head, space + rest, 0 if line.startswith(" ") else _BOLD)
            return
        verbose = self._style.verbose
        shown = [finding for finding in result.findings if verbose or not finding.quiet]
        notes = [note for note in result.notes if verbose or note not in {other.text for other in result.remainders}]
        if result.status == "clean" and not (verbose or shown or notes or result.output):
            return
        yield from self._package_lines(result, shown)
        if verbose:
            yield from _file_lines(shown)
        for note in notes:
            yield from self._wrapped(f"note: {escaped(note)}")

    def _package_lines(self, result: Result, shown: Sequence[Finding]) -> Iterator[_Line]:
        """Yield the line about a package, or two lines if one would be too wide."""
        head, details = self._head(result), _details(result, shown, evidence=self._style.verbose)
        one = "   ".join([head.rest, *details]).rstrip()
        if not self._width or (self._width >= _NARROW and len(head.colored) + len(one) <= self._width):
            yield head._replace(rest=one)
            return
        rest = head.rest.rstrip()
        if len(head.colored) + len(rest) > self._width and self._style.command != "fix":
            # A long name has its line to itself.
            details, rest = [re.sub(r" {2,}", "   ", rest.strip()), *details], ""
        yield head._replace(rest=rest)
        yield from self._wrapped("   ".join(details))

    def _head(self, result: Result) -> _Line:
        """Return what begins a package's line: its name, and its size and Python for `check`."""
        name = text.display_name(result)
        color = _COLORS[result.status]
        padding = " " * (self._name_width - len(name))
        if self._style.command == "fix":
            word = {"findings": "would"}.get(result.status, result.status)
            return _Line(f"{word:<9}", f"{name}{padding}", color)
        size = size_text(result.before.size) if result.before else ""
        # A package carries its evidence, and -v shows it. That of a prefix comes from the build's environment.
        variant = text.variant_text(result.variant, evidence=result.format is None)
        return _Line(name, f"{padding}  {size:>10}   {variant:<11}" if size else f"   {variant}", color)

    def _wrapped(self, line: str) -> Iterator[_Line]:
        """Yield an indented line, wrapped between words on a terminal."""
        if not self._width:
            yield _Line("", f"    {line}")
            return
        import textwrap

        wrapped = textwrap.wrap(
            line,
            self._width,
            initial_indent="    ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from (_Line("", part) for part in wrapped)

    def _repeated_failures(self) -> Iterator[_Line]:
        """Yield the failures and refusals again that may have scrolled out of sight."""
        far = [result for printed, result in self._failed_at if self._printed - printed > _FAR]
        for result in far:
            word = "refused" if result.status == "refused" else "error"
            yield _Line(f"{word}:", f" {escaped(result.path)}: {escaped(result.error or '')}", _RED)


def _details(result: Result, shown: Sequence[Finding], *, evidence: bool) -> list[str]:
    """Return what a line says about a package after its name."""
    if result.status == "refused":
        return [f"refused: {escaped(result.error or '')}"]
    if result.status == "clean" and result.output:
        parts = [f"copied to {escaped(result.output)}"]
    elif result.status == "clean" and not shown:
        parts = ["clean"]
    else:
        parts = [part for part in (_what(result, shown), _kinds(shown)) if part]
    if result.before and result.after:
        parts.insert(0, change_text(result.before.size, result.after.size))
    if compression := result.compression:
        parts.append(f"{compression.codec} {compression.level} ({compression.source})")
    if result.status == "fixed":
        parts.append(f"{result.seconds:.1f} s")
        if result.output and result.output != result.path:
            parts.append(escaped(result.output))
    if evidence and result.variant and result.variant.because:
        parts.append(f"evidence: {escaped('; '.join(result.variant.because))}")
    return parts


def _what(result: Result, shown: Sequence[Finding]) -> str:
    """Return what is wrong, or was repaired, in numbers."""
    dropped = [finding for finding in result.findings if finding.action is Action.DROP]
    counts = Counter(finding.action for finding in result.findings)
    parts = []
    if dropped:
        size = sum(finding.size for finding in dropped)
        fixed = result.status == "fixed"
        files = f"{plural(len(dropped), 'file')} dropped" if fixed else plural(len(dropped), "stray file")
        parts.append(f"{files}, {size_text(size)} unpacked")
    if corrected := counts[Action.CORRECT]:
        verb = "corrected" if result.status == "fixed" else "to correct"
        parts.append(f"{plural(corrected, 'listing entry', 'listing entries')} {verb}")
    if restamped := counts[Action.RESTAMP]:
        verb = "re-stamped" if result.status == "fixed" else "to re-stamp"
        parts.append(f"{plural(restamped, 'file')} {verb}")
    reported = sum(finding.action is Action.REPORT for finding in shown)
    if reported:
        undecided = _is_undecided(result)
        parts.append(f"{plural(reported, 'file')} {'undecided' if undecided else 'reported'}")
    return ", ".join(parts) or ("links corrected" if result.status in ("findings", "fixed") else "")


def _kinds(shown: Sequence[Finding]) -> str:
    counts = Counter(finding.kind for finding in shown)
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common())


def _is_undecided(result: Result) -> bool:
    return result.variant is not None and result.variant.kind == "unknown"


def _file_lines(shown: Sequence[Finding]) -> Iterator[_Line]:
    """Yield a line for each finding, for `-v`."""
    for finding in sorted(shown, key=lambda finding: (finding.kind, finding.path)):
        size = f"  {size_text(finding.size)}" if finding.size else ""
        detail = f"  ({escaped(finding.detail)})" if finding.detail else ""
        yield _Line("", f"    {finding.action.value:<8} {finding.kind:<18} {escaped(finding.path)}{size}{detail}")


def _summary(results: Sequence[Result], style: Style) -> Iterator[_Line]:
    """Yield the last lines: what was found or done in all packages, what remains, and what to type."""
    packages = [result for result in results if result.status != "indexed"]
    by_status = {
        status: [result for result in packages if result.status == status]
        for status in ("findings", "fixed", "clean", "refused", "error")
    }
    nouns = ("prefix", "prefixes") if style.command == "prefix" else ("package", "packages")
    total = plural(len(packages), *nouns)
    for status in ("findings", "fixed"):
        if these := by_status[status]:
            yield _Line(f"{len(these)} of {total} ", _totals(these, status, style), _COLORS[status])
    undecided = [result for result in packages if _is_undecided(result) and result.findings]
    clean = sum(result not in undecided for result in by_status["clean"])
    if clean and clean == len(packages):
        yield _Line(f"{total}: nothing to repair.", "", _GREEN)
    elif clean:
        yield _Line("", f"{plural(clean, *nouns)} {'is' if clean == 1 else 'are'} clean.")
    if undecided:
        files = sum(len(result.findings) for result in undecided)
        has = "has" if len(undecided) == 1 else "have"
        yield _Line(
            f"{plural(len(undecided), *nouns)} {has} bytecode of an unknown Python ",
            f"({plural(files, 'file')}): say which one with --python, such as --python 3.13.",
        )
    for status, words in (
        ("refused", "contradict themselves and were left alone"),
        ("error", "could not be processed"),
    ):
        if these := by_status[status]:
            if len(these) == 1:
                words = words.replace("contradict themselves and were", "contradicts itself and was")
            yield _Line(f"{plural(len(these), *nouns)} {words}.", "", _RED)
    yield from _remains(packages)
    yield from _advice(by_status["findings"], style)


def _totals(results: Sequence[Result], status: str, style: Style) -> str:
    """Return what all packages of a status have in common, in numbers."""
    findings = [finding for result in results for finding in result.findings]
    dropped = [finding for finding in findings if finding.action is Action.DROP]
    changed = sum(finding.action in (Action.CORRECT, Action.RESTAMP) for finding in findings)
    parts = []
    if dropped:
        size = size_text(sum(finding.size for finding in dropped))
        parts.append(f"{plural(len(dropped), 'file')}, {size} unpacked")
    if changed:
        parts.append(plural(changed, "correction"))
    if status == "fixed":
        before = sum(result.before.size for result in results if result.before and result.after)
        after = sum(result.after.size for result in results if result.before and result.after)
        if before:
            parts.append(change_text(before, after))
        return f"repaired: {', '.join(parts)}." if parts else "repaired."
    one = len(results) == 1
    if style.command == "fix":
        verb = "would be repaired"
    elif dropped:
        what = "bytecode" if all(parse_bytecode(finding.path) for finding in dropped) else "files"
        verb = f"{'holds' if one else 'hold'} stray {what}"
    else:
        verb = "needs a repair" if one else "need a repair"
    return f"{verb}: {', '.join(parts)}." if parts else f"{verb}."


def _remains(results: Sequence[Result]) -> Iterator[_Line]:
    """Yield what remains in all packages because nobody asked for it, a line for each kind."""
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for result in results:
        for remainder in result.remainders:
            files[remainder.kind] += remainder.files
            sizes[remainder.kind] += remainder.size
    for kind, count in files.items():
        says = rule_of(kind).remains
        if says is not None:
            yield _Line("", f"{says(count, sizes[kind])}.")


def _advice(results: Sequence[Result], style: Style) -> Iterator[_Line]:
    """Yield the command that repairs what was found, and the one that explains its most frequent kind."""
    if not results:
        return
    if style.repair_command:
        yield _Line("To repair:  ", style.repair_command, _BOLD)
    counts = Counter(finding.kind for result in results for finding in result.findings if _is_repaired(finding))
    if counts:
        [(kind, _)] = counts.most_common(1)
        yield _Line("To prevent: ", f"conda-prune explain {kind}", _BOLD)


def _is_repaired(finding: Finding) -> bool:
    return finding.action is not Action.REPORT


def change_text(before: int, after: int) -> str:
    """Return two sizes in bytes as a change, with the difference in percent."""
    percent = f", {(after - before) / before:+.0%}".replace("-", "−") if before and before != after else ""
    return f"{size_text(before)} → {size_text(after)}{percent}"
