"""Which lines of an audit count: the last one of each package, and only results."""

from __future__ import annotations

import random
import subprocess
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from conda_prune.report.audit.key import in_shard

from ...executable import run
from .results import CHANNEL, result
from .test_report import report, results, with_findings, write


def finding(**change: object) -> dict[str, Any]:
    return {"findings": [{"kind": "x", "path": "a", "size": 1, "action": "drop"} | change]}


_MALFORMED: dict[str, dict[str, Any]] = {
    "no summary": {"summary": None},
    "members": {"summary": {"members": "5"}},
    "many members": {"summary": {"members": 1 << 63}},
    "version": {"package": {"name": "a", "version": 5, "build": "0"}},
    "build": {"package": {"name": "a", "version": "5", "build": []}},
    "package": {"package": "a"},
    "variant": {"variant": []},
    "python": {"variant": {"python": 3.1, "kind": "any"}},
    "uploaded": {"uploaded": 0},
    "rules": {"rules_version": 1},
    "sha256": {"sha256": 1},
    "size before": {"before": {"size": 1 << 63}},
    "no size before": {"before": {}},
    "findings": {"findings": {}},
    "size as text": finding(size="5"),
    "size as a fraction": finding(size=5.0),
    "negative size": finding(size=-1),
    "size of a report": finding(size=1 << 63, action="report"),
    "size above 2**53": finding(size=(1 << 53) + 1),
    "sizes above 2**53": {"findings": finding(size=1 << 53)["findings"] * 2},
    "size of 400 digits": finding(size=10**400),
    "path": finding(path=1),
    "action": finding(action=1),
    "kind": finding(kind=1),
}


_FORMATS = ("text", "markdown", "html", *(("parquet",) if find_spec("pyarrow") else ()))


