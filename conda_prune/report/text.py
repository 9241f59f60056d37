"""The words in which reports speak of findings, variants, sizes and indexes, and a block of lines about one package.

The blocks are for annotations on GitHub; `text_report.py` prints many packages for people. Every number was measured;
none is estimated.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from ..judgement.options import rule_of
from ..model import (
    Action,
    Finding,
    Result,
    Size,
    Variant,
)
from ..quantities import plural, size_text
from .escape import escaped

_LABEL_WIDTH = 17


def check_lines(result: Result, *, verbose: bool = False, fix_arguments: str = "") -> list[str]:
    """Return the lines about a checked package. A clean package without notes has none, unless `verbose` is set."""
    if result.status == "indexed":
        return list(index_lines(result))
    shown = [finding for finding in result.findings if verbose or not finding.quiet]
    if result.status == "clean" and not (verbose or shown or result.notes):
        return []
    variant = variant_text(result.variant)
    lines = [f"{display_name(result)}{f'   {variant}' if variant else ''}"]
    if result.status == "refused":
        lines.append(labeled("refused", escaped(result.error or "")))
        lines += notes_lines(result.notes)
        return lines
    lines += kind_lines(shown)
    if result.status == "findings":
        lines += _advice(result, fix_arguments)
    elif verbose and not shown:
        lines.append(labeled("clean", plural(result.members, "file")))
    lines += notes_lines(result.notes)
    if verbose and not result.deep:
        lines.append(labeled("note", "judged by the package's own listing; --deep also reads the payload"))
    return lines


def display_name(result: Result) -> str:
    """Return how to call the subject of a result: a file by its name, a prefix by its whole path."""
    is_file = result.format is not None or result.path.endswith(".json")
    return escaped(os.path.basename(result.path) if is_file else result.path)


def _advice(result: Result, fix_arguments: str) -> Iterator[str]:
    """Yield the command that repairs a package or prefix; none for an installed package or an unprintable path."""
    command = "fix --in-place" if result.format is not None else "prefix --fix"
    if result.format is None and result.path.endswith(".json"):
        return
    now = f"   ({size_text(result.before.size)} now)" if result.before else ""
    if (path := shell_quoted(result.path)) is not None:
        arguments = f" {fix_arguments}" if fix_arguments else ""
        yield labeled("to fix", f"conda-prune {command}{arguments} {path}{now}")


def kind_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line per kind: how many files, how many bytes, and where."""
    for kind, group in sorted(by_kind(findings).items()):
        finds_files = rule_of(kind).counts == "files"
        one, many = ("file", "files") if finds_files else ("entry", "entries")
        size = sum(finding.size for finding in group)
        total = size_text(size) if size and finds_files else ""
        count = f"{len(group):>5} {one if len(group) == 1 else many:<7}"
        yield f"{labeled(kind, count)} {total:>9}   {where_text(kind, group)}".rstrip()


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return the findings grouped by kind."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return kinds


def where_text(kind: str, group: Sequence[Finding]) -> str:
    """Return where the findings of one kind are, in a few words."""
    preposition = rule_of(kind).preposition
    if len(group) == 1:
        detail = f" ({group[0].detail})" if group[0].detail and not preposition else ""
        return escaped(group[0].path + detail)
    details = sorted({finding.detail for finding in group if finding.detail})
    text = ", ".join(details[:4]) + (f" and {len(details) - 4} more" if len(details) > 4 else "")
    if preposition:
        return escaped(f"{preposition} {text}")
    first = min(finding.path for finding in group)
    return escaped(f"{text}: {first}, …" if text else f"{first}, …")


def notes_lines(notes: Iterable[str]) -> Iterator[str]:
    """Yield a line per note."""
    return (labeled("note", escaped(note)) for note in notes)


def labeled(label: str, text: str) -> str:
    """Return a line of a package's block."""
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def fix_lines(result: Result, *, width: int = 0, verbose: bool = False) -> list[str]:
    """Return the lines about a package that went through `fix`: what was done, then what remains.

    After a dry run, everything that would be done is listed.
    """
    if result.status == "indexed":
        return list(index_lines(result))
    lines = [_fix_line(result, width)]
    forecast = result.status == "findings"
    shown = [
        finding
        for finding in result.findings
        if verbose or (not finding.quiet and (forecast or finding.action is Action.REPORT))
    ]
    if result.status != "refused":
        lines += kind_lines(shown)
    lines += notes_lines(result.notes)
    return lines


