"""Compresses ranges of new content into blocks that fit after any other blocks.

libzstd cannot be told to start without repeat offsets and tables but with preceding content to refer to. Its
multi-threaded mode does just that at the start of each job, so every range is compressed in that mode: the preceding
content goes in first; a flush ends its job, and its blocks are thrown away; the blocks after the flush are the range's.

Each range has a thread: libzstd's calls block while its own threads are busy, and release Python's lock meanwhile.
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
"""Ranges that are compressed, or wait to be written, at the same time: each holds some megabytes."""
_MIN_JOB = 1 << 20
_MAX_JOB = 1 << 22
"""Bytes of content in a job of a new range: for two threads, libzstd holds five jobs in memory."""
_JOBS = 2
"""Jobs that a range is split into at least. A constant, not the number of threads: where a job ends changes the bytes,
and the same package must give the same bytes on every machine. More jobs would use more cores, but each starts without
tables and with a shorter window: split for eight threads, payloads of 14 MiB came out up to 7 % larger."""
_FASTER = 64
"""By how much decompressing is faster than compressing at levels with large tables, at least. If that much content is
still to be decompressed, one thread finishes the range in the meantime."""
_SMALL = 1 << 24
"""Bytes of tables up to which several ranges may be compressed at the same time, each on a thread."""


@dataclass(frozen=True, slots=True)
class CompressedBlocks:
    """A few new blocks, none flagged as the frame's last; the header of the last one is at `last` in `data`."""

    data: bytes
    last: int


class PendingRange:
    """A range of content on its way through libzstd: content goes into `put`, and `output` has the blocks.

    The reader of `output` must call `release` in the end.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        parameters: zstandard.ZstdCompressionParameters,
        prefix: bytes,
        budget: ThreadBudget,
        room: threading.Semaphore,
    ) -> None:
        self.output: Pipe[CompressedBlocks] = Pipe(64)
        self._room = room
        self._input: Pipe[bytes] = Pipe(24)
        self._parameters = parameters
        self._prefix = prefix
        self._budget = budget
        # Reserved here, in the order in which the ranges are written: a later range that got its threads first could
        # fill its output and wait for the writer, which waits for this range, which waits for threads.
        self._place = budget.reserve()
        pool.submit(self._run)

    def put(self, piece: bytes) -> None:
        """Add content; raise PipeClosed if the range is not needed any more."""
        self._input.put(piece)

    def finish(self, failure: BaseException | None = None) -> None:
        """Add no more content. A failure is raised for the reader of `output` in place of the remaining blocks."""
        self._input.close(failure)

    def release(self) -> None:
        """Free what the range holds: nothing reads its output any more."""
        self.output.abandon()
        self._room.release()

    def _run(self) -> None:
        threads = self._parameters.threads if _table_size(self._parameters) > _SMALL else 1
        try:
            with self._budget.threads(threads, self._place):
                for blocks in regroup(self._compressed()):
                    self.output.put(blocks)
            self.output.close()
        except BaseException as error:
            self._input.abandon()
            self.output.close(error)

    def _compressed(self) -> Iterator[bytes]:
        """Yield the blocks of the range, cut anywhere."""
        compressor = zstandard.ZstdCompressor(compression_params=self._parameters).compressobj()
        if self._prefix:
            compressor.compress(self._prefix)
            compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self._prefix = b""
            for piece in self._input:
                yield compressor.compress(piece)
            yield compressor.flush()
            return
        # Without a prefix the range starts the frame, and only the frame header has to be removed.
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
    """Starts ranges that are compressed with a stream's settings and fit its frame. `size` is the old content's."""

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
        self._room = threading.Semaphore(MAX_RANGES)
        self._started: list[PendingRange] = []

    def start(self, prefix: bytes, length: int, rest: int) -> PendingRange:
        """Return a new range of about `length` bytes after content that ends with `prefix`.

        `rest` bytes of old content are still to be decompressed. Waits while too many ranges are not written yet.
        """
        self._room.acquire()
        # A second thread takes as much memory again and saves seconds at most, if decompressing goes on for longer
        # anyway. It does not change the bytes.
        threads = 1 if rest >= _FASTER * length else self._budget.count
        parameters = self._parameters(len(prefix), length, threads)
        pending = PendingRange(self._pool, parameters, prefix, self._budget, self._room)
        self._started.append(pending)
        return pending

    def cancel(self) -> None:
        """End the work on all ranges."""
        for pending in self._started:
            pending.finish(PipeClosed())
            pending.output.abandon()

    def _parameters(self, prefix: int, length: int, threads: int) -> zstandard.ZstdCompressionParameters:
        """Return libzstd's parameters for a range of about `length` bytes; `threads` changes nothing but their number.

        The window and the tables are no larger than the range can fill, since clearing large ones takes longer than
        compressing little content.
        """
        whole = zstandard.ZstdCompressionParameters.from_level(self._settings.level, source_size=self._size)
        window = min(whole.window_log, self._frame.window.bit_length() - 1)
        narrow = min(window, max(10, (prefix + length - 1).bit_length()))
        # A job sees at most the job before it, so the prefix has to fit into one.
        job = max(prefix, min(_MAX_JOB, 4 << window, max(_MIN_JOB, -(-length // _JOBS))))
        return zstandard.ZstdCompressionParameters.from_level(
            self._settings.level,
            source_size=self._size,
            window_log=narrow,
            hash_log=min(whole.hash_log, narrow + 1),
            chain_log=min(whole.chain_log, narrow + 1),
            # The overlap is part of the window (0: as the strategy says). A narrowed window is needed as a whole (9).
            overlap_log=9 if narrow < window else 0,
            job_size=job,
            # More threads than jobs would take them from other ranges for nothing.
            threads=min(threads, max(1, -(-length // job))),
            write_content_size=False,
            write_checksum=False,
        )


def _table_size(parameters: zstandard.ZstdCompressionParameters) -> int:
    """Return the bytes of libzstd's match tables: four for each entry."""
    return 4 * ((1 << parameters.hash_log) + (1 << parameters.chain_log))


def regroup(chunks: Iterable[bytes]) -> Iterator[CompressedBlocks]:
    """Yield the blocks in `chunks`, up to a group at a time, without empty ones and without last flags.

    libzstd returns output as it is produced, cut anywhere. An empty raw block is how it ends a frame after a flush.
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
            if bits >> 1:  # Neither a type nor a size: a raw block of 0 bytes.
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
