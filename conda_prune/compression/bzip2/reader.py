"""Decompresses a bz2 stream block by block on several threads, and describes the blocks.

Measured on two busy cores: 1.0 s instead of 1.6 s for 47 MB of content. Thanks to the descriptions, blocks can later be
copied without decompressing them again.
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
from .find_blocks import (
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
    """Yield the content that `stream.decompress` yields, or raise what it raises, but use `threads` cores.

    The last piece of each block carries the block's description. If the blocks cannot be identified, the remaining
    pieces have no descriptions.
    """
    done = 0
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="conda-prune bz2") as pool:
        try:
            for _, block, content in read_blocks(source, bzip2.read_level(source), pool, 2 * max(1, threads)):
                for at in range(0, len(content), CHUNK):
                    piece = content[at : at + CHUNK]
                    yield Piece(piece, block if at + CHUNK >= len(content) else None)
                done += len(content)
            return
        except CannotReuse:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    # Something is unusual: damage, or a false magic number. Every block that was yielded is intact. Read everything
    # again in one thread, skip what was yielded already, and let that reader raise the right error if there is one.
    for content in bzip2.decompress(source):
        if len(content) > done:
            yield Piece(content[done:])
        done = max(0, done - len(content))


def read_blocks(
    source: ByteRange, level: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[Bits, BlockInfo, bytes]]:
    """Yield every block with its content, in order; up to `ahead` blocks are being decompressed at a time.

    Raises CannotReuse as soon as something turns out not to be a block. The combined CRC of all blocks is compared with
    the stream's before the last blocks are yielded.
    """
    working: deque[tuple[int, Bits, Future[BlockContent]]] = deque()

    def finish_oldest() -> tuple[Bits, BlockInfo, bytes]:
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
                yield finish_oldest()
        start = stop
    if crc != combined:
        raise CannotReuse("the blocks found do not have the stream's combined CRC")
    while working:
        yield finish_oldest()
