"""Reads one bz2 stream completely or refuses it, and writes one, in one thread and with Python's bz2.

A file with two concatenated streams is refused: rattler reads only the first one and reports success.
"""

from __future__ import annotations

import bz2
from collections.abc import Generator, Iterable
from typing import IO

from ...errors import Damaged, NotAPackage, Unsupported
from ..byte_range import CHUNK, ByteRange

_HINT = "build or download it again"


def read_level(source: ByteRange) -> int:
    """Return the level that the header states (the block size in 100 kB); raise NotAPackage if there is no header."""
    head = source.read(0, 4)
    if head[:3] != b"BZh" or not b"1" <= head[3:4] <= b"9":
        raise NotAPackage("it is not bz2-compressed, as a .tar.bz2 must be (CEP 35)", "check how it was downloaded")
    return head[3] - ord("0")


def decompress(source: ByteRange) -> Generator[bytes, None, None]:
    """Yield the whole content, up to 1 MiB at a time; raise Damaged or Unsupported unless it is one complete stream."""
    read_level(source)
    decompressor = bz2.BZ2Decompressor()
    at = 0
    try:
        while not decompressor.eof:
            packed = b""
            if decompressor.needs_input:
                packed = source.read(at, 1 << 18)
                at += len(packed)
                if not packed:
                    raise Damaged("the bz2 stream is truncated", _HINT)
            if piece := decompressor.decompress(packed, CHUNK):
                yield piece
    except OSError as error:
        raise Damaged(f"the bz2 data is damaged: {error}", _HINT) from error
    rest = len(decompressor.unused_data) + source.size - at
    if rest:
        raise Unsupported(
            f"{rest} bytes follow the bz2 stream; rattler would stop there and conda read on",
            "compress the package again as one stream",
        )


def compress(pieces: Iterable[bytes], level: int, out: IO[bytes]) -> None:
    """Compress content into one stream."""
    compressor = bz2.BZ2Compressor(level)
    for piece in pieces:
        out.write(compressor.compress(piece))
    out.write(compressor.flush())
