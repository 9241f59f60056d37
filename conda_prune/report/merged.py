"""Merges the results of many runs into one table: as text, Markdown or HTML.

Nothing is left out. If two runs report different results for a package, the table has a row for each, with the name of
the run. Identical results are shown once.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..quantities import plural, size_text
from .escape import escaped
from .github import escape_markdown
from .json_report import SCHEMA_VERSION
from .malformed import ERRORS, Invalid, reason_of

COLUMNS = ("package", "Python", "status", "dropped", "size", "findings", "run")
_STATUSES = ("error", "refused", "findings", "fixed", "indexed", "skipped", "clean")
"""Every status, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One package of one run: the texts of its cells, not yet escaped for any format."""

    status: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """All rows, failures first and then by package name. `totals` are lines that sum them up."""

    rows: tuple[Row, ...]
    totals: tuple[str, ...]


def read_results(text: str | bytes) -> list[Mapping[str, Any]]:
    """Return the results in a file that --format jsonl or --format json wrote.

    Raises ValueError, naming the line or entry, if it contains anything else.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            values = json.loads(stripped)
        except json.JSONDecodeError as error:
            number = error.lineno + text[: text.index("[")].count("\n")
            raise ValueError(f"line {number} is not JSON") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it cannot be read: {reason_of(error)}") from error
        return [_validated(value, f"entry {number}") for number, value in enumerate(values, 1)]
    objects = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number} is not a result of conda-prune: {reason_of(error)}") from error
            objects.append(_validated(value, f"line {number}"))
    return objects


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {number} is not UTF-8; if the file is compressed, decompress it first") from error


def _validated(value: Any, position: str) -> Mapping[str, Any]:
    """Return the object if it has all that a row needs. Raises ValueError, naming the position, if it does not."""
    if not isinstance(value, dict) or "schema_version" not in value:
        raise ValueError(f"{position} is not a result of conda-prune")
    if value["schema_version"] != SCHEMA_VERSION:
        version = value["schema_version"]
        raise ValueError(
            f"{position} has schema version {version!r:.20}, and this conda-prune reads {SCHEMA_VERSION}; "
            "report it with the version that wrote it"
        )
    try:
        _row("", value)
        _dropped(value)
    except ERRORS as error:
        raise ValueError(f"{position} is not a complete result: {reason_of(error)}") from error
    return value


def merge(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Table:
    """Return one table for all runs. A run is its name and its results."""
    seen: set[str] = set()
    rows: list[tuple[tuple[int, str, str], Row]] = []
    results = []
    for run, objects in runs:
        for result in objects:
            key = json.dumps({name: value for name, value in result.items() if name != "seconds"}, sort_keys=True)
            if key in seen:
                continue
            seen.add(key)
            results.append(result)
            row = _row(run if len(runs) > 1 else "", result)
            rows.append(((_STATUSES.index(row.status), row.cells[0], run), row))
    rows.sort(key=lambda pair: pair[0])
    return Table(tuple(row for _, row in rows), tuple(_totals(results)))


def _row(run: str, result: Mapping[str, Any]) -> Row:
    status = result["status"]
    if status not in _STATUSES:
        raise Invalid(f"unknown status {status!r:.80}")
    variant = result["variant"]
    size = " → ".join(size_text(result[when]["size"]) for when in ("before", "after") if result[when] is not None)
    kinds = [f"{kind} {about['files']}" for kind, about in result["summary"]["kinds"].items()]
    dropped, size_dropped = _dropped(result)
    cells = (
        os.path.basename(result["path"]),
        {"exact": variant["python"], "unknown": "?", "contradictory": "?"}.get(variant["kind"], variant["kind"])
        if variant is not None
        else "",
        status,
        f"{plural(dropped, 'file')}, {size_text(size_dropped)}" if dropped else "",
        size,
        result["error"] or ", ".join(kinds),
        run,
    )
    return Row(status, tuple(map(str, cells)))


def _dropped(result: Mapping[str, Any]) -> tuple[int, int]:
    return int(result["summary"]["dropped"]), int(result["summary"]["dropped_bytes"])


def _totals(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    packages = [result for result in results if result["status"] != "indexed"]
    counts = [(status, sum(result["status"] == status for result in packages)) for status in _STATUSES]
    parts = ", ".join(f"{count} {status}" for status, count in counts if count)
    yield f"{plural(len(packages), 'result')}{f': {parts}' if parts else ''}"
    for status, words in (("findings", "would be dropped"), ("fixed", "were dropped")):
        sums = [_dropped(result) for result in packages if result["status"] == status]
        if files := sum(files for files, _ in sums):
            yield f"{plural(files, 'file')} {words}: {size_text(sum(size for _, size in sums))} unpacked"
    sizes = [(result["before"], result["after"]) for result in packages if result["before"] and result["after"]]
    if sizes:
        before, after = (sum(size["size"] for size in column) for column in zip(*sizes, strict=True))
        yield f"packages before and after: {size_text(before)} → {size_text(after)}"


def as_text(table: Table) -> str:
    """Return the table as aligned columns of text."""
    columns = _used_columns(table)
    rows = [COLUMNS, *(tuple(map(escaped, row.cells)) for row in table.rows)]
    widths = [max(len(row[index]) for row in rows) for index in columns]
    lines = ["   ".join(row[index].ljust(width) for index, width in zip(columns, widths, strict=True)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines if table.rows), "", *table.totals]).lstrip("\n")


def as_markdown(table: Table) -> str:
    """Return the table as GitHub Markdown."""
    columns = _used_columns(table)
    lines = [f"| {' | '.join(COLUMNS[index] for index in columns)} |", f"|{'---|' * len(columns)}"]
    lines += [
        f"| {' | '.join(escape_markdown(escaped(row.cells[index])) for index in columns)} |" for row in table.rows
    ]
    return "\n".join([*(lines if table.rows else ()), "", *(f"- {total}" for total in table.totals)]).lstrip("\n")


def as_html(table: Table) -> str:
    """Return the table as an HTML page that loads no other file."""
    columns = _used_columns(table)
    head = "".join(f"<th>{COLUMNS[index]}</th>" for index in columns)
    rows = "\n".join(
        f'<tr class="{row.status}">'
        + "".join(f"<td>{html.escape(escaped(row.cells[index]))}</td>" for index in columns)
        + "</tr>"
        for row in table.rows
    )
    totals = "".join(f"<li>{html.escape(total)}</li>" for total in table.totals)
    return _PAGE.format(head=head, rows=rows, totals=totals)


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>conda-prune</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem; border-bottom: 1px solid #ddd }}
.error td:nth-child(3), .refused td:nth-child(3) {{ color: #b00020; font-weight: 600 }}
.findings td:nth-child(3) {{ color: #8a5a00; font-weight: 600 }}
.fixed td:nth-child(3) {{ color: #1a6b2c; font-weight: 600 }}
</style>
<h1>conda-prune</h1>
<ul>{totals}</ul>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>"""


def _used_columns(table: Table) -> list[int]:
    """Return the indexes of the columns to show: package, Python and status, and all others that are not empty."""
    return [index for index in range(len(COLUMNS)) if index < 3 or any(row.cells[index] for row in table.rows)]
