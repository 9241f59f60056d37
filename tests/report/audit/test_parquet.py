"""The results of an audit as Parquet, and what DuckDB reads from it."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from conda_prune.errors import PruneError
from conda_prune.report.audit.parquet import ParquetWriter
from conda_prune.report.audit.row import row_of

from ...executable import run
from .test_report import failure, results, with_findings, write

_NO_PYARROW = "pyarrow is not installed: pip install conda-prune[parquet]"


def test_every_package_is_a_row(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason=_NO_PYARROW)
    entries = [*results(2000), *with_findings(5), failure(9999)]
    entries[0]["findings"] = [{"kind": "x", "path": "a/\udcff", "size": 1, "action": "report", "fixed": False}]
    path = tmp_path / "a.parquet"
    run("report", write(tmp_path / "a.jsonl", [*entries, entries[3]]), "--format", f"parquet={path}")
    rows = {row["sha256"]: row for row in parquet.read_table(path).to_pylist()}
    expected = {entry["sha256"]: entry for entry in entries}
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        entry = expected[key]
        assert row["stray_files"] == entry["summary"]["dropped"]
        assert row["stray_bytes"] == entry["summary"]["dropped_bytes"]
        assert len(row["findings"]) == len(entry["findings"])
        assert row["uploaded"].strftime("%Y-%m-%dT%H:%M:%SZ") == entry["uploaded"]
        assert (row["status"], row["error"]) == (entry["status"], entry["error"])
    assert rows[entries[0]["sha256"]]["findings"][0]["path"] == "a/\\udcff"


def test_duckdb_answers_the_example_query(tmp_path: Path) -> None:
    """The query in docs/scale.md."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    pytest.importorskip("pyarrow", reason=_NO_PYARROW)
    entries = with_findings(20)
    path = tmp_path / "audit.parquet"
    run("report", write(tmp_path / "a.jsonl", entries), "--format", f"parquet={path}")
    docs = (Path(__file__).parents[3] / "docs" / "scale.md").read_text("utf-8")
    query = docs.split("```sql\n")[1].split("```")[0].replace("audit.parquet", path.as_posix())
    found = duckdb.sql(query).fetchall()
    sizes: dict[str, int] = {}
    for entry in entries:
        sizes[entry["feedstock"]] = sizes.get(entry["feedstock"], 0) + entry["summary"]["dropped_bytes"]
    assert found[0][0] == max(sizes, key=lambda name: sizes[name])
    assert {row[0]: row[-1] for row in found} == sizes


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(3))
    (tmp_path / "pyarrow.py").write_text("raise ImportError\n")
    command = [sys.executable, "-m", "conda_prune", "report", str(path), "--format", f"parquet={tmp_path / 'x'}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 3
    assert done.stderr == "error: Parquet needs pyarrow; install conda-prune[parquet], or pyarrow with conda\n"


def test_a_column_that_does_not_fit_into_parquet_is_named() -> None:
    pytest.importorskip("pyarrow", reason=_NO_PYARROW)
    value = results(1)[0]
    writer = ParquetWriter(BytesIO())
    writer.add(value | {"before": {"size": "x"}}, row_of(value))
    with pytest.raises(PruneError, match="the column packed_size cannot be written as Parquet: "):
        writer.close()
