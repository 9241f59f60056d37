"""A directory that nobody can read: root may do everything, but no path reaches it (PATH_MAX)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

needs_unreachable = pytest.mark.skipif(
    os.mkdir not in os.supports_dir_fd,
    reason="Windows makes no directories relative to another one, so that no path reaches them",
)


def make_unreachable(directory: Path) -> None:
    """Make directories below each other until the last one's path is too long."""
    at = os.open(directory, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
