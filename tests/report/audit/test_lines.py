"""Which lines of an audit count: the last one of each package, and only results."""

from __future__ import annotations

import random
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ...executable import run
from .results import result
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
