"""A zstd frame again with ranges of its content replaced: blocks that depend on no replaced byte stay as they are.

libzstd's multi-threaded writer cuts content into jobs of known size that refer back over a known distance and share
neither tables nor repeat offsets, so jobs clear of every splice are copied, and a touched job's blocks up to its first
splice. A single-threaded frame is one job. The rest is compressed at the same settings, behind a flush that makes
libzstd forget the repeat offsets. None of this is trusted: what is written is decompressed at once and compared with
what it must be. That costs a second decompression, which runs beside the first on another core.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ..model import Recipe, Splice
from . import zstd
from .extent import Extent
from .reuse import Gone, Pipe, Reused, Splicer, Unfit
from .zstd_parts import Compressor, Part, Reader, Writer

_MIN_JOB = 1 << 20
_MIN_THREADED = 1 << 19
"""Content up to this size is compressed by libzstd in one thread, whatever was asked for."""
_LEAST_PREFIX = 1 << 20
_PARTS = 256
_LAZY2, _BTLAZY2, _BTOPT, _BTULTRA2 = 5, 6, 7, 9
"""libzstd's numbers of its strategies."""
_LONG_MODE = 27


@dataclass(frozen=True, slots=True)
class Jobs:
    """How a frame was cut: jobs of `size` bytes of content that refer back over `reach` bytes at most."""

    size: int
    reach: int


def jobs(frame: zstd.Frame, recipe: Recipe, size: int) -> Jobs:
    """Return the jobs that a frame with `size` bytes of content was written in, if the recipe is right."""
    settings = zstd.parameters(recipe, frame.content_size or 0)
    long = settings.window_log >= _LONG_MODE and settings.strategy >= _BTOPT
    reach = frame.window
    if recipe.source == "reproduced" and not long:
        reach >>= _overlap(settings.strategy)
    if not recipe.threaded or frame.window & (frame.window - 1) or size <= _MIN_THREADED:
        return Jobs(max(size, 1), reach)
    if long:
        # There, jobs are sized by the chain table, and matches found in the whole window.
        return Jobs(1 << max(21, settings.chain_log - 1 + 3), reach)
    return Jobs(max(_MIN_JOB, 4 * frame.window), reach)


def _overlap(strategy: int) -> int:
    """Return by how many bits the overlap of libzstd's jobs is smaller than the window."""
    if strategy >= _BTULTRA2:
        return 0
    if strategy >= _BTOPT:
        return 1
    return 2 if strategy >= _LAZY2 else 3


def prefix(reach: int, length: int) -> int:
    """Return how much content to show the compressor before `length` bytes: more would cost more than it saves."""
    return min(reach, max(_LEAST_PREFIX, length))


def kept_ranges(splices: Sequence[Splice], size: int, layout: Jobs) -> list[tuple[int, int]]:
    """Return the ranges of the old content that can stay compressed, in order, joined where they meet.

    Each starts where a job does; where it stops is a block's end for certain only if it is a job's.
    """
    kept: list[tuple[int, int]] = []
    first = 0
    for start in range(0, size, layout.size):
        stop = min(start + layout.size, size)
        while first < len(splices) and splices[first].stop <= start - layout.reach:
            first += 1
        limit = min(stop, splices[first].start) if first < len(splices) else stop
        if limit <= start:
            continue
        if kept and kept[-1][1] == start:
            kept[-1] = kept[-1][0], limit
        else:
            kept.append((start, limit))
    following = [*(start for start, _ in kept), size]
    return [
        (start, stop)
        for (start, stop), after in zip(kept, following[1:], strict=True)
        # To go on behind a kept range, the compressor must be shown its end: shorter ones save nothing.
        if start == 0 or stop == size or stop - start >= prefix(layout.reach, after - stop)
    ]


def rewrite(
    source: Extent,
    splices: Sequence[Splice],
    recipe: Recipe,
    size: int,
    out: BinaryIO,
    threads: int,
    progress: Callable[[int], None],
) -> Reused:
    """Write the frame in `source`, whose content has `size` bytes, to `out` with the splices made, and verify it.

    Raises Unfit where it must be compressed as a whole; what `out` holds then is of no use.
    """
    frame = zstd.read_frame(source)
    new_size = size + sum(len(splice.new) - (splice.stop - splice.start) for splice in splices)
    layout = jobs(frame, recipe, size)
    kept = kept_ranges(splices, size, layout)
    if not kept or frame.single_segment or (new_size <= frame.window and frame.content_size is not None):
        raise Unfit("there is nothing to keep")
    parts: Pipe[Part] = Pipe(_PARTS)
    reader = Reader(source, frame, Splicer(splices), layout.reach, progress)
    compressor = Compressor(recipe, frame, size, threads)
    writer = Writer(source, frame, new_size, out)
    thread = threading.Thread(target=writer.run, args=(parts,), name="conda-prune zstd", daemon=True)
    thread.start()
    try:
        reused = _feed(reader, kept, compressor, parts, size)
        writer.checksum = reader.checksum()
        parts.close()
    except BaseException as error:
        compressor.cancel()
        parts.close(error)
        thread.join()
        if isinstance(error, Gone) and writer.failure is not None:
            raise writer.failure from error
        raise
    thread.join()
    if writer.failure is not None:
        raise writer.failure
    if reader.new_size != new_size or writer.sha256.digest() != reader.sha256.digest():
        raise Unfit("the new frame does not decompress to what it must")
    return Reused(reader.sha256.hexdigest(), reused)


def _feed(reader: Reader, kept: Sequence[tuple[int, int]], compressor: Compressor, parts: Pipe[Part], size: int) -> int:
    """Send the new frame's parts down the pipe in order; return how many bytes of content are kept."""
    reused = 0
    ranges = [(0, 0), *kept]
    following = [*(start for start, _ in kept), size]
    for (_, stop), after in zip(ranges, following, strict=True):
        for run in reader.kept(stop):
            parts.put(run)
            reused += run.length
        compressing = None
        for piece in reader.anew(after, ends=after == size):
            if compressing is None:
                length = len(piece) + reader.expected(after)
                compressing = compressor.start(reader.tail(prefix(reader.reach, length)), length)
                parts.put(compressing.output)
            compressing.put(piece)
            reader.count(piece)
        if compressing is not None:
            compressing.finish()
    reader.end()
    return reused
