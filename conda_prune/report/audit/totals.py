"""Adds up the results of an audit, and keeps the packages that waste most.

Memory grows with the number of package names, feedstocks and kinds, and not with the number of results: of single
packages, only as many are kept as a report lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from .row import JUDGED, STATUSES, UNKNOWN_SIZES, Row

PACKED_SHARE = 0.2
"""The bytes that bytecode of another Python takes in a package, as a share of its unpacked bytes.

An estimate. To 15 distributions with source and bytecode for Python 3.11, the bytecode of 3.10 was added: that took
0.13 to 0.25 of its size with zstd at level 19, and 0.20 over all. That of 3.12 took 0.16 over all. With zstd at level 3
and with bzip2, it was 0.20 to 0.25 over all.
"""
_MOST_REASONS = 100
"""Different reasons that are counted one by one; a server may send as many as it likes."""
_OTHER = "other reasons"


class Group:
    """The packages that have something in common."""

    __slots__ = ("affected", "files", "judged", "size", "unread")

    def __init__(self) -> None:
        self.judged = self.affected = self.files = self.size = self.unread = 0

    def add(self, row: Row) -> None:
        """Count a package. `affected` are those with stray files; `unread` those that were not judged."""
        if row.status in JUDGED:
            self.judged += 1
            if row.stray:
                self.affected += 1
                self.files += row.stray
                self.size += row.size
        else:
            self.unread += 1


class Kind:
    """The findings of one kind, and the packages that have any."""

    __slots__ = ("files", "packages", "size", "stray")

    def __init__(self) -> None:
        self.packages = self.files = self.stray = self.size = 0


class Top:
    """The first rows in an order, of any number of rows; holds at most twice as many as it returns."""

    def __init__(self, most: int, order: Callable[[Row], Order]) -> None:
        self._most = most
        self._order = order
        self._rows: list[tuple[Order, Row]] = []
        self._last: Order | None = None

    def add(self, row: Row) -> None:
        """Take a row, or leave it out."""
        order = self._order(row)
        if self._last is not None and order > self._last:
            return
        self._rows.append((order, row))
        if len(self._rows) >= 2 * self._most:
            self._cut()

    def rows(self) -> list[Row]:
        """Return the rows in order."""
        self._cut()
        return [row for _, row in self._rows]

    def _cut(self) -> None:
        self._rows.sort(key=lambda pair: pair[0])
        del self._rows[self._most :]
        if len(self._rows) == self._most:
            self._last = self._rows[-1][0]


class Order(NamedTuple):
    """Where a package is in a report: those with stray files by their bytes, then those that were not judged."""

    status: int
    size: int
    files: int
    name: str
    subdir: str
    channel: str


_RANKS = {status: rank for rank, status in enumerate(STATUSES)}


def order_of(row: Row) -> Order:
    """Return the place of a package in a report."""
    rank = _RANKS[row.status]
    return Order(rank, -row.size, -row.stray, row.shown, row.subdir, row.channel)


class Totals:
    """The sums over all results. `listed` are as many packages as the report lists, the worst first."""

    def __init__(self, most_listed: int) -> None:
        self.statuses: Counter[str] = Counter()
        self.judged_from: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {"skipped": Counter(), "error": Counter(), "refused": Counter()}
        self.sources = 0
        self.files_of_unknown_size = 0
        self.all = Group()
        self.kinds: dict[str, Kind] = {}
        self.channels: dict[str, Group] = {}
        self.subdirs: dict[str, Group] = {}
        self.names: dict[str, Group] = {}
        self.feedstocks: dict[str, Group] = {}
        self.pythons: dict[str, Group] = {}
        self.months: dict[str, Group] = {}
        self.listed = Top(most_listed, order_of)

    def add(self, row: Row) -> None:
        """Count a result."""
        self.listed.add(row)
        if not row.file_name:
            self.sources += 1
            self._count_reason(row)
            return
        self.statuses[row.status] += 1
        if row.reason:
            self._count_reason(row)
        self.all.add(row)
        for groups, key in (
            (self.channels, row.channel),
            (self.subdirs, row.subdir),
            (self.names, row.name or _name_of(row.file_name)),
        ):
            _group(groups, key).add(row)
        if row.status not in JUDGED:
            return
        self.judged_from[row.judged_from or ""] += 1
        for groups, key in (
            (self.feedstocks, row.feedstock or ""),
            (self.pythons, row.python or ""),
            (self.months, row.month or ""),
        ):
            _group(groups, key).add(row)
        if row.kinds:
            self._count_kinds(row)

    def _count_kinds(self, row: Row) -> None:
        if row.judged_from == UNKNOWN_SIZES:
            self.files_of_unknown_size += row.stray
        for name, count in row.kinds.items():
            kind = self.kinds.get(name)
            if kind is None:
                kind = self.kinds[name] = Kind()
            kind.packages += 1
            kind.files += count.files
            kind.stray += count.stray
            kind.size += count.size

    def _count_reason(self, row: Row) -> None:
        reasons = self.reasons.get(row.status)
        if reasons is not None:
            known = row.reason in reasons or len(reasons) < _MOST_REASONS
            reasons[row.reason if known else _OTHER] += 1


def packed(size: int) -> int:
    """Return an estimate of the bytes that stray files of so many bytes take in their packages."""
    return round(PACKED_SHARE * size)


def _group(groups: dict[str, Group], key: str) -> Group:
    group = groups.get(key)
    if group is None:
        group = groups[key] = Group()
    return group


def _name_of(file_name: str) -> str:
    """Return the package name that a file name begins with (CEP 26: NAME-VERSION-BUILD)."""
    parts = file_name.rsplit("-", 2)
    return parts[0] if len(parts) == 3 else file_name
