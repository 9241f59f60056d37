"""Writes a zstd frame with splices applied, and copies the blocks that depend on no splice.

`blocks.decide` says what to do with each block, and this module does it. The calling thread decompresses and decides;
ranges of new content are compressed on threads of a pool; another thread writes the parts in order (architecture.md
has the picture). Nothing here is trusted: the finished package is decompressed and compared with what it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from ...model import Splice
from ..splicer import Splicer, new_size
from ..stream import (
    CannotReuse,
    NothingToKeep,
    Reused,
    Stream,
)
from ..threads import Pipe, PipeClosed, ThreadBudget
from . import frame as zstd
from .blocks import (
    Copy,
    JobLayout,
    ReusableRange,
    decide,
    job_layout,
    prefix_size,
    reusable_ranges,
)
from .compressor import MAX_RANGES, PendingRange, RangeCompressor
from .content import WrittenContent
from .independence import is_independent
from .reader import FrameReader
from .writer import FramePart, FrameWriter

_PARTS = 1 << 12
"""Parts that wait to be written: runs of old blocks, a few numbers each, and ranges. As many as a slow compressor may
lag behind decompression."""


def rewrite(
    stream: Stream,
    splices: Sequence[Splice],
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
) -> Reused:
    """Write the frame with the splices applied to `out`. Copied blocks are not checked.

    Raises NothingToKeep if all of it must be compressed again, and CannotReuse if that turns out late; then what `out`
    holds is worthless. After an exception, threads may still be busy with jobs that libzstd does not give up.
    """
    frame = zstd.read_frame(stream.source)
    size = new_size(stream.size, splices)
    layout = job_layout(frame, stream.settings, stream.size)
    ranges = reusable_ranges(splices, stream.size, layout)
    if frame.window > zstd.MAX_WINDOW:
        raise NothingToKeep("conda clients do not accept its window")
    if not ranges or frame.single_segment or (size <= frame.window and frame.content_size is not None):
        # A writer that knows the size would make the window of such content smaller.
        raise NothingToKeep("every block depends on content that changes")
    parts: Pipe[FramePart] = Pipe(_PARTS)
    writer = FrameWriter(stream.source, frame, size, out)
    pool = ThreadPoolExecutor(MAX_RANGES + 1, thread_name_prefix="conda-prune zstd")
    compressor = RangeCompressor(pool, stream.settings, frame, stream.size, budget)
    writing = pool.submit(writer.write, parts)
    try:
        rewriter = FrameRewriter(stream, frame, splices, compressor, parts, progress)
        reused = rewriter.run(ranges, layout)
        parts.close()
    except BaseException as error:
        compressor.cancel()
        parts.close(error)
        failure = writing.exception()
        if isinstance(error, PipeClosed) and failure is not None:
            # The writer gave up first, so its reason is the reason.
            raise failure from error
        raise
    finally:
        # Not awaited: libzstd finishes the jobs that it has begun, which took 17 seconds at level 19.
        pool.shutdown(wait=False)
    writing.result()
    if rewriter.content.size != size:
        raise CannotReuse("the new content does not have the expected size")
    return Reused(rewriter.content.crc, reused)


class FrameRewriter:
    """Carries out what `decide` says: takes old blocks, applies splices, and sends the new frame's parts to the writer.

    `content` is the new content so far.
    """

    def __init__(
        self,
        stream: Stream,
        frame: zstd.FrameHeader,
        splices: Sequence[Splice],
        compressor: RangeCompressor,
        parts: Pipe[FramePart],
        progress: Callable[[int], None],
    ) -> None:
        self.content = WrittenContent(frame.window, frame.checksum)
        self._reader = FrameReader(stream.source, frame, progress)
        self._splicer = Splicer(splices)
        self._compressor = compressor
        self._parts = parts
        self._size = stream.size
        self._window = frame.window
        self._descriptor = stream.source.read(zstd.WINDOW_DESCRIPTOR, 1)
        self._range: PendingRange | None = None

    def run(self, ranges: Sequence[ReusableRange], layout: JobLayout) -> int:
        """Send all parts of the new frame; return how many bytes of content were copied compressed."""
        reused = 0
        for step in decide(ranges, self._size, layout, self._next_end, self._is_independent):
            run, old = self._reader.take()
            new = list(self._splicer.feed(old))
            if isinstance(step, Copy):
                if new != [old]:
                    raise CannotReuse("a splice lies in a block that is to be copied")
                self._finish_range()
                self.content.append(old)
                self._parts.put(run)
                reused += run.length
            elif piece := b"".join(new):
                self._compress(piece, step.goal, layout.reach)
        self._reader.finish()
        if piece := b"".join(self._splicer.finish()):
            self._compress(piece, self._size, layout.reach)
        self._finish_range()
        self._parts.put(self.content.checksum())
        return reused

    def _next_end(self, at: int, room: int) -> int:
        return at + self._reader.next_length(room)

    def _is_independent(self, at: int, stop: int, beyond: int) -> bool:
        blocks = self._reader.upcoming(stop - at, beyond - at)
        return is_independent(self._descriptor, self.content.tail(self._window), blocks)

    def _compress(self, piece: bytes, goal: int, reach: int) -> None:
        """Add new content to the open range, or open one that goes on to about `goal` in the old content."""
        if self._range is None:
            length = len(piece) + self._splicer.expected(goal)
            prefix = self.content.tail(prefix_size(reach, length))
            self._range = self._compressor.start(prefix, length, self._size - self._splicer.old)
            self._parts.put(self._range)
        self._range.put(piece)
        self.content.append(piece)

    def _finish_range(self) -> None:
        if self._range is not None:
            self._range.finish()
            self._range = None
