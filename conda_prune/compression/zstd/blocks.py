"""Decides which blocks of a zstd frame are copied and which content is compressed again. Pure: it sees only numbers.

A zstd frame is a chain of blocks of up to 128 KiB of content. A block is not self-contained. It depends on

* content before it, up to one window back, that its matches copy from;
* the last three match distances, which later sequences may name by number ("repeat offsets");
* entropy tables (Huffman and FSE) of an earlier block that it may use again.

After a splice the content before a block is not what the block was written for. So a block may only be copied if no
splice lies within a window before it, and if it uses neither repeat offsets nor tables from before the place where
copying starts. Blocks that follow a copied block are fine: what they depend on was copied, too.

There are two places to look for such a block:

* The start of a *job*. libzstd's multi-threaded mode cuts content into jobs of fixed size, which threads compress
  separately. A job starts without repeat offsets and tables, and refers back over an overlap that is smaller than the
  window. Their place is computed from the settings.
* Any block more than a window after a splice. In real packages, every second or third block happens to depend on
  nothing but content; whether it does is tried (see independence.py).

Measured with 865 MB of content: 46 of 52 jobs were copied at levels 9 and 15, where 5 MB had to be compressed; 22 of 26
at level 19.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...model import CompressionSettings, Splice
from .frame import FrameHeader, parameters

MIN_PREFIX = 1 << 20
"""Bytes of preceding content that a compressor is shown at least, if a job may refer back that far."""
TRIAL_DISTANCE = 1 << 16
"""Bytes of content between two trials: each copies a window, and blocks may be as small as a byte."""
_MIN_JOB = 1 << 20
_MIN_THREADED = 1 << 19
"""libzstd compresses content of up to this size in one thread, even in its multi-threaded mode."""
_MIN_WINDOW = 1 << 16
"""With smaller windows, blocks are so short that trying them costs more than compressing them."""
_MAX_SEARCHED = 1 << 26
"""Each trial copies the window, so blocks are not tried if that is larger than this."""
_SEARCH = 1 << 19
"""Bytes of content within which an independent block is expected: every second or third block is independent."""
_LAZY2, _BTOPT, _BTULTRA2 = 5, 7, 9
"""libzstd's numbers of its strategies (ZSTD_strategy)."""
_LONG_MODE = 27
"""The window's logarithm from which libzstd turns long-distance matching on, with the strategies from _BTOPT up."""


@dataclass(frozen=True, slots=True)
class JobLayout:
    """How a frame was cut into jobs of `size` bytes of content; a job refers back over `reach` bytes before its start.

    Within a job, a block refers back over `window` bytes; that is 0 if no blocks are to be tried.
    """

    size: int
    reach: int
    window: int


