"""One bz2 stream, read completely or not at all: rattler stops after the first of several and reports success."""

from __future__ import annotations

import bz2
from collections.abc import Generator, Iterable
from typing import IO

from ...errors import Damaged, NotAPackage, Unsupported
from ..byte_range import CHUNK, ByteRange

_AGAIN = "build or download it again"


def read_level(byte_range: ByteRange) -> int:
    """Return the block size in 100 kB that the stream's header states; raise NotAPackage where there is none."""
    head = byte_range.read(0, 4)
    if head[:3] != b"BZh" or not b"1" <= head[3:4] <= b"9":
        raise NotAPackage("it is not bz2-compressed, as a .tar.bz2 must be (CEP 35)", "check how it was downloaded")
    return head[3] - ord("0")


def decompress(byte_range: ByteRange) -> Generator[bytes, None, None]:
    """Yield the whole content, at most 1 MiB at a time; raise Damaged or Unsupported unless it is one whole stream."""
    read_level(byte_range)
    decompressor = bz2.BZ2Decompressor()
    at = 0
    try:
        while not decompressor.eof:
            packed = b""
            if decompressor.needs_input:
                packed = byte_range.read(at, 1 << 18)
                at += len(packed)
                if not packed:
                    raise Damaged("the bz2 stream is truncated", _AGAIN)
            if piece := decompressor.decompress(packed, CHUNK):
                yield piece
    except OSError as error:
        raise Damaged(f"the bz2 data is damaged: {error}", _AGAIN) from error
    behind = len(decompressor.unused_data) + byte_range.size - at
    if behind:
        raise Unsupported(
            f"{behind} bytes follow the bz2 stream; rattler would stop there and conda read on",
            "compress the package again as one stream",
        )


def compress(pieces: Iterable[bytes], level: int, out: IO[bytes]) -> None:
    """Write one stream to `out`."""
    compressor = bz2.BZ2Compressor(level)
    for piece in pieces:
        out.write(compressor.compress(piece))
    out.write(compressor.flush())
