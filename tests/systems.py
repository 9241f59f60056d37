"""Marks for tests of what only some systems have. The reasons are true of Windows itself."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

import pytest

on_posix = pytest.mark.skipif(
    os.name == "nt",
    reason="Windows has no modes, named pipes in directories or signals, and needs a privilege to make links",
)
needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege to make symbolic links")
needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in directories")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no setrlimit")
replaces_open_files = pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
needs_names_in_bytes = pytest.mark.skipif(os.name == "nt", reason="names of files are Unicode on Windows")


def skip_impossible_names(paths: Iterable[str]) -> None:
    """Skip the test on Windows if no file can have one of the names there, or if two name the same file.

    "Naming Files, Paths, and Namespaces": reserved characters, dots and spaces at the end, names without case.
    """
    if os.name != "nt":
        return
    paths = list(paths)
    for path in paths:
        if not is_possible_name(path):
            pytest.skip(f"Windows has no files with such names: {path!r}")
    parents = {path[:at] for path in paths for at, letter in enumerate(f"{path}/") if letter == "/"}
    if len({path.lower() for path in parents}) < len(parents):
        pytest.skip("Windows ignores case, by which alone these names differ")


def is_possible_name(path: str) -> bool:
    """Return whether a file can have this path on Windows."""
    parts = [part for part in path.split("/") if part not in (".", "..")]
    return not any(re.search(r'[\x00-\x1f<>:"|?*\\\udc80-\udcff]|[. ]$', part) for part in parts)
