"""Runs the suite and says how much of conda_prune/ it runs: lines, branches, and every `raise`.

`python -m tools.coverage` takes a half longer than the suite and fails where a test fails, where fewer than 95 % of the
lines or of the branches were run, or where a `raise` was not. What else is given goes to pytest, such as `-n 1`.
`python -m tools.coverage --again` tells the same of the last run, whose data stays in `.coverage`, where
`coverage report -m` and `coverage html` find it.

The processes that tests start are measured, too; one that is killed tells nothing, and forgoes what it alone has run.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "conda_prune"
LEAST = 95.0
"""Per cent of lines, and of branches."""

UNMEASURED = {
    "tests/cli/test_start.py": "what is imported, and how long that takes",
    "tests/rewrite/test_staging.py::test_a_limit_on_the_size_of_files_is_reported": ("no file may be written"),
    "tests/cli/test_signals.py::test_an_interruption_leaves_nothing": "a signal arrives where coverage.py is at work",
}
"""Tests of what measuring changes, and what that is; the suite as such runs them."""


@dataclass(frozen=True)
class Raise:
    """A `raise` statement: `module` is relative to the checkout."""

    module: str
    line: int
    text: str


def raises_of(module: str, source: str) -> Iterator[Raise]:
    """Yield every `raise` of a module, bare ones included, in the order found."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    for node in sorted(found, key=lambda node: node.lineno):
        text = ast.unparse(node)
        yield Raise(module, node.lineno, text if len(text) <= 90 else text[:89] + "…")


def unreached(raises: list[Raise], files: dict[str, Any]) -> list[Raise]:
    """Return the statements that were not run, by coverage.py's JSON report; excluded lines count as run."""
    run = {name: {*file["executed_lines"], *file["excluded_lines"]} for name, file in files.items()}
    return [one for one in raises if one.line not in run.get(one.module, ())]


def table(files: dict[str, Any]) -> tuple[list[str], float, float]:
    """Return lines that tell the coverage of each package, and the per cent of lines and branches of all."""
    sums: dict[str, list[int]] = {}
    for name, file in files.items():
        folder = name.split("/")[1] if name.count("/") > 1 else "(top)"
        counts = [file["summary"][key] for key in _COUNTS]
        for group in (folder, "all"):
            sums[group] = [sum(pair) for pair in zip(sums.get(group, [0] * 4), counts, strict=True)]
    everything = sums.pop("all")
    lines = [f"{'':12}{'lines':>18}{'branches':>18}"]
    for group, (run, lines_all, taken, branches) in [*sorted(sums.items()), ("all", everything)]:
        lines.append(
            f"{group:12}{run:5}/{lines_all:<5}{_percent(run, lines_all):5.1f} %"
            f"{taken:5}/{branches:<5}{_percent(taken, branches):5.1f} %"
        )
    return lines, _percent(*everything[:2]), _percent(*everything[2:])


_COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


def _coverage(*arguments: str, data: Path) -> int:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "COVERAGE_FILE": str(data)}).returncode


def _measure(arguments: list[str], data: Path) -> int:
    """Run the suite, leave what it ran in `data`, and return pytest's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        left = [f"--deselect={test}" for test in UNMEASURED]
        code = _coverage("run", "-m", "pytest", "-q", *left, *arguments, data=Path(scratch, data.name))
        # Thousands of processes have written a file each.
        return _coverage("combine", "-q", scratch, data=data) or code


def _report(data: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        if _coverage("json", "-q", "-i", "-o", str(report), data=data):
            raise SystemExit(2)
        files: dict[str, Any] = json.loads(report.read_text("utf-8"))["files"]
    return {Path(name).as_posix(): file for name, file in files.items()}


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 where every test passed and enough was run."""
    data = ROOT / ".coverage"
    failed = 0 if arguments == ["--again"] else _measure(arguments, data)
    files = _report(data)
    lines, of_lines, of_branches = table(files)
    modules = sorted(PACKAGE.rglob("*.py"))
    raises = [one for path in modules for one in raises_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]
    missing = unreached(raises, files)
    lines += ["", f"raise: {len(raises) - len(missing)} of {len(raises)} reached"]
    lines += [f"  {one.module}:{one.line}: {one.text}" for one in missing]
    short = [f"{of:.1f} % of the {what}" for of, what in ((of_lines, "lines"), (of_branches, "branches")) if of < LEAST]
    if short:
        lines += [f"less than {LEAST:.0f} %: {' and '.join(short)}"]
    print("\n".join(lines))
    return 1 if failed or missing or short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
