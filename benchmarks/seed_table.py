"""Prints the table of prefix-dev/pixi #4878 for conda-prune: what a fix does to the four numba-cuda packages.

Builds the packages (see payloads.py), fixes copies of them in place with the conda-prune of this Python, and
counts with conda-package-streaming, which shares no code with conda-prune.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import payloads
from conda_package_streaming import package_streaming


@dataclass(frozen=True)
class Measure:
    """What the table says of a package at one moment."""

    size: int
    bytecode: int


def measure(package: Path) -> Measure:
    """Return the size of a package and how many ``.pyc`` files it holds."""
    with package.open("rb") as stream:
        members = package_streaming.stream_conda_component(package.name, stream, component="pkg")
        bytecode = sum(member.name.endswith(".pyc") for _, member in members)
    return Measure(package.stat().st_size, bytecode)


def table(rows: list[tuple[str, Measure, Measure]]) -> str:
    """Return a Markdown table of packages before and after."""
    lines = ["| package | size before | size after | .pyc before | .pyc after |", "|---|--:|--:|--:|--:|"]
    for name, before, after in rows:
        sizes = f"{before.size / 2**20:.1f} MiB | {after.size / 2**20:.1f} MiB"
        lines.append(f"| {name} | {sizes} | {before.bytecode} | {after.bytecode} |")
    return "\n".join(lines)


def main() -> None:
    """Build, fix and print."""
    parser = argparse.ArgumentParser(description="Print what conda-prune does to the packages of pixi #4878.")
    parser.add_argument("folder", type=Path, help="the numba-cuda payload, built here unless it is there")
    arguments = parser.parse_args()
    packages = payloads.build_numba_cuda(arguments.folder)
    with tempfile.TemporaryDirectory(prefix="conda-prune-table-") as scratch:
        copies = [Path(shutil.copy(package, scratch)) for package in packages]
        before = [measure(copy) for copy in copies]
        command = [sys.executable, "-m", "conda_prune", "fix", *map(str, copies), "--in-place"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        after = [measure(copy) for copy in copies]
    print(table(list(zip([copy.name for copy in copies], before, after, strict=True))))


if __name__ == "__main__":
    main()
