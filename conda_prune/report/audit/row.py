"""What a report counts of one result. Only results with findings are looked at closely: nearly all have none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..json_report import SCHEMA_VERSION
from ..malformed import Invalid

_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-")
DROP = "drop"
JUDGED = ("findings", "clean")
STATUSES = ("findings", "refused", "error", "skipped", "clean")
"""Every status of an audit, in the order of a report."""
ATTENTION = ("findings", "refused", "error")
"""The statuses of packages that somebody should look at."""
UNKNOWN_SIZES = "paths"
"""What a package was judged from if the sizes of its files are not known."""


class KindCount(NamedTuple):
    """The findings of one kind in a package; `stray` are those that `fix` drops, `size` their bytes."""

    files: int
    stray: int
    size: int


class Row(NamedTuple):
    """One package. `stray` are the files that `fix` drops, `size` their bytes; `month` is that of the upload."""

    status: str
    channel: str
    subdir: str
    file_name: str
    sha256: str | None
    path: str
    name: str | None
    feedstock: str | None
    python: str | None
    month: str | None
    judged_from: str | None
    stray: int = 0
    size: int = 0
    kinds: Mapping[str, KindCount] = {}
    reason: str = ""

    @property
    def shown(self) -> str:
        """The file name, or what could not be listed."""
        return self.file_name or self.path


def row_of(value: Mapping[str, Any]) -> Row:
    """Return what a report needs of a result. Raises one of `malformed.ERRORS`."""
    if not isinstance(value, dict):
        raise Invalid("it is not a JSON object")
    status, version = value["status"], value["schema_version"]
    if version != SCHEMA_VERSION:
        raise Invalid(f"it has schema version {version!r:.20}, and this conda-prune reads {SCHEMA_VERSION}")
    if status not in STATUSES:
        raise Invalid(f"unknown status {status!r:.80} of an audit")
    package, variant, uploaded = value["package"], value["variant"], value["uploaded"]
    kinds = _kinds(value["findings"]) if value["findings"] else {}
    return Row(
        status,
        _text(value["channel"]) or "",
        _text(value["subdir"]) or "",
        _text(value["file_name"]) or "",
        _text(value["sha256"]),
        _text(value["path"]) or "",
        _text(package["name"]) if package is not None else None,
        _text(value.get("feedstock")),
        _python(variant) if variant is not None else None,
        uploaded[:7] if uploaded and _DATE.match(uploaded) else None,
        _text(value["judged_from"]),
        sum(count.stray for count in kinds.values()),
        sum(count.size for count in kinds.values()),
        kinds,
        _text(value["error"]) or "",
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise Invalid(f"{value!r:.80} is not a string")


def _python(variant: Mapping[str, Any]) -> str | None:
    return _text(variant["python"] if variant["kind"] == "exact" else variant["kind"])


def _kinds(findings: list[Mapping[str, Any]]) -> dict[str, KindCount]:
    counts: dict[str, KindCount] = {}
    for finding in findings:
        kind, stray = _text(finding["kind"]) or "", finding["action"] == DROP
        files, before, size = counts.get(kind, KindCount(0, 0, 0))
        counts[kind] = KindCount(files + 1, before + stray, size + (int(finding["size"]) if stray else 0))
    return counts
