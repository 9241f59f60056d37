"""Blocks are found at any bit, and false blocks are detected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.compression.bzip2.find_blocks import (
    Bits,
    combine_crc,
    compress_blocks,
    decompress_block,
    find_blocks,
    find_magic,
)
from conda_prune.compression.stream import CannotReuse

from ..laws import open_range
from .streams import MAGIC, noise


@given(pieces=st.lists(st.one_of(st.just(MAGIC), st.text("01", max_size=70), st.just(MAGIC[:47])), max_size=9))
def test_magic_numbers_are_found_at_every_bit(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    bits = "".join(pieces)
    bits += "0" * (-len(bits) % 8)
    wanted = [at for at in range(len(bits)) if bits.startswith(MAGIC, at)]
    data = int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]
    assert find_magic(data) == wanted
    source = open_range(tmp_path_factory.getbasetemp(), data)
    with source.file:
        assert list(find_blocks(source, len(bits), chunk=8)) == [*wanted, len(bits)]


def test_half_a_block_is_refused() -> None:
    whole = compress_blocks(noise(5000), 1)
    half = whole.length // 2
    with pytest.raises(CannotReuse, match="does not start a block"):
        decompress_block(Bits(whole.value >> half, whole.length - half, 1, whole.crc), 1).all()


@given(crcs=st.lists(st.integers(0, 2**32 - 1), max_size=40), start=st.integers(0, 2**32 - 1))
def test_crcs_combine_in_any_grouping(crcs: list[int], start: int) -> None:
    one_by_one, together = start, 0
    for crc in crcs:
        one_by_one, together = combine_crc(one_by_one, crc), combine_crc(together, crc)
    assert combine_crc(start, together, len(crcs)) == one_by_one
