"""What the rest of the work needs of the new frame's content so far: its size, its digests and its last window."""

from __future__ import annotations

import zlib
from collections import deque

import zstandard


class WrittenContent:
    """Counts and digests content, and holds the last `window` bytes of it, or a little more.

    `size` is the bytes of content so far, `held` the bytes in memory, and `crc` the CRC-32 that the result must have.
    """

    def __init__(self, window: int, checksum: bool) -> None:
        self.size = 0
        self.crc = 0
        self._window = window
        self._pieces: deque[bytes] = deque()
        self.held = 0
        self._xxh64 = _xxh64() if checksum else None

    def append(self, piece: bytes) -> None:
        """Add the next piece of content."""
        self.crc = zlib.crc32(piece, self.crc)
        self.size += len(piece)
        if self._xxh64 is not None:
            self._xxh64.compress(piece)
        self._pieces.append(piece)
        self.held += len(piece)
        # Only whole pieces are dropped, so more than a window may be held, but by less than the oldest piece.
        while self.held - len(self._pieces[0]) >= self._window:
            self.held -= len(self._pieces.popleft())

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes, at most a window, or all bytes if there are fewer."""
        pieces: list[bytes] = []
        for piece in reversed(self._pieces):
            pieces.append(piece[max(0, len(piece) - size) :])
            size -= len(pieces[-1])
            if not size:
                break
        return b"".join(reversed(pieces))

    def checksum(self) -> bytes:
        """Return the four bytes that end the frame, or none if it has no checksum."""
        return b"" if self._xxh64 is None else self._xxh64.flush()[-4:]


def _xxh64() -> zstandard.ZstdCompressionObj:
    """Return a compressor that is used only for its checksum: the low four bytes of the XXH64 of the content.

    Python has no XXH64, but a compressor computes one. These parameters keep the rest of its work small: the smallest
    tables, and a target length with which the fastest strategy skips nearly everything.
    """
    parameters = zstandard.ZstdCompressionParameters(
        window_log=10, hash_log=6, chain_log=6, search_log=1, min_match=7, target_length=1 << 17, strategy=1,
        write_checksum=True, write_content_size=False,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()
