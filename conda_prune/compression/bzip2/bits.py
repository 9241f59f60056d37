"""The blocks of a bz2 stream, at bit level: where they are, what is in them, and new ones.

A block starts at any bit and says nowhere how long it is; it is looked for by its magic number. Whether what follows
one is a block shows when it is decompressed in a stream of its own, where its CRC is checked.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from dataclasses import dataclass

from ..byte_range import CHUNK, ByteRange
from ..splicer import CannotReuse

MAGIC = 0x314159265359
END = 0x177245385090
HEADER_BITS = 32
FOOTER_BITS = 80
_MASK = (1 << 32) - 1
_LARGEST = 1 << 21
"""Bytes of content that a block waits with: twice what it can have without runs of one byte."""


@dataclass(frozen=True, slots=True)
class Bits:
    """`length` bits of whole blocks, the first one in the highest place: `count` blocks with the combined CRC `crc`."""

    value: int
    length: int
    count: int
    crc: int


def block_at(source: ByteRange, start: int, stop: int) -> Bits:
    """Return the block at the bits `start` to `stop`; raise CannotReuse where there cannot be one."""
    first = start >> 3
    value = bits(source.read(first, (stop + 7 >> 3) - first), start & 7, stop - 8 * first)
    if stop - start <= FOOTER_BITS + 25 or value >> (stop - start - 81) & 1:
        raise CannotReuse("a block is randomised, or none")
    return Bits(value, stop - start, 1, value >> (stop - start - 80) & _MASK)


def footer(data: bytes) -> tuple[int, int]:
    """Return where in the bits of a stream's last bytes its footer starts, and the combined CRC in it."""
    for padding in range(8):
        start = 8 * len(data) - padding - FOOTER_BITS
        if start >= 0:
            footer = bits(data, start, start + FOOTER_BITS)
            if footer >> 32 == END:
                return start, footer & _MASK
    raise CannotReuse("the stream has no footer")


def positions(source: ByteRange, end: int, chunk: int = CHUNK) -> Iterator[int]:
    """Yield the bit offsets of all block magic numbers before the bit offset `end`, in order, and `end`."""
    for at in range(0, source.size, chunk):
        for start in find(source.read(at, chunk + 6)):
            if start < 8 * chunk and 8 * at + start < end:
                yield 8 * at + start
    yield end


def find(data: bytes) -> list[int]:
    """Return the bit offsets of all block magic numbers that lie in `data`, in order."""
    found = []
    for shift in range(1, 9):
        # Wherever it starts, a magic number fills five bytes; they follow the byte that has its first `9 - shift` bits.
        core = (MAGIC >> shift & (1 << 40) - 1).to_bytes(5, "big")
        index = data.find(core)
        while index >= 0:
            start = 8 * index - 8 + shift
            if 0 <= start <= 8 * len(data) - 48 and bits(data, start, start + 48) == MAGIC:
                found.append(start)
            index = data.find(core, index + 1)
    return sorted(found)


def bits(data: bytes, start: int, stop: int) -> int:
    """Return the bits `start` to `stop` of `data` as a number."""
    value = int.from_bytes(data[start >> 3 : (stop + 7) >> 3], "big") >> (-stop & 7)
    return value & (1 << (stop - start)) - 1


def rotated(crc: int, count: int) -> int:
    """Return a combined CRC moved on by `count` blocks, before their own CRCs are added."""
    count %= 32
    return (crc << count | crc >> (32 - count)) & _MASK


class Unpacking:
    """A block's content; of one that unpacks to 50 times its size, only the beginning, until the rest is wanted."""

    def __init__(self, stream: bytes) -> None:
        self._decompressor = bz2.BZ2Decompressor()
        self._head = self._more(stream, _LARGEST)

    def rest(self) -> bytes:
        """Return all of the content; raise CannotReuse where the bits were no block."""
        if not self._decompressor.eof:
            self._head += self._more(b"", -1)
        if not self._decompressor.eof or self._decompressor.unused_data:
            raise CannotReuse("a magic number starts no block")
        return self._head

    def _more(self, stream: bytes, most: int) -> bytes:
        try:
            return self._decompressor.decompress(stream, most)
        except OSError as error:
            raise CannotReuse("a magic number starts no block") from error


def unpack(block: Bits, level: int) -> Unpacking:
    """Return a block's content as far as it was decompressed; raise CannotReuse where it is none."""
    padding = -(block.length + FOOTER_BITS) & 7
    value = (block.value << FOOTER_BITS | END << 32 | block.crc) << padding
    return Unpacking(b"BZh%d" % level + value.to_bytes((block.length + FOOTER_BITS + padding) >> 3, "big"))


def pack(content: bytes, level: int) -> Bits:
    """Return content as blocks; raise CannotReuse where it cannot be told where they begin."""
    packed = bz2.compress(content, level)
    end, combined = footer(packed)
    starts = [start for start in find(packed) if start < end]
    crc = 0
    for start in starts:
        crc = rotated(crc, 1) ^ bits(packed, start + 48, start + 80)
    if crc != combined:
        raise CannotReuse("a magic number in new data starts no block")
    return Bits(bits(packed, HEADER_BITS, end), end - HEADER_BITS, len(starts), crc)
