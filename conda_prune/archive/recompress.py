"""A compressed stream again with some ranges of its content replaced: one function for both codecs.

What comes out is one zstd frame or one bz2 stream whose content is the input's but for the splices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ..model import Recipe, Splice
from . import bzip2, zstd
from .extent import Extent

DECOMPRESS: dict[str, Callable[[Extent], Iterator[bytes]]] = {"zstd": zstd.decompress, "bzip2": bzip2.decompress}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewriting did: the new content's size and SHA-256, and how many of its bytes were kept compressed."""

    size: int
    sha256: str
    reused: int
    recompressed: int


def recompress(
    source: Extent,
    splices: Sequence[Splice],
    recipe: Recipe,
    size: int,
    out: BinaryIO,
    threads: int,
    progress: Callable[[int], None],
) -> Rewritten:
    """Write the stream in `source`, whose content has `size` bytes, to `out` with the splices made.

    `splices` are sorted and do not overlap. `progress` is called with the bytes of content done since the last call.
    """
    new_size = size + sum(len(splice.new) - (splice.stop - splice.start) for splice in splices)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        content = DECOMPRESS[recipe.codec](source)
        for piece in spliced(_watched(content, progress), splices):
            digest.update(piece)
            yield piece

    if recipe.codec == "zstd":
        zstd.compress(pieces(), new_size, recipe, threads, out)
    else:
        bzip2.compress(pieces(), recipe.level, out)
    return Rewritten(new_size, digest.hexdigest(), 0, new_size)


def spliced(pieces: Iterable[bytes], splices: Sequence[Splice]) -> Iterator[bytes]:
    """Yield the stream with the splices made, in pieces."""
    at = 0
    waiting = iter(splices)
    splice = next(waiting, None)
    for piece in pieces:
        stop = at + len(piece)
        while splice is not None and splice.start < stop:
            if splice.start > at:
                yield piece[: splice.start - at]
            if splice.start >= at and splice.new:
                yield splice.new
            if splice.stop > stop:
                # The rest of this cut lies in later pieces; what replaces it is out already.
                splice = Splice(stop, splice.stop) if splice.stop > stop else None
                piece = b""
                break
            piece = piece[splice.stop - at :]
            at = splice.stop
            splice = next(waiting, None)
        at = stop
        if piece:
            yield piece
    if splice is not None:
        raise AssertionError("a splice lies behind the end of its stream")


def _watched(pieces: Iterable[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        progress(len(piece))
        yield piece
