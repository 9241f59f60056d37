"""Writes one bz2 stream from blocks that are copied and content that is compressed on several threads.

Parts are written in order, at whatever bit the one before ended.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

from ...model import BlockInfo
from .bits import (
    END,
    FOOTER_BITS,
    Bits,
    combine_crc,
    compress_blocks,
)


class StreamWriter:
    """Writes a stream to `out`; at most `most` parts of it wait for the parts before them.

    `crc` is the CRC-32 of the content so far, `reused` the bytes of content that were copied compressed.
    """

    def __init__(self, out: IO[bytes], level: int, pool: ThreadPoolExecutor, most: int) -> None:
        self.crc = self.reused = 0
        self._out = out
        self._level = level
        self._pool = pool
        self._most = most
        # What a block holds if no byte is repeated four times. Pieces of this size fill a block each, so they can be
        # compressed separately and the blocks are as large as they would be in one go, or nearly.
        self._piece = level * 100_000 - 19
        self._content = bytearray()
        self._waiting: deque[Future[Bits]] = deque()
        self._blocks_crc = 0
        # Bits that are not written yet, after a leading one: without it, leading zeros would be lost.
        self._bits = int.from_bytes(b"\1BZh%d" % level, "big")
        self._drain()

    def copy(self, block: Bits, info: BlockInfo) -> None:
        """Append a block as it is."""
        self.crc = crc_after(self.crc, info)
        self.reused += info.size
        self._compress_from(1)
        done: Future[Bits] = Future()
        done.set_result(block)
        self._append(done)

    def compress(self, content: bytes) -> None:
        """Append content."""
        self.crc = zlib.crc32(content, self.crc)
        self._content += content
        self._compress_from(self._piece)

    def finish(self) -> None:
        """Write everything that waits, and the footer."""
        self._compress_from(1)
        while self._waiting:
            self._write(self._waiting.popleft().result())
        self._shift_in(END << 32 | self._blocks_crc, FOOTER_BITS)
        self._shift_in(0, -(self._bits.bit_length() - 1) & 7)
        self._drain()

    def _compress_from(self, least: int) -> None:
        """Send content to be compressed, a piece at a time, as long as there are at least `least` bytes of it."""
        while len(self._content) >= least:
            piece = bytes(self._content[: self._piece])
            del self._content[: self._piece]
            self._append(self._pool.submit(compress_blocks, piece, self._level))

    def _append(self, part: Future[Bits]) -> None:
        self._waiting.append(part)
        while self._waiting and (len(self._waiting) > self._most or self._waiting[0].done()):
            self._write(self._waiting.popleft().result())

    def _write(self, part: Bits) -> None:
        self._shift_in(part.value, part.length)
        self._blocks_crc = combine_crc(self._blocks_crc, part.crc, part.count)
        self._drain()

    def _shift_in(self, value: int, length: int) -> None:
        self._bits = self._bits << length | value

    def _drain(self) -> None:
        """Write the whole bytes, and keep the up to seven bits that remain."""
        length = self._bits.bit_length() - 1
        part = length & 7
        value = self._bits >> part
        # The marking one is alone in the first byte.
        self._out.write(value.to_bytes((length >> 3) + 1, "big")[1:])
        self._bits = 1 << part | self._bits & (1 << part) - 1


def crc_after(crc: int, block: BlockInfo) -> int:
    """Return the CRC-32 of some content followed by a block's, from the two CRCs alone.

    A CRC is linear but for its starting value: the CRC of the content followed by zeros, plus that of the block, less
    that of as many zeros. Zeros are fast to digest, and the block need not be decompressed for it.
    """
    zeros = bytes(block.size)
    return zlib.crc32(zeros, crc) ^ zlib.crc32(zeros) ^ block.crc
