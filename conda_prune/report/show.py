"""Everything known about one package: its variant with the evidence, its compression, and every file with what becomes
of it and why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..judgement.bytecode import parse_bytecode
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
"""What becomes of a file beside what findings do: nothing; it follows the others' edits; it is listed and not there."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one file: `action` is a finding's, or one of KEEP, EDIT and ABSENT; `kind` the finding's."""

    path: str
    action: str
    file: File | None = None
    kind: str | None = None
    reason: str = ""


def fates(plan: Plan, files: Mapping[str, File]) -> Iterator[Fate]:
    """Yield what becomes of every file, sorted by path; what is listed and not there comes last."""
    found: dict[str, Finding] = {}
    for finding in plan.findings:
        # Of several findings about a file, one that does something tells its fate.
        if finding.path not in found or found[finding.path].action is Action.REPORT:
            found[finding.path] = finding
    for path, file in sorted(files.items()):
        yield _fate(path, file, found.get(path), plan)
    for path in sorted(found.keys() - files.keys()):
        yield Fate(path, ABSENT, None, found[path].kind, found[path].detail)


def _fate(path: str, file: File, finding: Finding | None, plan: Plan) -> Fate:
    if finding is not None:
        action = KEEP if finding.action is Action.REPORT else finding.action.value
        return Fate(path, action, file, finding.kind, finding.detail)
    edit = (plan.edits or {}).get(path)
    if isinstance(edit, Drop):
        held = file.kind is FileKind.DIRECTORY
        return Fate(path, Action.DROP.value, file, None, "it holds nothing else" if held else "links to a dropped file")
    if edit is not None:
        linked = file.kind is FileKind.HARDLINK
        return Fate(path, EDIT, file, None, "takes over the content" if linked else "follows the files it lists")
    return Fate(path, KEEP, file, None, _why_kept(path, plan.variant))


def _why_kept(path: str, variant: Variant) -> str:
    """Return why a bytecode file without findings stays, where its name says it."""
    bytecode = parse_bytecode(path)
    if bytecode is None or path.startswith("info/"):
        return ""
    if variant.kind == "exact" and bytecode.tag:
        if fits(bytecode.tag, variant):
            return f"Python {variant.python} imports it"
        if not can_judge(variant, path):
            return "the package may be installed with another Python, which imports it"
    return "no rule applies"


def show_lines(result: Result, plan: Plan, files: Mapping[str, File]) -> Iterator[str]:
    """Yield what people read."""
    yield escaped(os.path.basename(result.path))
    for label, value in _facts(result):
        yield f"  {label:<12}{value}"
    for fate in fates(plan, files):
        size = ""
        if fate.file is not None:
            size = size_text(fate.file.size) if fate.file.size is not None else fate.file.kind.value
        why = ": ".join(part for part in (fate.kind or "", escaped(fate.reason)) if part)
        yield f"  {fate.action:<8}{size:>11} {escaped(fate.path)}{f'   {why}' if why else ''}"


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
    return "any: which ones fit cannot be told" if names is None else escaped(", ".join(names)) or "none"


def show_object(result: Result, plan: Plan, files: Mapping[str, File]) -> dict[str, Any]:
    """Return what programs read: the result's object, and `files`."""
    return as_object(result) | {
        "files": [
            {
                "path": fate.path,
                "type": fate.file.kind.value if fate.file else None,
                "size": fate.file.size if fate.file else None,
                "action": fate.action,
                "kind": fate.kind,
                "reason": fate.reason,
            }
            for fate in fates(plan, files)
        ]
    }
