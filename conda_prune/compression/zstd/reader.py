"""Decompresses the old frame block by block, in order, and can look ahead.

Block headers state the compressed size, not the size of the content. To learn that, each block is passed to the
decompressor separately, or a few at once where only their total matters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from ...errors import Damaged
from ..byte_range import ByteRange
from . import frame as zstd

GROUP = 8
"""Blocks that are handled together. With up to 128 KiB of content each, they never exceed 1 MiB."""
_TRIAL = 8
"""Blocks in a trial. If a block leaves inherited offsets or tables unused, one of the next few blocks uses them."""


@dataclass(frozen=True, slots=True)
class BlockRun:
    """Consecutive blocks in the bytes `start` to `stop` of the compressed stream, with `length` bytes of content.

    `last` is the offset of the last block's header, whose last-block flag may have to change.
    """

    start: int
    stop: int
    last: int
    length: int


class FrameReader:
    """Reads the blocks of one frame, once. `watch` is called with all content, in order, as it is decompressed.

    Raises Damaged where libzstd cannot decompress, or if the file changed since it was measured.
    """

    def __init__(self, source: ByteRange, frame: zstd.FrameHeader, watch: Callable[[bytes], object]) -> None:
        self._source = source
        self._checksum = frame.checksum
        self._watch = watch
        self._blocks = zstd.walk_blocks(source, frame)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()
        self._decompress(source.read(0, frame.header_size))
        self._ahead: deque[tuple[BlockRun, bytes]] = deque()

    def next_length(self, room: int) -> int:
        """Return how many bytes of content the next run has. A run of several blocks fits in `room` bytes."""
        if not self._ahead:
            self._ahead.append(self._pull(min(GROUP, room // zstd.MAX_BLOCK)))
        return self._ahead[0][0].length

    def take(self) -> tuple[BlockRun, bytes]:
        """Return the run that `next_length` described, with its content, and move on."""
        return self._ahead.popleft()

    def upcoming(self, room: int, least: int) -> list[tuple[bytes, bytes]]:
        """Return the next blocks with their content, without moving on.

        These are enough for a trial and include all that start within the next `least` bytes of content, but none that
        ends after `room` bytes.
        """
        end = sum(run.length for run, _ in self._ahead)
        while end < room and (len(self._ahead) < _TRIAL or end < least):
            self._ahead.append(self._pull(1))
            end += self._ahead[-1][0].length
        blocks: list[tuple[bytes, bytes]] = []
        end = 0
        for run, content in self._ahead:
            start, end = end, end + run.length
            if end > room or (len(blocks) >= _TRIAL and start >= least):
                break
            blocks.append((self._source.read(run.start, run.stop - run.start), content))
        return blocks

    def finish(self) -> None:
        """Check that all content was taken, and the checksum if the frame has one."""
        for block in self._blocks:
            if self._decompress(self._source.read(block.start, block.stop - block.start)):
                raise Damaged("the zstd frame holds more than it did before", "try again when nothing writes to it")
        if self._checksum:
            self._decompress(self._source.read(self._source.size - 4, 4))

    def _pull(self, count: int) -> tuple[BlockRun, bytes]:
        """Return the next `count` blocks, at least one. Blocks without content are skipped."""
        content = b""
        while not content:
            blocks: list[zstd.Block] = []
            for block in self._blocks:
                blocks.append(block)
                if len(blocks) >= count:
                    break
            if not blocks:
                raise Damaged("the zstd frame holds less than it did before", "try again when nothing writes to it")
            start, stop = blocks[0].start, blocks[-1].stop
            content = self._decompress(self._source.read(start, stop - start))
        self._watch(content)
        return BlockRun(start, stop, blocks[-1].start, len(content)), content

    def _decompress(self, packed: bytes) -> bytes:
        try:
            return self._decompressor.decompress(packed)
        except zstandard.ZstdError as error:
            raise Damaged(f"the zstd data is damaged: {error}", "build or download it again") from error
