"""New blocks fit after any other blocks, and use all the history that they are given."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune.compression.stream import CannotReuse
from conda_prune.compression.threads import ThreadBudget
from conda_prune.compression.zstd import frame as zstd
from conda_prune.compression.zstd.compressor import CompressedBlocks, RangeCompressor, regroup
from conda_prune.compression.zstd.frame import FrameHeader
from conda_prune.compression.zstd.independence import unusual_decoder_state
from conda_prune.compression.zstd.reader import GROUP
from conda_prune.model import CompressionSettings

from .frames import (
    KIB,
    MIB,
    split_blocks,
    text,
)


def compressed(level: int, threads: int, window_log: int, before: bytes, content: bytes) -> list[CompressedBlocks]:
    """The new blocks for `content` that follows the content `before`."""
    header = FrameHeader(10, 1 << window_log, False, 8 * MIB, False)
    settings = CompressionSettings("zstd", level, "reproduced", True)
    with ThreadPoolExecutor() as pool:
        compressor = RangeCompressor(pool, settings, header, 8 * MIB, ThreadBudget(threads))
        pending = compressor.start(before, len(content), 0)
        for at in range(0, len(content), 100_000):
            pending.put(content[at : at + 100_000])
        pending.finish()
        found = list(pending.output)
        pending.release()
    return found


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 16, 19])
@pytest.mark.parametrize("window_log", [17, 20])
@pytest.mark.parametrize(
    ("before", "length"), [(0, 700_000), (0, 2_500_000), (60_000, 3000), (100_000, 700_000), (60_000, 1_500_000)]
)
def test_new_blocks_fit_after_any_others(level: int, window_log: int, before: int, length: int) -> None:
    old, content = text(before), text(before + length)[before:]
    new = b"".join(packed.data for packed in compressed(level, 2, window_log, old, content))
    for state in (b"", unusual_decoder_state()):
        reader = zstandard.ZstdDecompressor().decompressobj()
        reader.decompress(zstd.MAGIC + b"\0" + bytes([window_log - 10 << 3]) + state)
        for at in range(0, before, 1 << 16):
            piece = old[at : at + (1 << 16)]
            reader.decompress((len(piece) << 3).to_bytes(3, "little") + piece)
        assert b"".join(map(reader.decompress, split_blocks(new))) == content


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 16, 19])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_range_refers_to_all_of_its_history(level: int, threads: int) -> None:
    old = random.Random(1).randbytes(64 * KIB)
    new = compressed(level, threads, 20, old, (old * 2)[:100_000])
    assert sum(len(packed.data) for packed in new) < 100


@given(sizes=st.lists(st.integers(1, 200_000), max_size=30), cuts=st.lists(st.integers(0, 700_000), max_size=12))
@example(sizes=[100_000] * 17, cuts=[])
@example(sizes=[1001, 5, 2002], cuts=[])
def test_blocks_are_regrouped_wherever_the_output_is_split(sizes: list[int], cuts: list[int]) -> None:
    """There are RLE, raw and empty blocks. Empty ones are left out, and no block is flagged as the last."""
    made = [
        (min(size, 128 * KIB) << 3 | zstd.RLE << 1 | size & 1).to_bytes(3, "little") + b"x"
        if size % 3 == 0
        else (size % 1001 << 3 | size & 1).to_bytes(3, "little") + bytes(size % 1001)
        for size in sizes
    ]
    whole = b"".join(made)
    bounds = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    groups = list(regroup(whole[a:b] for a, b in pairwise(bounds)))
    wanted = [bytes([block[0] & 0xFE]) + block[1:] for block in made if block not in (bytes(3), b"\1\0\0")]
    assert [block for group in groups for block in split_blocks(group.data)] == wanted
    assert [len(split_blocks(group.data)) for group in groups] == [
        min(GROUP, len(wanted) - at) for at in range(0, len(wanted), GROUP)
    ]
    assert all(group.data[group.last :] == split_blocks(group.data)[-1] for group in groups)


def test_an_incomplete_block_is_refused() -> None:
    with pytest.raises(CannotReuse, match="within a block"):
        list(regroup([b"\x21\0"]))
