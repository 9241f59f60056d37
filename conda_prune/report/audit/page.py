"""The report of an audit as one HTML page that loads nothing else: tables to sort and filter, and plots.

The page works without a network, in light and dark, on a phone, with the keyboard and with a screen reader. DataTables
shows the tables, and keeps only the rows of one page in the document. Observable Plot draws the plots as SVG, which
follows the colors of the page. Both, and d3, which Plot needs, are in every page: 610 KB, for features that a script of
our own would not have, and that others maintain. page.js only configures them; tools/libraries.py downloads them.

Names from packages are text in the page, never markup, and its policy allows no script but these.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...quantities import size_text
from ..escape import escaped
from .plots import Plot, plots
from .tables import Cell, Table, is_empty, reasons, remarks, tables
from .totals import PACKED_SHARE, Totals, packed

PACKAGES = 20_000
"""Packages, package names and feedstocks that a page lists at most; it says how many it leaves out."""
_REASONS = 20


def as_html(totals: Totals) -> Iterator[str]:
    """Yield the page in pieces."""
    shown = [table for table in tables(totals, PACKAGES, clean=True) if not is_empty(table)]
    shown.sort(key=lambda table: table.id != "packages")
    libraries = json.loads(_asset("libraries/libraries.json"))
    scripts = [_script(name) for name in (*(f"libraries/{library['file']}" for library in libraries), "page.js")]
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join(map(_hash, scripts))}; "
        "base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Stray bytecode: {_text(_where(totals))}</title>\n"
        f"<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
    )
    yield from _header(totals, shown)
    yield '<main>\n<noscript><p class="note">The tables and plots need JavaScript.</p></noscript>\n'
    yield '<div class="plots"></div>\n'
    for table in shown:
        title = f'<h2 id="{table.id}-title">{table.title}</h2>'
        yield f'<section id="{table.id}" aria-labelledby="{table.id}-title">\n{title}\n</section>\n'
    yield '</main>\n<footer class="soft">\n'
    yield "<p>Made by conda-prune report. Stray files are those that conda-prune fix drops.</p>\n"
    yield "<details><summary>Licenses of the libraries in this page</summary>\n"
    for library in libraries:
        license = _html(_asset(f"libraries/{library['license_file']}"))
        yield f"<h2>{library['name']} {library['version']}</h2>\n<pre>{license}</pre>\n"
    yield "</details>\n</footer>\n"
    yield f'<script type="application/json" id="data">{_json(list(map(_table, shown)))}</script>\n'
    drawn = plots(totals, {table.id: table for table in shown})
    yield f'<script type="application/json" id="plots">{_json(list(map(_plot, drawn)))}</script>\n'
    for script in scripts:
        yield f"<script>{script}</script>\n"
    yield "</body>\n</html>"


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


def _table(table: Table) -> dict[str, Any]:
    columns = [{"title": column.title, "measure": column.measure.value} for column in table.columns]
    return {
        "id": table.id, "title": table.title, "columns": columns, "rows": list(map(_cells, table.rows)),
        "note": table.note,
    }  # fmt: skip


def _plot(plot: Plot) -> dict[str, Any]:
    return {
        "title": plot.title, "description": escaped(plot.description), "measure": plot.measure.value,
        "months": plot.months, "bars": list(map(_cells, plot.bars)),
    }  # fmt: skip


def _cells(row: tuple[Cell, ...]) -> list[Cell]:
    return [escaped(cell) if isinstance(cell, str) else _short(cell) for cell in row]


def _short(number: float) -> float:
    return round(number, 6) if isinstance(number, float) else number


def _json(objects: list[dict[str, Any]]) -> str:
    """Return JSON that may be in a script element: without `<` it cannot end it."""
    text = json.dumps(objects, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _script(name: str) -> str:
    """Return a script in ASCII: standard output may have another encoding than the page says.

    What is not ASCII in the scripts is in literals and comments, where JavaScript knows these escapes.
    """
    return re.sub("[^\\0-\\x7f]", lambda match: json.dumps(match[0])[1:-1], _asset(name))


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    return _html(escaped(text))


def _html(text: str) -> str:
    """Return a text as HTML in ASCII, for the same reason as in _script."""
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _asset(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
