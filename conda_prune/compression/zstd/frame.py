"""Reads one zstd frame completely or refuses it, and writes frames that every conda client can read (RFC 8878).

A frame is a header (window, content size, checksum flag), blocks, and a 4-byte checksum if the flag is set. A block has
a 3-byte header: last-block flag (1 bit), type (2 bits), size (21 bits). libzstd's streaming readers return a truncated
frame without an error. So this module first walks over all block headers, which must fill the stream exactly: one
frame, with nothing before or after it. That costs one read of three bytes per block.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import IO, NamedTuple, cast

import zstandard

from ...errors import (
    Damaged,
    LimitExceeded,
    NotVerified,
    Unsupported,
)
from ...model import CompressionSettings
from ..byte_range import CHUNK, ByteRange, ByteRangeReader

MAGIC = b"\x28\xb5\x2f\xfd"
WINDOW_DESCRIPTOR = 5
"""Offset in the header of the byte that states the window. Single-segment frames do not have it."""
MAX_WINDOW = 1 << 27
"""The largest window, in bytes, that every conda client accepts."""
_LARGEST_WINDOW = 1 << 31
"""The largest window, in bytes, that libzstd accepts if it is asked to."""

RLE = 1
"""Type of a block that holds one byte, to be repeated `size` times. All other blocks hold `size` bytes."""
MAX_BLOCK = 1 << 17
"""The most bytes of content that a block may have."""
_RESERVED = 3
_MAX_HEADER = 18
_HINT = "build or download it again"


class FrameHeader(NamedTuple):
    """What a frame's header says; `header_size` is its own length. All sizes are bytes.

    `window` is what a streaming reader must keep in memory; for a single segment, it is the whole content.
    `content_size` is None if the header does not state it.
    """

    header_size: int
    window: int
    single_segment: bool
    content_size: int | None
    checksum: bool


class Block(NamedTuple):
    """One block: the bytes `start` to `stop` of the compressed stream, block header included."""

    start: int
    stop: int


def read_frame(source: ByteRange) -> FrameHeader:
    """Return the frame's header; raise Damaged if it is invalid, Unsupported for a skippable frame or a dictionary."""
    raw = source.read(0, _MAX_HEADER)
    if raw[:4] != MAGIC:
        if raw[1:4] == b"\x2a\x4d\x18" and raw[0] & 0xF0 == 0x50:
            raise Unsupported("a skippable zstd frame comes before the data", "build the package again")
        raise Damaged("the data is not zstd-compressed", _HINT)
    try:
        parameters = zstandard.get_frame_parameters(raw)
        header_size = zstandard.frame_header_size(raw)
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd frame header is damaged: {error}", _HINT) from error
    if parameters.dict_id:
        raise Unsupported("the zstd data needs a dictionary", "build the package again without one")
    single = bool(raw[4] & 0x20)
    window = parameters.window_size
    stated = parameters.content_size != zstandard.CONTENTSIZE_UNKNOWN
    return FrameHeader(
        header_size, window, single, parameters.content_size if stated else None, bool(parameters.has_checksum)
    )


def check_window(frame: FrameHeader, limit: int = MAX_WINDOW) -> None:
    """Raise LimitExceeded if a reader would have to keep more than `limit` bytes in memory."""
    if frame.window > limit:
        accepted = ", which is what conda clients accept" if limit == MAX_WINDOW else ""
        raise LimitExceeded(
            f"its zstd window of {frame.window} bytes is larger than {limit}{accepted}",
            "build the package again without long mode, or raise --max-window: a fixed package has a smaller window",
        )


def decompressor() -> zstandard.ZstdDecompressor:
    """Return a decompressor that accepts every window. Callers check the window first, against their own limit."""
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)


def walk_blocks(source: ByteRange, frame: FrameHeader) -> Iterator[Block]:
    """Yield the frame's blocks in order; raise Damaged if it is truncated, Unsupported if anything follows it."""
    at = frame.header_size
    last = False
    while not last:
        bits = int.from_bytes(source.read(at, 3), "little")
        last, kind, size = bool(bits & 1), bits >> 1 & 3, bits >> 3
        if kind == _RESERVED or size > min(MAX_BLOCK, frame.window):
            raise Damaged("a zstd block header is damaged", _HINT)
        stop = at + 3 + (1 if kind == RLE else size)
        if stop > source.size:
            raise Damaged("the zstd frame is truncated", _HINT)
        yield Block(at, stop)
        at = stop
    at += 4 * frame.checksum
    if at > source.size:
        raise Damaged("the zstd frame is truncated", _HINT)
    if at < source.size:
        raise Unsupported(
            f"{source.size - at} bytes follow the zstd frame; clients would read them differently",
            "build the package again",
        )


def decompress(source: ByteRange) -> Generator[bytes, None, None]:
    """Yield the whole content in pieces of up to 1 MiB; raise Damaged unless it is complete and intact.

    Callers check the window first, because that much is kept in memory.
    """
    frame = read_frame(source)
    for _ in walk_blocks(source, frame):
        pass
    size = 0
    reader = decompressor().stream_reader(
        cast("IO[bytes]", ByteRangeReader(source)), read_size=1 << 18, read_across_frames=False
    )
    try:
        while piece := reader.read(CHUNK):
            size += len(piece)
            yield piece
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd data is damaged: {error}", _HINT) from error
    if frame.content_size is not None and size != frame.content_size:
        raise Damaged(f"the zstd frame has {size} bytes of content, but says that it has {frame.content_size}", _HINT)


def parameters(settings: CompressionSettings, size: int, threads: int = 1) -> zstandard.ZstdCompressionParameters:
    """Return libzstd's parameters for `size` bytes of content.

    libzstd's modes give different bytes: multi-threaded mode (1 or more threads), and single-threaded mode (0). Within
    multi-threaded mode, any number of `threads` gives the same bytes. In the other mode, `threads` is ignored.
    """
    return zstandard.ZstdCompressionParameters.from_level(
        settings.level,
        source_size=size,
        threads=threads if settings.threaded else 0,
        write_content_size=True,
        write_checksum=settings.checksum,
    )


def compress(pieces: Iterable[bytes], size: int, settings: CompressionSettings, threads: int, out: IO[bytes]) -> None:
    """Write one frame that states its content size to `out`.

    Raises NotVerified if the content does not have `size` bytes.
    """
    compressor = zstandard.ZstdCompressor(compression_params=parameters(settings, size, threads))
    try:
        with compressor.stream_writer(out, size=size, closefd=False) as writer:
            for piece in pieces:
                writer.write(piece)
    except zstandard.ZstdError as error:
        raise NotVerified(f"the content cannot be compressed: {error}") from error


def with_last_flag(blocks: bytes, at: int, last: bool) -> bytes:
    """Return the blocks with the last-block flag set or cleared in the block header at offset `at`."""
    if bool(blocks[at] & 1) == last:
        return blocks
    changed = bytearray(blocks)
    changed[at] ^= 1
    return bytes(changed)
