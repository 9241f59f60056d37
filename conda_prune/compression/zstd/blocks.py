"""Decides which blocks of a zstd frame are copied and which content is compressed again. Pure: it sees only numbers.

A block depends on up to three things from before it: content that its matches copy from, the last three match offsets
("repeat offsets"), and entropy tables (see `__init__.py`). After a splice, all three may be different. So copying may
start at a block only if

* the content that it and the blocks after it refer to contains no splice, and
* neither it nor a block after it uses repeat offsets or tables from before it.

Then copying goes on until the next splice: what blocks take from copied blocks is what they had in the original. Before
the first splice, everything is copied.

Two kinds of blocks are candidates for a start:

* The first block of a *job* of libzstd's multi-threaded mode. It uses no earlier offsets or tables by construction, and
  refers back over the overlap only (`JobLayout.reach`), which may be shorter than the window. The layout is computed
  from the settings.
* Any block more than a window after the splice that happens to be independent, which the caller finds out by trying
  (`independence.py`).

The earlier candidate wins. If it is a job that turns out not to fit, the search for an independent block is the
fallback. Both are predictions about the old frame. If one is wrong, the result does not have the expected content,
which is noticed when it is read back.

Measured with 865 MB of content: 46 of 52 jobs were copied at levels 9 and 15, where 5 MB had to be compressed; 22 of 26
at level 19.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...model import CompressionSettings, Splice
from .frame import FrameHeader, parameters

MIN_HISTORY = 1 << 20
"""Bytes of preceding content that a compressor is shown at least, if a job may refer back that far."""
TRIAL_DISTANCE = 1 << 16
"""Bytes of content between two trials. Each trial copies a window, and blocks may be as small as a byte."""
_MIN_JOB = 1 << 20
"""Bytes of content of the smallest job, unless a writer sets the size of jobs itself."""
_MIN_THREADED = 1 << 19
"""libzstd compresses content of up to this size in one thread, even in its multi-threaded mode."""
_MIN_WINDOW = 1 << 16
"""Bytes. With smaller windows, blocks are so short that trying them costs more than compressing them."""
_MAX_SEARCHED = 1 << 26
"""Bytes. Each trial copies the window, so blocks are not tried if the window is larger than this."""
_SEARCH = 1 << 19
"""Bytes of content within which an independent block is expected, since every second or third block is one."""
_LAZY2, _BTOPT, _BTULTRA2 = 5, 7, 9
"""libzstd's numbers of its strategies (ZSTD_strategy)."""
_LONG_MODE = 27
"""The window's logarithm from which libzstd turns long-distance matching on, with the strategies from _BTOPT up."""


@dataclass(frozen=True, slots=True)
class JobLayout:
    """How a frame was cut into jobs of `size` bytes of content.

    Blocks of a job refer back to at most `reach` bytes before the job's start (the overlap), and to at most `window`
    bytes before themselves. `window` is 0 if no blocks should be tried.
    """

    size: int
    reach: int
    window: int


@dataclass(frozen=True, slots=True)
class ReusableRange:
    """A range of old content between two splices, up to `stop`, in which blocks may be copied.

    `job` is where the first job starts that does not refer to the preceding splice; None if there is no such job or too
    little content follows its start. No block at or after `clear` refers to that splice. `search` is whether looking
    for an independent block from `clear` on is worth its cost.
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
    """Compress what the splices make of the old content `start` to `stop`.

    More of the same follows, up to about `goal`; this is how much the compressor prepares for.
    """

    start: int
    stop: int
    goal: int


NextEnd: TypeAlias = Callable[[int, int], int]
"""next_end(at, room): where the next block after `at` ends, or the next few if all of them fit in `room` bytes."""
IsIndependent: TypeAlias = Callable[[int, int, int], bool]
"""is_independent(at, stop, until): whether the blocks from `at` on need nothing from before but the window's content.

