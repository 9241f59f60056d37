"""Reading a bz2 stream on several threads gives the same content and the same errors as on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_prune.compression.bzip2 import reader, stream
from conda_prune.errors import PruneError

from ..laws import open_range
from .streams import originals


@pytest.mark.parametrize("name", sorted(originals()))
@pytest.mark.parametrize("threads", [1, 2])
def test_parallel_reading_gives_the_content(tmp_path: Path, name: str, threads: int) -> None:
    old = originals()[name]
    source = open_range(tmp_path, old.packed)
    with source.file:
        pieces = list(reader.decompress(source, threads))
    assert b"".join(piece.content for piece in pieces) == old.content
    assert all(len(piece.content) <= 1 << 20 for piece in pieces)


@pytest.mark.parametrize("name", ["noise", "text", "tiny", "nothing"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "followed", "two streams", "wrong footer"])
def test_parallel_reading_raises_the_same_errors(tmp_path: Path, name: str, harm: str) -> None:
    packed = bytearray(originals()[name].packed)
    if harm == "cut":
        del packed[-5:]
    elif harm == "flipped":
        packed[len(packed) // 2] ^= 4
    elif harm == "wrong footer":
        packed[-3] ^= 8
    else:
        packed += bytes(packed) if harm == "two streams" else b"followed by this"
    source = open_range(tmp_path, bytes(packed))
    with source.file:
        with pytest.raises(PruneError) as plain:
            list(stream.decompress(source))
        with pytest.raises(PruneError) as parallel:
            list(reader.decompress(source, 2))
    assert str(plain.value) == str(parallel.value)


@pytest.mark.parametrize("name", ["text", "noise", "zeros", "tiny"])
def test_block_sizes_add_up_to_the_content(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    source = open_range(tmp_path, old.packed)
    with source.file:
        blocks = [piece.block for piece in reader.decompress(source, 2) if piece.block is not None]
    assert sum(block.size for block in blocks) == len(old.content)
    assert [block.stop for block in blocks[:-1]] == [block.start for block in blocks[1:]]
