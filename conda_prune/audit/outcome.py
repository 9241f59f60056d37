"""What an audit says of one package: one JSON object, which is a result of `check` and where the package comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple, TypeAlias

from .. import __version__
from ..model import Action, Format, Result
from ..report.json_report import as_object, dumps
from .item import Item, Unlisted, redacted

JudgedFrom: TypeAlias = Literal["info", "payload", "paths"]
"""The info component of the package, all of it, or a database of paths together with repodata.json."""


class Outcome(NamedTuple):
    """A result's line, and what a summary needs of it: the files to drop by kind and their bytes, or the reason.

    `unused_keep` are the globs of `keep` that match none of its files.
    """

    status: str
    line: str
    kinds: Mapping[str, int] = {}
    dropped_bytes: int = 0
    reason: str = ""
    shown: str = ""
    unused_keep: tuple[str, ...] = ()


def outcome_of(
    item: Item,
    result: Result,
    judged_from: JudgedFrom | None,
    feedstock: str | None = None,
    more: dict[str, str] | None = None,
) -> Outcome:
    """Return the outcome of a package that was judged; `more` are further keys of its line."""
    shown = item.shown
    if result.path != shown:
        result = replace(result, path=shown)
    dropped = [finding for finding in result.findings if finding.action is Action.DROP]
    kinds: dict[str, int] = {}
    for finding in dropped:
        kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
    return Outcome(
        result.status,
        dumps(as_object(result) | _origin(item) | {"judged_from": judged_from, "feedstock": feedstock} | (more or {})),
        kinds,
        sum(finding.size for finding in dropped),
        result.error or "",
        shown,
        result.unused_keep,
    )


def failed(item: Item, reason: str) -> Outcome:
    """Return the outcome of a package that could not be judged."""
    return outcome_of(item, _unread(item, "error", reason), None)


def skipped(item: Item, reason: str) -> Outcome:
    """Return the outcome of a package that the options leave out."""
    return outcome_of(item, _unread(item, "skipped", reason), None)


def unlisted(source: Unlisted, shard: tuple[int, int] | None = None) -> Outcome:
    """Return the outcome of a source whose packages could not be listed, by a run for a shard if it is given."""
    item = Item(redacted(source.source), redacted(source.channel), source.subdir, "", local=True)
    # The packages of another shard do not show that those of this one were listed later.
    more = {"shard": f"{shard[0]}/{shard[1]}"} if shard is not None else {}
    return outcome_of(item, _unread(item, "error", source.reason), None, more=more)


def _unread(item: Item, status: Literal["error", "skipped"], reason: str) -> Result:
    return Result(item.shown, status, error=redacted(reason))


def format_of_name(file_name: str) -> Format | None:
    """Return the format that a file name says, None if it is not a package's."""
    return next((format_ for format_ in Format if file_name.endswith(format_.value)), None)


def _origin(item: Item) -> dict[str, Any]:
    return {
        "channel": item.channel or None,
        "subdir": item.subdir or None,
        "file_name": item.file_name or None,
        "sha256": item.sha256,
        "uploaded": _date(item.uploaded),
        "rules_version": __version__,
    }


def _date(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):  # The index says what it likes.
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
