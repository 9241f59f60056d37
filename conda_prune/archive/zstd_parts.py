"""The three who rewrite a zstd frame together, each on a thread of its own: a reader, a compressor and a writer.

The reader takes the old frame apart, the compressor packs what changed, the writer puts the new frame together and
decompresses it as it grows. None holds more than a few megabytes beyond the frame's window and libzstd's tables.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import zstandard

from ..errors import Damaged
from ..model import Recipe
from . import zstd
from .extent import Extent
from .reuse import Gone, Pipe, Splicer, Unfit

_GROUP = 8
"""Blocks handled at a time: with 128 KiB of content each at most, they never unpack to more than 1 MiB."""


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks of the old frame that stay: `start` to `stop`, the last one's header at `last`, `length` of content."""

    start: int
    stop: int
    last: int
    length: int


@dataclass(frozen=True, slots=True)
class Packed:
    """Blocks just compressed, none of them marked as the frame's last; the last one's header stands at `last`."""

    data: bytes
    last: int


Part: TypeAlias = "Run | Pipe[Packed]"


class Reader:
    """Reads the old frame's content once, in order, as the new content: `position` is in the old, `new_size` in the
    new.

    Raises Damaged where libzstd does, Unfit where blocks do not end where they must.
    """

    def __init__(
        self, source: Extent, frame: zstd.Frame, splicer: Splicer, reach: int, progress: Callable[[int], None]
    ) -> None:
        self.reach = reach
        self.new_size = 0
        self.sha256 = hashlib.sha256()
        self._source = source
        self._frame = frame
        self._splicer = splicer
        self._progress = progress
        self._blocks = zstd.walk_blocks(source, frame)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()
        self._decompress(source.read(0, frame.header))
        self._xxh64 = _xxh64() if frame.checksum else None
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._crossing = b""

    @property
    def position(self) -> int:
        return self._splicer.old

    def kept(self, stop: int) -> Iterator[Run]:
        """Yield the blocks that end at `stop` or before; the content of the one that crosses it comes anew."""
        while self.position < stop and not self._crossing:
            run, content = self._next(stop - self.position)
            if self.position + run.length > stop:
                self._crossing = content
            elif content:
                pieces = list(self._splicer.feed(content))
                if pieces != [content]:
                    raise Unfit("a splice lies in a kept range")
                self.count(content)
                yield run

    def anew(self, stop: int, ends: bool) -> Iterator[bytes]:
        """Yield the new content up to `stop`, where a block must end; `ends`: and what is put behind the end."""
        while self.position < stop:
            content = self._crossing or self._next(stop - self.position)[1]
            self._crossing = b""
            if piece := b"".join(self._splicer.feed(content)):
                yield piece
        if self.position > stop:
            raise Unfit("a job does not start where it must")
        if ends and (piece := b"".join(self._splicer.finish())):
            yield piece

    def expected(self, stop: int) -> int:
        """Return how many bytes of new content are still to come before `stop`."""
        return self._splicer.expected(stop)

    def count(self, piece: bytes) -> None:
        """Take `piece` as the next of the new content."""
        self.sha256.update(piece)
        self.new_size += len(piece)
        if self._xxh64 is not None:
            self._xxh64.compress(piece)
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size - len(self._tail[0]) >= self.reach:
            self._tail_size -= len(self._tail.popleft())

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes of the new content so far, or all of it; at most `reach`."""
        pieces: list[bytes] = []
        for piece in reversed(self._tail):
            pieces.append(piece[max(0, len(piece) - size) :])
            size -= len(pieces[-1])
            if not size:
                break
        return b"".join(reversed(pieces))

    def checksum(self) -> bytes:
        """Return the four bytes that close the new frame, none where the old has no checksum."""
        return b"" if self._xxh64 is None else self._xxh64.flush()[-4:]

    def end(self) -> None:
        """Read the old frame's end; raise Damaged unless all of its content came."""
        for block in self._blocks:
            if self._decompress(self._source.read(block.start, block.stop - block.start)):
                raise Damaged("the zstd frame holds more than it did before", "try again when nothing writes to it")
        if self._frame.checksum:
            self._decompress(self._source.read(self._source.size - 4, 4))

    def _next(self, room: int) -> tuple[Run, bytes]:
        """Return the next blocks with their content: more than `room` bytes of it only if the first block has more."""
        blocks: list[zstd.Block] = []
        for block in self._blocks:
            blocks.append(block)
            if len(blocks) >= min(_GROUP, room // zstd.MAX_BLOCK):
                break
        if not blocks:
            raise Damaged("the zstd frame holds less than it did before", "try again when nothing writes to it")
        start, stop = blocks[0].start, blocks[-1].stop
        content = self._decompress(self._source.read(start, stop - start))
        self._progress(len(content))
        return Run(start, stop, blocks[-1].start, len(content)), content

    def _decompress(self, packed: bytes) -> bytes:
        try:
            return self._decompressor.decompress(packed)
        except zstandard.ZstdError as error:
            raise Damaged(f"the zstd data is damaged: {error}", "build or download it again") from error


def _xxh64() -> zstandard.ZstdCompressionObj:
    """Return a compressor whose frame ends with the checksum, and that does next to nothing else."""
    settings = zstandard.ZstdCompressionParameters(
        window_log=10, hash_log=6, chain_log=6, search_log=1, min_match=7, target_length=1 << 17, strategy=1,
        write_checksum=True, write_content_size=False,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=settings).compressobj()


class Compressing:
    """A range of content on its way through libzstd; `output` has its blocks, which may follow any others."""

    def __init__(self, settings: zstandard.ZstdCompressionParameters, prefix: bytes, turn: threading.Semaphore) -> None:
        self.output: Pipe[Packed] = Pipe(64)
        self._input: Pipe[bytes] = Pipe(24)
        self._settings = settings
        self._prefix = prefix
        self._turn = turn
        threading.Thread(target=self._run, name="conda-prune zstd range", daemon=True).start()

    def put(self, piece: bytes) -> None:
        """Take more content; raise Gone when it is of no use any more."""
        self._input.put(piece)

    def finish(self, failure: BaseException | None = None) -> None:
        """Take no more content; with a failure, the reader of `output` gets that in place of the rest."""
        self._input.close(failure)

    def _run(self) -> None:
        try:
            with self._turn:
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
        self._turn = threading.Semaphore(self._threads)
        self._started: list[Compressing] = []

    def start(self, prefix: bytes, length: int) -> Compressing:
        """Return a new range of about `length` bytes, behind content that ends with `prefix`."""
        compressing = Compressing(self._settings(len(prefix) + length), prefix, self._turn)
        self._started.append(compressing)
        return compressing

    def cancel(self) -> None:
        """End every range's thread."""
        for compressing in self._started:
            compressing.finish(Gone())
            compressing.output.abandon()

    def _settings(self, span: int) -> zstandard.ZstdCompressionParameters:
        """Return the recipe's settings for a range that spans so many bytes: its tables need not be larger."""
        whole = zstandard.ZstdCompressionParameters.from_level(self._recipe.level, source_size=self._size)
        window = min(whole.window_log, self._frame.window.bit_length() - 1)
        narrow = min(window, max(10, (span - 1).bit_length()))
        return zstandard.ZstdCompressionParameters.from_level(
            self._recipe.level,
            source_size=self._size,
            window_log=narrow,
            hash_log=min(whole.hash_log, narrow + 1),
            chain_log=min(whole.chain_log, narrow + 1),
            # In a window made as small as the range, the prefix may be all of the window but the range.
            overlap_log=9 if narrow < window else 0,
            threads=self._threads,
            write_content_size=False,
            write_checksum=False,
        )


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
                if count == _GROUP:
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
        self._held = _marked(data, last, final=False), last

    def _end(self) -> None:
        if self._held is None:
            raise Unfit("the new frame has no blocks")
        self._write(_marked(*self._held, final=True) + self.checksum)
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


def _marked(data: bytes, last: int, final: bool) -> bytes:
    """Return the blocks with the header at `last` marked as the frame's last, or not."""
    if bool(data[last] & 1) == final:
        return data
    marked = bytearray(data)
    marked[last] ^= 1
    return bytes(marked)
