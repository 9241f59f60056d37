"""The report of an audit as one HTML page that loads nothing else: tables to sort and filter, and plots.

The page works without a network, in light and dark, on a phone, with the keyboard and with a screen reader. Its script
and its style are ours, 12 KB together; libraries for tables and plots would be many times as large. Plots on a canvas
would not follow the colors of the page, and a screen reader could not read them. These are SVG and HTML, and need no
script.

Names from packages are text in the page, never markup, and its policy allows no script but this one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from ...quantities import size_text
from ..escape import escaped
from .tables import UNKNOWN, Cell, Measure, Table, is_empty, reasons, remarks, tables
from .totals import PACKED_SHARE, Totals, packed

PACKAGES = 20_000
"""Packages, package names and feedstocks that a page lists at most; it says how many it leaves out."""
_BARS = 12
_MOST_MONTHS = 240
"""Months that the plot shows, up to the last one: an index may name any date."""
_REASONS = 20


def as_html(totals: Totals) -> Iterator[str]:
    """Yield the page in pieces."""
    shown = [table for table in tables(totals, PACKAGES, clean=True) if not is_empty(table)]
    shown.sort(key=lambda table: table.id != "packages")
    script, style = _asset("page.js"), _asset("page.css")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Stray bytecode: {_text(_where(totals))}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )
    yield from _header(totals, shown)
    yield '<main>\n<noscript><p class="note">The tables need JavaScript.</p></noscript>\n<div class="plots">\n'
    yield from _plots(totals, {table.id: table for table in shown})
    yield "</div>\n"
    for table in shown:
        title = f'<h2 id="{table.id}-title">{table.title}</h2>'
        yield f'<section id="{table.id}" aria-labelledby="{table.id}-title">\n{title}\n</section>\n'
    yield '</main>\n<footer class="soft">Made by conda-prune report. Stray files are those that conda-prune fix drops.'
    yield "</footer>\n"
    yield f'<script type="application/json" id="data">{_data(shown)}</script>\n'
    yield f"<script>{script}</script>\n</body>\n</html>"


def _header(totals: Totals, shown: Sequence[Table]) -> Iterator[str]:
    every = totals.all
    share = f"{100 * every.affected / every.judged:.2f} % of them" if every.judged else ""
    failed = totals.statuses["error"] + totals.statuses["refused"]
    cards = [
        ("packages judged", f"{every.judged:,}", ""),
        ("with stray files", f"{every.affected:,}", share),
        ("stray files", f"{every.files:,}", ""),
        ("wasted, unpacked", size_text(every.size), "not all sizes are known" if totals.files_of_unknown_size else ""),
        ("wasted, packed", size_text(packed(every.size)), f"an estimate: {100 * PACKED_SHARE:.0f} % of unpacked"),
        ("skipped", f"{totals.statuses['skipped']:,}", ""),
        ("failed", f"{failed:,}", ""),
    ]  # fmt: skip
    yield f'<header>\n<h1>Stray bytecode</h1>\n<p class="soft">{_text(_where(totals))}</p>\n<dl class="cards">\n'
    for title, value, remark in cards:
        yield f"<div><dt>{title}</dt><dd>{value}{f' <small>{remark}</small>' if remark else ''}</dd></div>\n"
    yield "</dl>\n"
    if lines := [*remarks(totals), *reasons(totals, _REASONS)]:
        yield f"<ul>\n{''.join(f'<li>{_text(line)}</li>{chr(10)}' for line in lines)}</ul>\n"
    yield '<nav aria-label="Tables"><ul>\n'
    for table in shown:
        yield f'<li><a href="#{table.id}">{table.title}</a></li>\n'
    yield "</ul></nav>\n</header>\n"


def _where(totals: Totals) -> str:
    channels = sorted(totals.channels)
    return ", ".join(channels[:3]) + (f" and {len(channels) - 3} more" if len(channels) > 3 else "") or "no packages"


def _plots(totals: Totals, shown: Mapping[str, Table]) -> Iterator[str]:
    # Without sizes, the numbers of files are compared.
    measure = "unpacked" if totals.all.size else "stray files"
    if "months" in shown:
        yield _months(shown["months"], measure)
        yield _months(shown["months"], "share")
    for id in ("kinds", "pythons", "feedstocks", "names"):
        if id in shown and (plot := _bars(shown[id], measure)):
            yield plot


def _bars(table: Table, measure: str) -> str:
    """Return a plot of the rows of a table that have most: a list of terms, bars and numbers. Empty without any."""
    index = next(number for number, column in enumerate(table.columns) if column.title == measure)
    rows = sorted((row for row in table.rows if row[index]), key=lambda row: -float(row[index]))[:_BARS]
    if not rows:
        return ""
    most = float(rows[0][index])
    bars = "".join(
        f'<div><dt title="{_text(str(row[0]))}">{_text(str(row[0]))}</dt>'
        f'<dd aria-hidden="true" style="width:{100 * float(row[index]) / most:.1f}%"></dd>'
        f"<dd>{_number(row[index], table.columns[index].measure)}</dd></div>\n"
        for row in rows
    )
    title = f"{table.title}: {measure}{'' if len(rows) < _BARS else f', top {_BARS}'}"
    return f'<section><h2>{title}</h2>\n<dl class="bars">\n{bars}</dl>\n</section>\n'


def _months(table: Table, measure: str) -> str:
    """Return a plot of the months: a bar for each, also for those without packages."""
    index = next(number for number, column in enumerate(table.columns) if column.title == measure)
    found = {str(row[0]): row[index] for row in table.rows if row[0] != UNKNOWN}
    months = _months_between(min(found), max(found)) if found else []
    most = max((float(found.get(month, 0)) for month in months), default=0.0)
    if not most:
        return ""
    kind = table.columns[index].measure
    bars = "".join(_month_bar(number, month, found.get(month, 0), most, kind) for number, month in enumerate(months))
    peak = max(months, key=lambda month: float(found.get(month, 0)))
    text = f"{_number(found[peak], kind)} in {peak}"
    label = f"From {months[0]} to {months[-1]}; most: {text}. The table By month of upload has the numbers."
    what = "share of packages with stray files" if measure == "share" else measure
    return (
        f'<section class="months"><h2>By month of upload: {what}</h2>\n<p class="soft">most: {text}</p>\n'
        f'<svg viewBox="0 0 {10 * len(months)} 100" preserveAspectRatio="none" role="img" aria-label="{label}">{bars}'
        f'</svg>\n<div class="axis" aria-hidden="true"><span>{months[0]}</span><span>{months[-1]}</span></div>\n'
        "</section>\n"
    )


def _month_bar(number: int, month: str, cell: Cell, most: float, measure: Measure) -> str:
    height = 100 * float(cell) / most
    title = f"<title>{month}: {_number(cell, measure)}</title>"
    return f'<rect x="{10 * number + 1}" y="{100 - height:.2f}" width="8" height="{height:.2f}">{title}</rect>'


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


def _data(shown: Sequence[Table]) -> str:
    """Return the tables as JSON that may be in a script element: without `<` it cannot end it."""
    objects = [
        {
            "id": table.id,
            "title": table.title,
            "columns": [{"title": column.title, "measure": column.measure.value} for column in table.columns],
            "rows": [[escaped(cell) if isinstance(cell, str) else _short(cell) for cell in row] for row in table.rows],
            "note": table.note,
        }
        for table in shown
    ]
    text = json.dumps(objects, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _short(number: float) -> float:
    return round(number, 6) if isinstance(number, float) else number


def _text(text: str) -> str:
    """Return a text as HTML in ASCII: standard output may have another encoding than the page says."""
    return html.escape(escaped(text)).encode("ascii", "xmlcharrefreplace").decode()


def _asset(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
