"""Writes a zstd frame with splices applied, and copies the blocks that depend on no splice.

`blocks.decide` says what to do with each block, and this module does it. For every block of the old frame, in order:

1. Decompress it, which also shows how much content it has, and apply the splices.
2. `Copy`: pass on where its compressed bytes are. Its content is only used for the CRC-32, and as the window that later
   trials and compressors need.
3. `Compress`: pass its new content to a compressor. Consecutive blocks share one compressor, a *range*.

The calling thread does these three steps, threads of a pool compress the ranges, and one more thread writes everything
in order, so compressing goes on while later blocks are still being decompressed. `docs/architecture.md` has a picture.

Copied blocks are not checked here. `__init__.py` explains why they fit, and the finished package is decompressed and
compared before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

from ...model import Splice
from ..splicer import Splicer, new_size
from ..stream import (
    CannotReuse,
    NothingToReuse,
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
    history_size,
    job_layout,
    reusable_ranges,
)
from .compressor import MAX_RANGES, PendingRange, RangeCompressor
from .content import WrittenContent
from .independence import is_independent
from .reader import FrameReader
from .writer import FramePart, FrameWriter

_PARTS = 1 << 12
"""Parts that may wait to be written: this is how far compressing may lag behind decompressing. A run of old blocks is
only a few numbers, and the number of ranges has its own limit."""


def rewrite(
    stream: Stream,
    splices: Sequence[Splice],
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
    watch: Callable[[bytes], object] = lambda content: None,
) -> Reused:
    """Write the frame with the splices applied to `out`. Copied blocks are not checked.

    `watch` is called with all old content, in pieces and in order. What it raises ends the work.

    Raises NothingToReuse, before anything is written, if everything must be compressed again. Raises CannotReuse if
    this turns out later: discard what was written. After an exception, threads may still be busy, because libzstd
    finishes the jobs that it has begun.
    """

    def read(content: bytes) -> None:
        progress(len(content))
        watch(content)

    frame = zstd.read_frame(stream.source)
    size = new_size(stream.size, splices)
    layout = job_layout(frame, stream.settings, stream.size)
    ranges = reusable_ranges(splices, stream.size, layout)
    if frame.window > zstd.MAX_WINDOW:
        raise NothingToReuse("conda clients do not accept its window")
    if not ranges or frame.single_segment or (size <= frame.window and frame.content_size is not None):
        # A single segment has no window field that could be kept. And a frame that states its size, but has a window
        # larger than its content, is not what a writer would make of the new content.
        raise NothingToReuse("every block depends on content that changes")
    parts: Pipe[FramePart] = Pipe(_PARTS)
    writer = FrameWriter(stream.source, frame, size, out)
    pool = ThreadPoolExecutor(MAX_RANGES + 1, thread_name_prefix="conda-prune zstd")
    compressor = RangeCompressor(pool, stream.settings, frame, stream.size, budget)
    writing: Future[None] | None = None
    try:
        # Within the block: if this is interrupted, the thread may have started, and ends only if `parts` is closed.
        writing = pool.submit(writer.write, parts)
        rewriter = FrameRewriter(stream, frame, splices, compressor, parts, read)
        reused = rewriter.run(ranges, layout)
        parts.close()
    except BaseException as error:
        compressor.cancel()
        parts.close(error)
        failure = writing.exception() if writing is not None else None
        if isinstance(error, PipeClosed) and failure is not None:
            # The writer failed first; PipeClosed is only how this thread learned of it.
            raise failure from error
        raise
    finally:
        # Do not wait: libzstd finishes the jobs that it has begun, which took 17 seconds at level 19.
        pool.shutdown(wait=False)
    writing.result()
    if rewriter.content.size != size:
        raise CannotReuse("the new content does not have the expected size")
    return Reused(rewriter.content.crc, reused)


class FrameRewriter:
    """Carries out what `decide` says: takes old blocks, applies splices, and sends the new frame's parts to the writer.

    `content` is the new content so far. It takes six parameters because it connects the five objects of a rewrite.
    """

    def __init__(
        self,
        stream: Stream,
        frame: zstd.FrameHeader,
        splices: Sequence[Splice],
        compressor: RangeCompressor,
        parts: Pipe[FramePart],
        watch: Callable[[bytes], object],
    ) -> None:
        self.content = WrittenContent(frame.window, frame.checksum)
        self._reader = FrameReader(stream.source, frame, watch)
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

    def _is_independent(self, at: int, stop: int, until: int) -> bool:
        blocks = self._reader.upcoming(stop - at, until - at)
        return is_independent(self._descriptor, self.content.tail(self._window), blocks)

    def _compress(self, piece: bytes, goal: int, reach: int) -> None:
        """Add new content to the open range. If none is open, open one that ends at about `goal` in the old content."""
        if self._range is None:
            length = len(piece) + self._splicer.expected(goal)
            history = self.content.tail(history_size(reach, length))
            self._range = self._compressor.start(history, length, self._size - self._splicer.old)
            self._parts.put(self._range)
        self._range.put(piece)
        self.content.append(piece)

    def _finish_range(self) -> None:
        if self._range is not None:
            self._range.finish()
            self._range = None
