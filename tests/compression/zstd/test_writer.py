"""A frame is written with a header that matches its content."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import zstandard

from conda_prune.compression.stream import CannotReuse
from conda_prune.compression.threads import Pipe
from conda_prune.compression.zstd import frame as zstd
from conda_prune.compression.zstd.writer import FramePart, FrameWriter, frame_header

from ..laws import open_range
from .frames import frame, originals


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, (1 << 32) - 1, 1 << 32, 1 << 40])
@pytest.mark.parametrize("checksum", [False, True])
def test_a_frame_header_states_size_window_and_checksum(size: int, checksum: bool) -> None:
    old = frame(bytes(1000), 3, 0, 20, checksum=checksum, sized=False)
    found = zstandard.get_frame_parameters(frame_header(old, size) + bytes(4))
    assert (found.content_size, found.window_size, found.has_checksum) == (size, 1 << 20, checksum)


def test_a_frame_without_blocks_is_refused(tmp_path: Path) -> None:
    source = open_range(tmp_path, originals()["threaded, noise"].packed)
    parts: Pipe[FramePart] = Pipe(1)
    parts.close()
    with source.file, pytest.raises(CannotReuse, match="no blocks"):
        FrameWriter(source, zstd.read_frame(source), 0, io.BytesIO()).write(parts)
