"""Finds out whether a block uses repeat offsets or entropy tables of earlier blocks, without decoding it by hand.

The block is given to two decoders that hold the same window but have nothing else in common: one is in the state at the
start of a frame; the other has read a block that leaves offsets and tables which no real block would leave. If both
produce the block's content, it depends on neither state, and so it fits after any blocks that end with this window.

One decoder is not enough. A frame starts with the offsets 1, 4 and 8, which blocks of packages do use.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import zstandard

from . import frame as zstd

_RAW = 1 << 16
"""Bytes of content in a raw block: the window is passed to the decoder in uncompressed blocks."""


def is_independent(descriptor: bytes, window: bytes, blocks: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether blocks, given with their content, need nothing from before but the `window` that precedes them.

    `descriptor` is the byte of the frame header that states the window's size. Of no blocks, nothing is known: False.
    """
    states = (b"", foreign_decoder_state())
    return bool(blocks) and all(decodes_identically(descriptor, state, window, blocks) for state in states)


def decodes_identically(descriptor: bytes, state: bytes, window: bytes, blocks: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a decoder that has read the blocks in `state`, then `window`, produces each block's content.

    Raw blocks change neither repeat offsets nor tables, so the window leaves the decoder's state as it was.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()
    try:
        decoder.decompress(zstd.MAGIC + b"\0" + descriptor + state)
        for at in range(0, len(window), _RAW):
            raw = window[at : at + _RAW]
            decoder.decompress((len(raw) << 3).to_bytes(3, "little") + raw)
        return all(
            decoder.decompress(zstd.with_last_flag(block, 0, last=False)) == content for block, content in blocks
        )
    except zstandard.ZstdError:
        return False


@cache
def foreign_decoder_state() -> bytes:
    """Return a block after which a decoder has repeat offsets and tables that no other block would leave.

    Noise with a few long repetitions at unusual distances: the block has matches, so it sets all three offsets, and
    tables that suit nothing else.
    """
    chance = random.Random(48)
    content = chance.randbytes(3000)
    for start in (100, 777, 1300, 2100):
        content += content[start : start + 150] + chance.randbytes(51 + start % 37)
    packed = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(content)
    return zstd.with_last_flag(packed[zstandard.frame_header_size(packed) :], 0, last=False)
