"""Decoding a block twice shows whether it needs anything but content from the blocks before it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.compression.zstd.independence import decodes_identically, is_independent, unusual_decoder_state

from .frames import (
    KIB,
    blocks,
    frame,
    text,
)


def test_no_blocks_are_not_independent() -> None:
    assert not is_independent(b"\x40", b"window", [])


@given(content=st.binary(min_size=1, max_size=300), level=st.sampled_from([1, 3, 9]), repeat=st.integers(1, 3000))
def test_the_first_block_of_a_frame_decodes_at_its_start(content: bytes, level: int, repeat: int) -> None:
    whole = content * repeat
    [(_, _, block), *_] = blocks(frame(whole, level, 0, 18))
    first = whole[: 128 * KIB]
    assert decodes_identically(b"\x40", b"", b"", [(block, first)])
    assert not decodes_identically(b"\x40", b"", b"", [(block, first + b"x")])


@pytest.mark.parametrize("offset", [1, 4, 8])
def test_an_unusual_state_detects_the_offsets_frames_start_with(offset: int) -> None:
    chance = random.Random(2)
    content = chance.randbytes(50) + chance.randbytes(offset) * (2000 // offset) + chance.randbytes(20)
    [(_, _, block)] = blocks(frame(content, 16, 0, 18))
    assert decodes_identically(b"\x40", b"", b"", [(block, content)])
    assert not decodes_identically(b"\x40", unusual_decoder_state(), b"", [(block, content)])


@pytest.mark.parametrize("level", [1, 9, 19])
def test_both_states_detect_tables_of_an_earlier_block(level: int) -> None:
    content = text(400 * KIB)
    start, stop, block = blocks(frame(content, level, 0, 18))[-1]
    window = content[start - 256 * KIB : start]
    for state in (b"", unusual_decoder_state()):
        assert not decodes_identically(b"\x40", state, window, [(block, content[start:stop])])


def test_a_block_may_refer_to_its_whole_window() -> None:
    size = 256 * KIB
    content = random.Random(2).randbytes(size) * 2
    [(_, stop, block), *_] = [found for found in blocks(frame(content, 9, 0, 18)) if found[0] == size]
    assert len(block) < 100
    for state in (b"", unusual_decoder_state()):
        assert decodes_identically(b"\x40", state, content[:size], [(block, content[size:stop])])
        assert not decodes_identically(b"\x40", state, content[1:size], [(block, content[size:stop])])
