"""A bz2 stream again with ranges of its content replaced: blocks that hold no replaced byte are copied bit by bit.

A block depends on no other, so each is decompressed in a stream of its own, several at a time. Who read the package
that way knows the blocks, and the rewriting then decompresses only those that a splice touches. The rest is compressed
in pieces, several at a time too, and their blocks lifted over: pieces of a full block each, so that it does not matter
where one run over the content would end them.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from ...model import Splice
from ..byte_range import CHUNK, ByteRange
from ..splicer import CannotReuse, Reused, Splicer
from ..threads import ThreadBudget
from . import stream as bzip2
from .bits import END, FOOTER_BITS, HEADER_BITS, Bits, Unpacking, block_at, footer, pack, positions, rotated, unpack


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A block that was read: its bits `start` to `stop`, its own CRC, and its content's size in bytes and CRC-32."""

    start: int
    stop: int
    block_crc: int
    size: int
    crc: int


def decompress(source: ByteRange, threads: int, marks: list[BlockInfo]) -> Generator[bytes, None, None]:
    """Yield what `bzip2.decompress` yields, and raise what it raises, but work on `threads` cores.

    `marks` becomes those of the blocks; it stays empty where they cannot be told.
    """
    given = 0
    marks.clear()
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="conda-prune bz2") as pool:
        try:
            for _, mark, content in _contents(source, bzip2.read_level(source), pool, 2 * max(1, threads)):
                marks.append(mark)
                for at in range(0, len(content), CHUNK):
                    yield content[at : at + CHUNK]
                given += len(content)
            return
        except CannotReuse:
            marks.clear()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    # Whatever was not as expected, blocks were given only up to there.
    for piece in bzip2.decompress(source):
        if len(piece) > given:
            yield piece[given:]
        given = max(0, given - len(piece))


def rewrite(
    source: ByteRange,
    splices: Sequence[Splice],
    size: int,
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
    marks: Sequence[BlockInfo] = (),
) -> Reused:
    """Write the stream in `source`, whose content has `size` bytes, to `out` with the splices made.

    What is copied was decompressed once, here or when `marks` were made; the new stream was not. Raises CannotReuse
    where it must be compressed as a whole; what `out` holds then is of no use.
    """
    level = bzip2.read_level(source)
    splicer = Splicer(splices)
    with ThreadPoolExecutor(budget.count, thread_name_prefix="conda-prune bz2") as pool:
        writer = _Writer(out, level, pool, 4 * budget.count)
        ahead = 2 * budget.count
        try:
            known = _touched(source, marks, splices, level, pool, ahead)
            for block, mark, content in known if marks else _contents(source, level, pool, ahead):
                progress(mark.size)
                if content is None:
                    splicer.pass_over(mark.size)
                    if block is not None:
                        writer.copy(block, mark)
                    continue
                for piece in splicer.feed(content):
                    if block is not None and piece is content:
                        writer.copy(block, mark)
                    else:
                        writer.compress(piece)
            if splicer.old != size:
                raise CannotReuse("the blocks found do not make up the content")
            for piece in splicer.finish():
                writer.compress(piece)
            writer.end()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Reused(writer.crc, writer.reused)


def _contents(
    source: ByteRange, level: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[Bits, BlockInfo, bytes]]:
    """Yield every block with its content, `ahead` of them at work; raise CannotReuse where one is none."""
    working: deque[tuple[int, Bits, Future[Unpacking]]] = deque()

    def first() -> tuple[Bits, BlockInfo, bytes]:
        start, block, unpacking = working.popleft()
        content = unpacking.result().rest()
        return block, BlockInfo(start, start + block.length, block.crc, len(content), zlib.crc32(content)), content

    behind = max(4, source.size - 12)
    end, combined = footer(source.read(behind, 12))
    end += 8 * behind
    crc = 0
    start = -1
    for stop in positions(source, end):
        if start < 0 and stop != HEADER_BITS:
            raise CannotReuse("no block follows the header")
        if start >= 0:
            block = block_at(source, start, stop)
            crc = rotated(crc, 1) ^ block.crc
            working.append((start, block, pool.submit(unpack, block, level)))
            if len(working) > ahead:
                yield first()
        start = stop
    if crc != combined:
        raise CannotReuse("the blocks found are not those of the stream")
    while working:
        yield first()


