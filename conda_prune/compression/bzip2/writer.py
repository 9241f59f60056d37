"""Writes one bz2 stream from blocks that are copied and content that is compressed on several threads.

Parts are written in order. Each starts at the bit where the part before it ends.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

from ...model import BlockInfo
from .find_blocks import (
    END,
    FOOTER_BITS,
    Bits,
    combine_crc,
    compress_blocks,
)


class StreamWriter:
    """Writes a stream to `out`. At most `depth` parts wait for the parts before them.

    `crc` is the CRC-32 of the content so far, `reused` the bytes of content whose blocks were copied.
    """

    def __init__(self, out: IO[bytes], level: int, pool: ThreadPoolExecutor, depth: int) -> None:
        self.crc = self.reused = 0
        self._out = out
        self._level = level
        self._pool = pool
        self._depth = depth
        # A block holds this many bytes if no byte occurs four times in a row. Pieces of this size fill a block each, so
        # the blocks are about as large as if the pieces were compressed together.
        self._piece = level * 100_000 - 19
        self._content = bytearray()
        self._waiting: deque[Future[Bits]] = deque()
        self._blocks_crc = 0
        # The bits that are not written yet, after a leading 1 bit, without which leading zeros would be lost.
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
        """Write everything that is waiting, and the footer."""
        self._compress_from(1)
        while self._waiting:
            self._write(self._waiting.popleft().result())
        self._shift_in(END << 32 | self._blocks_crc, FOOTER_BITS)
        self._shift_in(0, -(self._bits.bit_length() - 1) & 7)
        self._drain()

    def _compress_from(self, least: int) -> None:
        """Submit content for compression, piece by piece, while at least `least` bytes of it are there."""
        while len(self._content) >= least:
            piece = bytes(self._content[: self._piece])
            del self._content[: self._piece]
            self._append(self._pool.submit(compress_blocks, piece, self._level))

    def _append(self, part: Future[Bits]) -> None:
        self._waiting.append(part)
        while self._waiting and (len(self._waiting) > self._depth or self._waiting[0].done()):
            self._write(self._waiting.popleft().result())

    def _write(self, part: Bits) -> None:
        self._shift_in(part.value, part.length)
        self._blocks_crc = combine_crc(self._blocks_crc, part.crc, part.count)
        self._drain()

    def _shift_in(self, value: int, length: int) -> None:
        self._bits = self._bits << length | value

    def _drain(self) -> None:
        """Write all whole bytes, and keep the remaining bits, at most seven."""
        length = self._bits.bit_length() - 1
        part = length & 7
        value = self._bits >> part
        # The leading 1 bit makes up the first byte, which is left out.
        self._out.write(value.to_bytes((length >> 3) + 1, "big")[1:])
        self._bits = 1 << part | self._bits & (1 << part) - 1


def crc_after(crc: int, block: BlockInfo) -> int:
    """Return the CRC-32 of some content followed by the block's content, from their two CRCs.

    Apart from its starting value, a CRC is linear. With + for XOR: crc(A B) = crc(A zeros) + crc(B) + crc(zeros), with
    as many zeros as B has bytes. So the block does not have to be decompressed, and digesting zeros is fast.
    """
    zeros = bytes(block.size)
    return zlib.crc32(zeros, crc) ^ zlib.crc32(zeros) ^ block.crc
