"""Runs the tests of every package in a directory. pixi's own shell has no loops, and this works on every system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for package in sorted(Path(sys.argv[1]).rglob("*.conda")):
    subprocess.run(["rattler-build", "test", "--package-file", package], check=True)
