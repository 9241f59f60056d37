"""Results as lines for people: one block a package for `check`, one line a package for `fix`; sorted, stable,
greppable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from ..model import Action, File, Finding, Plan, Result, Variant
from .escape import escaped

_PREPOSITIONS = {"foreign-path": "under", "foreign-tree": "under"}


def check_lines(result: Result, *, verbose: bool = False) -> list[str]:
    """Return the lines about a checked package: none for a clean one, unless `verbose`."""
    shown = [finding for finding in result.findings if verbose or not finding.quiet]
    if result.status == "clean" and not verbose and not any(not finding.quiet for finding in shown):
        return []
    lines = [f"{escaped(os.path.basename(result.path))}   {variant_text(result.variant)}"]
    if result.status == "refused":
        return [*lines, f"  {'refused':<17}{escaped(result.error or '')}"]
    lines += kind_lines(shown)
    if result.status == "findings":
        before = result.before.size if result.before else 0
        lines.append(f"  {'package':<17}{size_text(before):<12}   conda-prune fix --in-place {_quoted(result.path)}")
    elif verbose and not shown:
        lines.append(f"  {'clean':<17}{plural(result.members, 'file')}")
    lines += [f"  {'note':<17}{escaped(note)}" for note in result.notes]
    return lines


def kind_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line a kind: how many files, how many bytes, where."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    for kind in sorted(kinds):
        group = kinds[kind]
        size = sum(finding.size for finding in group)
        yield f"  {kind:<17}{plural(len(group), 'file'):<12} {size_text(size):<10} {_where(kind, group)}"


def _where(kind: str, group: Sequence[Finding]) -> str:
    if len(group) == 1:
        detail = f" ({group[0].detail})" if group[0].detail and kind not in _PREPOSITIONS else ""
        return escaped(group[0].path + detail)
    details = sorted({finding.detail for finding in group if finding.detail})
    text = ", ".join(details[:4]) + (" and more" if len(details) > 4 else "")
    if kind in _PREPOSITIONS:
        return escaped(f"{_PREPOSITIONS[kind]} {text}")
    first = min(finding.path for finding in group)
    return escaped(f"{text}: {first}, …" if text else f"{first}, …")


def fix_lines(result: Result, *, width: int = 0, verbose: bool = False) -> list[str]:
    """Return the line about a package that went through `fix`, and what is to be said about the rest."""
    lines = [_fix_line(result, width)]
    shown = [
        finding for finding in result.findings if verbose or (finding.action is Action.REPORT and not finding.quiet)
    ]
    if result.status != "refused":
        lines += kind_lines(shown)
        lines += [f"  {'note':<17}{escaped(note)}" for note in result.notes]
    return lines


def _fix_line(result: Result, width: int) -> str:
    name = escaped(os.path.basename(result.path)).ljust(width)
    if result.status == "clean":
        copied = f"   copied to {escaped(result.output)}" if result.output else ""
        return f"clean    {name}   unchanged{copied}"
    if result.status == "refused":
        return f"refused  {name}   {escaped(result.error or '')}"
    dropped = sum(finding.action is Action.DROP for finding in result.findings)
    corrected = sum(finding.action is Action.CORRECT for finding in result.findings)
    restamped = sum(finding.action is Action.RESTAMP for finding in result.findings)
    done = [f"−{plural(dropped, 'file')}"] if dropped else []
    done += [f"{plural(corrected, 'listing entry', 'listing entries')} corrected"] if corrected else []
    done += [f"{plural(restamped, 'file')} re-stamped"] if restamped else []
    what = ", ".join(done)
    if result.status == "findings":
        return f"would    {name}   {what}"
    sizes = (
        f"{size_text(result.before.size)} → {size_text(result.after.size)}" if result.before and result.after else ""
    )
    compression = result.compression
    how = f"{compression.codec} {compression.level} ({compression.source})" if compression else ""
    output = f"   {escaped(result.output)}" if result.output and result.output != result.path else ""
    return f"fixed    {name}   {what}   {sizes}   {how}   {result.seconds:.1f} s{output}"


def error_line(result: Result) -> str:
    """Return the line about a package that could not be processed."""
    return f"error: {escaped(result.path)}: {escaped(result.error or '')}"


def summary_line(results: Sequence[Result]) -> str:
    """Return the last line: how many packages became what."""
    stray = [result for result in results if result.status == "findings"]
    dropped = [finding for result in results for finding in result.findings if finding.action is Action.DROP]
    parts = []
    if stray:
        size = size_text(sum(finding.size for finding in dropped))
        parts.append(f"{len(stray)} to fix ({plural(len(dropped), 'file')}, {size})")
    for status, word in (("fixed", "fixed"), ("clean", "clean"), ("refused", "refused"), ("error", "failed")):
        if count := sum(result.status == status for result in results):
            parts.append(f"{count} {word}")
    return f"{plural(len(results), 'package')}: {', '.join(parts)}"


def show_lines(result: Result, plan: Plan) -> Iterator[str]:
    """Yield everything known about a package: evidence, compression, and every file with what becomes of it."""
    yield escaped(os.path.basename(result.path))
    identity = f"{result.name} {result.version} {result.build} ({result.subdir})"
    yield f"  {'package':<12}{escaped(identity)}"
    yield f"  {'python':<12}{variant_text(result.variant, evidence=False)}"
    for piece in result.variant.because if result.variant else ():
        yield f"  {'because':<12}{escaped(piece)}"
    if result.variant and result.variant.conflict:
        yield f"  {'conflict':<12}{escaped(result.variant.conflict)}"
    if result.variant and result.variant.tags is not None:
        yield f"  {'tags':<12}{', '.join(result.variant.tags) or 'none'}"
    if result.compression:
        compression = result.compression
        yield f"  {'compression':<12}{compression.codec} {compression.level} ({compression.source})"
    yield f"  {'status':<12}{result.status}{f': {escaped(result.error)}' if result.error else ''}"
    for note in result.notes:
        yield f"  {'note':<12}{escaped(note)}"
    found = {finding.path: finding for finding in reversed(result.findings)}
    for path, file in sorted(plan.package.files.items()):
        yield _file_line(path, file, found.get(path))
    for path in sorted(found.keys() - plan.package.files.keys()):
        yield f"  {'absent':<8} {'':>10} {escaped(path)}   {found[path].kind}: {escaped(found[path].detail)}"


def _file_line(path: str, file: File, finding: Finding | None) -> str:
    action = finding.action.value if finding and finding.action is not Action.REPORT else "keep"
    why = f"   {finding.kind}: {escaped(finding.detail)}".rstrip(": ") if finding else ""
    size = size_text(file.size) if file.size is not None else file.kind.value
    return f"  {action:<8} {size:>10} {escaped(path)}{why}"


def variant_text(variant: Variant | None, *, evidence: bool = True) -> str:
    """Return what a package is for, in words, with the strongest piece of evidence."""
    if variant is None:
        return ""
    words = {
        "exact": f"Python {variant.python}",
        "any": "any Python",
        "none": "no Python",
        "unknown": f"Python {variant.python}" if variant.python != "unknown" else "unknown Python",
        "contradictory": "contradictory evidence",
    }[variant.kind]
    if evidence and variant.because and variant.kind != "contradictory":
        return f"{words} ({escaped(variant.because[0])})"
    return words


def size_text(size: int) -> str:
    """Return a size in binary units with one decimal."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(escaped(path))


def widest(paths: Iterable[str]) -> int:
    """Return the width of the longest file name."""
    return max((len(escaped(os.path.basename(path))) for path in paths), default=0)


_COLORS = {"fixed": 32, "clean": 2, "refused": 31, "would": 33}


def colored(line: str) -> str:
    """Return the line with its first word in the colour of what it says."""
    word, space, rest = line.partition(" ")
    code = _COLORS.get(word, 1 if word and not line.startswith(" ") else 0)
    return f"\033[{code}m{word}\033[0m{space}{rest}" if code else line
