"""Results as JSON objects: what programs read, and keep reading; new keys may come, none goes without a new schema
version.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ..model import Action, Result, Size

SCHEMA_VERSION = 1


def as_object(result: Result) -> dict[str, Any]:
    """Return a result as a JSON object; paths that are no UTF-8 keep their bytes as surrogate escapes."""
    repairs = [finding for finding in result.findings if finding.action is not Action.REPORT]
    dropped = [finding for finding in repairs if finding.action is Action.DROP]
    files = Counter(finding.kind for finding in result.findings)
    sizes: Counter[str] = Counter()
    for finding in result.findings:
        sizes[finding.kind] += finding.size
    package = None
    if result.name or result.format is not None:
        package = {
            "name": result.name,
            "version": result.version,
            "build": result.build,
            "subdir": result.subdir,
            "format": result.format.value if result.format else None,
        }
    variant = None
    if result.variant is not None:
        variant = {
            "python": result.variant.python,
            "kind": result.variant.kind,
            "tags": list(result.variant.tags) if result.variant.tags is not None else None,
            "because": list(result.variant.because),
        }
    compression = None
    if result.compression is not None:
        compression = {
            "codec": result.compression.codec,
            "level": result.compression.level,
            "source": result.compression.source,
            "reused_bytes": result.compression.reused_bytes,
            "recompressed_bytes": result.compression.recompressed_bytes,
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "path": result.path,
        "status": result.status,
        "package": package,
        "variant": variant,
        "deep": result.deep,
        "summary": {
            "members": result.members,
            "dropped": len(dropped),
            "dropped_bytes": sum(finding.size for finding in dropped),
            "kinds": {kind: {"files": files[kind], "bytes": sizes[kind]} for kind in sorted(files)},
        },
        "before": _size(result.before),
        "after": _size(result.after),
        "output": result.output,
        "compression": compression,
        "findings": [
            {
                "kind": finding.kind,
                "path": finding.path,
                "size": finding.size,
                "detail": finding.detail,
                "action": finding.action.value,
                "fixed": result.status == "fixed" and finding.action is not Action.REPORT,
            }
            for finding in sorted(result.findings, key=lambda finding: (finding.kind, finding.path))
        ],
        "notes": list(result.notes),
        "warnings": list(result.warnings),
        "seconds": round(result.seconds, 3),
        "error": result.error,
    }


def _size(size: Size | None) -> dict[str, Any] | None:
    return None if size is None else {"size": size.size, "sha256": size.sha256 or None}


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON text in ASCII: nothing in it can be taken for a terminal's commands."""
    return json.dumps(value, ensure_ascii=True, indent=indent)
