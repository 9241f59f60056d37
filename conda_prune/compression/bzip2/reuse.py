"""Writes a bz2 stream with splices applied, and copies the blocks that contain none, bit by bit.

`blocks.block_ranges` says what becomes of each block, and this module does it. If the blocks are known from reading the
package, only those with a splice are decompressed again; otherwise all are, once. New content is compressed in pieces
that fill a block each, several at a time. So it takes almost no more bytes than if it were compressed at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TypeAlias

from ...model import BlockInfo, Splice
from ..stream import CannotReuse, Reused, Stream
from ..threads import ThreadBudget
from . import stream as bzip2
from .blocks import (
    Compress,
    Copy,
    block_ranges,
    inserted_at_end,
)
from .find_blocks import (
    Bits,
    BlockContent,
    decompress_block,
    read_block,
)
from .reader import read_blocks
from .writer import StreamWriter

_Block: TypeAlias = tuple[Bits | None, BlockInfo, bytes | None]
"""A block's bits (None if nothing of it is kept), its description, and its content (None if it is not needed)."""


def rewrite(
    stream: Stream,
    splices: Sequence[Splice],
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
) -> Reused:
    """Write the stream with the splices applied to `out`.

    Each copied block was decompressed once, here or while the package was read; the result was not. Raises CannotReuse
    if everything must be compressed again: discard what was written.
    """
    level = bzip2.read_level(stream.source)
    ahead = 2 * budget.count
    with ThreadPoolExecutor(budget.count, thread_name_prefix="conda-prune bz2") as pool:
        writer = StreamWriter(out, level, pool, 4 * budget.count)
        try:
            blocks: Iterator[_Block] = (
                _needed(stream, splices, level, pool, ahead)
                if stream.known
                else read_blocks(stream.source, level, pool, ahead)
            )
            at = 0
            for block in blocks:
                size = block[1].size
                progress(size)
                _write(block, at, splices, writer)
                at += size
            if at != stream.size:
                raise CannotReuse("the blocks found do not make up the content")
            if new := inserted_at_end(at, splices):
                writer.compress(new)
            writer.finish()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Reused(writer.crc, writer.reused)


def _write(block: _Block, start: int, splices: Sequence[Splice], writer: StreamWriter) -> None:
    bits, info, content = block
    for range_ in block_ranges(start, start + info.size, splices):
        if isinstance(range_, Copy):
            assert bits is not None  # noqa: S101 (for mypy: there is something to copy)
            writer.copy(bits, info)
        elif isinstance(range_, Compress):
            assert content is not None  # noqa: S101 (for mypy: there is something to compress)
            writer.compress(content[range_.start : range_.stop])
        else:
            writer.compress(range_.new)


def _needed(
    stream: Stream, splices: Sequence[Splice], level: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Block]:
    """Yield every block, but read and decompress only what is needed, up to `ahead` blocks at a time.

    Content that is held is not decompressed again.
    """
    working: deque[tuple[Bits | None, BlockInfo, Future[BlockContent] | bytes | None]] = deque()

    def finish_oldest() -> _Block:
        bits, info, content = working.popleft()
        return bits, info, content.result().all() if isinstance(content, Future) else content

    at = 0
    for info in stream.blocks:
        ranges = block_ranges(at, at + info.size, splices)
        at += info.size
        compress = any(isinstance(range_, Compress) for range_ in ranges)
        bits = None
        content: Future[BlockContent] | bytes | None = stream.held.get(info.start) if compress else None
        if Copy() in ranges or (compress and content is None):
            bits = read_block(stream.source, info.start, info.stop)
            if bits.crc != info.block_crc:
                raise CannotReuse("a block changed after it was read")
        if compress and content is None and bits is not None:
            content = pool.submit(decompress_block, bits, level)
        working.append((bits, info, content))
        if len(working) > ahead:
            yield finish_oldest()
    while working:
        yield finish_oldest()
