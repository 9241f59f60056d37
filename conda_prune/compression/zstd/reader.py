"""Takes a zstd frame apart while its content becomes another, and tells which blocks could follow any others.

A block may use repeat offsets and tables that earlier blocks left. That shows without decoding it by hand: it is given
to two readers that have read the same window, but otherwise nothing alike. Where both get its content, it uses neither.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import zstandard

from ...errors import Damaged
from ..byte_range import ByteRange
from ..splicer import CannotReuse, Splicer
from . import frame as zstd

GROUP = 8
"""Blocks handled at a time: with 128 KiB of content each at most, they never unpack to more than 1 MiB."""
_LOOK = 8
"""Blocks that must be independent of those before them together: whatever they take over, they use early."""
_APART = 1 << 16
"""Content between two trials: each costs a copy of the window, and blocks may be as small as a byte."""
_RAW = 1 << 16


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks of the old frame that stay: `start` to `stop`, the last one's header at `last`, `length` of content."""

    start: int
    stop: int
    last: int
    length: int


class Reader:
    """Reads the old frame's content once, in order, as the new content.

    `new_size` is how much of that came so far, `crc` its CRC-32.

    Raises Damaged where libzstd does.
    """

    def __init__(self, source: ByteRange, frame: zstd.Frame, splicer: Splicer, progress: Callable[[int], None]) -> None:
        self.new_size = 0
        self.found = False
        self.crc = 0
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
        self._ahead: deque[tuple[Run, bytes]] = deque()

    @property
    def position(self) -> int:
        """How far the old content has been taken."""
        return self._splicer.old

    def kept(self, stop: int) -> Iterator[Run]:
        """Yield the blocks that end at `stop` or before."""
        while self.position < stop:
            run, content = self._next(stop - self.position)
            if self.position + run.length > stop:
                self._ahead.appendleft((run, content))
                return
            if list(self._splicer.feed(content)) != [content]:
                raise CannotReuse("a splice lies in a kept range")
            self.count(content)
            yield run

    def anew(self, stop: int) -> Iterator[bytes]:
        """Yield the new content up to the first block's end that is `stop` in the old, or behind it."""
        while self.position < stop:
            if piece := b"".join(self._splicer.feed(self._next(stop - self.position)[1])):
                yield piece

    def independent(self, stop: int, beyond: int) -> bool:
        """Return whether the next blocks could follow any others.

        All before `beyond` are tried, some at least, and none behind `stop`. What was found holds for those, and is as
        good as certain for the rest up to `stop` if no splice lies between there and a window before `beyond`.
        """
        end = self.position + sum(run.length for run, _ in self._ahead)
        while end < stop and (len(self._ahead) < _LOOK or end < beyond):
            self._ahead.append(self._pull(1))
            end += self._ahead[-1][0].length
        blocks: list[tuple[bytes, bytes]] = []
        end = self.position
        for run, content in self._ahead:
            end += run.length
            if end > stop or (len(blocks) >= _LOOK and end - run.length >= beyond):
                break
            blocks.append((self._source.read(run.start, run.stop - run.start), content))
        window = self.tail(self._frame.window)
        head = self._source.read(5, 1)
        return bool(blocks) and all(decode_alike(head, memory, window, blocks) for memory in (b"", unlikely_memory()))

    def until_independent(self, stop: int, least: int) -> Iterator[bytes]:
        """Yield the new content up to blocks that could follow any others; give up `least` bytes before `stop`.

        `found` says whether there are such blocks. No splice may lie between `stop` and a window before `position`.
        """
        self.found = False
        tried = self.position - _APART
        while stop - self.position > least and not self.found:
            if self.position - tried >= _APART:
                tried = self.position
                self.found = self.independent(stop, tried)
            if not self.found:
                yield from self._splicer.feed(self._next(stop - self.position)[1])

    def rest(self) -> Iterator[bytes]:
        """Yield what is put behind the old content; raise Damaged unless all of that came, and nothing more."""
        for block in self._blocks:
            if self._decompress(self._source.read(block.start, block.stop - block.start)):
                raise Damaged("the zstd frame holds more than it did before", "try again when nothing writes to it")
        if self._frame.checksum:
            self._decompress(self._source.read(self._source.size - 4, 4))
        if piece := b"".join(self._splicer.finish()):
            yield piece

    def expected(self, stop: int) -> int:
        """Return how many bytes of new content are still to come before `stop`."""
        return self._splicer.expected(stop)

    def count(self, piece: bytes) -> None:
        """Take `piece` as the next of the new content."""
        self.crc = zlib.crc32(piece, self.crc)
        self.new_size += len(piece)
        if self._xxh64 is not None:
            self._xxh64.compress(piece)
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size - len(self._tail[0]) >= self._frame.window:
            self._tail_size -= len(self._tail.popleft())

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes of the new content so far, or all of it; at most the frame's window."""
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

    def _next(self, room: int) -> tuple[Run, bytes]:
        """Return the next blocks with their content: more than `room` bytes of it only if the first block has more."""
        return self._ahead.popleft() if self._ahead else self._pull(min(GROUP, room // zstd.MAX_BLOCK))

    def _pull(self, count: int) -> tuple[Run, bytes]:
        """Return the next `count` blocks, at least one, with their content: not none of it."""
        content = b""
        while not content:
            blocks: list[zstd.Block] = []
            for block in self._blocks:
                blocks.append(block)
                if len(blocks) >= count:
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


def decode_alike(descriptor: bytes, memory: bytes, window: bytes, blocks: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether each of `blocks` gives its content to one who has read the blocks in `memory`, then `window`."""
    reader = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()
    try:
        reader.decompress(zstd.MAGIC + b"\0" + descriptor + memory)
        for at in range(0, len(window), _RAW):
            raw = window[at : at + _RAW]
            reader.decompress((len(raw) << 3).to_bytes(3, "little") + raw)
        return all(reader.decompress(marked(block, 0, final=False)) == content for block, content in blocks)
    except zstandard.ZstdError:
        return False


@cache
def unlikely_memory() -> bytes:
    """Return a block after which a reader has repeat offsets and tables that no other block would leave."""
    chance = random.Random(48)
    content = chance.randbytes(3000)
    for start in (100, 777, 1300, 2100):
        content += content[start : start + 150] + chance.randbytes(51 + start % 37)
    packed = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(content)
    return marked(packed[zstandard.frame_header_size(packed) :], 0, final=False)


def _xxh64() -> zstandard.ZstdCompressionObj:
    """Return a compressor whose frame ends with the checksum, and that does next to nothing else."""
    settings = zstandard.ZstdCompressionParameters(
        window_log=10, hash_log=6, chain_log=6, search_log=1, min_match=7, target_length=1 << 17, strategy=1,
        write_checksum=True, write_content_size=False,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=settings).compressobj()


def marked(data: bytes, last: int, final: bool) -> bytes:
    """Return the blocks with the header at `last` marked as the frame's last, or not."""
    if bool(data[last] & 1) == final:
        return data
    marked = bytearray(data)
    marked[last] ^= 1
    return bytes(marked)
