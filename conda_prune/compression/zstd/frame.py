"""One zstd frame, read completely or not at all, and written as every conda client can read it.

libzstd's streaming readers end silently where the input does; so a frame's blocks are walked first (three bytes each,
no entropy decoding) and must fill the stream exactly: one frame, nothing before, between or behind. Specified in RFC
8878.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, cast

import zstandard

from ...errors import Damaged, LimitExceeded, NotVerified, Unsupported
from ...model import CompressionSettings
from ..byte_range import CHUNK, ByteRange, ByteRangeReader

MAGIC = b"\x28\xb5\x2f\xfd"
MAX_WINDOW = 1 << 27
"""Bytes of window that every client of conda packages accepts."""
_LARGEST_WINDOW = 1 << 31
"""Bytes of window that libzstd can be told to accept."""

RLE = 1
"""The type of a block that is one byte, to be repeated; all others are as long as their header says."""
MAX_BLOCK = 1 << 17
"""Bytes of content that a block holds at most."""
_RESERVED = 3
_MAX_HEADER = 18
_AGAIN = "build or download it again"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header: its length in bytes and what it says. `content_size` is None if it is not stated.

    A reader that decompresses in pieces holds `window` bytes. For a frame in a single segment that is all the content.
    """

    header: int
    window: int
    single_segment: bool
    content_size: int | None
    checksum: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its 3-byte header at `start`, the next block at `stop` (offsets in the compressed stream)."""

    start: int
    stop: int


def read_frame(byte_range: ByteRange) -> Frame:
    """Return the frame header at the start; raise Damaged or Unsupported where libzstd could not read on."""
    raw = byte_range.read(0, _MAX_HEADER)
    if raw[:4] != MAGIC:
        if raw[1:4] == b"\x2a\x4d\x18" and raw[0] & 0xF0 == 0x50:
            raise Unsupported("a skippable zstd frame stands before the data", "build the package again")
        raise Damaged("the data is not zstd-compressed", _AGAIN)
    try:
        parameters = zstandard.get_frame_parameters(raw)
        header = zstandard.frame_header_size(raw)
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd frame header is damaged: {error}", _AGAIN) from error
    if parameters.dict_id:
        raise Unsupported("the zstd data needs a dictionary", "build the package again without one")
    single = bool(raw[4] & 0x20)
    window = parameters.window_size
    stated = parameters.content_size != zstandard.CONTENTSIZE_UNKNOWN
    return Frame(header, window, single, parameters.content_size if stated else None, bool(parameters.has_checksum))


def check_window(frame: Frame, limit: int = MAX_WINDOW) -> None:
    """Raise LimitExceeded where more than `limit` bytes have to be held to read a frame."""
    if frame.window > limit:
        accepted = ", which is what conda clients accept" if limit == MAX_WINDOW else ""
        raise LimitExceeded(
            f"its zstd window of {frame.window} bytes is larger than {limit}{accepted}",
            "build the package again without long mode, or raise --max-window to have it fixed with a smaller one",
        )


def decompressor() -> zstandard.ZstdDecompressor:
    """Return a decompressor for frames whose window was looked at before."""
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)


def walk_blocks(byte_range: ByteRange, frame: Frame) -> Iterator[Block]:
    """Yield the frame's blocks; raise Damaged where it is cut, Unsupported where something follows it."""
    at = frame.header
    last = False
    while not last:
        bits = int.from_bytes(byte_range.read(at, 3), "little")
        last, kind, size = bool(bits & 1), bits >> 1 & 3, bits >> 3
        if kind == _RESERVED or size > min(MAX_BLOCK, frame.window):
            raise Damaged("a zstd block header is damaged", _AGAIN)
        stop = at + 3 + (1 if kind == RLE else size)
        if stop > byte_range.size:
            raise Damaged("the zstd frame is truncated", _AGAIN)
        yield Block(at, stop)
        at = stop
    at += 4 * frame.checksum
    if at > byte_range.size:
        raise Damaged("the zstd frame is truncated", _AGAIN)
    if at < byte_range.size:
        raise Unsupported(
            f"{byte_range.size - at} bytes follow the zstd frame; clients would read them differently",
            "build the package again",
        )


def decompress(byte_range: ByteRange) -> Generator[bytes, None, None]:
    """Yield the whole content in pieces of at most 1 MiB; raise Damaged unless all of it is there and true.

    The window is the caller's to look at before.
    """
    frame = read_frame(byte_range)
    for _ in walk_blocks(byte_range, frame):
        pass
    size = 0
    reader = decompressor().stream_reader(
        cast("IO[bytes]", ByteRangeReader(byte_range)), read_size=1 << 18, read_across_frames=False
    )
    try:
        while piece := reader.read(CHUNK):
            size += len(piece)
            yield piece
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd data is damaged: {error}", _AGAIN) from error
    if frame.content_size is not None and size != frame.content_size:
        raise Damaged(f"the zstd frame holds {size} bytes and claims {frame.content_size}", _AGAIN)


def parameters(settings: CompressionSettings, size: int, threads: int = 1) -> zstandard.ZstdCompressionParameters:
    """Return libzstd's parameters for content of `size` bytes; the number of threads does not change the output."""
    return zstandard.ZstdCompressionParameters.from_level(
        settings.level,
        source_size=size,
        threads=threads if settings.threaded else 0,
        write_content_size=True,
        write_checksum=settings.checksum,
    )


def compress(pieces: Iterable[bytes], size: int, settings: CompressionSettings, threads: int, out: IO[bytes]) -> None:
    """Write one frame with the content size to `out`. `threads` counts only where the settings is multi-threaded.

    Raises NotVerified where the content has not `size` bytes.
    """
    compressor = zstandard.ZstdCompressor(compression_params=parameters(settings, size, threads))
    try:
        with compressor.stream_writer(out, size=size, closefd=False) as writer:
            for piece in pieces:
                writer.write(piece)
    except zstandard.ZstdError as error:
        raise NotVerified(f"the content cannot be compressed: {error}") from error