All blocks that start before `until` are tried, and always a few, but none that ends after `stop`.
"""


def job_layout(frame: FrameHeader, settings: CompressionSettings, size: int) -> JobLayout:
    """Return the jobs that a frame with `size` bytes of content was written in, if the settings are right.

    These are the rules of libzstd 1.5 (ZSTDMT_computeTargetJobLog, ZSTDMT_computeOverlapSize). The overlap is only
    relied on if the settings reproduced the frame's beginning; otherwise the whole window is assumed.
    """
    chosen = parameters(settings, frame.content_size or 0)
    long = chosen.window_log >= _LONG_MODE and chosen.strategy >= _BTOPT
    reach = frame.window
    if settings.source == "reproduced" and not long:
        reach >>= _overlap_shift(chosen.strategy)
    window = frame.window if frame.window >= _MIN_WINDOW and min(frame.window, size) <= _MAX_SEARCHED else 0
    if not settings.threaded or frame.window & (frame.window - 1) or size <= _MIN_THREADED:
        # A single job: the writer used one thread, or is not libzstd, whose windows are always powers of two.
        return JobLayout(max(size, 1), reach, window)
    if long:
        # With long-distance matching, the size of a job depends on the chain table (512 MiB at level 22), and the
        # overlap is the whole window.
        return JobLayout(1 << max(21, chosen.chain_log - 1 + 3), reach, window)
    return JobLayout(max(_MIN_JOB, 4 * frame.window), reach, window)


def _overlap_shift(strategy: int) -> int:
    """Return `n` if the overlap of libzstd's jobs is the window divided by 2 to the power of `n`."""
    if strategy >= _BTULTRA2:
        return 0
    if strategy >= _BTOPT:
        return 1
    return 2 if strategy >= _LAZY2 else 3


def history_size(reach: int, length: int) -> int:
    """Return how many bytes of preceding content to show a compressor that is going to compress `length` bytes.

    More content would offer more matches, but indexing it would cost more time than that saves.
    """
    return min(reach, max(MIN_HISTORY, length))


def reusable_ranges(splices: Sequence[Splice], size: int, layout: JobLayout) -> list[ReusableRange]:
    """Return the ranges of old content in which blocks may be copied, in order: at most one between two splices.

    A short range followed by a splice is left out, because it saves nothing: after it, a compressor would have to be
    shown the end of it again, as history.
    """
    ranges: list[ReusableRange] = []
    start = 0
    for number in range(len(splices) + 1):
        stop = splices[number].start if number < len(splices) else size
        # Before the first splice, copying starts with the frame. After a splice, it starts with the first job whose
        # overlap begins at or after the splice's end: `start + reach`, rounded up to a multiple of the job size.
        job = 0 if number == 0 else -(-(start + layout.reach) // layout.size) * layout.size
        clear = start + layout.window
        least = 1 if stop == size or job == 0 else history_size(layout.reach, 0)
        search = bool(layout.window and job) and stop - clear >= least + _SEARCH
        if search or stop - job >= least:
            ranges.append(ReusableRange(job if stop - job >= least else None, clear, search, stop))
        start = splices[number].stop if number < len(splices) else size
    return ranges


def decide(
    ranges: Sequence[ReusableRange], size: int, layout: JobLayout, next_end: NextEnd, is_independent: IsIndependent
) -> Iterator[Copy | Compress]:
    """Yield what to do with each block of `size` bytes of old content, in order and without gaps.

    The two functions answer questions about the blocks that come next. So the caller must carry out each step before it
    asks for the next one: the content is decompressed only once, and no more than a window of it is kept.
    """
    at = 0
    for reusable in ranges:
        copying = False
        if reusable.job is not None and (reusable.job <= reusable.clear or not reusable.search):
            at = yield from recompress_until(at, reusable.job, next_end)
            # If no block ends where the job should start, the prediction is wrong. If one does, it may still be wrong:
            # the writer may have flushed later on, which moves all jobs. So the job's start is tried, with all blocks
            # up to `clear`, since those could refer to the splice. The frame's own start needs no trial.
            copying = at == reusable.job and (
                at == 0 or not layout.window or is_independent(at, reusable.stop, min(reusable.clear, reusable.stop))
            )
        if reusable.search and not copying:
            at = yield from recompress_until(at, reusable.clear, next_end)
            # Copying less than the history of the next compressor saves nothing, unless nothing follows.
            least = 0 if reusable.stop == size else MIN_HISTORY
            at, copying = yield from skip_to_independent(at, reusable.stop, least, next_end, is_independent)
        while copying and at < reusable.stop:
            end = next_end(at, reusable.stop - at)
            if end > reusable.stop:
                break  # The next splice lies in this block.
            yield Copy(at, end)
            at = end
    yield from recompress_until(at, size, next_end)


def recompress_until(at: int, stop: int, next_end: NextEnd) -> Generator[Compress, None, int]:
    """Compress the blocks from `at` to the first block end at or after `stop`, and return that offset."""
    while at < stop:
        end = next_end(at, stop - at)
        yield Compress(at, end, stop)
        at = end
    return at


def skip_to_independent(
    at: int, stop: int, least: int, next_end: NextEnd, is_independent: IsIndependent
) -> Generator[Compress, None, tuple[int, bool]]:
    """Compress the blocks from `at` to the first independent one; return where it starts, and whether there is one.

    The search ends when no more than `least` bytes are left before `stop`. There must be no splice between a window
    before `at` and `stop`.
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
