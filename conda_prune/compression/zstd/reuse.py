"""A zstd frame again with ranges of its content replaced: blocks that depend on no replaced byte stay as they are.

A block depends on the window before it, and on tables and repeat offsets that earlier blocks leave. libzstd's
multi-threaded writer cuts content into jobs of known size that refer back less far and share neither; so a job's start
is where to look first, and one window behind a splice any block may do. Every block at which keeping starts is tried:
it must read alike for readers with different memories. What does not stay is compressed with the same settings, behind
a flush that makes libzstd forget the repeat offsets. None of this is trusted: the finished package is decompressed and
compared with what it must be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO

from ...model import CompressionSettings, Splice
from ..byte_range import ByteRange
from ..splicer import CannotReuse, NothingToKeep, Reused, Splicer
from ..threads import Pipe, PipeClosed, ThreadBudget
from . import frame as zstd
from .reader import Reader
from .writer import Compressing, Compressor, Part, Writer

_MIN_JOB = 1 << 20
_MIN_THREADED = 1 << 19
"""Content up to this size is compressed by libzstd in one thread, whatever was asked for."""
_LEAST_PREFIX = 1 << 20
_MIN_WINDOW = 1 << 16
_MAX_SEARCHED = 1 << 26
"""Looking for independent blocks costs a copy of the window for each."""
_SEARCH = 1 << 19
"""Content that passes, about, before an independent block comes: every second or third one is, in real packages."""
_PARTS = 1 << 12
"""Kept runs, a few numbers each, and ranges that wait to be written: as much as a slow compressor may lag behind."""
_LAZY2, _BTLAZY2, _BTOPT, _BTULTRA2 = 5, 6, 7, 9
"""libzstd's numbers of its strategies."""
_LONG_MODE = 27


