"""The numbers that the page of an audit plots: the waste by month of upload, and the rows of its tables with most.

The library that draws them gets only these numbers. Each plot has a description in one sentence, for a screen reader,
and names the table that has all of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...quantities import size_text
from .tables import UNKNOWN, Cell, Measure, Table
from .totals import Totals

_BARS = 12
_MOST_MONTHS = 240
"""Months that the plot shows, up to the last one: an index may name any date."""


class Plot(NamedTuple):
    """A plot: one bar per name. `months` says that the names are months without gaps."""

    title: str
    description: str
    measure: Measure
    months: bool
    bars: list[tuple[str, Cell]]


def plots(totals: Totals, shown: Mapping[str, Table]) -> Iterator[Plot]:
    """Yield the plots of those tables that have something to compare, by id."""
    # Without sizes, the numbers of files are compared.
    measure = "unpacked" if totals.all.size else "stray files"
    if "months" in shown:
        yield from _months(shown["months"], measure, measure)
        yield from _months(shown["months"], "share", "share of packages with stray files")
    for id in ("kinds", "pythons", "feedstocks", "names"):
        if id in shown:
            yield from _most(shown[id], measure)


def _most(table: Table, measure: str) -> Iterator[Plot]:
    """Yield a plot of the rows of a table that have most, unless none has any."""
    index = next(number for number, column in enumerate(table.columns) if column.title == measure)
    rows = sorted((row for row in table.rows if row[index]), key=lambda row: -float(row[index]))[:_BARS]
    if not rows:
        return
    kind = table.columns[index].measure
    title = f"{table.title}: {measure}{'' if len(rows) < _BARS else f', top {_BARS}'}"
    most = f"most: {_number(rows[0][index], kind)} for {rows[0][0]}"
    yield Plot(title, _description(most, table), kind, months=False, bars=[(str(row[0]), row[index]) for row in rows])


def _months(table: Table, measure: str, what: str) -> Iterator[Plot]:
    """Yield a plot of the months: a bar for each, also for those without packages."""
    index = next(number for number, column in enumerate(table.columns) if column.title == measure)
    found = {str(row[0]): row[index] for row in table.rows if row[0] != UNKNOWN}
    months = _months_between(min(found), max(found)) if found else []
    bars = [(month, found.get(month, 0)) for month in months]
    if not any(value for _, value in bars):
        return
    kind = table.columns[index].measure
    peak, value = max(bars, key=lambda bar: float(bar[1]))
    text = f"from {months[0]} to {months[-1]}; most: {_number(value, kind)} in {peak}"
    yield Plot(f"{table.title}: {what}", _description(text, table), kind, months=True, bars=bars)


def _description(text: str, table: Table) -> str:
    return f"{text[0].upper()}{text[1:]}. The table {table.title} has the numbers."


def _months_between(first: str, last: str) -> list[str]:
    end = _count(last)
    start = max(_count(first), end - _MOST_MONTHS + 1)
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(start, end + 1)]


def _count(month: str) -> int:
    return 12 * int(month[:4]) + int(month[5:7]) - 1


def _number(cell: Cell, measure: Measure) -> str:
    if measure is Measure.SHARE:
        return f"{100 * float(cell):.2f} %"
    return size_text(int(cell)) if measure is Measure.SIZE else f"{cell:,}"
