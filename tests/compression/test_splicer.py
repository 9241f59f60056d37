"""Splices are applied to content that arrives in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.compression.splicer import Splicer, new_size, spliced
from conda_prune.model import Splice

from .laws import expected, splice_lists

CONTENT = bytes(range(100))


@given(splices=splice_lists(100, [], st.just(0), st.binary(max_size=5)), length=st.integers(1, 100))
def test_pieces_of_any_size_give_the_same_result(splices: list[Splice], length: int) -> None:
    pieces = [CONTENT[at : at + length] for at in range(0, 100, length)]
    assert b"".join(spliced(pieces, splices)) == expected(CONTENT, splices)
    assert new_size(100, splices) == len(expected(CONTENT, splices))


def test_an_untouched_piece_is_the_same_object() -> None:
    piece = bytes(10)
    assert next(Splicer([Splice(11, 12)]).feed(piece)) is piece


@pytest.mark.parametrize(
    ("splices", "message"),
    [([Splice(5, 11)], "reaches beyond"), ([Splice(11, 12)], "lies beyond"), ([Splice(10, 11)], "lies beyond")],
)
def test_a_splice_beyond_the_end_is_refused(splices: list[Splice], message: str) -> None:
    splicer = Splicer(splices)
    list(splicer.feed(bytes(10)))
    with pytest.raises(ValueError, match=message):
        list(splicer.finish())
