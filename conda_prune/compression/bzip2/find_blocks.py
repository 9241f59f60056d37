"""The bz2 format bit by bit: finding blocks, decompressing one by itself, and compressing content into blocks.

A stream is a 4-byte header ("BZh" and the level), blocks, and a footer: a 48-bit magic number and the combined CRC of
the blocks, padded with zeros to a whole byte. A block starts with another 48-bit magic number, its own CRC (32 bits)
and a flag. Nothing says how long a block is, and the next one starts at the very next *bit*. So

* blocks are found by searching for the magic number at all eight bit offsets (50 ms for 8 MB). The same bits may occur
  inside a block, by chance (about once in 2^48 bits) or on purpose;
* to make sure that a block starts there, it is decompressed in a stream of its own: it must end exactly where the next
  one starts, and bz2 checks its CRC;
* to copy a block, all of its bits are shifted.

Bits are held in Python integers, which shift megabytes in C.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from dataclasses import dataclass

from ..byte_range import CHUNK, ByteRange
from ..stream import CannotReuse

MAGIC = 0x314159265359
"""Starts a block: the decimal digits of pi, written in hexadecimal."""
END = 0x177245385090
"""Starts the footer: the decimal digits of the square root of pi."""
HEADER_BITS = 32
FOOTER_BITS = 80
_MASK = (1 << 32) - 1
_HEAD = 1 << 21
"""Bytes of a block's content that are decompressed ahead. The 900 kB of a block are counted after run-length encoding,
so a block of zeros may have 45 MB of content, and several of these could exhaust the memory."""


@dataclass(frozen=True, slots=True)
class Bits:
    """`count` whole blocks as `length` bits, the first in the highest bits; `crc` is their combined CRC.

    The combined CRC of a single block is its own CRC.
    """

    value: int
    length: int
    count: int
    crc: int


def read_block(source: ByteRange, start: int, stop: int) -> Bits:
    """Return the block in the bits `start` to `stop`; raise CannotReuse if that cannot be a block.

    The flag after the CRC marks a randomized block. bzip2 stopped writing them in the 1990s, so they are not supported.
    """
    first = start >> 3
    value = extract(source.read(first, (stop + 7 >> 3) - first), start & 7, stop - 8 * first)
    if stop - start <= FOOTER_BITS + 25 or value >> (stop - start - 81) & 1:
        raise CannotReuse("a block is randomized, or is not a block")
    return Bits(value, stop - start, 1, value >> (stop - start - 80) & _MASK)


def read_footer(data: bytes) -> tuple[int, int]:
    """Return the bit offset of the footer in the last bytes of a stream, and the combined CRC that it states."""
    for padding in range(8):
        start = 8 * len(data) - padding - FOOTER_BITS
        if start >= 0:
            footer = extract(data, start, start + FOOTER_BITS)
            if footer >> 32 == END:
                return start, footer & _MASK
    raise CannotReuse("the stream has no footer")


def find_blocks(source: ByteRange, end: int, chunk: int = CHUNK) -> Iterator[int]:
    """Yield the bit offsets of all block magic numbers before the bit offset `end`, in order, then `end`."""
    for at in range(0, source.size, chunk):
        # Read six bytes more, because a magic number that starts in this chunk may end in the next one.
        for start in find_magic(source.read(at, chunk + 6)):
            if start < 8 * chunk and 8 * at + start < end:
                yield 8 * at + start
    yield end


def find_magic(data: bytes) -> list[int]:
    """Return the bit offsets of all block magic numbers in `data`, in order."""
    starts = []
    for shift in range(1, 9):
        # Python searches for bytes, not bits. Wherever a magic number starts, it fills five whole bytes. The byte
        # before them ends with its first `8 - shift` bits. So search for the five bytes, and then compare all 48 bits.
        core = (MAGIC >> shift & (1 << 40) - 1).to_bytes(5, "big")
        index = data.find(core)
        while index >= 0:
            start = 8 * index - 8 + shift
            if 0 <= start <= 8 * len(data) - 48 and extract(data, start, start + 48) == MAGIC:
                starts.append(start)
            index = data.find(core, index + 1)
    return sorted(starts)


def extract(data: bytes, start: int, stop: int) -> int:
    """Return the bits `start` to `stop` of `data` as a number."""
    value = int.from_bytes(data[start >> 3 : (stop + 7) >> 3], "big") >> (-stop & 7)
    return value & (1 << (stop - start)) - 1


def combine_crc(combined: int, crc: int, count: int = 1) -> int:
    """Return a stream's combined CRC after `count` more blocks, whose own combined CRC is `crc`.

    For each block, the combined CRC is rotated left by one bit, and the block's CRC is added (XOR). Both are linear, so
    the CRCs of several blocks may be combined beforehand.
    """
    count %= 32
    return (combined << count | combined >> (32 - count)) & _MASK ^ crc


class BlockContent:
    """The content of one block. Only its beginning is decompressed until `all` is called."""

    def __init__(self, stream: bytes) -> None:
        self._decompressor = bz2.BZ2Decompressor()
        self._head = self._more(stream, _HEAD)

    def all(self) -> bytes:
        """Return the whole content; raise CannotReuse unless the bits are exactly one block with the right CRC."""
        if not self._decompressor.eof:
            self._head += self._more(b"", -1)
        if not self._decompressor.eof or self._decompressor.unused_data:
            raise CannotReuse("a magic number does not start a block")
        return self._head

    def _more(self, stream: bytes, most: int) -> bytes:
        try:
            return self._decompressor.decompress(stream, most)
        except OSError as error:
            raise CannotReuse("a magic number does not start a block") from error


def decompress_block(block: Bits, level: int) -> BlockContent:
    """Decompress one block in a stream of its own; raise CannotReuse if it is not a block.

    Python's bz2 releases the lock while it works, so threads do this in parallel.
    """
    padding = -(block.length + FOOTER_BITS) & 7
    value = (block.value << FOOTER_BITS | END << 32 | block.crc) << padding
    return BlockContent(b"BZh%d" % level + value.to_bytes((block.length + FOOTER_BITS + padding) >> 3, "big"))


def compress_blocks(content: bytes, level: int) -> Bits:
    """Compress content into blocks; raise CannotReuse if the number of blocks is uncertain.

    That number is needed to combine CRCs. It is the number of magic numbers, unless content happens to contain one.
    This is detected by combining the CRCs that follow the magic numbers: the result must be the CRC in the footer.
    """
    packed = bz2.compress(content, level)
    end, combined = read_footer(packed)
    starts = [start for start in find_magic(packed) if start < end]
    crc = 0
    for start in starts:
        crc = combine_crc(crc, extract(packed, start + 48, start + 80))
    if crc != combined:
        raise CannotReuse("a magic number in new data does not start a block")
    return Bits(extract(packed, HEADER_BITS, end), end - HEADER_BITS, len(starts), crc)
