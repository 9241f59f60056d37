"""The new content so far is counted and digested, and its last window is held."""

from __future__ import annotations

import random
import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune.compression.zstd.content import WrittenContent

from .frames import frame


@example(sizes=[1, 1023], asked=1024)
@example(sizes=[1, 1024], asked=1024)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20), asked=st.integers(0, 1024))
def test_little_more_than_the_window_is_held(sizes: list[int], asked: int) -> None:
    written = WrittenContent(1024, checksum=False)
    content = b""
    for number, size in enumerate(sizes):
        piece = random.Random(number).randbytes(size)
        written.append(piece)
        content += piece
        assert written.tail(asked) == content[len(content) - min(asked, len(content)) :]
        assert written.held < 1024 + max(sizes)
    assert (written.crc, written.size) == (zlib.crc32(content), len(content))


@given(content=st.binary(max_size=3000))
def test_the_checksum_is_the_one_that_libzstd_writes(content: bytes) -> None:
    written = WrittenContent(1024, checksum=True)
    written.append(content[:7])
    written.append(content[7:])
    assert written.checksum() == frame(content, 1, 0, checksum=True)[-4:]
