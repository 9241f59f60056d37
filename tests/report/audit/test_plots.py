"""The numbers that the page plots are those of its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .test_report import read_page, report, results, with_findings, write


def plots(page: str) -> dict[str, dict[str, Any]]:
    """Return the plots of a page by their titles."""
    data = page.split('<script type="application/json" id="plots">')[1].split("</script>", maxsplit=1)[0]
    return {plot["title"]: plot for plot in json.loads(data)}


def test_the_bars_are_the_rows_with_most(tmp_path: Path) -> None:
    page = report(write(tmp_path / "a.jsonl", results(5000)), format="html")
    rows, found = read_page(page), plots(page)
    expected = sorted(((row[0], row[5]) for row in rows["names"] if row[5]), key=lambda bar: -bar[1])
    assert found["By package name: unpacked, top 12"]["bars"] == [list(bar) for bar in expected[:12]]
    assert found["By Python: unpacked"]["bars"] == [[row[0], row[5]] for row in rows["pythons"]]
    assert found["Kinds of findings: unpacked"]["bars"] == [["foreign-tag", sum(bar[1] for bar in expected)]]


def test_a_month_without_packages_has_a_bar(tmp_path: Path) -> None:
    first, last, oldest = with_findings(3)
    first |= {"uploaded": "2024-11-10T12:00:00Z"}
    last |= {"uploaded": "2025-02-10T12:00:00Z"}
    found = plots(report(write(tmp_path / "a.jsonl", [first, last]), format="html"))
    share = found["By month of upload: share of packages with stray files"]
    assert share["bars"] == [["2024-11", 1.0], ["2024-12", 0], ["2025-01", 0], ["2025-02", 1.0]]
    most = "From 2024-11 to 2025-02; most: 100.00 % in 2024-11. The table By month of upload has the numbers."
    assert share["description"] == most
    oldest |= {"uploaded": "1971-01-01T12:00:00Z"}
    found = plots(report(write(tmp_path / "b.jsonl", [first, last, oldest]), format="html"))
    bars = found["By month of upload: unpacked"]["bars"]
    assert (len(bars), bars[0][0], bars[-1][0]) == (240, "2005-03", "2025-02")


def test_files_are_plotted_if_no_size_is_known(tmp_path: Path) -> None:
    entries = with_findings(2)
    for entry in entries:
        entry |= {"judged_from": "paths"}
        for finding in entry["findings"]:
            finding["size"] = 0
    found = plots(report(write(tmp_path / "a.jsonl", entries), format="html"))
    assert "Kinds of findings: stray files" in found
    assert {plot["measure"] for plot in found.values()} == {"count", "share"}


def test_nothing_is_plotted_without_stray_files(tmp_path: Path) -> None:
    clean = [entry for entry in results(100) if entry["status"] == "clean"]
    assert plots(report(write(tmp_path / "a.jsonl", clean), format="html")) == {}
