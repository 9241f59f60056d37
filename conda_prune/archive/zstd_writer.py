"""Puts a zstd frame together from blocks of an old one and from new ones, and decompresses it as it grows.

New blocks are compressed on threads of their own, in ranges; the writer takes everything in order. Neither holds more
than a few megabytes beyond the frame's window and libzstd's tables and jobs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import zstandard

from ..model import Recipe
from . import zstd
from .extent import Extent
from .reuse import Gone, Pipe, Unfit
from .zstd_reader import GROUP, Run, marked

_MIN_JOB = 1 << 20
_MAX_JOB = 1 << 22
"""Of what is compressed anew: libzstd holds five jobs in memory for two threads."""
_SMALL = 1 << 24
"""Bytes of tables with which several ranges may be compressed at the same time, each on a thread of its own."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Blocks just compressed, none of them marked as the frame's last; the last one's header stands at `last`."""

    data: bytes
    last: int


Part: TypeAlias = "Run | Pipe[Packed]"


class Turns:
    """Lets ranges be compressed at the same time as long as they need no more than `free` turns together."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Wait for `count` turns, and give them back."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


class Compressing:
    """A range of content on its way through libzstd; `output` has its blocks, which may follow any others."""

    def __init__(self, settings: zstandard.ZstdCompressionParameters, prefix: bytes, turns: Turns) -> None:
        self.output: Pipe[Packed] = Pipe(64)
        self._input: Pipe[bytes] = Pipe(24)
        self._settings = settings
        self._prefix = prefix
        self._turns = turns
        threading.Thread(target=self._run, name="conda-prune zstd range", daemon=True).start()

    def put(self, piece: bytes) -> None:
        """Take more content; raise Gone when it is of no use any more."""
        self._input.put(piece)

    def finish(self, failure: BaseException | None = None) -> None:
        """Take no more content; with a failure, the reader of `output` gets that in place of the rest."""
        self._input.close(failure)

    def _run(self) -> None:
        try:
            with self._turns.take(self._settings.threads if _tables(self._settings) > _SMALL else 1):
                for packed in regroup(self._compressed()):
                    self.output.put(packed)
            self.output.close()
        except BaseException as error:
            self._input.abandon()
            self.output.close(error)

    def _compressed(self) -> Iterator[bytes]:
        compressor = zstandard.ZstdCompressor(compression_params=self._settings).compressobj()
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
    """Compresses ranges by a recipe so that they fit a frame; at most `threads` of them at a time."""

    def __init__(self, recipe: Recipe, frame: zstd.Frame, size: int, threads: int) -> None:
        self._recipe = recipe
        self._frame = frame
        self._size = frame.content_size or size
        self._threads = max(1, threads)
        self._turns = Turns(self._threads)
        self._started: list[Compressing] = []

    def start(self, prefix: bytes, length: int) -> Compressing:
        """Return a new range of about `length` bytes, behind content that ends with `prefix`."""
        compressing = Compressing(self._settings(len(prefix), length), prefix, self._turns)
        self._started.append(compressing)
        return compressing

    def cancel(self) -> None:
        """End every range's thread."""
        for compressing in self._started:
            compressing.finish(Gone())
            compressing.output.abandon()

    def _settings(self, prefix: int, length: int) -> zstandard.ZstdCompressionParameters:
        """Return the recipe's settings for a range: no larger tables than it can fill, jobs for all threads."""
        whole = zstandard.ZstdCompressionParameters.from_level(self._recipe.level, source_size=self._size)
        window = min(whole.window_log, self._frame.window.bit_length() - 1)
        narrow = min(window, max(10, (prefix + length - 1).bit_length()))
        job = min(_MAX_JOB, 4 << window, max(_MIN_JOB, -(-length // self._threads)))
        return zstandard.ZstdCompressionParameters.from_level(
            self._recipe.level,
            source_size=self._size,
            window_log=narrow,
            hash_log=min(whole.hash_log, narrow + 1),
            chain_log=min(whole.chain_log, narrow + 1),
            # libzstd takes part of the window as prefix; where the window was made smaller, all of it is needed.
            overlap_log=9 if narrow < window else 0,
            job_size=max(job, prefix),
            threads=self._threads,
            write_content_size=False,
            write_checksum=False,
        )


def _tables(settings: zstandard.ZstdCompressionParameters) -> int:
    return 4 * ((1 << settings.hash_log) + (1 << settings.chain_log))


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
        raise Unfit("libzstd ended within a block")
    if count:
        yield Packed(bytes(group), last)


class Writer:
    """Puts the new frame together in `out`; decompresses it at the same time, `sha256` is that content's.

    `checksum` must be set before the parts end. `failure` is what ended the work early.
    """

    def __init__(self, source: Extent, frame: zstd.Frame, size: int, out: BinaryIO) -> None:
        self.checksum = b""
        self.failure: BaseException | None = None
        self.sha256 = hashlib.sha256()
        self._source = source
        self._out = out
        self._header = frame_header(source.read(0, frame.header), size)
        self._held: tuple[bytes, int] | None = None
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()

    def run(self, parts: Pipe[Part]) -> None:
        """Write all parts; afterwards nobody waits for this thread, whatever happened."""
        try:
            self._write(self._header)
            for part in parts:
                if isinstance(part, Run):
                    self._take(self._source.read(part.start, part.stop - part.start), part.last - part.start)
                    continue
                try:
                    for packed in part:
                        self._take(packed.data, packed.last)
                finally:
                    part.abandon()
            self._end()
        except BaseException as error:
            self.failure = error
            for part in parts.abandon():
                if isinstance(part, Pipe):
                    part.abandon()

    def _take(self, data: bytes, last: int) -> None:
        """Hold the blocks until it is known whether more follow, and write those held before."""
        if self._held is not None:
            self._write(self._held[0])
        self._held = marked(data, last, final=False), last

    def _end(self) -> None:
        if self._held is None:
            raise Unfit("the new frame has no blocks")
        self._write(marked(*self._held, final=True) + self.checksum)
        if not self._decompressor.eof or self._decompressor.unused_data:
            raise Unfit("the new frame does not end where it must")

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        try:
            self.sha256.update(self._decompressor.decompress(data))
        except zstandard.ZstdError as error:
            raise Unfit("the new frame does not decompress") from error


def frame_header(old: bytes, size: int) -> bytes:
    """Return a frame header with the window and the checksum flag of `old` and the content size `size`."""
    flag, field = 3, size.to_bytes(8, "little")
    if 256 <= size < 65536 + 256:
        flag, field = 1, (size - 256).to_bytes(2, "little")
    elif size < 1 << 32:
        flag, field = 2, size.to_bytes(4, "little")
    return old[:4] + bytes([flag << 6 | old[4] & 0x04, old[5]]) + field