@dataclass(frozen=True, slots=True)
class ReusableRange:
    """A range of old content between two splices, up to `stop`, in which blocks may be copied.

    `job` is where the first job starts that does not refer to the splice before; None if too little follows it. From
    `clear` on, no block refers to it. `search` says whether looking for an independent block there is worth its cost.
    """

    job: int | None
    clear: int
    search: bool
    stop: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the blocks with the old content `start` to `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Compress:
    """Compress the new content for the old content `start` to `stop`; more of that follows, up to about `goal`."""

    start: int
    stop: int
    goal: int


NextEnd: TypeAlias = Callable[[int, int], int]
"""next_end(at, room): where the content of the next block after `at` ends; of several if they fit into `room` bytes."""
IsIndependent: TypeAlias = Callable[[int, int, int], bool]
"""is_independent(at, stop, beyond): whether the blocks from `at` on may follow any content that has the same window.

The blocks up to `beyond` are tried, at least a few, but none that ends after `stop`.
"""


def job_layout(frame: FrameHeader, settings: CompressionSettings, size: int) -> JobLayout:
    """Return the jobs that a frame with `size` bytes of content was written in, if the settings are right.

    These are the rules of libzstd 1.5 (ZSTDMT_computeTargetJobLog, ZSTDMT_computeOverlapSize). If they do not hold for
    a frame, blocks may be copied that do not fit: the finished frame then does not have the right content, which is
    noticed when it is read back.
    """
    chosen = parameters(settings, frame.content_size or 0)
    long = chosen.window_log >= _LONG_MODE and chosen.strategy >= _BTOPT
    reach = frame.window
    if settings.source == "reproduced" and not long:
        reach >>= _overlap_shift(chosen.strategy)
    window = frame.window if frame.window >= _MIN_WINDOW and min(frame.window, size) <= _MAX_SEARCHED else 0
    if not settings.threaded or frame.window & (frame.window - 1) or size <= _MIN_THREADED:
        # One job: a single-threaded writer, or a window that is not a power of two, which libzstd never writes.
        return JobLayout(max(size, 1), reach, window)
    if long:
        # Long mode sizes jobs by the chain table (512 MiB at level 22) and finds matches in the whole window.
        return JobLayout(1 << max(21, chosen.chain_log - 1 + 3), reach, window)
    return JobLayout(max(_MIN_JOB, 4 * frame.window), reach, window)


def _overlap_shift(strategy: int) -> int:
    """Return by how many powers of two the overlap of libzstd's jobs is smaller than the window."""
    if strategy >= _BTULTRA2:
        return 0
    if strategy >= _BTOPT:
        return 1
    return 2 if strategy >= _LAZY2 else 3


def prefix_size(reach: int, length: int) -> int:
    """Return how much preceding content to show a compressor of `length` bytes: more would cost more than it saves."""
    return min(reach, max(MIN_PREFIX, length))


def reusable_ranges(splices: Sequence[Splice], size: int, layout: JobLayout) -> list[ReusableRange]:
    """Return the ranges of old content in which blocks may be copied, in order: at most one between two splices.

    A short range before other content saves nothing: to continue after it, a compressor must be shown its end.
    """
    ranges: list[ReusableRange] = []
    start = 0
    for number in range(len(splices) + 1):
        stop = splices[number].start if number < len(splices) else size
        # The frame's first job refers to nothing. Of the others, the first whose overlap starts after the splice.
        job = 0 if number == 0 else -(-(start + layout.reach) // layout.size) * layout.size
        clear = start + layout.window
        least = 1 if stop == size or job == 0 else prefix_size(layout.reach, 0)
        search = bool(layout.window and job) and stop - clear >= least + _SEARCH
        if search or stop - job >= least:
            ranges.append(ReusableRange(job if stop - job >= least else None, clear, search, stop))
        start = splices[number].stop if number < len(splices) else size
    return ranges


def decide(
    ranges: Sequence[ReusableRange], size: int, layout: JobLayout, next_end: NextEnd, is_independent: IsIndependent
) -> Iterator[Copy | Compress]:
    """Yield what becomes of each block of `size` bytes of old content, in order and without gaps.

    The two functions answer for the blocks after all those that were yielded before, so what is yielded must be carried
    out before the next is asked for: the content is decompressed once, and only a window of it is held.
    """
    at = 0
    for range_ in ranges:
        found = False
        if range_.job is not None and (range_.job <= range_.clear or not range_.search):
            at = yield from recompress_until(at, range_.job, next_end)
            # If no block ends where the job should start, the settings are wrong about the jobs. A job is tried, too:
            # settings that reproduce the beginning may have been changed later, by a flush for instance.
            found = at == range_.job and (
                at == 0 or not layout.window or is_independent(at, range_.stop, min(range_.clear, range_.stop))
            )
        if range_.search and not found:
            at = yield from recompress_until(at, range_.clear, next_end)
            # Copying less than a prefix saves nothing, unless nothing has to be compressed after it.
            least = 0 if range_.stop == size else MIN_PREFIX
            at, found = yield from skip_to_independent(at, range_.stop, least, next_end, is_independent)
        while found and at < range_.stop:
            end = next_end(at, range_.stop - at)
            if end > range_.stop:
                break  # The next splice lies in this block.
            yield Copy(at, end)
            at = end
    yield from recompress_until(at, size, next_end)


def recompress_until(at: int, stop: int, next_end: NextEnd) -> Generator[Compress, None, int]:
    """Compress the blocks from `at` to the first block end at or after `stop`; return that."""
    while at < stop:
        end = next_end(at, stop - at)
        yield Compress(at, end, stop)
        at = end
    return at


def skip_to_independent(
    at: int, stop: int, least: int, next_end: NextEnd, is_independent: IsIndependent
) -> Generator[Compress, None, tuple[int, bool]]:
    """Compress the blocks from `at` to the first independent one; return where it starts, and whether there is one.

    It ends without one where fewer than `least` bytes are left before `stop`. No splice may lie between `stop` and a
    window before `at`.
    """
    tried = at - TRIAL_DISTANCE
    while stop - at > least:
        if at - tried >= TRIAL_DISTANCE:
            tried = at
            if is_independent(at, stop, at):
                return at, True
        end = next_end(at, stop - at)
        yield Compress(at, end, stop)
        at = end
    return at, False
