"""A compressed stream again with some ranges of its content replaced: one function for both codecs.

What comes out is one zstd frame or one bz2 stream whose content is the input's but for the splices. It is written from
front to back, so `out` may be the inside of a zip.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from ..model import CompressionSettings, Splice
from .byte_range import ByteRange
from .bzip2 import reuse as bzip2_reuse
from .bzip2 import stream as bzip2
from .codec import decompress
from .splicer import NothingToKeep, Splicer
from .threads import ThreadBudget
from .zstd import frame as zstd
from .zstd import reuse as zstd_reuse


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewriting did: what the new content's size and CRC-32 must be, and how much of it was kept compressed."""

    size: int
    crc: int
    reused: int
    recompressed: int


def recompress(
    source: ByteRange,
    splices: Sequence[Splice],
    settings: CompressionSettings,
    size: int,
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
    plain: bool = False,
    marks: Sequence[bzip2_reuse.BlockInfo] = (),
) -> Rewritten:
    """Write the stream in `source`, whose content has `size` bytes, to `out` with the splices made.

    `splices` are sorted and do not overlap. `marks` are those of a bz2 stream's blocks, if they are known. `progress`
    is called with the bytes of content done since the last call. Compressed data that no splice touches is copied; the
    content is compressed as a whole where nothing can be copied, where the level was asked for, and with `plain`. The
    result is to be read back: nothing of it was decompressed here.

    Raises CannotReuse where it only turned out on the way that data cannot be copied: call again with `plain`, and
    throw away what was written.
    """
    new_size = size + sum(len(splice.new) - (splice.stop - splice.start) for splice in splices)
    if not plain and settings.source != "asked":
        try:
            if settings.codec == "zstd":
                kept = zstd_reuse.rewrite(source, splices, settings, size, out, budget, progress)
            else:
                kept = bzip2_reuse.rewrite(source, splices, size, out, budget, progress, marks)
            return Rewritten(new_size, kept.crc, kept.reused, new_size - kept.reused)
        except NothingToKeep:
            pass  # Nothing was written.
    return _whole(source, splices, settings, new_size, out, budget, progress)


def _whole(
    source: ByteRange,
    splices: Sequence[Splice],
    settings: CompressionSettings,
    new_size: int,
    out: IO[bytes],
    budget: ThreadBudget,
    progress: Callable[[int], None],
) -> Rewritten:
    crc = 0

    def pieces() -> Iterator[bytes]:
        nonlocal crc
        content = decompress(settings.codec, source, budget.count, [])
        for piece in spliced(_watched(content, progress), splices):
            crc = zlib.crc32(piece, crc)
            yield piece

    if settings.codec == "zstd":
        with budget.threads(budget.count if settings.threaded else 1):
            zstd.compress(pieces(), new_size, settings, budget.count, out)
    else:
        bzip2.compress(pieces(), settings.level, out)
    return Rewritten(new_size, crc, 0, new_size)


def spliced(pieces: Iterable[bytes], splices: Sequence[Splice]) -> Iterator[bytes]:
    """Yield the stream with the splices made, in pieces; raise ValueError where one lies outside of it."""
    splicer = Splicer(splices)
    for piece in pieces:
        yield from splicer.feed(piece)
    yield from splicer.finish()


def _watched(pieces: Iterable[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        progress(len(piece))
        yield piece