@dataclass(frozen=True, slots=True)
class Jobs:
    """How a frame was cut: jobs of `size` bytes of content that refer back over `reach` bytes to the job before.

    Within a job, blocks refer back over `window` bytes; 0 where blocks are not to be tried.
    """

    size: int
    reach: int
    window: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A range of old content up to `stop` that may stay compressed.

    `job` is where the first job starts that refers to no splice before the range; None if that lies too far back.
    Behind `clear` no block refers to one; `search`: it is worth to look for independent blocks there.
    """

    job: int | None
    clear: int
    search: bool
    stop: int


def jobs(frame: zstd.Frame, settings: CompressionSettings, size: int) -> Jobs:
    """Return the jobs that a frame with `size` bytes of content was written in, if the settings is right."""
    parameters = zstd.parameters(settings, frame.content_size or 0)
    long = parameters.window_log >= _LONG_MODE and parameters.strategy >= _BTOPT
    reach = frame.window
    if settings.source == "reproduced" and not long:
        reach >>= _overlap(parameters.strategy)
    window = frame.window if frame.window >= _MIN_WINDOW and min(frame.window, size) <= _MAX_SEARCHED else 0
    if not settings.threaded or frame.window & (frame.window - 1) or size <= _MIN_THREADED:
        return Jobs(max(size, 1), reach, window)
    if long:
        # There, jobs are sized by the chain table, and matches found in the whole window.
        return Jobs(1 << max(21, parameters.chain_log - 1 + 3), reach, window)
    return Jobs(max(_MIN_JOB, 4 * frame.window), reach, window)


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


def kept_ranges(splices: Sequence[Splice], size: int, layout: Jobs) -> list[Kept]:
    """Return the ranges of the old content that can stay compressed, in order: at most one between two splices.

    To go on behind a range, the compressor must be shown its end, so short ones before other ranges save nothing.
    """
    kept: list[Kept] = []
    start = 0
    for number in range(len(splices) + 1):
        stop = splices[number].start if number < len(splices) else size
        # The frame's first job refers to nothing; the others may see no splice.
        job = 0 if number == 0 else -(-(start + layout.reach) // layout.size) * layout.size
        clear = start + layout.window
        least = 1 if stop == size or job == 0 else prefix(layout.reach, 0)
        search = bool(layout.window and job) and stop - clear >= least + _SEARCH
        if search or stop - job >= least:
            kept.append(Kept(job if stop - job >= least else None, clear, search, stop))
        start = splices[number].stop if number < len(splices) else size
    return kept


def rewrite(
    source: ByteRange,
    splices: Sequence[Splice],
    settings: CompressionSettings,
    size: int,
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
) -> Reused:
    """Write the frame in `source`, whose content has `size` bytes, to `out` with the splices made.

    What is written was not decompressed. Raises NothingToKeep where it must be compressed as a whole, and CannotReuse
    where that turns out on the way; what `out` holds then is of no use.
    """
    frame = zstd.read_frame(source)
    new_size = size + sum(len(splice.new) - (splice.stop - splice.start) for splice in splices)
    layout = jobs(frame, settings, size)
    kept = kept_ranges(splices, size, layout)
    if frame.window > zstd.MAX_WINDOW:
        raise NothingToKeep("clients do not accept its window")
    if not kept or frame.single_segment or (new_size <= frame.window and frame.content_size is not None):
        raise NothingToKeep("every block depends on what changes")
    parts: Pipe[Part] = Pipe(_PARTS)
    reader = Reader(source, frame, Splicer(splices), progress)
    compressor = Compressor(settings, frame, size, budget)
    writer = Writer(source, frame, new_size, out)
    thread = threading.Thread(target=writer.run, args=(parts,), name="conda-prune zstd", daemon=True)
    thread.start()
    try:
        reused = _Feed(reader, compressor, parts, layout, size).all(kept)
        writer.checksum = reader.checksum()
        parts.close()
    except BaseException as error:
        compressor.cancel()
        parts.close(error)
        thread.join()
        if isinstance(error, PipeClosed) and writer.failure is not None:
            raise writer.failure from error
        raise
    thread.join()
    if writer.failure is not None:
        raise writer.failure
    if reader.new_size != new_size:
        raise CannotReuse("the content has not the size that it must have")
    return Reused(reader.crc, reused)


class _Feed:
    """Sends the new frame's parts down the pipe, in order."""

    def __init__(self, reader: Reader, compressor: Compressor, parts: Pipe[Part], layout: Jobs, size: int) -> None:
        self._reader = reader
        self._compressor = compressor
        self._parts = parts
        self._reach = layout.reach
        self._window = layout.window
        self._size = size
        self._range: Compressing | None = None

    def all(self, kept: Sequence[Kept]) -> int:
        """Send everything; return how many bytes of content are kept compressed."""
        reused = 0
        for keep in kept:
            if self._start(keep):
                for run in self._reader.kept(keep.stop):
                    self._finish()
                    self._parts.put(run)
                    reused += run.length
        self._compress(self._reader.anew(self._size), self._size)
        self._compress(self._reader.rest(), self._size)
        self._finish()
        return reused

    def _start(self, keep: Kept) -> bool:
        """Compress what stands before the range's first block that can be kept; return whether there is one."""
        reader = self._reader
        if keep.job is not None and not (keep.search and keep.clear < keep.job):
            self._compress(reader.anew(keep.job), keep.job)
            if reader.position == keep.job and (
                keep.job == 0 or not self._window or reader.independent(keep.stop, min(keep.clear, keep.stop))
            ):
                return True
        if not keep.search:
            return False
        self._compress(reader.anew(keep.clear), keep.clear)
        self._compress(reader.until_independent(keep.stop, 0 if keep.stop == self._size else _LEAST_PREFIX), keep.stop)
        return reader.found

    def _compress(self, pieces: Iterable[bytes], stop: int) -> None:
        """Send new content, about up to `stop` in the old, to be compressed in one range with what came before."""
        for piece in pieces:
            if self._range is None:
                length = len(piece) + self._reader.expected(stop)
                tail = self._reader.tail(prefix(self._reach, length))
                self._range = self._compressor.start(tail, length, self._size - self._reader.position)
                self._parts.put(self._range)
            self._range.put(piece)
            self._reader.count(piece)

    def _finish(self) -> None:
        if self._range is not None:
            self._range.finish()
            self._range = None
