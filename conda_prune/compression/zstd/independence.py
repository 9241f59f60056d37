"""Finds out whether a block uses repeat offsets or entropy tables of earlier blocks, by decoding it twice.

Parsing the block would answer this too, but takes a zstd decoder written in Python. Instead, libzstd decodes the block
from two different states. Both decoders hold the same window of content; they differ in everything else:

* One is at the start of a frame: repeat offsets 1, 4 and 8, and no tables. A block that reuses a table fails.
* The other has read a block that left unusual offsets and tables. A block that uses them gives other content, or fails.

If both produce the block's content, it used neither state, so it can follow any block as long as the window's content
is the same. One decoder would not be enough: blocks of packages do use the offsets that a frame starts with.

A block may leave inherited offsets or tables unused, and a later block may use them. So several blocks are tried in a
row; after them, everything inherited has very likely been replaced. If it has not, the result is wrong, which is
noticed when it is read back, and everything is compressed again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import zstandard

from . import frame as zstd

_RAW = 1 << 16
"""Bytes of content in a raw block. A decoder gets its window as uncompressed blocks of this size."""


def is_independent(descriptor: bytes, window: bytes, blocks: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether consecutive blocks need nothing from before them but the content of the `window`.

    Each block is given with the content that it must decode to. `descriptor` is the byte of the frame header that
    states the window's size. Without any blocks, the answer is False: nothing is known.
    """
    states = (b"", unusual_decoder_state())
    return bool(blocks) and all(decodes_identically(descriptor, state, window, blocks) for state in states)


def decodes_identically(descriptor: bytes, state: bytes, window: bytes, blocks: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a decoder that has read the block `state` (or nothing), then `window`, decodes the blocks right.

    The window goes in as raw blocks, which change neither repeat offsets nor tables.
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
def unusual_decoder_state() -> bytes:
    """Return a block that leaves repeat offsets and tables in a decoder that no block of a package would use.

    Its content is noise with four long repetitions at odd distances. Their matches replace all three offsets and set
    tables that suit nothing else.
    """
    chance = random.Random(48)  # noqa: S311 (the same bytes in every run)
    content = chance.randbytes(3000)
    for start in (100, 777, 1300, 2100):
        content += content[start : start + 150] + chance.randbytes(51 + start % 37)
    packed = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(content)
    return zstd.with_last_flag(packed[zstandard.frame_header_size(packed) :], 0, last=False)
