"""A zstd frame is read completely or refused, and written as libzstd's own tools write it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import zstandard

from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.zstd import frame as zstd
from conda_prune.errors import (
    Damaged,
    LimitExceeded,
    NotVerified,
    Unsupported,
)
from conda_prune.model import CompressionSettings

SINGLE, CHECKSUM, DICTIONARY = 0x20, 0x04, 0x03
"""Bits of a frame header's descriptor (RFC 8878, 3.1.1.1.1)."""
RAW, RLE, COMPRESSED, RESERVED = range(4)
CONTENT = b"".join(b"%d bottles, " % number for number in range(20_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frame"


def byte_range(path: Path, packed: bytes) -> ByteRange:
    path.write_bytes(b"before" + packed + b"behind")
    return ByteRange(path.open("rb", buffering=0), 6, len(packed))


def header(descriptor: int = 0, window: int = 0x38, rest: bytes = b"") -> bytes:
    return zstd.MAGIC + bytes([descriptor]) + (b"" if descriptor & SINGLE else bytes([window])) + rest


def block(type_: int, size: int, data: bytes, *, last: bool = True) -> bytes:
    return (size << 3 | type_ << 1 | last).to_bytes(3, "little") + data


def read(path: Path, packed: bytes) -> bytes:
    whole = byte_range(path, packed)
    with whole.file:
        return b"".join(zstd.decompress(whole))


def read_by_libzstd(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("sized", [False, True])
def test_a_frame_is_read_completely(path: Path, checksum: bool, sized: bool) -> None:
    packed = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=sized).compress(CONTENT)
    assert read(path, packed) == CONTENT
    whole = byte_range(path, packed)
    with whole.file:
        frame = zstd.read_frame(whole)
        assert (frame.checksum, frame.content_size) == (checksum, len(CONTENT) if sized else None)
        found = [(0, frame.header_size), *((block.start, block.stop) for block in zstd.walk_blocks(whole, frame))]
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]], "blocks follow each other"
    assert found[-1][1] == len(packed) - 4 * checksum


def test_blocks_of_every_kind_are_read(path: Path) -> None:
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(b"ab" * 5000)
    compressed = packed[zstandard.frame_header_size(packed) + 3 :]
    parts = [
        block(RAW, 0, b"", last=False),
        block(COMPRESSED, len(compressed), compressed, last=False),
        block(RAW, 3, b"raw", last=False),
        block(RLE, 100_000, b"r"),
    ]
    assert read(path, header() + b"".join(parts)) == b"ab" * 5000 + b"raw" + b"r" * 100_000


@pytest.mark.parametrize("size", [1 << 10, 5 << 24, zstd.MAX_WINDOW])
def test_window_and_size_are_read_from_the_header(path: Path, size: int) -> None:
    log, eighths = size.bit_length() - 1, 0 if not size & size - 1 else 2
    for window, single in ((bytes([log - 10 << 3 | eighths]), 0), (b"", SINGLE)):
        whole = byte_range(path, zstd.MAGIC + bytes([0x80 | single]) + window + size.to_bytes(4, "little"))
        with whole.file:
            frame = zstd.read_frame(whole)
        assert (frame.window, frame.single_segment, frame.content_size) == (size, bool(single), size)


@pytest.mark.parametrize("limit", [1 << 10, 1 << 20, zstd.MAX_WINDOW, 5 << 28])
def test_a_window_above_the_limit_is_refused(limit: int) -> None:
    zstd.check_window(zstd.FrameHeader(6, limit, False, None, False), limit)
    with pytest.raises(LimitExceeded, match=f"window of {limit + 1} bytes is larger than {limit}.*--max-window"):
        zstd.check_window(zstd.FrameHeader(6, limit + 1, False, None, False), limit)


def test_the_default_limit_is_what_clients_accept() -> None:
    zstd.check_window(zstd.FrameHeader(6, 1 << 27, False, None, False))
    with pytest.raises(LimitExceeded, match="134217728, which is what conda clients accept"):
        zstd.check_window(zstd.FrameHeader(6, 5 << 25, False, None, False))


def test_the_window_of_a_single_segment_is_its_content(path: Path) -> None:
    """A streaming reader holds all of it, so libzstd refuses it like a window of that size."""
    packed = header(0x80 | SINGLE, rest=((1 << 27) + 1).to_bytes(4, "little")) + block(RLE, 1 << 17, b"x", last=False)
    whole = byte_range(path, packed)
    with whole.file, pytest.raises(LimitExceeded, match="134217729 bytes"):
        zstd.check_window(zstd.read_frame(whole))
    with pytest.raises(zstandard.ZstdError, match="too much memory"):
        zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj().decompress(packed)


@pytest.mark.parametrize("first", [*range(0x50, 0x60), 0x4F, 0x60])
def test_sixteen_magic_numbers_start_a_skippable_frame(path: Path, first: int) -> None:
    whole = byte_range(path, bytes([first]) + b"\x2a\x4d\x18")
    with whole.file, pytest.raises(Unsupported if 0x50 <= first < 0x60 else Damaged):
        zstd.read_frame(whole)


