"""Arranges the sums of an audit as lines and tables, which every format shows.

Where a table is cut, a note says how many rows are missing. The same results give the same tables, in whatever order
they were written: no table depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from ...quantities import plural, size_text
from .row import ATTENTION, Row
from .totals import PACKED_SHARE, Group, Totals, packed

UNKNOWN = "not known"


class Measure(Enum):
    """What the numbers of a column are; `CHOICE` are texts of which there are few."""

    TEXT = "text"
    CHOICE = "choice"
    COUNT = "count"
    SIZE = "size"
    SHARE = "share"


Cell: TypeAlias = str | int | float


class Column(NamedTuple):
    """The title of a column and what is in it."""

    title: str
    measure: Measure


class Table(NamedTuple):
    """A table; `note` says what is left out."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]
    note: str = ""


_SUMS = (
    Column("judged", Measure.COUNT),
    Column("with stray files", Measure.COUNT),
    Column("share", Measure.SHARE),
    Column("stray files", Measure.COUNT),
    Column("unpacked", Measure.SIZE),
    Column("packed (estimate)", Measure.SIZE),
)
_WORDS = {"skipped": "skipped", "error": "failed", "refused": "refused"}
_UNREAD = Column("not judged", Measure.COUNT)


def summary(totals: Totals) -> Iterator[str]:
    """Yield the sums over all packages, one sentence each."""
    every, statuses = totals.all, totals.statuses
    failed = statuses["error"] + statuses["refused"]
    parts = [f"{count:,} {what}" for count, what in ((statuses["skipped"], "skipped"), (failed, "failed")) if count]
    yield f"{_packages(every.judged)} judged" + "".join(f", {part}" for part in parts)
    if every.affected:
        share = 100 * every.affected / every.judged
        sizes = (
            f": {size_text(every.size)} unpacked, about {size_text(packed(every.size))} packed"
            f" (an estimate: {100 * PACKED_SHARE:.0f} % of the unpacked size)"
        )
        yield (
            f"{_packages(every.affected)} ({share:.2f} %) with {every.files:,} stray {_files(every.files)}"
            f"{sizes if every.size else ''}"
        )
    else:
        yield "no stray files"
    yield from remarks(totals)


def remarks(totals: Totals) -> Iterator[str]:
    """Yield what the sums do not cover."""
    if totals.files_of_unknown_size:
        count = totals.files_of_unknown_size
        yield f"the sizes of {count:,} {_files(count)} are not known: they were judged from a database of paths"
    if totals.sources:
        yield f"{plural(totals.sources, 'source')} could not be listed"


def reasons(totals: Totals, most: int) -> Iterator[str]:
    """Yield why packages were not judged, the most frequent reason first."""
    for status, counts in totals.reasons.items():
        found = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        for reason, count in found[:most]:
            yield f"{count:,} {_WORDS[status]}: {reason}"
        if len(found) > most:
            yield f"{sum(count for _, count in found[most:]):,} {_WORDS[status]} for other reasons"


def tables(totals: Totals, most: int, *, clean: bool) -> Iterator[Table]:
    """Yield every table with at most so many rows each; `clean` also lists packages that need no attention."""
    yield _kinds(totals)
    if len(totals.channels) > 1:
        yield _groups("channels", "channel", totals.channels, most, unread=True)
    yield _groups("subdirs", "subdir", totals.subdirs, most, unread=True)
    yield _groups("pythons", "Python", totals.pythons, most)
    yield _by_month(totals)
    for id, title, groups in (("feedstocks", "feedstock", totals.feedstocks), ("names", "package name", totals.names)):
        if not clean:
            groups = {name: group for name, group in groups.items() if group.files}
        yield _groups(id, title, groups, most, unread=id == "names")
    yield _packages_table(totals, most, clean=clean)


