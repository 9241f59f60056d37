"""Compresses ranges of new content into blocks that fit after any other blocks.

The blocks of a range may refer to the content before it (here called its *history*), which a reader of the new frame
has. They must not use repeat offsets or entropy tables from before it, since the block before the range may be any.
libzstd has no option for this combination, but each job of its multi-threaded mode starts this way. So:

1. Compress the history in multi-threaded mode, and flush. The flush ends the job.
2. Throw away the output so far.
3. Compress the new content. Its first block starts a job, with the history as the overlap to refer to.

Each range has a Python thread of its own, because libzstd's calls block while libzstd's threads are busy. They release
Python's lock in the meantime.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import zstandard

from ...model import CompressionSettings
from ..stream import CannotReuse
from ..threads import Pipe, PipeClosed, ThreadBudget
from . import frame as zstd
from .reader import GROUP

MAX_RANGES = 64
"""Ranges that are being compressed or are waiting to be written. Each holds some megabytes."""
_MIN_JOB = 1 << 20
_MAX_JOB = 1 << 22
"""Bytes of content in a job of a new range. For two threads, libzstd holds five jobs in memory."""
_JOBS = 2
"""Jobs that a range is split into, if they are not smaller than _MIN_JOB. This is a constant, not the number of
threads, because where a job ends changes the bytes, and a package must give the same bytes on every machine. More jobs
would use more cores, but each starts without tables and with less content to refer to: split for eight threads,
payloads of 14 MiB came out up to 7 % larger."""
_SPEED_RATIO = 64
"""At levels with large tables, decompressing is at least this many times faster than compressing. If that many times
the size of a range is still to be decompressed, one thread finishes the range before the decompressor ends."""
_SMALL_TABLES = 1 << 24
"""Bytes of match tables up to which ranges count as one thread, so several are compressed at the same time."""


@dataclass(frozen=True, slots=True)
class CompressedBlocks:
    """A few new blocks, none flagged as the frame's last. The header of the last one is at the offset `last`."""

    data: bytes
    last: int


