"""Results as a SARIF 2.1.0 log for code scanning: one SARIF result for each kind of finding in each package.

Failures, and packages that this run has repaired, become notifications instead. Packages are archives and have no
lines, but GitHub requires a line, so every result points to line 1.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from ..model import Action, Result
from ..quantities import plural, size_text
from . import text
from .escape import escaped
from .explanation import Explanation, explain, explanation_lines, kinds
from .json_report import dumps, in_order

if TYPE_CHECKING:
    from .output import Style

SCHEMA_URI = "https://json.schemastore.org/sarif-2.1.0.json"
_Object = dict[str, Any]


class SarifReport:
    """Prints one log at the end of the run. An interrupted run prints nothing."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._results: list[Result] = []

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        self._results.append(result)

    def end(self) -> None:
        print(dumps(as_log(self._results, self._style), indent=2), file=self._stream)


def as_log(results: Sequence[Result], style: Style) -> _Object:
    """Return results as a SARIF log."""
    rules = kinds()
    driver: _Object = {"name": "conda-prune", "rules": [_rule(explain(kind)) for kind in rules]}
    if style.version:
        driver["semanticVersion"] = style.version
    failed = any(result.status in ("error", "refused") for result in results)
    return {
        "$schema": SCHEMA_URI,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [
                    {
                        "executionSuccessful": not failed,
                        "toolExecutionNotifications": [
                            note for result in results for note in _notifications(result)
                        ],
                    }
                ],
                "results": [
                    finding for result in results for finding in _results(result, rules, verbose=style.verbose)
                ],
            }
        ],
    }  # fmt: skip


def _rule(explanation: Explanation) -> _Object:
    return {
        "id": explanation.kind,
        "shortDescription": {"text": " ".join(explanation.meaning.split())},
        "help": {"text": "\n".join(explanation_lines(explanation))},
        "defaultConfiguration": {"enabled": explanation.default},
    }


def _results(result: Result, rules: Sequence[str], *, verbose: bool) -> Iterator[_Object]:
    shown = [
        finding
        for finding in in_order(result.findings)
        if (verbose or not finding.quiet) and (result.status != "fixed" or finding.action is Action.REPORT)
    ]
    for kind, group in text.by_kind(shown).items():
        size = sum(finding.size for finding in group)
        name = escaped(os.path.basename(result.path))
        amount = plural(len(group), "file") + (f", {size_text(size)}" if size else "")
        sarif_result: _Object = {
            "ruleId": kind,
            "level": "note" if all(finding.action is Action.REPORT for finding in group) else "warning",
            "message": {"text": _plain(f"{name}: {amount}: {text.where_text(kind, group)}")},
            "locations": [{"physicalLocation": _location(result.path) | {"region": {"startLine": 1}}}],
            "partialFingerprints": {"package/kind/v1": _fingerprint(result, kind)},
            "properties": {"files": len(group), "bytes": size, "paths": [escaped(finding.path) for finding in group]},
        }
        if kind in rules:
            sarif_result["ruleIndex"] = rules.index(kind)
        yield sarif_result


def _notifications(result: Result) -> Iterator[_Object]:
    """Yield everything about a package except its findings: a failure, a repair, notes and warnings."""
    if result.status in ("error", "refused"):
        yield _notification(result, "error", escaped(result.error or result.status))
    elif result.status in ("fixed", "indexed"):
        yield _notification(result, "note", " ".join(text.fix_lines(result)[0].split()))
    for note in result.notes:
        yield _notification(result, "note", escaped(note))
    for warning in result.warnings:
        yield _notification(result, "warning", escaped(warning))


def _notification(result: Result, level: str, message: str) -> _Object:
    return {
        "level": level,
        "message": {"text": _plain(message)},
        "locations": [{"physicalLocation": _location(result.path)}],
    }


def _plain(message: str) -> str:
    """Return a message with everything escaped that SARIF would read as a link (SARIF 2.1.0, 3.11.6)."""
    return message.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _location(path: str) -> _Object:
    """Return the location of a package as a URI. A relative path gives a relative URI."""
    steps = path.replace(os.sep, "/")
    try:
        raw = os.fsencode(steps)
    except UnicodeEncodeError:  # Names on Windows can contain half a surrogate pair.
        raw = steps.encode("utf-8", "surrogatepass")
    uri = quote(raw, safe="/")
    if os.path.isabs(path):
        uri = "file:///" + uri.lstrip("/").replace("%3A", ":", 1)
    return {"artifactLocation": {"uri": uri}}


def _fingerprint(result: Result, kind: str) -> str:
    """Return what identifies a result across runs: the package's name and Python, but not its version or path."""
    name = result.name or posixpath.basename(result.path)
    python = result.variant.python if result.variant else ""
    facts = (name, result.subdir, python, result.format.value if result.format else "", kind)
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()
