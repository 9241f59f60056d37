"""From a compressed stream to its content, for every codec: what a reader needs, and nothing that only a fix does."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from .byte_range import ByteRange
from .zstd import frame as zstd

if TYPE_CHECKING:
    from .bzip2.reuse import BlockInfo

LARGE = 1 << 20
"""Compressed bytes from which on it is worth to start threads."""
_DEPTH = 8
"""Pieces of content, of at most 1 MiB, that wait for who takes them."""


def decompress(codec: str, source: ByteRange, threads: int, marks: list[BlockInfo]) -> Generator[bytes, None, None]:
    """Yield the whole content of a stream in pieces of at most 1 MiB, made beside whoever takes them if `threads` > 1.

    `marks` become those of a bz2 stream's blocks, where they are found on the way. Raises Damaged or Unsupported unless
    all of it is there and true. Close it where not all of it is taken.
    """
    threaded = threads > 1 and source.size >= LARGE
    if codec == "zstd":
        if not threaded:
            return zstd.decompress(source)
        from .threads import ahead

        return ahead(zstd.decompress(source), _DEPTH)
    if not threaded:
        from .bzip2 import stream as bzip2

        return bzip2.decompress(source)
    from .bzip2 import reuse as bzip2_reuse

    return bzip2_reuse.decompress(source, threads, marks)
