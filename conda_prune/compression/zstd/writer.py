"""Puts a zstd frame together from blocks of an old one and from new ones.

New blocks are compressed on threads of their own, in ranges; the writer takes everything in order. Neither holds more
than a few megabytes beyond the frame's window and libzstd's tables and jobs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TypeAlias

import zstandard

from ...model import CompressionSettings
from ..byte_range import ByteRange
from ..splicer import CannotReuse
from ..threads import Pipe, PipeClosed, ThreadBudget
from . import frame as zstd
from .reader import GROUP, Run, marked

_MIN_JOB = 1 << 20
_MAX_JOB = 1 << 22
"""Bytes of content in a job of a new range: libzstd holds five jobs in memory for two threads."""
_JOBS = 2
"""Jobs that a range is split into at least. A constant, not the number of threads: where a job ends changes the bytes,
and the same package must come out the same on every machine. More jobs would keep more cores busy, but each starts
without tables and with a shorter window: split for eight threads, payloads of 14 MiB came out up to 7 % larger."""
_FASTER = 64
"""How many times a range's size must be left to decompress for one thread to compress it: so much faster is that, at
least, at levels with large tables."""
_RANGES = 64
"""Ranges that are compressed, or wait to be written, at a time: each holds some megabytes."""
_SMALL = 1 << 24
"""Bytes of tables with which several ranges may be compressed at the same time, each on a thread of its own."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Blocks just compressed, none of them marked as the frame's last; the last one's header stands at `last`."""

    data: bytes
    last: int


Part: TypeAlias = "Run | Compressing"


class Compressing:
    """A range of content on its way through libzstd; `output` has its blocks, which may follow any others.

    Whoever reads them calls `taken` at last; `room` is told then.
    """

    def __init__(
        self,
        parameters: zstandard.ZstdCompressionParameters,
        prefix: bytes,
        budget: ThreadBudget,
        room: threading.Semaphore,
    ) -> None:
        self.output: Pipe[Packed] = Pipe(64)
        self._room = room
        self._input: Pipe[bytes] = Pipe(24)
        self._parameters = parameters
        self._prefix = prefix
        self._budget = budget
        self._place = budget.reserve()
        threading.Thread(target=self._run, name="conda-prune zstd range", daemon=True).start()

    def put(self, piece: bytes) -> None:
        """Take more content; raise PipeClosed when it is of no use any more."""
        self._input.put(piece)

    def finish(self, failure: BaseException | None = None) -> None:
        """Take no more content; with a failure, the reader of `output` gets that in place of the rest."""
        self._input.close(failure)

    def taken(self) -> None:
        """Take note that nobody reads the output any more."""
        self.output.abandon()
        self._room.release()

    def _run(self) -> None:
        try:
            with self._budget.threads(
                self._parameters.threads if _tables(self._parameters) > _SMALL else 1, self._place
            ):
                for packed in regroup(self._compressed()):
                    self.output.put(packed)
            self.output.close()
        except BaseException as error:
            self._input.abandon()
            self.output.close(error)

    def _compressed(self) -> Iterator[bytes]:
        compressor = zstandard.ZstdCompressor(compression_params=self._parameters).compressobj()
        if self._prefix:
            # The flush ends a job of libzstd's: the next one still refers to the prefix, but uses none of the repeat
            # offsets and tables that the frame's reader will not have.
            compressor.compress(self._prefix)
            compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self._prefix = b""
            for piece in self._input:
                yield compressor.compress(piece)
            yield compressor.flush()
            return
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


