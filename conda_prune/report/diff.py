"""The differences between two packages, as text and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..quantities import plural, size_text
from .escape import escaped
from .json_report import SCHEMA_VERSION

if TYPE_CHECKING:
    from ..operations.diff import Change, Difference

_MAX_LISTED = 10
"""How many differences of one kind are listed without `-v`."""
_LABEL_WIDTH = 13


def schema_text() -> str:
    """Return the JSON Schema (2020-12) of the output of `diff --format json`, as the text of `diff_schema.json`."""
    with open(os.path.join(os.path.dirname(__file__), "diff_schema.json"), encoding="utf-8") as file:
        return file.read()


def diff_object(difference: Difference) -> dict[str, Any]:
    """Return the differences as a JSON object."""
    return {
        "schema_version": SCHEMA_VERSION,
        "old": {"path": difference.old, "size": difference.old_size},
        "new": {"path": difference.new, "size": difference.new_size},
        "members_in_both": difference.kept,
        "explained": not difference.unexpected,
        "changes": [
            {
                "what": change.what,
                "component": change.component,
                "path": change.path,
                "detail": change.detail,
                "expected": change.expected,
            }
            for change in difference.changes
        ],
    }


def diff_json(difference: Difference) -> str:
    """Return the differences as JSON text, in ASCII."""
    return json.dumps(diff_object(difference), indent=2)


def diff_lines(difference: Difference, *, verbose: bool = False) -> Iterator[str]:
    """Yield lines of text: the expected changes first, then the unexpected ones, the sizes, and the verdict."""
    old, new = os.path.basename(difference.old), os.path.basename(difference.new)
    yield escaped(old if old == new else f"{old} → {new}")
    expected = [change for change in difference.changes if change.expected]
    removed = [change for change in expected if change.what == "removed"]
    if removed:
        yield _labeled("removed", plural(len(removed), "stray file"))
        yield from _listed(removed, verbose)
    for change in expected:
        if change.what != "removed":
            yield _labeled(change.what, _text(change))
    for what, group in _by_kind(difference.unexpected):
        yield _labeled("UNEXPECTED", f"{what}: {plural(len(group), 'difference')}")
        yield from _listed(group, verbose)
    yield _labeled("size", _sizes(difference))
    yield _labeled("result", _verdict(difference))


def _by_kind(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    for what in dict.fromkeys(change.what for change in changes):
        yield what, [change for change in changes if change.what == what]


def _listed(changes: Sequence[Change], verbose: bool) -> Iterator[str]:
    shown = changes if verbose else changes[:_MAX_LISTED]
    for change in shown:
        yield _labeled("", f"  {_text(change)}")
    if len(shown) < len(changes):
        yield _labeled("", f"  and {len(changes) - len(shown)} more (use -v to list them)")


def _text(change: Change) -> str:
    where = change.path or (f"the {change.component} component" if change.component else "the package")
    return escaped(f"{where}: {change.detail}")


def _sizes(difference: Difference) -> str:
    before, after = difference.old_size, difference.new_size
    percent = f", {(after - before) / before:+.0%}".replace("-", "−") if before and before != after else ""
    return f"{size_text(before)} → {size_text(after)}{percent}"


def _verdict(difference: Difference) -> str:
    members = plural(difference.kept, "member")
    if not difference.changes:
        return f"no difference: {members} in the same order, with the same container and compression"
    if difference.unexpected:
        return f"{plural(len(difference.unexpected), 'difference')} that removing stray files does not explain"
    return (
        f"the old package minus its stray files: {members} kept in order, with the same content except as listed above"
    )


def _labeled(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text}"
