"""`report`: the results of many runs in one table. No run hides another."""

from __future__ import annotations

import gzip
import html.parser
import json
from pathlib import Path

import pytest

from conda_prune import check, fix
from conda_prune.model import Result
from conda_prune.report.json_report import as_object, dumps
from conda_prune.report.merged import (
    COLUMNS,
    as_html,
    as_markdown,
    as_text,
    merge,
    read_results,
)

from ..executable import run
from ..seed import (
    CLEAN,
    SEED,
    SEEDS,
    STRAY,
)


def objects(*results: Result) -> list[dict[str, object]]:
    return [json.loads(dumps(as_object(result))) for result in results]


def test_an_empty_run_is_an_empty_table() -> None:
    table = merge([("empty.jsonl", read_results(""))])
    assert table.rows == ()
    assert as_text(table) == "0 results"


def test_rows_are_sorted_failures_first() -> None:
    results = objects(*(check(seed.path) for seed in SEEDS), Result("z.conda", "error", error="why"))
    table = merge([("a", results)])
    assert [row.status for row in table.rows] == ["error"] + ["findings"] * len(STRAY) + ["clean"] * len(CLEAN)
    assert table.rows[0].cells[COLUMNS.index("findings")] == "why"
    names = [row.cells[0] for row in table.rows if row.status == "findings"]
    assert names == sorted(names)


def test_a_clean_run_does_not_hide_a_failed_one() -> None:
    failed, clean = Result("x.conda", "error", error="why"), Result("x.conda", "clean")
    table = merge([("a", objects(failed)), ("b", objects(clean))])
    assert [(row.status, row.cells[-1]) for row in table.rows] == [("error", "a"), ("clean", "b")]
    assert table.totals[0] == "2 results: 1 error, 1 clean"


def test_the_same_result_in_two_runs_is_one_row() -> None:
    first, second = Result("x.conda", "clean", seconds=1.0), Result("x.conda", "clean", seconds=2.0)
    assert len(merge([("a", objects(first)), ("b", objects(second))]).rows) == 1


def test_totals_add_up(tmp_path: Path) -> None:
    results = objects(*(fix(seed.path, output_dir=tmp_path) for seed in STRAY))
    table = merge([("a", results)])
    assert table.totals[0] == f"{len(STRAY)} results: {len(STRAY)} fixed"
    assert table.totals[1].startswith(f"{sum(len(seed.stray) for seed in STRAY)} files were dropped: ")
    assert table.totals[2].startswith("packages before and after: ")


def test_json_and_json_lines_give_the_same_table(tmp_path: Path) -> None:
    tables = []
    for format_ in ("json", "jsonl"):
        path = tmp_path / f"results.{format_}"
        run("check", SEED, "--format", f"{format_}={path}")
        done = run("report", path)
        assert done.returncode == 0
        assert done.stderr == ""
        tables.append(done.stdout)
    assert tables[0] == tables[1]
    assert all(seed.path.name in tables[0] for seed in SEEDS)


def test_columns_are_aligned() -> None:
    lines = as_text(merge([("a", objects(*(check(seed.path) for seed in SEEDS)))])).splitlines()
    at = lines[0].index("status")
    for line in lines[1 : len(SEEDS) + 1]:
        assert line[at:].startswith(("findings", "clean"))
        assert line[at - 1] == " "


class Cells(html.parser.HTMLParser):
    """Collects the cells of an HTML table, and checks that all tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_every_format_has_the_same_cells() -> None:
    results = [check(seed.path) for seed in SEEDS]
    table = merge([("a.jsonl", objects(*results)), ("b.jsonl", objects(Result("<x>|.conda", "error", error="a & b")))])
    cells = [list(COLUMNS), *(list(row.cells) for row in table.rows)]
    used = [index for index in range(len(COLUMNS)) if any(row[index] for row in cells[1:])]
    expected = [[row[index] for index in used] for row in cells]
    assert Cells(as_html(table)).rows == expected
    rows = [line for line in as_markdown(table).splitlines() if line.startswith("| ")]
    assert len(rows) == len(expected)
    for line, row in zip(as_text(table).splitlines(), expected, strict=False):
        assert line.split() == " ".join(row).split()


LINE = dumps(as_object(Result("y.conda", "clean")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "line 1 is not a result of conda-prune: it is not JSON; name a file that", id="broken"),
        pytest.param("\n\n[1,\n2", "line 4 is not JSON; name a file that", id="broken-array"),
        pytest.param('{"a": 1}', "line 1 is not a result", id="another-object"),
        pytest.param("3", "line 1 is not a result", id="a-number"),
        pytest.param(
            '{"schema_version": 99}',
            "has schema version 99, and this conda-prune reads 1;",
            id="from-the-future",
        ),
        pytest.param('{"schema_version": 1, "status": "clean"}', "not a complete result", id="incomplete"),
        pytest.param('{"schema_version": 1, "status": ["x"]}', "not a complete result", id="wrong-types"),
        pytest.param("[" * 100_000, "it cannot be read: it is nested too deeply; name", id="nested-too-deeply"),
        pytest.param('{"a":' * 100_000, "line 1 is not a result of conda-prune: it is nested", id="deep-line"),
        pytest.param(f"[{'1' * 5000}]", "it cannot be read: one of its values is invalid", id="large-number"),
        pytest.param(LINE.replace("clean", "x"), "line 1 is not a complete result: unknown status 'x'", id="status"),
        pytest.param(LINE.replace('"dropped": 0', '"dropped": "x"'), "one of its values is invalid", id="value"),
        pytest.param(LINE.replace('"variant"', '"x"'), "is not a complete result: it has no 'variant'", id="key"),
    ],
)
def test_an_invalid_file_is_reported_and_the_others_are_merged(content: str, message: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text(content, "utf-8")
    good.write_text(dumps(as_object(Result("x.conda", "clean"))) + "\n", "utf-8")
    done = run("report", bad, tmp_path / "absent", good)
    assert done.returncode == 3
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [str(bad), str(tmp_path / "absent")]
    assert message in done.stderr
    assert "x.conda" in done.stdout


def test_a_compressed_file_has_to_be_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl.gz"
    path.write_bytes(gzip.compress(LINE.encode()))
    done = run("report", path)
    assert done.returncode == 3
    assert done.stderr == f"error: {path}: line 1 is not UTF-8; if the file is compressed, decompress it first\n"


def test_no_file_is_wrong_usage() -> None:
    assert run("report").returncode == 2


def test_formats_are_written_to_files(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(dumps(as_object(Result("x.conda", "error", error="é"))) + "\n", "utf-8")
    pages = {name: tmp_path / f"report.{name}" for name in ("html", "markdown")}
    done = run("report", path, "--format", "text", *(f"--format={name}={page}" for name, page in pages.items()))
    assert done.stdout == run("report", path).stdout
    for name, page in pages.items():
        assert page.read_text("utf-8") == run("report", path, "--format", name).stdout
