"""Measures `conda-prune report` on the results of an audit: a million lines by default.

    python benchmarks/audit_report.py DIR [--lines 1000000]

Writes synthetic results into DIR if they are not there: 30,000 package names, 1 % of the packages with stray files, 20
of them on average, and 2 % of the packages with a second line, as a resumed run writes it. Prints seconds, processor
time and peak memory for each format.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.report.audit.results import result  # noqa: E402


def write(path: Path, lines: int) -> None:
    """Write so many results."""
    choose = random.Random(0)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="ascii") as file:
        for number in range(lines):
            line = json.dumps(result(number, choose)) + "\n"
            file.write(line)
            if choose.random() < 0.02:
                file.write(line)
    partial.rename(path)


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    arguments: Any = parser.parse_args()
    directory: Path = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    path = directory.resolve() / f"results-{arguments.lines}.jsonl"
    if not path.exists():
        write(path, arguments.lines)
    print(f"{arguments.lines} packages, {path.stat().st_size / 1e6:.0f} MB")
    formats = ["text", "markdown", "html"] + (["parquet"] if importlib.util.find_spec("pyarrow") else [])
    for name in formats:
        output = directory.resolve() / f"report.{name}"
        command = [sys.executable, "-m", "conda_prune", "report", str(path), "--format", f"{name}={output}"]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        assert process.returncode == 0, name
        size = output.stat().st_size / 1e6
        processor = usage.ru_utime + usage.ru_stime
        memory = usage.ru_maxrss / 1024
        times = f"{seconds:.1f} s ({processor:.1f} s of processor time)"
        print(f"{name}: {times}, peak memory {memory:.0f} MiB, {size:.1f} MB written")


if __name__ == "__main__":
    main()
