"""Results as JSON. Keys may be added at any time. Removing one, or changing its meaning, takes a new schema version.

`schema.json` says what each key means, and a test validates every output against it. The text is pure ASCII: bytes of a
path that are not UTF-8 become lone surrogates (PEP 383), which are written as escapes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from ..model import (
    Action,
    Compression,
    Finding,
    Result,
    Size,
    Variant,
)

if TYPE_CHECKING:
    from .output import Style

SCHEMA_VERSION = 1


def schema_text() -> str:
    """Return the JSON Schema (2020-12) of the output, as the text of `schema.json`."""
    with open(os.path.join(os.path.dirname(__file__), "schema.json"), encoding="utf-8") as file:
        return file.read()


def as_object(result: Result) -> dict[str, Any]:
    """Return a result as a JSON object."""
    return {
        "schema_version": SCHEMA_VERSION,
        "path": result.path,
        "status": result.status,
        "package": _package(result),
        "variant": _variant(result.variant),
        "deep": result.deep,
        "summary": _summary(result),
        "before": _size(result.before),
        "after": _size(result.after),
        "output": result.output,
        "compression": _compression(result.compression),
        "findings": [
            {
                "kind": finding.kind,
                "path": finding.path,
                "size": finding.size,
                "detail": finding.detail,
                "action": finding.action.value,
                "fixed": result.status == "fixed" and finding.action is not Action.REPORT,
            }
            for finding in in_order(result.findings)
        ],
        "notes": list(result.notes),
        "warnings": list(result.warnings),
        "seconds": round(result.seconds, 3),
        "records": [
            {"file": record.file, "before": record.before or None, "after": record.after or None}
            for record in result.records
        ],
        "error": result.error,
    }


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings sorted by kind and path, as in every format."""
    return sorted(findings, key=lambda finding: (finding.kind, finding.path))


def _package(result: Result) -> dict[str, Any] | None:
    if not result.name and result.format is None:
        return None
    return {
        "name": result.name,
        "version": result.version,
        "build": result.build,
        "subdir": result.subdir,
        "format": result.format.value if result.format else None,
    }


def _variant(variant: Variant | None) -> dict[str, Any] | None:
    if variant is None:
        return None
    return {
        "python": variant.python,
        "kind": variant.kind,
        "tags": list(variant.tags) if variant.tags is not None else None,
        "trees": list(variant.trees) if variant.trees is not None else None,
        "because": list(variant.because),
        "inferred": list(variant.inferred),
        "conflict": variant.conflict or None,
    }


def _summary(result: Result) -> dict[str, Any]:
    dropped = [finding for finding in result.findings if finding.action is Action.DROP]
    actions = Counter(finding.action for finding in result.findings)
    files = Counter(finding.kind for finding in result.findings)
    sizes: Counter[str] = Counter()
    for finding in result.findings:
        sizes[finding.kind] += finding.size
    return {
        "members": result.members,
        "dropped": len(dropped),
        "dropped_bytes": sum(finding.size for finding in dropped),
        "corrected": actions[Action.CORRECT],
        "restamped": actions[Action.RESTAMP],
        "kinds": {kind: {"files": files[kind], "bytes": sizes[kind]} for kind in sorted(files)},
    }


def _compression(compression: Compression | None) -> dict[str, Any] | None:
    if compression is None:
        return None
    return {
        "codec": compression.codec,
        "level": compression.level,
        "source": compression.source,
        "reused_bytes": compression.reused_bytes,
        "recompressed_bytes": compression.recompressed_bytes,
    }


def _size(size: Size | None) -> dict[str, Any] | None:
    return None if size is None else {"size": size.size, "sha256": size.sha256 or None}


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return a value as ASCII JSON text without control characters that a terminal would obey."""
    # DEL is the only control character that `json` does not escape.
    return json.dumps(value, ensure_ascii=True, indent=indent).replace("\x7f", "\\u007f")


class JsonReport:
    """Prints all results as one JSON array at the end. An interrupted run prints nothing."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._objects: list[object] = []

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        self._objects.append(as_object(result))

    def end(self) -> None:
        print(dumps(self._objects, indent=2), file=self._stream)


class JsonLinesReport:
    """Prints each result as one line of JSON, as soon as it is known."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        print(dumps(as_object(result)), file=self._stream)

    def end(self) -> None:
        pass
