"""A bz2 stream again with ranges of its content replaced: blocks that hold no replaced byte are copied bit by bit.

A block depends on no other, but starts at any bit and says nowhere how long it is. So blocks are looked for by their
magic number, and each is decompressed in a stream of its own, several at a time, where its CRC is checked; a magic
number that only looks like one shows there. The rest is compressed in pieces, several at a time too, and their blocks
lifted over: pieces of a full block each, so that it does not matter where one run over the content would end them.
"""

from __future__ import annotations

import bz2
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from ..model import Recipe, Splice
from . import bzip2
from .extent import CHUNK, Extent
from .reuse import Reused, Splicer, Unfit
from .threads import Turns

_MAGIC = 0x314159265359
_END = 0x177245385090
_HEADER_BITS = 32
_FOOTER_BITS = 80
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


def decompress(source: Extent, threads: int) -> Generator[bytes, None, None]:
    """Yield what `bzip2.decompress` yields, and raise what it raises, but work on `threads` cores."""
    given = 0
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="conda-prune bz2") as pool:
        try:
            for _, content in _contents(source, bzip2.read_level(source), pool, 2 * max(1, threads)):
                for at in range(0, len(content), CHUNK):
                    yield content[at : at + CHUNK]
                given += len(content)
            return
        except Unfit:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    # Whatever was not as expected, blocks were given only up to there.
    for piece in bzip2.decompress(source):
        if len(piece) > given:
            yield piece[given:]
        given = max(0, given - len(piece))


def rewrite(
    source: Extent,
    splices: Sequence[Splice],
    recipe: Recipe,
    size: int,
    out: BinaryIO,
    turns: Turns,
    progress: Callable[[int], None],
) -> Reused:
    """Write the stream in `source`, whose content has `size` bytes, to `out` with the splices made.

    What is copied was decompressed once, here; the new stream was not. Raises Unfit where it must be compressed as a
    whole; what `out` holds then is of no use.
    """
    level = bzip2.read_level(source)
    splicer = Splicer(splices)
    crc = 0
    reused = 0
    with ThreadPoolExecutor(turns.count, thread_name_prefix="conda-prune bz2") as pool:
        writer = _Writer(out, level, pool, 4 * turns.count)
        try:
            for block, content in _contents(source, level, pool, 2 * turns.count):
                progress(len(content))
                for piece in splicer.feed(content):
                    crc = zlib.crc32(piece, crc)
                    if piece is content:
                        writer.copy(block)
                        reused += len(content)
                    else:
                        writer.compress(piece)
            if splicer.old != size:
                raise Unfit("the blocks found do not make up the content")
            for piece in splicer.finish():
                crc = zlib.crc32(piece, crc)
                writer.compress(piece)
            writer.end()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Reused(crc, reused)


def _contents(source: Extent, level: int, pool: ThreadPoolExecutor, ahead: int) -> Iterator[tuple[Bits, bytes]]:
    """Yield every block with its content, `ahead` of them at work; raise Unfit where one is none."""
    working: deque[tuple[Bits, Future[_Unpacking]]] = deque()
    behind = max(4, source.size - 12)
    end, combined = _footer(source.read(behind, 12))
    end += 8 * behind
    crc = 0
    start = -1
    for stop in positions(source, end):
        if start < 0 and stop != _HEADER_BITS:
            raise Unfit("no block follows the header")
        if start >= 0:
            first = start >> 3
            value = bits(source.read(first, (stop + 7 >> 3) - first), start & 7, stop - 8 * first)
            if stop - start <= _FOOTER_BITS + 25 or value >> (stop - start - 81) & 1:
                raise Unfit("a block is randomised, or none")
            block = Bits(value, stop - start, 1, value >> (stop - start - 80) & _MASK)
            crc = rotated(crc, 1) ^ block.crc
            working.append((block, pool.submit(_unpack, block, level)))
            if len(working) > ahead:
                block, unpacking = working.popleft()
                yield block, unpacking.result().rest()
        start = stop
    if crc != combined:
        raise Unfit("the blocks found are not those of the stream")
    while working:
        block, unpacking = working.popleft()
        yield block, unpacking.result().rest()


def _footer(data: bytes) -> tuple[int, int]:
    """Return where in the bits of a stream's last bytes its footer starts, and the combined CRC in it."""
    for padding in range(8):
        start = 8 * len(data) - padding - _FOOTER_BITS
        if start >= 0:
            footer = bits(data, start, start + _FOOTER_BITS)
            if footer >> 32 == _END:
                return start, footer & _MASK
    raise Unfit("the stream has no footer")