def _fix_line(result: Result, width: int) -> str:
    name = display_name(result).ljust(width)
    if result.status == "clean":
        copied = f"   copied to {escaped(result.output)}" if result.output else ""
        return f"clean    {name}   unchanged{copied}"
    if result.status == "refused":
        return f"refused  {name}   {escaped(result.error or '')}"
    parts = [what_text(result.findings) or "links corrected"]
    if result.status == "findings":
        return "   ".join([f"would    {name}", *parts])
    if result.before and result.after:
        parts.append(change_text(result.before, result.after))
    if compression := result.compression:
        parts.append(f"{compression.codec} {compression.level} ({compression.source})")
    parts.append(f"{result.seconds:.1f} s")
    if result.output and result.output != result.path:
        parts.append(escaped(result.output))
    return "   ".join([f"fixed    {name}", *parts])


def index_lines(result: Result) -> Iterator[str]:
    """Yield the lines about a channel's index whose records were refreshed."""
    records = plural(len(result.records), "record")
    yield f"index    {escaped(result.path)}   {records} refreshed"
    for record in result.records:
        before = f"{record.before[:12]}…" if record.before else "none"
        yield labeled("sha256", f"{before} → {record.after[:12]}…   {escaped(record.file)}")
    yield from notes_lines(result.notes)


def what_text(findings: Iterable[Finding]) -> str:
    """Return how many files each action concerns; empty if nothing is done."""
    counts = dict.fromkeys(Action, 0)
    for finding in findings:
        counts[finding.action] += 1
    parts = []
    if dropped := counts[Action.DROP]:
        parts.append(f"−{plural(dropped, 'file')}")
    if corrected := counts[Action.CORRECT]:
        parts.append(f"{plural(corrected, 'listing entry', 'listing entries')} corrected")
    if restamped := counts[Action.RESTAMP]:
        parts.append(f"{plural(restamped, 'file')} re-stamped")
    return ", ".join(parts)


def error_line(result: Result) -> str:
    """Return the line about a package that could not be processed."""
    return f"error: {escaped(result.path)}: {escaped(result.error or '')}"


def warning_line(warning: str) -> str:
    """Return the line about a warning, which may concern several packages of the run."""
    return f"warning: {escaped(warning)}"


def summary_line(results: Sequence[Result]) -> str:
    """Return the last line: how many packages have each status."""
    parts, totals = [], []
    for status, word in (
        ("findings", "to fix"), ("fixed", "fixed"), ("clean", "clean"), ("refused", "refused"), ("error", "failed"),
    ):  # fmt: skip
        these = [result for result in results if result.status == status]
        if not these:
            continue
        parts.append(f"{len(these)} {word}")
        dropped = [f for result in these for f in result.findings if f.action is Action.DROP]
        if dropped and status == "findings":
            parts[-1] += f" ({plural(len(dropped), 'file')}, {size_text(sum(finding.size for finding in dropped))})"
        sizes = [(result.before.size, result.after.size) for result in these if result.before and result.after]
        if sizes and status == "fixed":
            before, after = (sum(column) for column in zip(*sizes, strict=True))
            totals += [f"−{plural(len(dropped), 'file')}"] if dropped else []
            totals.append(change_text(Size(before, ""), Size(after, "")))
    packages = sum(result.status != "indexed" for result in results)
    return "   ".join([f"{plural(packages, 'package')}: {', '.join(parts)}", *totals])


def variant_text(variant: Variant | None, *, evidence: bool = True) -> str:
    """Return a description of the Python that a package is for, with the strongest piece of evidence."""
    if variant is None:
        return ""
    words = {
        "exact": f"Python {escaped(variant.python)}",
        "any": "any Python",
        "none": "no Python",
        "unknown": f"Python {escaped(variant.python)}" if variant.python not in ("", "unknown") else "unknown Python",
        "contradictory": "contradictory evidence",
    }[variant.kind]
    if evidence and variant.because and variant.kind != "contradictory":
        return f"{words} ({escaped(variant.because[0])})"
    return words


def change_text(before: Size, after: Size) -> str:
    """Return two sizes as a change."""
    return f"{size_text(before.size)} → {size_text(after.size)}"


def shell_quoted(path: str) -> str | None:
    """Return a path quoted for a shell, or None if it cannot be printed unescaped or looks like an option."""
    if escaped(path) != path or path.startswith("-"):
        return None
    return quoted(path)


def quoted(word: str) -> str:
    """Return a word quoted for a shell of this system."""
    if os.name == "nt":
        from .. import windows

        return windows.quoted(word)
    import re

    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def longest_name(paths: Iterable[str]) -> int:
    """Return the width of the longest file name."""
    return max((len(escaped(os.path.basename(path))) for path in paths), default=0)


_COLORS = {"fixed": 32, "clean": 2, "refused": 31, "would": 33, "error:": 31, "warning:": 33}


def colored(line: str) -> str:
    """Return the line with its first word in the color of the status that it names."""
    word, space, rest = line.partition(" ")
    code = _COLORS.get(word, 1 if word and not line.startswith(" ") else 0)
    return f"\033[{code}m{word}\033[0m{space}{rest}" if code else line
