"""Writes a compressed stream with splices applied: reuses blocks if possible, or compresses everything again.

The result is one zstd frame or one bz2 stream. It is written from front to back, so `out` may be an entry of a zip.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from ..model import CompressionSettings, Splice
from .codec import CODECS
from .splicer import new_size, spliced
from .stream import NothingToReuse, Stream
from .threads import ThreadBudget

_SMALL_ZSTD = 1 << 22
"""Bytes of content, which take one thread 0.8 s at level 16. At higher levels, the window is larger than this, and no
block of content that fits in the window is copied anyway."""
_SMALL_BZIP2 = 500_000
"""Bytes of content per level, which is five blocks. At level 9, they take one thread 0.2 s."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What was written: the size and CRC-32 that the new content must have, and how much of it was copied compressed.

    All sizes are bytes of content, and `size` is `reused + recompressed`.
    """

    size: int
    crc: int
    reused: int
    recompressed: int


def is_small(settings: CompressionSettings, size: int) -> bool:
    """Return whether `size` bytes of new content should be compressed as a whole, although blocks could be copied.

    Then the stream has the bytes that the original writer would have given this content, and is as small. With copied
    blocks, it is a little larger. This pays only if the settings are known to be the writer's. The answer depends on
    nothing but the arguments, so a package gives the same bytes on every machine.
    """
    if settings.codec == "bzip2":
        return size <= _SMALL_BZIP2 * settings.level
    return settings.source == "reproduced" and size <= _SMALL_ZSTD


def recompress(
    stream: Stream,
    splices: Sequence[Splice],
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
    plain: bool = False,
) -> Rewritten:
    """Write `stream` to `out` with the splices applied. Splices are sorted and do not overlap.

    `progress` is called with the bytes of content processed since its last call. Everything is compressed again if no
    block can be copied, if the user asked for a level, or if `plain` is set. Copied blocks are not checked here, so the
    caller must read the result back.

    Raises CannotReuse if blocks turn out not to be reusable after writing began: discard `out` and call again with
    `plain`.
    """
    size = new_size(stream.size, splices)
    if not plain and stream.settings.source != "asked":
        try:
            done = CODECS[stream.settings.codec].reuse(stream, splices, out, budget, progress)
            return Rewritten(size, done.crc, done.reused, size - done.reused)
        except NothingToReuse:
            pass  # Nothing has been written yet.
    return _compress_all(stream, splices, out, budget, progress)


def _compress_all(
    stream: Stream,
    splices: Sequence[Splice],
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
) -> Rewritten:
    codec = CODECS[stream.settings.codec]
    crc = 0

    def old() -> Iterator[bytes]:
        for content in _old_content(stream, budget.count):
            progress(len(content))
            yield content

    def new() -> Iterator[bytes]:
        nonlocal crc
        for piece in spliced(old(), splices):
            crc = zlib.crc32(piece, crc)
            yield piece

    size = new_size(stream.size, splices)
    codec.write(new(), size, stream.settings, budget, out)
    return Rewritten(size, crc, 0, size)


def _old_content(stream: Stream, threads: int) -> Iterator[bytes]:
    """Yield the content of a stream, without decompressing it again if all of it is held."""
    if stream.known and all(block.start in stream.held for block in stream.blocks):
        for block in stream.blocks:
            yield stream.held[block.start]
    else:
        for piece in CODECS[stream.settings.codec].read(stream.source, threads):
            yield piece.content