REFUSED = {
    "nothing": (b"", Damaged, "not zstd"),
    "another magic number": (b"\x28\xb5\x2f\xfc" + header()[4:], Damaged, "not zstd"),
    "a truncated header": (header()[:5], Damaged, "header is damaged"),
    "a reserved bit": (header(0x08) + block(RAW, 1, b"x"), Damaged, "header is damaged"),
    "the longest header": (header(0xC0 | DICTIONARY, rest=b"\1\2\3\4" + bytes(8)), Unsupported, "dictionary"),
    "no block": (header(), Damaged, "truncated"),
    "a truncated block header": (header() + block(RAW, 1, b"x")[:2], Damaged, "truncated"),
    "a truncated block": (header() + block(RAW, 9, b"x" * 8), Damaged, "truncated"),
    "an RLE block without its byte": (header() + block(RLE, 9, b""), Damaged, "truncated"),
    "no last block": (header() + block(RAW, 1, b"x", last=False), Damaged, "truncated"),
    "a truncated checksum": (header(CHECKSUM) + block(RAW, 1, b"x") + b"abc", Damaged, "truncated"),
    "a wrong checksum": (header(CHECKSUM) + block(RAW, 1, b"x") + b"abcd", Damaged, "damaged"),
    "a byte after it": (header() + block(RAW, 1, b"x") + b"!", Unsupported, "1 bytes follow"),
    "a second frame": (2 * (header() + block(RAW, 1, b"x")), Unsupported, "10 bytes follow"),
    "a reserved type": (header() + block(RESERVED, 1, b"x"), Damaged, "block header"),
    "no compressed data": (header() + block(COMPRESSED, 9, b"compressed"[:9]), Damaged, "data is damaged"),
    "another size": (header(0x80, rest=(3).to_bytes(4, "little")) + block(RAW, 2, b"xx"), Damaged, "damaged|says"),
}  # fmt: skip


@pytest.mark.parametrize(("packed", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_ambiguous_or_damaged_frames_are_refused(
    path: Path, packed: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(path, packed)


@pytest.mark.parametrize("type_", [RAW, RLE])
@pytest.mark.parametrize(("window", "largest"), [(0x00, 1 << 10), (0x38, 1 << 17), (0x40, 1 << 17)])
def test_a_block_holds_at_most_a_window_and_128_kib(path: Path, type_: int, window: int, largest: int) -> None:
    good, bad = (
        header(window=window) + block(type_, size, b"a" if type_ == RLE else b"a" * size)
        for size in (largest, largest + 1)
    )
    assert read(path, good) == read_by_libzstd(good) == b"a" * largest
    with pytest.raises(Damaged, match="block header"):
        read(path, bad)
    with pytest.raises(zstandard.ZstdError):
        read_by_libzstd(bad)


def test_a_frame_that_changes_while_read_is_damaged(path: Path) -> None:
    """libzstd waits for the rest of an incomplete block, and its reader ends without an error."""
    content = random.Random(1).randbytes(3 << 19).hex().encode()
    whole = byte_range(path, zstandard.ZstdCompressor().compress(content))
    with whole.file:
        last = list(zstd.walk_blocks(whole, zstd.read_frame(whole)))[-1]
        bits = int.from_bytes(whole.read(last.start, 3), "little")
        assert bits & 7 == COMPRESSED << 1 | 1
        pieces = zstd.decompress(whole)
        next(pieces)
        with path.open("r+b") as file:
            file.seek(whole.start + last.start)
            file.write((bits + (100 << 3)).to_bytes(3, "little"))
        with pytest.raises(Damaged, match="says that it has"):
            list(pieces)


def written_by_libzstd(content: bytes, level: int, threads: int, checksum: bool) -> bytes:
    settings = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(content), threads=threads, write_checksum=checksum
    )
    # Streaming, as package writers do, cuts blocks elsewhere than compressing everything at once.
    compressor = zstandard.ZstdCompressor(compression_params=settings).compressobj(size=len(content))
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize("level", [-3, 1, 6])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_written_frames_are_those_of_libzstd(level: int, checksum: bool, threads: int) -> None:
    """The number of threads makes no difference, but the multi-threaded mode does."""
    content = random.Random(1).randbytes(1000) + CONTENT * 40
    expected = written_by_libzstd(content, level, min(threads, 1), checksum)
    assert expected != written_by_libzstd(content, level, int(not threads), checksum)
    out = io.BytesIO()
    settings = CompressionSettings("zstd", level, "recorded", threaded=bool(threads), checksum=checksum)
    zstd.compress([content[:7], content[7:]], len(content), settings, max(threads, 1), out)
    assert out.getvalue() == expected


@pytest.mark.parametrize("wrong", [-1, 1])
def test_content_of_the_wrong_size_is_an_error(wrong: int) -> None:
    with pytest.raises(NotVerified, match="cannot be compressed"):
        zstd.compress([b"x" * 100], 100 + wrong, CompressionSettings("zstd", 3, "recorded"), 1, io.BytesIO())
