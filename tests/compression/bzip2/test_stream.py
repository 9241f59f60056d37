"""A bz2 stream states its level."""

from __future__ import annotations

import bz2
from pathlib import Path

from conda_prune.compression.bzip2.stream import read_level
from conda_prune.compression.level_recovery import recover
from conda_prune.model import CompressionSettings

from ..laws import open_range


def test_the_level_is_in_the_header(tmp_path: Path) -> None:
    for level in range(1, 10):
        source = open_range(tmp_path, bz2.compress(b"x", level))
        with source.file:
            assert read_level(source) == level
            assert recover(source, "bzip2") == CompressionSettings("bzip2", level, "recorded")
