"""`python -m tools.coverage` measures correctly, also in the processes that tests start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.coverage import ROOT, UNMEASURED, raises_of, table, unreached

SOURCE = """\
import subprocess, sys

def first(number):
    if number == 1:
        raise ValueError(
            "one"
        )
    if number == 2:
        raise TypeError("two")

try:
    first(1)
except ValueError:
    if sys.argv[1:]:
        raise
    subprocess.run([sys.executable, __file__, "again"], stderr=subprocess.DEVNULL)
"""


def test_raise_statements_that_no_process_reached_are_listed(tmp_path: Path) -> None:
    module = tmp_path / "sample.py"
    module.write_text(SOURCE)
    settings = "[run]\nbranch = true\nparallel = true\npatch = subprocess\nsource = .\n"
    (tmp_path / ".coveragerc").write_text(settings)
    # If this test itself is measured, its processes are not: they have their own settings and data.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    for arguments in (["run", "sample.py"], ["combine", "-q"], ["json", "-q", "-o", "report.json"]):
        subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=tmp_path, env=environment, check=True)
    files = json.loads((tmp_path / "report.json").read_text())["files"]
    raises = list(raises_of("sample.py", SOURCE))
    assert [(one.line, one.text) for one in raises] == [
        (5, "raise ValueError('one')"), (9, "raise TypeError('two')"), (15, "raise"),
    ]  # fmt: skip
    # Only the process that the script starts reaches the last one.
    assert [one.line for one in unreached(raises, files)] == [9]
    assert len(unreached(raises, {})) == 3
    lines, of_lines, of_branches = table(files)
    assert lines[-1].startswith("all")
    assert 0 < of_lines < 100
    assert 0 < of_branches < 100


@pytest.mark.parametrize("test", UNMEASURED)
def test_unmeasured_code_has_the_named_test(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}" in (ROOT / path).read_text("utf-8")
