"""Writes a zstd frame from parts: runs of old blocks, which are copied, and ranges that are still being compressed.

The result is a single frame with the old frame's window and checksum flag. Nothing is decoded here.
"""

from __future__ import annotations

from typing import IO, TypeAlias

from ..byte_range import ByteRange
from ..stream import CannotReuse
from ..threads import Pipe
from . import frame as zstd
from .compressor import PendingRange
from .reader import BlockRun

FramePart: TypeAlias = "BlockRun | PendingRange | bytes"
"""Old blocks, new blocks, or at the end the checksum: four bytes, or none."""


class FrameWriter:
    """Writes a frame with `size` bytes of content to `out`; `source` holds the old frame."""

    def __init__(self, source: ByteRange, frame: zstd.FrameHeader, size: int, out: IO[bytes]) -> None:
        self._source = source
        self._out = out
        self._header = frame_header(source.read(0, frame.header_size), size)
        self._held: tuple[bytes, int] | None = None

    def write(self, parts: Pipe[FramePart]) -> None:
        """Write all parts. However this ends, no producer of parts is left waiting.

        Raises CannotReuse if there are no blocks, and any exception that producing or writing a part raised.
        """
        checksum = b""
        try:
            self._out.write(self._header)
            for part in parts:
                if isinstance(part, bytes):
                    checksum = part
                elif isinstance(part, BlockRun):
                    self._append(self._source.read(part.start, part.stop - part.start), part.last - part.start)
                else:
                    self._append_range(part)
            if self._held is None:
                raise CannotReuse("the new frame has no blocks")
            self._out.write(zstd.with_last_flag(*self._held, last=True) + checksum)
        except BaseException:
            for part in parts.abandon():
                if isinstance(part, PendingRange):
                    part.release()
            raise

    def _append_range(self, pending: PendingRange) -> None:
        try:
            for blocks in pending.output:
                self._append(blocks.data, blocks.last)
        finally:
            pending.release()

    def _append(self, data: bytes, last: int) -> None:
        """Write the blocks that were held back, and hold these back until it is known whether they are the last."""
        if self._held is not None:
            self._out.write(self._held[0])
        self._held = zstd.with_last_flag(data, last, last=False), last


def frame_header(old: bytes, size: int) -> bytes:
    """Return a frame header with the window and checksum flag of `old` and a content size of `size` bytes.

    RFC 8878, 3.1.1.1: the upper two bits of the descriptor give the width of the size field, and a two-byte field holds
    the size minus 256. A one-byte field exists only in single-segment frames, which are never reused.
    """
    flag, field = 3, size.to_bytes(8, "little")
    if 256 <= size < 65536 + 256:
        flag, field = 1, (size - 256).to_bytes(2, "little")
    elif size < 1 << 32:
        flag, field = 2, size.to_bytes(4, "little")
    return old[:4] + bytes([flag << 6 | old[4] & 0x04, old[5]]) + field
