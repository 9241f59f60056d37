"""The report of an audit as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...quantities import size_text
from ..escape import escaped
from ..github import escape_markdown
from .tables import Cell, Column, Measure, Table, is_empty, reasons, shown_columns, summary, tables
from .totals import Totals

ROWS = 20
"""Rows of a table: the page and Parquet have all."""
_MONTHS = 36
_REASONS = 5


def as_text(totals: Totals) -> Iterator[str]:
    """Yield the lines of the report as text."""
    yield from map(escaped, summary(totals))
    yield from (f"  {escaped(reason)}" for reason in reasons(totals, _REASONS))
    for table in _tables(totals):
        yield ""
        yield f"{table.title}:"
        columns = shown_columns(table)
        rows = [[table.columns[index].title for index in columns], *_cells(table, columns)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (
                cell.ljust(width) if _is_text(table.columns[index]) else cell.rjust(width)
                for cell, width, index in zip(row, widths, columns, strict=True)
            )
            yield f"  {'   '.join(cells)}".rstrip()
        if table.note:
            yield f"  {table.note}"


def as_markdown(totals: Totals) -> Iterator[str]:
    """Yield the lines of the report as GitHub Markdown."""
    yield "## Stray bytecode"
    yield ""
    for line in (*summary(totals), *reasons(totals, _REASONS)):
        yield f"- {escape_markdown(escaped(line))}"
    for table in _tables(totals):
        columns = shown_columns(table)
        yield ""
        yield f"### {table.title}"
        yield ""
        yield f"| {' | '.join(table.columns[index].title for index in columns)} |"
        yield f"|{'|'.join('---' if _is_text(table.columns[index]) else '---:' for index in columns)}|"
        for row in _cells(table, columns):
            yield f"| {' | '.join(map(escape_markdown, row))} |"
        if table.note:
            yield ""
            yield f"{table.note}."


def cell_text(cell: Cell, column: Column) -> str:
    """Return a cell as people read it."""
    if column.measure is Measure.SIZE:
        return size_text(int(cell))
    if column.measure is Measure.SHARE:
        return f"{100 * float(cell):.2f} %"
    return f"{cell:,}" if column.measure is Measure.COUNT else escaped(str(cell))


def _tables(totals: Totals) -> Iterator[Table]:
    for table in tables(totals, ROWS, clean=False):
        if table.id == "months" and len(table.rows) > _MONTHS:
            note = f"{len(table.rows) - _MONTHS} earlier months are not shown"
            table = table._replace(rows=table.rows[-_MONTHS:], note=note)
        if not is_empty(table):
            yield table


def _cells(table: Table, columns: Sequence[int]) -> list[list[str]]:
    return [[cell_text(row[index], table.columns[index]) for index in columns] for row in table.rows]


def _is_text(column: Column) -> bool:
    return column.measure in (Measure.TEXT, Measure.CHOICE)
