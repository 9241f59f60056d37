"""Formats everything known about one package.

That is its variant with the evidence, its compression, and for every file what `fix` would do with it and why.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..judgement.bytecode import parse_bytecode
from ..judgement.listings.line_lists import is_installed_list
from ..judgement.locations import can_judge, fits
from ..model import (
    Action,
    Drop,
    File,
    FileKind,
    Finding,
    Plan,
    Result,
    Variant,
)
from ..quantities import size_text
from .escape import escaped
from .json_report import as_object
from .text import variant_text

KEEP, EDIT, ABSENT = "keep", "edit", "absent"
"""Outcomes that no finding causes: kept; edited because other files are dropped; listed, but not in the package."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What `fix` does with one file. `action` is the action of a finding, or KEEP, EDIT or ABSENT."""

    path: str
    action: str
    file: File | None = None
    kind: str | None = None
    reason: str = ""

    @property
    def group(self) -> str:
        """The action in one of three words, which `--only` takes: drop, edit or keep."""
        return self.action if self.action in (Action.DROP.value, KEEP) else EDIT


def file_outcomes(plan: Plan, files: Mapping[str, File], only: Collection[str] = ()) -> Iterator[FileOutcome]:
    """Yield the outcome of every file, sorted by path. Files that are listed but missing come last.

    `only` are the groups to be yielded; empty for all.
    """
    for outcome in _all_outcomes(plan, files):
        if not only or outcome.group in only:
            yield outcome


def _all_outcomes(plan: Plan, files: Mapping[str, File]) -> Iterator[FileOutcome]:
    findings: dict[str, Finding] = {}
    for finding in plan.findings:
        # If a file has several findings, one that changes something decides its outcome.
        if finding.path not in findings or findings[finding.path].action is Action.REPORT:
            findings[finding.path] = finding
    dropped = [path for path, finding in findings.items() if finding.action is Action.DROP]
    for path, file in sorted(files.items()):
        if is_installed_list(path) and not plan.package.complete and _may_list(path, dropped):
            yield FileOutcome(path, EDIT, file, None, "if it lists a dropped file: it was not read")
        else:
            yield _outcome(path, file, findings.get(path), plan)
    for path in sorted(findings.keys() - files.keys()):
        yield FileOutcome(path, ABSENT, None, findings[path].kind, findings[path].detail)


def _may_list(path: str, dropped: Collection[str]) -> bool:
    """Return whether a list in `X.dist-info` may name dropped files: names are relative to the directory above it."""
    directory = path.rpartition("/")[0].rpartition("/")[0]
    return any(name.startswith(f"{directory}/") for name in dropped)


def _outcome(path: str, file: File, finding: Finding | None, plan: Plan) -> FileOutcome:
    if finding is not None:
        action = KEEP if finding.action is Action.REPORT else finding.action.value
        return FileOutcome(path, action, file, finding.kind, finding.detail)
    edit = (plan.edits or {}).get(path)
    if isinstance(edit, Drop):
        reason = "it holds nothing else" if file.kind is FileKind.DIRECTORY else "links to a dropped file"
        return FileOutcome(path, Action.DROP.value, file, None, reason)
    if edit is not None:
        reason = "takes over the content" if file.kind is FileKind.HARDLINK else "follows the files it lists"
        return FileOutcome(path, EDIT, file, None, reason)
    return FileOutcome(path, KEEP, file, None, _why_kept(path, plan.variant))


def _why_kept(path: str, variant: Variant) -> str:
    """Return why a bytecode file without findings is kept; empty for other files."""
    bytecode = parse_bytecode(path)
    if bytecode is None or path.startswith("info/"):
        return ""
    if variant.kind == "exact" and bytecode.tag:
        if fits(bytecode.tag, variant):
            return f"Python {variant.python} imports it"
        if not can_judge(variant, path):
            return "the package may be installed with another Python, which imports it"
    return "no rule applies"


def show_lines(
    result: Result, plan: Plan, files: Mapping[str, File], only: Collection[str] = (), width: int = 0
) -> Iterator[str]:
    """Yield the lines of the text output. `only` are the groups of files to be listed; empty for all.

    If a line would be wider than `width` columns, the path gets a line of its own. 0 is for unlimited lines.
    """
    yield escaped(os.path.basename(result.path))
    for label, value in _facts(result):
        yield f"  {label:<12}{value}"
    for outcome in file_outcomes(plan, files, only):
        size = ""
        if outcome.file is not None:
            size = size_text(outcome.file.size) if outcome.file.size is not None else outcome.file.kind.value
        why = ": ".join(part for part in (outcome.kind or "", escaped(outcome.reason)) if part)
        head, path = f"  {outcome.action:<8}{size:>11} ", escaped(outcome.path)
        line = f"{head}{path}   {why}".rstrip()
        if width and len(line) > width:
            yield f"{head}{why}".rstrip()
            yield f"    {path}"
        else:
            yield line


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    identity = f"{result.name} {result.version} {result.build}"
    yield "package", escaped(identity + (f" ({result.subdir})" if result.subdir else ""))
    yield "python", variant_text(result.variant, evidence=False)
    if variant := result.variant:
        for piece in variant.because:
            yield "because", escaped(piece)
        if variant.conflict:
            yield "conflict", escaped(variant.conflict)
        if variant.inferred:
            facts = ", ".join(variant.inferred)
            yield "inferred", f"{facts}: from what built the package; counts in lib/pythonX.Y only"
        yield "tags", _any_of(variant.tags)
        yield "trees", _any_of(tuple(f"lib/{tree}" for tree in variant.trees) if variant.trees is not None else None)
    if compression := result.compression:
        yield "compression", f"{compression.codec} {compression.level} ({compression.source})"
    if result.before:
        yield "size", size_text(result.before.size)
    yield "status", f"{result.status}{f': {escaped(result.error)}' if result.error else ''}"
    if not result.deep:
        yield "payload", "not read: what follows is the package's own listing (--deep reads it)"
    for note in (*result.notes, *result.warnings):
        yield "note", escaped(note)


def _any_of(names: tuple[str, ...] | None) -> str:
    return "any: it is not known which ones fit" if names is None else escaped(", ".join(names)) or "none"


def show_object(result: Result, plan: Plan, files: Mapping[str, File], only: Collection[str] = ()) -> dict[str, Any]:
    """Return the JSON object of the result, with the additional key `files`."""
    return as_object(result) | {
        "files": [
            {
                "path": outcome.path,
                "type": outcome.file.kind.value if outcome.file else None,
                "size": outcome.file.size if outcome.file else None,
                "action": outcome.action,
                "kind": outcome.kind,
                "reason": outcome.reason,
            }
            for outcome in file_outcomes(plan, files, only)
        ]
    }