def _packages_table(totals: Totals, most: int, *, clean: bool) -> Table:
    several = len(totals.channels) > 1
    columns = [Column("package", Measure.TEXT), Column("subdir", Measure.CHOICE)]
    columns += [Column("channel", Measure.CHOICE)] if several else []
    columns += [
        Column("status", Measure.CHOICE),
        Column("Python", Measure.CHOICE),
        Column("stray files", Measure.COUNT),
        Column("unpacked", Measure.SIZE),
        Column("packed (estimate)", Measure.SIZE),
        Column("feedstock", Measure.TEXT),
        Column("uploaded", Measure.TEXT),
        Column("findings", Measure.TEXT),
    ]
    listed = [row for row in totals.listed.rows() if clean or row.status in ATTENTION][:most]
    every = sum(totals.statuses.values()) if clean else sum(totals.statuses[status] for status in ATTENTION)
    left_out = every + totals.sources - len(listed)
    note = f"{left_out:,} more{', with less waste or without any,' if clean else ''} are not shown" if left_out else ""
    rows = [_package(row, several=several) for row in listed]
    return Table("packages", "Packages", tuple(columns), rows, note)


def _package(row: Row, *, several: bool) -> tuple[Cell, ...]:
    found = ", ".join(f"{kind} {count.files}" for kind, count in sorted(row.kinds.items()))
    channel: tuple[Cell, ...] = (row.channel,) if several else ()
    return (
        row.shown, row.subdir, *channel, row.status, row.python or "", row.stray, row.size, packed(row.size),
        row.feedstock or "", row.month or "", row.reason or found,
    )  # fmt: skip


def _kinds(totals: Totals) -> Table:
    columns = (
        Column("kind", Measure.TEXT),
        Column("packages", Measure.COUNT),
        Column("findings", Measure.COUNT),
        Column("stray files", Measure.COUNT),
        Column("unpacked", Measure.SIZE),
        Column("packed (estimate)", Measure.SIZE),
    )
    rows: list[tuple[Cell, ...]] = [
        (name, kind.packages, kind.files, kind.stray, kind.size, packed(kind.size))
        for name, kind in sorted(totals.kinds.items(), key=lambda pair: (-pair[1].stray, -pair[1].files, pair[0]))
    ]
    return Table("kinds", "Kinds of findings", columns, rows)


def _groups(id: str, title: str, groups: Mapping[str, Group], most: int, *, unread: bool = False) -> Table:
    columns = (Column(title, Measure.TEXT), *_SUMS, *((_UNREAD,) if unread else ()))
    found = sorted(groups.items(), key=lambda pair: _waste(pair[1], pair[0]))
    rows = [_sums(name, group, unread=unread) for name, group in found[:most]]
    note = f"{len(found) - most:,} more, with less waste or without any, are not shown" if len(found) > most else ""
    return Table(id, f"By {title}", columns, rows, note)


def _by_month(totals: Totals) -> Table:
    months = sorted(totals.months.items(), key=lambda pair: (not pair[0], pair[0]))
    rows = [_sums(name, group, unread=False) for name, group in months]
    return Table("months", "By month of upload", (Column("month", Measure.TEXT), *_SUMS), rows)


def _waste(group: Group, name: str) -> tuple[int, int, int, str]:
    return -group.size, -group.files, -group.judged, name


def _sums(name: str, group: Group, *, unread: bool) -> tuple[Cell, ...]:
    share = group.affected / group.judged if group.judged else 0.0
    sums = (group.judged, group.affected, share, group.files, group.size, packed(group.size))
    return (name or UNKNOWN, *sums, *((group.unread,) if unread else ()))


def is_empty(table: Table) -> bool:
    """Return whether a table says nothing: it has no rows, or one for all that is not known."""
    return not table.rows or [row[0] for row in table.rows] == [UNKNOWN]


def shown_columns(table: Table) -> Sequence[int]:
    """Return the columns that have something in them."""
    return [index for index in range(len(table.columns)) if index == 0 or any(row[index] for row in table.rows)]


def _packages(count: int) -> str:
    return f"{count:,} package{'' if count == 1 else 's'}"


def _files(count: int) -> str:
    return "file" if count == 1 else "files"
