"""`blocks.py` decides from numbers alone which blocks are copied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.compression.bzip2.blocks import (
    Compress,
    Copy,
    Insert,
    Range,
    block_ranges,
    inserted_at_end,
)
from conda_prune.model import Splice

from ..laws import expected, splice_lists

NEW = Insert(b"new")
BLOCK = (100, 200)
DECISIONS = [
    pytest.param([], [Copy()], id="no splice"),
    pytest.param([Splice(0, 100), Splice(200, 300)], [Copy()], id="splices next to it"),
    pytest.param([Splice(100, 200)], [], id="removed"),
    pytest.param([Splice(50, 250)], [], id="removed with its neighbors"),
    pytest.param([Splice(50, 120)], [Compress(20, 100)], id="start removed"),
    pytest.param([Splice(180, 300)], [Compress(0, 80)], id="end removed"),
    pytest.param([Splice(120, 130, b"new")], [Compress(0, 20), NEW, Compress(30, 100)], id="middle replaced"),
    pytest.param([Splice(100, 100, b"new")], [NEW, Copy()], id="insertion at its start"),
    pytest.param([Splice(200, 200, b"new")], [Copy()], id="insertion after its end"),
    pytest.param([Splice(50, 150, b"new")], [Compress(50, 100)], id="replaced with the end of the block before"),
    pytest.param([Splice(110, 120), Splice(120, 190)], [Compress(0, 10), Compress(90, 100)], id="two splices"),
]


@pytest.mark.parametrize(("splices", "ranges"), DECISIONS)
def test_blocks_are_copied_compressed_or_removed(splices: list[Splice], ranges: list[Range]) -> None:
    assert block_ranges(*BLOCK, splices) == ranges


@given(
    splices=splice_lists(100, [], st.just(0), st.binary(max_size=5)),
    bounds=st.lists(st.integers(1, 99), unique=True, max_size=9).map(sorted),
)
def test_the_ranges_of_all_blocks_make_the_new_content(splices: list[Splice], bounds: list[int]) -> None:
    content, new = bytes(range(100)), b""
    for start, stop in zip([0, *bounds], [*bounds, 100], strict=True):
        block = content[start:stop]
        for range_ in block_ranges(start, stop, splices):
            if isinstance(range_, Compress):
                assert (range_.start, range_.stop) != (0, len(block)), "that would be a copy"
                new += block[range_.start : range_.stop]
            else:
                new += block if isinstance(range_, Copy) else range_.new
    assert new + inserted_at_end(100, splices) == expected(content, splices)


def test_a_splice_beyond_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the end"):
        inserted_at_end(100, [Splice(90, 101)])