class Compressor:
    """Compresses ranges by a settings so that they fit a frame; each takes the threads that it needs."""

    def __init__(self, settings: CompressionSettings, frame: zstd.Frame, size: int, budget: ThreadBudget) -> None:
        self._settings = settings
        self._frame = frame
        self._size = frame.content_size or size
        self._threads = budget.count
        self._budget = budget
        self._room = threading.Semaphore(_RANGES)
        self._started: list[Compressing] = []

    def start(self, prefix: bytes, length: int, rest: int) -> Compressing:
        """Return a new range of about `length` bytes, behind content that ends with `prefix`.

        `rest` bytes of old content are still to be decompressed meanwhile. Waits where many earlier ranges were not
        taken yet.
        """
        self._room.acquire()
        # A second thread takes as much memory again, for seconds at most: decompressing goes on meanwhile. In libzstd's
        # multi-threaded mode, which one thread uses here, too, the number of threads does not change the bytes.
        threads = 1 if rest >= _FASTER * length else self._threads
        compressing = Compressing(self._parameters(len(prefix), length, threads), prefix, self._budget, self._room)
        self._started.append(compressing)
        return compressing

    def cancel(self) -> None:
        """End every range's thread."""
        for compressing in self._started:
            compressing.finish(PipeClosed())
            compressing.output.abandon()

    def _parameters(self, prefix: int, length: int, threads: int) -> zstandard.ZstdCompressionParameters:
        """Return the settings's parameters for a range of about `length` bytes: no larger tables than it can fill.

        Only `threads` of the result depends on the number of threads.
        """
        whole = zstandard.ZstdCompressionParameters.from_level(self._settings.level, source_size=self._size)
        window = min(whole.window_log, self._frame.window.bit_length() - 1)
        narrow = min(window, max(10, (prefix + length - 1).bit_length()))
        # libzstd shows a job at most the job before it, so the prefix has to fit into one.
        job = max(prefix, min(_MAX_JOB, 4 << window, max(_MIN_JOB, -(-length // _JOBS))))
        return zstandard.ZstdCompressionParameters.from_level(
            self._settings.level,
            source_size=self._size,
            window_log=narrow,
            hash_log=min(whole.hash_log, narrow + 1),
            chain_log=min(whole.chain_log, narrow + 1),
            # libzstd takes part of the window as prefix; where the window was made smaller, all of it is needed.
            overlap_log=9 if narrow < window else 0,
            job_size=job,
            # More threads than jobs would keep other ranges waiting for nothing.
            threads=min(threads, max(1, -(-length // job))),
            write_content_size=False,
            write_checksum=False,
        )


def _tables(parameters: zstandard.ZstdCompressionParameters) -> int:
    return 4 * ((1 << parameters.hash_log) + (1 << parameters.chain_log))


def regroup(chunks: Iterable[bytes]) -> Iterator[Packed]:
    """Yield the blocks that come in `chunks`, no more than a group at a time: unmarked, without empty ones."""
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
            if bits >> 1:
                last = len(group)
                group += waiting[at:stop]
                group[last] &= 0xFE
                count += 1
                if count == GROUP:
                    yield Packed(bytes(group), last)
                    group.clear()
                    count = 0
            at = stop
        del waiting[:at]
    if waiting:
        raise CannotReuse("libzstd ended within a block")
    if count:
        yield Packed(bytes(group), last)


class Writer:
    """Puts the new frame together in `out`.

    `checksum` must be set before the parts end. `failure` is what ended the work early.
    """

    def __init__(self, source: ByteRange, frame: zstd.Frame, size: int, out: IO[bytes]) -> None:
        self.checksum = b""
        self.failure: BaseException | None = None
        self._source = source
        self._out = out
        self._header = frame_header(source.read(0, frame.header), size)
        self._held: tuple[bytes, int] | None = None

    def run(self, parts: Pipe[Part]) -> None:
        """Write all parts; afterwards nobody waits for this thread, whatever happened."""
        try:
            self._out.write(self._header)
            for part in parts:
                if isinstance(part, Run):
                    self._take(self._source.read(part.start, part.stop - part.start), part.last - part.start)
                    continue
                try:
                    for packed in part.output:
                        self._take(packed.data, packed.last)
                finally:
                    part.taken()
            self._end()
        except BaseException as error:
            self.failure = error
            for part in parts.abandon():
                if isinstance(part, Compressing):
                    part.taken()

    def _take(self, data: bytes, last: int) -> None:
        """Hold the blocks until it is known whether more follow, and write those held before."""
        if self._held is not None:
            self._out.write(self._held[0])
        self._held = marked(data, last, final=False), last

    def _end(self) -> None:
        if self._held is None:
            raise CannotReuse("the new frame has no blocks")
        self._out.write(marked(*self._held, final=True) + self.checksum)


def frame_header(old: bytes, size: int) -> bytes:
    """Return a frame header with the window and the checksum flag of `old` and the content size `size`."""
    flag, field = 3, size.to_bytes(8, "little")
    if 256 <= size < 65536 + 256:
        flag, field = 1, (size - 256).to_bytes(2, "little")
    elif size < 1 << 32:
        flag, field = 2, size.to_bytes(4, "little")
    return old[:4] + bytes([flag << 6 | old[4] & 0x04, old[5]]) + field
