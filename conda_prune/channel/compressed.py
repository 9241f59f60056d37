"""The compressed forms of an index: .zst (recommended) and .bz2 (deprecated), by CEP 36."""

from __future__ import annotations

import bz2
import io
from collections.abc import Callable

import zstandard

from ..errors import BadMetadata
from . import files
from .records import REINDEX_HINT

ENDINGS = ("", ".zst", ".bz2")
"""What a form's name may have behind .json."""

_WINDOW = 1 << 27
"""Bytes that zstd may hold to decompress: what clients of channels accept."""
_LARGE = 1 << 20
_PIECE = 1 << 20
"""Bytes to unpack at a time."""
_BEST, _FAST, _QUICK = 19, 12, 3
"""zstd levels. A 25 MB repodata.json takes 58 s at 19, 24 s at 16 and 2 s at 12, which is 20 % larger than 19."""


def compress(content: bytes, ending: str, *, quick: bool = False) -> bytes:
    """Return content compressed as a file's ending says; `quick` for the many small files of shards."""
    if ending == ".bz2":
        return bz2.compress(content)
    if ending == ".zst":
        level = _QUICK if quick else _FAST if len(content) > _LARGE else _BEST
        return zstandard.ZstdCompressor(level=level).compress(content)
    return content


def decompress(content: bytes, ending: str, name: str, limit: int) -> bytes:
    """Return what a file unpacks to; raise BadMetadata when it is damaged, or unpacks to more bytes than the limit.

    A file that was cut off unpacks to a part, which is no JSON and no msgpack: reading that finds it.
    """
    try:
        if ending == ".zst":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
            unpacked = _read(decompressor.stream_reader(content, read_across_frames=True).read, limit)
        elif ending == ".bz2":
            unpacked = _read(bz2.BZ2File(io.BytesIO(content)).read, limit)
        else:
            return content
    except (zstandard.ZstdError, OSError, EOFError) as error:
        raise BadMetadata(f"{name} cannot be unpacked: {error}", REINDEX_HINT) from error
    if len(unpacked) > limit:
        raise files.too_large(name, limit)
    return unpacked


def _read(read: Callable[[int], bytes], limit: int) -> bytes:
    """Return what `read` yields, cut off at some length above the limit, without a buffer as large as the limit."""
    content = io.BytesIO()
    while content.tell() <= limit and (piece := read(_PIECE)):
        content.write(piece)
    return content.getvalue()
