"""Runs conda-prune as users do: through its installed script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

EXECUTABLE = shutil.which("conda-prune", path=os.path.dirname(sys.executable)) or "conda-prune"

_ENCODING = {"PYTHONIOENCODING": "utf-8"} if os.name == "nt" else {}
"""Otherwise, a pipe gets the characters of the system's code page on Windows."""


def run(*arguments: object, check: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run conda-prune with additional environment variables, in 120 columns, and return what it printed."""
    return subprocess.run(
        [EXECUTABLE, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=check,
        timeout=120,
        env={**os.environ, "COLUMNS": "120", **_ENCODING, **environment},
    )