def positions(source: Extent, end: int, chunk: int = CHUNK) -> Iterator[int]:
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
        core = (_MAGIC >> shift & (1 << 40) - 1).to_bytes(5, "big")
        index = data.find(core)
        while index >= 0:
            start = 8 * index - 8 + shift
            if 0 <= start <= 8 * len(data) - 48 and bits(data, start, start + 48) == _MAGIC:
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


class _Unpacking:
    """A block's content; of one that unpacks to 50 times its size, only the beginning, until the rest is wanted."""

    def __init__(self, stream: bytes) -> None:
        self._decompressor = bz2.BZ2Decompressor()
        self._head = self._more(stream, _LARGEST)

    def rest(self) -> bytes:
        """Return all of the content; raise Unfit where the bits were no block."""
        if not self._decompressor.eof:
            self._head += self._more(b"", -1)
        if not self._decompressor.eof or self._decompressor.unused_data:
            raise Unfit("a magic number starts no block")
        return self._head

    def _more(self, stream: bytes, most: int) -> bytes:
        try:
            return self._decompressor.decompress(stream, most)
        except OSError as error:
            raise Unfit("a magic number starts no block") from error


def _unpack(block: Bits, level: int) -> _Unpacking:
    padding = -(block.length + _FOOTER_BITS) & 7
    value = (block.value << _FOOTER_BITS | _END << 32 | block.crc) << padding
    return _Unpacking(b"BZh%d" % level + value.to_bytes((block.length + _FOOTER_BITS + padding) >> 3, "big"))


def _pack(content: bytes, level: int) -> Bits:
    packed = bz2.compress(content, level)
    end, combined = _footer(packed)
    starts = [start for start in find(packed) if start < end]
    crc = 0
    for start in starts:
        crc = rotated(crc, 1) ^ bits(packed, start + 48, start + 80)
    if crc != combined:
        raise Unfit("a magic number in new data starts no block")
    return Bits(bits(packed, _HEADER_BITS, end), end - _HEADER_BITS, len(starts), crc)


class _Writer:
    """Puts a stream together in order; no more than `most` parts of it wait for those before them."""

    def __init__(self, out: BinaryIO, level: int, pool: ThreadPoolExecutor, most: int) -> None:
        self._out = out
        self._level = level
        self._pool = pool
        self._most = most
        # What one block holds when nothing in it repeats four times: no piece's last block is much shorter.
        self._piece = level * 100_000 - 19
        self._content = bytearray()
        self._waiting: deque[Future[Bits]] = deque()
        self._crc = 0
        self._rest = int.from_bytes(b"\1BZh%d" % level, "big")
        self._drain()

    def copy(self, block: Bits) -> None:
        """Append a block as it is."""
        self._pack(0)
        done: Future[Bits] = Future()
        done.set_result(block)
        self._append(done)

    def compress(self, content: bytes) -> None:
        """Append content."""
        self._content += content
        self._pack(self._piece)

    def end(self) -> None:
        """Write all that waits, and the stream's footer."""
        self._pack(0)
        while self._waiting:
            self._put(self._waiting.popleft().result())
        self._shift(_END << 32 | self._crc, _FOOTER_BITS)
        self._shift(0, -(self._rest.bit_length() - 1) & 7)
        self._drain()

    def _pack(self, least: int) -> None:
        """Send content to be compressed, in pieces, until less than `least` bytes of it, or nothing, are left."""
        while self._content and len(self._content) >= least:
            piece = bytes(self._content[: self._piece])
            del self._content[: self._piece]
            self._append(self._pool.submit(_pack, piece, self._level))

    def _append(self, part: Future[Bits]) -> None:
        self._waiting.append(part)
        while self._waiting and (len(self._waiting) > self._most or self._waiting[0].done()):
            self._put(self._waiting.popleft().result())

    def _put(self, part: Bits) -> None:
        self._shift(part.value, part.length)
        self._crc = rotated(self._crc, part.count) ^ part.crc
        self._drain()

    def _shift(self, value: int, length: int) -> None:
        self._rest = self._rest << length | value

    def _drain(self) -> None:
        """Write the whole bytes; the bits that make up none stay in `_rest`, behind a one that marks their start."""
        length = self._rest.bit_length() - 1
        part = length & 7
        value = self._rest >> part
        self._out.write(value.to_bytes((length >> 3) + 1, "big")[1:])
        self._rest = 1 << part | self._rest & (1 << part) - 1