def _touched(
    source: ByteRange,
    marks: Sequence[BlockInfo],
    splices: Sequence[Splice],
    level: int,
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[tuple[Bits | None, BlockInfo, bytes | None]]:
    """Yield every block: with its content if a splice touches it, without its bits if nothing of it is left."""
    working: deque[tuple[Bits | None, BlockInfo, Future[Unpacking] | None]] = deque()

    def first() -> tuple[Bits | None, BlockInfo, bytes | None]:
        block, mark, unpacking = working.popleft()
        return block, mark, unpacking.result().rest() if unpacking else None

    waiting = deque(splices)
    at = skip = 0
    for mark in marks:
        start, at = at, at + mark.size
        touched = start < skip < at
        gone = skip >= at
        while waiting and waiting[0].start < at:
            skip = waiting.popleft().stop
            touched = True
        block = None if gone and not touched else block_at(source, mark.start, mark.stop)
        if block is not None and block.crc != mark.block_crc:
            raise CannotReuse("a block is not what it was")
        working.append((block, mark, pool.submit(unpack, block, level) if block and touched else None))
        if len(working) > ahead:
            yield first()
    while working:
        yield first()


def _combined(crc: int, mark: BlockInfo) -> int:
    """Return the CRC-32 of what `crc` is of and the block's content, from their own: CRCs are linear."""
    zeros = bytes(mark.size)
    return zlib.crc32(zeros, crc) ^ zlib.crc32(zeros) ^ mark.crc


class _Writer:
    """Puts a stream together in order; no more than `most` parts of it wait for those before them.

    `crc` is the CRC-32 of the content so far, `reused` how much of it was copied.
    """

    def __init__(self, out: IO[bytes], level: int, pool: ThreadPoolExecutor, most: int) -> None:
        self.crc = self.reused = 0
        self._out = out
        self._level = level
        self._pool = pool
        self._most = most
        # What one block holds when nothing in it repeats four times: no piece's last block is much shorter.
        self._piece = level * 100_000 - 19
        self._content = bytearray()
        self._waiting: deque[Future[Bits]] = deque()
        self._blocks_crc = 0
        self._rest = int.from_bytes(b"\1BZh%d" % level, "big")
        self._drain()

    def copy(self, block: Bits, mark: BlockInfo) -> None:
        """Append a block as it is."""
        self.crc = _combined(self.crc, mark)
        self.reused += mark.size
        self._pack(0)
        done: Future[Bits] = Future()
        done.set_result(block)
        self._append(done)

    def compress(self, content: bytes) -> None:
        """Append content."""
        self.crc = zlib.crc32(content, self.crc)
        self._content += content
        self._pack(self._piece)

    def end(self) -> None:
        """Write all that waits, and the stream's footer."""
        self._pack(0)
        while self._waiting:
            self._put(self._waiting.popleft().result())
        self._shift(END << 32 | self._blocks_crc, FOOTER_BITS)
        self._shift(0, -(self._rest.bit_length() - 1) & 7)
        self._drain()

    def _pack(self, least: int) -> None:
        """Send content to be compressed, in pieces, until less than `least` bytes of it, or nothing, are left."""
        while self._content and len(self._content) >= least:
            piece = bytes(self._content[: self._piece])
            del self._content[: self._piece]
            self._append(self._pool.submit(pack, piece, self._level))

    def _append(self, part: Future[Bits]) -> None:
        self._waiting.append(part)
        while self._waiting and (len(self._waiting) > self._most or self._waiting[0].done()):
            self._put(self._waiting.popleft().result())

    def _put(self, part: Bits) -> None:
        self._shift(part.value, part.length)
        self._blocks_crc = rotated(self._blocks_crc, part.count) ^ part.crc
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
