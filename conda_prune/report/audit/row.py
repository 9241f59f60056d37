"""What a report counts of one result. Only results with findings are looked at closely: nearly all have none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..json_report import SCHEMA_VERSION
from ..malformed import Invalid

_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-")
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
DROP = "drop"
JUDGED = ("findings", "clean")
STATUSES = ("findings", "refused", "error", "skipped", "clean")
"""Every status of an audit, in the order of a report."""
ATTENTION = ("findings", "refused", "error")
"""The statuses of packages that somebody should look at."""
_LARGEST = 1 << 53
"""Bytes of a size at most: more is not a size, and JSON numbers above it are not exact."""
UNKNOWN_SIZES = "paths"
"""What a package was judged from if the sizes of its files are not known."""


class KindCount(NamedTuple):
    """The findings of one kind in a package; `stray` are those that `fix` drops, `size` their bytes."""

    files: int
    stray: int
    size: int


class Row(NamedTuple):
    """One package, or a source that could not be listed, which has no file name.

    `stray` are the files that `fix` drops, `size` their bytes; `month` is that of the upload. `shard` is the part of a
    source that a run was for, number and count; it is known for a source only.
    """

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
    shard: tuple[int, int] | None = None

    @property
    def shown(self) -> str:
        """The file name, or what could not be listed."""
        return self.file_name or self.path


def row_of(value: Mapping[str, Any]) -> Row:
    """Return what a report needs of a result, in any format. Raises one of `malformed.ERRORS`."""
    if not isinstance(value, dict):
        raise Invalid("it is not a JSON object")
    status, version = value["status"], value["schema_version"]
    if version != SCHEMA_VERSION:
        raise Invalid(f"it has schema version {version!r:.20}, and this conda-prune reads {SCHEMA_VERSION}")
    if status not in STATUSES:
        raise Invalid(f"unknown status {status!r:.80} of an audit")
    package, variant, uploaded = _object(value["package"]), _object(value["variant"]), _text(value["uploaded"])
    if package is not None:
        _text(package.get("version")), _text(package.get("build"))
    before, summary = _object(value["before"]), _object(value["summary"]) or {}
    _size(summary["members"])
    if before is not None:
        _size(before["size"])
    _text(value.get("rules_version"))
    kinds = _kinds(value["findings"])
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
        _size(sum(count.size for count in kinds.values())) if kinds else 0,
        kinds,
        _text(value["error"]) or "",
        _shard(value["shard"]) if "shard" in value else None,
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise Invalid(f"{value!r:.80} is not a string")


def _object(value: object) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    raise Invalid(f"{value!r:.80} is not a JSON object")


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return value
    text = f"a number above {_LARGEST}" if isinstance(value, int) and value > _LARGEST else f"{value!r:.80}"
    raise Invalid(f"{text} is not a size")


def _shard(value: object) -> tuple[int, int]:
    found = _SHARD.fullmatch(_text(value) or "")
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise Invalid(f"{value!r:.80} is not a shard")
    return int(found[1]), int(found[2])


def _python(variant: Mapping[str, Any]) -> str | None:
    python, kind = _text(variant["python"]), _text(variant["kind"])
    return python if kind == "exact" else kind


def _kinds(findings: object) -> dict[str, KindCount]:
    if not isinstance(findings, list):
        raise Invalid("findings is not a list")
    counts: dict[str, KindCount] = {}
    for finding in findings:
        kind, action, _ = _text(finding["kind"]) or "", _text(finding["action"]), _text(finding["path"])
        stray, length = action == DROP, _size(finding["size"])
        files, before, size = counts.get(kind, KindCount(0, 0, 0))
        counts[kind] = KindCount(files + 1, before + stray, size + (length if stray else 0))
    return counts
