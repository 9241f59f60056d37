"""Decompresses a bz2 stream block by block on several threads, and describes the blocks on the way.

Measured on two busy cores: 1.0 s instead of 1.6 s for 47 MB of content. With the descriptions, blocks can be copied
later without decompressing them again.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ...model import BlockInfo
from ..byte_range import CHUNK, ByteRange
from ..stream import CannotReuse, Piece
from . import stream as bzip2
from .bits import (
    HEADER_BITS,
    Bits,
    BlockContent,
    combine_crc,
    decompress_block,
    find_blocks,
    read_block,
    read_footer,
)


def decompress(source: ByteRange, threads: int) -> Generator[Piece, None, None]:
    """Yield what `stream.decompress` yields, and raise what it raises, but use `threads` cores.

    The last piece of each block has its description. If blocks cannot be told apart, the rest follows without.
    """
    given = 0
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="conda-prune bz2") as pool:
        try:
            for _, block, content in read_blocks(source, bzip2.read_level(source), pool, 2 * max(1, threads)):
                for at in range(0, len(content), CHUNK):
                    piece = content[at : at + CHUNK]
                    yield Piece(piece, block if at + CHUNK >= len(content) else None)
                given += len(content)
            return
        except CannotReuse:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    # Something was not as expected: damage, or a false magic number. Every block given until then was intact. Read it
    # all again in one thread, which finds out what is wrong, if anything is, and leave out what was given.
    for content in bzip2.decompress(source):
        if len(content) > given:
            yield Piece(content[given:])
        given = max(0, given - len(content))


def read_blocks(
    source: ByteRange, level: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[Bits, BlockInfo, bytes]]:
    """Yield every block with its content in order, up to `ahead` blocks being decompressed at the same time.

    Raises CannotReuse as soon as something is found not to be a block. Before the last blocks are yielded, the CRCs of
    all of them were compared with the stream's combined CRC.
    """
    working: deque[tuple[int, Bits, Future[BlockContent]]] = deque()

    def first() -> tuple[Bits, BlockInfo, bytes]:
        start, block, decompressing = working.popleft()
        content = decompressing.result().all()
        return block, BlockInfo(start, start + block.length, block.crc, len(content), zlib.crc32(content)), content

    tail = max(HEADER_BITS // 8, source.size - 12)
    end, combined = read_footer(source.read(tail, 12))
    end += 8 * tail
    crc = 0
    start = -1
    for stop in find_blocks(source, end):
        if start < 0 and stop != HEADER_BITS:
            raise CannotReuse("no block follows the header")
        if start >= 0:
            block = read_block(source, start, stop)
            crc = combine_crc(crc, block.crc)
            working.append((start, block, pool.submit(decompress_block, block, level)))
            if len(working) > ahead:
                yield first()
        start = stop
    if crc != combined:
        raise CannotReuse("the blocks found do not have the stream's combined CRC")
    while working:
        yield first()