class PendingRange:
    """A range of content that is being compressed: `put` takes the content, and `output` yields the blocks.

    `start` must be called first. The reader of `output` must call `release` at the end.
    """

    def __init__(
        self,
        parameters: zstandard.ZstdCompressionParameters,
        history: bytes,
        budget: ThreadBudget,
        slots: threading.Semaphore,
    ) -> None:
        self.output: Pipe[CompressedBlocks] = Pipe(64)
        self._slots = slots
        self._input: Pipe[bytes] = Pipe(24)
        self._parameters = parameters
        self._history = history
        self._budget = budget
        # Reserve threads now, in the order in which ranges are written. Otherwise a later range could take the threads,
        # fill its output, and wait for the writer, which waits for this range, which waits for threads.
        self._reservation = budget.reserve()

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Start compressing, on a thread of the pool."""
        pool.submit(self._run)

    def put(self, piece: bytes) -> None:
        """Add content; raise PipeClosed if the range is no longer needed."""
        self._input.put(piece)

    def finish(self, failure: BaseException | None = None) -> None:
        """Say that no more content follows. The reader of `output` gets `failure` instead of the remaining blocks."""
        self._input.close(failure)

    def release(self) -> None:
        """Free what the range holds. Its output must not be read any more."""
        self.output.abandon()
        self._slots.release()

    def _run(self) -> None:
        threads = self._parameters.threads if _table_size(self._parameters) > _SMALL_TABLES else 1
        try:
            with self._budget.threads(threads, self._reservation):
                for blocks in regroup(self._compressed()):
                    self.output.put(blocks)
            self.output.close()
        except BaseException as error:
            self._input.abandon()
            self.output.close(error)

    def _compressed(self) -> Iterator[bytes]:
        """Yield the compressed blocks of the range, in pieces that may end anywhere."""
        compressor = zstandard.ZstdCompressor(compression_params=self._parameters).compressobj()
        if self._history:
            # Not yielded: this is the header of a frame of its own, and the blocks of the history.
            compressor.compress(self._history)
            compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self._history = b""
            for piece in self._input:
                yield compressor.compress(piece)
            yield compressor.flush()
            return
        # Without history, the range is the start of the new frame. Only the frame header has to be removed.
        head = b""
        for piece in self._input:
            head += compressor.compress(piece)
            if head:
                yield head[zstandard.frame_header_size(head) :]
                break
        for piece in self._input:
            yield compressor.compress(piece)
        rest = compressor.flush()
        yield rest if head else rest[zstandard.frame_header_size(rest) :]


class RangeCompressor:
    """Starts ranges that are compressed with a stream's settings and fit in its frame. `size` is the old content's."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        settings: CompressionSettings,
        frame: zstd.FrameHeader,
        size: int,
        budget: ThreadBudget,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._frame = frame
        self._size = frame.content_size or size
        self._budget = budget
        self._slots = threading.Semaphore(MAX_RANGES)
        self._started: list[PendingRange] = []

    def start(self, history: bytes, length: int, rest: int) -> PendingRange:
        """Return a new range of about `length` bytes; the new content before it ends with `history`.

        `rest` bytes of old content are still to be decompressed. Waits while MAX_RANGES ranges are not yet written.
        """
        self._slots.acquire()
        # If decompressing the rest takes longer anyway, a second thread would save nothing, but double the memory. The
        # number of threads does not change the bytes.
        threads = 1 if rest >= _SPEED_RATIO * length else self._budget.count
        parameters = self._parameters(len(history), length, threads)
        pending = PendingRange(parameters, history, self._budget, self._slots)
        # First: if starting is interrupted, the thread may have started, and ends only if the range is cancelled.
        self._started.append(pending)
        pending.start(self._pool)
        return pending

    def cancel(self) -> None:
        """End the work on all ranges."""
        for pending in self._started:
            pending.finish(PipeClosed())
            pending.output.abandon()

    def _parameters(self, history: int, length: int, threads: int) -> zstandard.ZstdCompressionParameters:
        """Return libzstd's parameters for about `length` bytes after `history` bytes; `threads` does not change output.

        The window and the tables are no larger than the range can fill: for little content, clearing large tables would
        take longer than compressing.
        """
        whole = zstandard.ZstdCompressionParameters.from_level(self._settings.level, source_size=self._size)
        window = min(whole.window_log, self._frame.window.bit_length() - 1)
        narrow = min(window, max(10, (history + length - 1).bit_length()))
        # A job refers back to at most the job before it, so the history must fit in one job.
        job = max(history, min(_MAX_JOB, 4 << window, max(_MIN_JOB, -(-length // _JOBS))))
        return zstandard.ZstdCompressionParameters.from_level(
            self._settings.level,
            source_size=self._size,
            window_log=narrow,
            hash_log=min(whole.hash_log, narrow + 1),
            chain_log=min(whole.chain_log, narrow + 1),
            # 9: the overlap is the whole window, which was narrowed to what is there. 0: the strategy's default.
            overlap_log=9 if narrow < window else 0,
            job_size=job,
            # Threads beyond the number of jobs would be idle, and missing elsewhere.
            threads=min(threads, max(1, -(-length // job))),
            write_content_size=False,
            write_checksum=False,
        )


def _table_size(parameters: zstandard.ZstdCompressionParameters) -> int:
    """Return the bytes of libzstd's match tables, at four bytes per entry."""
    return 4 * ((1 << parameters.hash_log) + (1 << parameters.chain_log))


def regroup(chunks: Iterable[bytes]) -> Iterator[CompressedBlocks]:
    """Yield the blocks in `chunks`, up to GROUP at a time, without empty blocks and with the last-block flag cleared.

    Chunks may end anywhere, as libzstd's output does. To end a frame after a flush, libzstd writes an empty raw block.
    Raises CannotReuse if the last block is incomplete.
    """
    waiting = bytearray()
    group = bytearray()
    last = count = at = 0
    for chunk in chunks:
        waiting += chunk
        at = 0
        while len(waiting) - at >= 3:
            bits = int.from_bytes(waiting[at : at + 3], "little")
            stop = at + 3 + (1 if bits >> 1 & 3 == zstd.RLE else bits >> 3)
            if stop > len(waiting):
                break
            if bits >> 1:  # Zero: type raw, size 0, which is an empty block.
                last = len(group)
                group += waiting[at:stop]
                group[last] &= 0xFE
                count += 1
                if count == GROUP:
                    yield CompressedBlocks(bytes(group), last)
                    group.clear()
                    count = 0
            at = stop
        del waiting[:at]
    if waiting:
        raise CannotReuse("libzstd ended within a block")
    if count:
        yield CompressedBlocks(bytes(group), last)