def written(path: Path, directory: Path) -> tuple[dict[str, bytes], subprocess.CompletedProcess[str]]:
    """Return the report of a file in every format."""
    directory.mkdir()
    options = [option for name in _FORMATS for option in ("--format", f"{name}={directory / name}")]
    done = run("report", path, *options, check=False)
    return {name: (directory / name).read_bytes() for name in _FORMATS}, done


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Two results, and their reports."""
    entries, directory = with_findings(2), tmp_path_factory.mktemp("good")
    return entries, written(write(directory / "a.jsonl", entries), directory / "reports")[0]


@pytest.mark.parametrize("change", _MALFORMED.values(), ids=_MALFORMED)
def test_a_line_with_another_value_is_left_out_of_every_format(
    change: dict[str, Any], good: tuple[list[dict[str, Any]], dict[str, bytes]], tmp_path: Path
) -> None:
    (first, second), expected = good
    path = write(tmp_path / "a.jsonl", [first, result(7, random.Random(7)) | change, second])
    found, done = written(path, tmp_path / "reports")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {path}: line 2 is not a result of an audit")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 500
    assert found == expected


@pytest.mark.parametrize("uploaded", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2024-01-01 x", ""])
def test_a_date_that_is_none_is_not_known(uploaded: str, tmp_path: Path) -> None:
    parquet = pytest.importorskip(
        "pyarrow.parquet", reason="pyarrow is not installed: pip install conda-prune[parquet]"
    )
    path = write(tmp_path / "a.jsonl", [results(1)[0] | {"uploaded": uploaded}])
    run("report", path, "--format", f"parquet={tmp_path / 'x'}")
    (row,) = parquet.read_table(tmp_path / "x").to_pylist()
    assert row["uploaded"] is None
    assert "1 package judged" in report(path)


def unlisted(shard: object = None, **change: object) -> dict[str, Any]:
    """Return the line of a source that could not be listed, as `audit` writes it."""
    nothing: dict[str, Any] = dict.fromkeys(("file_name", "sha256", "uploaded", "package", "variant", "judged_from"))
    about = {"path": f"{CHANNEL}/linux-64", "channel": CHANNEL, "subdir": "linux-64", "error": "no index"}
    extra = {"shard": shard} if shard else {}
    return result(0, random.Random(0)) | nothing | about | {"status": "error", "findings": []} | extra | change


def of_subdir(count: int) -> list[dict[str, Any]]:
    return [entry for entry in results(20 * count) if entry["subdir"] == "linux-64"][:count]


def test_a_package_that_was_repaired_counts_once(tmp_path: Path) -> None:
    """A repair changes the hash."""
    before = with_findings(1)[0]
    summary = before["summary"] | {"dropped": 0, "dropped_bytes": 0, "kinds": {}}
    after = before | {"sha256": "0" * 64, "status": "clean", "findings": [], "summary": summary}
    text = report(write(tmp_path / "resumed.jsonl", [before, after]))
    assert text.startswith("1 package judged\nno stray files\n")
    assert text == report(write(tmp_path / "once.jsonl", [after]))


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_a_source_that_was_listed_later_is_not_reported(format: str, tmp_path: Path) -> None:
    entries = results(300)
    expected = report(write(tmp_path / "once.jsonl", entries), format=format)
    for number, lines in enumerate([[unlisted(), *entries], [unlisted(), unlisted(), *entries]]):
        assert report(write(tmp_path / f"{number}.jsonl", lines), format=format) == expected
    parts = [write(tmp_path / "a.jsonl", [unlisted()]), write(tmp_path / "b.jsonl", entries)]
    assert report(*parts, format=format) == expected


@pytest.mark.parametrize(
    "lines",
    [
        [*of_subdir(5), unlisted()],
        [unlisted(), *of_subdir(5), unlisted()],
        [unlisted(subdir="noarch"), *of_subdir(5)],
        [unlisted(channel="https://example.org/c"), *of_subdir(5)],
        [unlisted(channel=None, subdir=None, path="urls.txt:2"), *of_subdir(5)],
    ],
)
def test_a_source_that_was_not_listed_later_is_reported(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    text = report(write(tmp_path / "a.jsonl", lines))
    assert text.startswith("5 packages judged")
    assert "1 source could not be listed" in text


def test_a_directory_that_was_read_later_is_not_reported(tmp_path: Path) -> None:
    lines = [unlisted(subdir=None), *of_subdir(5)]
    assert "could not be listed" not in report(write(tmp_path / "a.jsonl", lines))


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_shards_that_were_resumed_give_the_report_of_one_run(
    order: tuple[int, ...], joined: bool, tmp_path: Path
) -> None:
    """Some could not list the source at first. It counts if one of them never could: its packages are missing."""
    entries = of_subdir(40)
    parts = [[entry for entry in entries if in_shard(entry["file_name"], number, 3)] for number in (1, 2, 3)]
    assert all(map(len, parts))

    def reported(*shards: list[dict[str, Any]]) -> str:
        lines = [shards[number] for number in order]
        files = [list(chain.from_iterable(lines))] if joined else lines
        return report(*(write(tmp_path / f"{number}.jsonl", file) for number, file in enumerate(files)))

    failures = [unlisted(f"{number}/3") for number in (1, 2, 3)]
    expected = report(write(tmp_path / "once.jsonl", entries))
    assert reported(*parts) == expected
    assert reported([failures[0], *parts[0]], [failures[1], *parts[1]], parts[2]) == expected
    missing = report(write(tmp_path / "missing.jsonl", [*parts[1], *parts[2], unlisted()]))
    assert "1 source could not be listed" in missing
    assert reported([failures[0]], parts[1], parts[2]) == missing
    assert reported([failures[0]], [failures[1], *parts[1]], parts[2]) == missing
    none = report(write(tmp_path / "none.jsonl", [unlisted()]))
    assert reported(*([failure] for failure in failures)) == none


@pytest.mark.parametrize("shard", ["x", "0/3", "4/3", 3, "1/3 "])
def test_a_shard_that_is_none_is_a_malformed_line(shard: object, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*results(1), unlisted(shard)])
    done = run("report", path, check=False)
    assert done.returncode == 3
    assert f"line 2 is not a result of an audit: {shard!r} is not a" in done.stderr
