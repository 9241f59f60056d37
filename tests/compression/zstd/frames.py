"""Small zstd frames of every kind that exists in real packages, with their content."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import zstandard

from conda_prune.compression.zstd import frame as zstd
from conda_prune.model import CompressionSettings

from ..laws import Original

if TYPE_CHECKING:
    from conda_prune.model import Source

MIB = 1 << 20
KIB = 1 << 10


@cache
def mixed(size: int, seed: int = 0) -> bytes:
    """Content like that of a package: runs of text, binary tables, noise and zeros of different lengths."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(400)]
    content = bytearray()
    while len(content) < size:
        length = chance.choice([300, 3000, 30_000, 200_000])
        kind = chance.random()
        if kind < 0.55:
            content += b" ".join(chance.choices(words, k=length // 6))
        elif kind < 0.75:
            content += b"".join(i.to_bytes(4, "little") + words[i % 7] for i in range(length // 8))
        elif kind < 0.9:
            content += chance.randbytes(length)
        else:
            content += bytes(length)
        if chance.random() < 0.3 and content:
            start = chance.randrange(len(content))
            content += content[start : start + length]
    return bytes(content[:size])


def text(size: int) -> bytes:
    """Words: every block refers to earlier blocks and uses their tables."""
    chance = random.Random(5)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(3000)]
    return b" ".join(chance.choices(words, k=size // 4))[:size]


def frame(
    content: bytes,
    level: int,
    threads: int,
    window_log: int = 0,
    *,
    checksum: bool = False,
    sized: bool = True,
    job_size: int = 0,
    flushes: tuple[int, ...] = (),
) -> bytes:
    """A frame written by libzstd. With a small window, jobs have 1 MiB at every level.

    It has so many parameters because each of them changes where blocks end, and packages use all of them.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=len(content),
        threads=threads,
        job_size=job_size,
        write_content_size=sized,
        write_checksum=checksum,
        **({"window_log": window_log} if window_log else {}),
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=len(content) if sized else -1)
    packed = b""
    at = 0
    for stop in flushes:
        packed += compressor.compress(content[at:stop]) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        at = stop
    return packed + compressor.compress(content[at:]) + compressor.flush()


def original(
    level: int,
    threads: int,
    content: bytes,
    window_log: int = 0,
    source: Source = "recorded",
    claim: bool | None = None,
    **options: object,
) -> Original:
    packed = frame(content, level, threads, window_log, **options)  # type: ignore[arg-type]
    threaded = bool(threads) if claim is None else claim
    settings = CompressionSettings("zstd", level, source, threaded, bool(options.get("checksum")))
    return Original(packed, content, settings, tuple(range(0, len(content) + 1, MIB // 2)))


CONTENT = 3 * MIB + 54_321


@cache
def originals() -> dict[str, Original]:
    """Every kind of frame that packages have, but small."""
    content = mixed(CONTENT)
    noise = random.Random(1).randbytes(2 * MIB + 77)
    found = {f"threaded {level}": original(level, 2, content, 18, "reproduced") for level in (-7, 1, 3, 9, 12, 15)}
    words = text(CONTENT)
    found |= {
        "threaded 19": original(19, 2, mixed(2 * MIB + 5), 17, "reproduced"),
        "threaded, not reproduced": original(3, 2, content, 19),
        "threaded, its own window": original(1, 2, mixed(4 * MIB + 9, 2), source="reproduced"),
        "threaded, ends with a job": original(3, 2, content[: 3 * MIB], 18, "reproduced"),
        "threaded, checksum": original(1, 2, content, 18, "reproduced", checksum=True),
        "threaded, no size": original(1, 2, content, 18, sized=False),
        "threaded, noise": original(3, 2, noise, 18, "reproduced"),
        "threaded, zeros": original(3, 2, bytes(3 * MIB), 18, "reproduced"),
        "threaded, noise and zeros": original(3, 2, noise[:MIB] + bytes(MIB) + noise[MIB:], 18, "reproduced"),
        "threaded, tiny window": original(3, 2, content[: 2 * MIB], 12, "reproduced"),
        "single": original(3, 0, content, 19, "reproduced"),
        "single 15": original(15, 0, content[: 2 * MIB], 18, "reproduced"),
        "single, its own window": original(1, 0, content, source="reproduced"),
        "single, checksum": original(1, 0, content, 18, "reproduced", checksum=True),
        "single, no size, 128 MiB": original(3, 0, content, 27, sized=False),
        "single, flushes": original(3, 0, content, 18, flushes=(5, 100_000, 100_001, 2 * MIB)),
        "claims threads": original(3, 0, words, 18, "reproduced", claim=True),
        "claims one thread": original(3, 2, words, 18, "reproduced", claim=False),
        "odd jobs": original(3, 2, words, 18, "reproduced", job_size=700_001),
        "larger jobs": original(3, 2, words, 18, "reproduced", job_size=2 * MIB),
        "jobs cut short": original(3, 2, words, 18, "reproduced", flushes=(200_000, 3 * MIB)),
        "another level": Original(
            frame(content, 1, 2, 18), content, CompressionSettings("zstd", 19, "recorded", True), ()
        ),
        "window not a power of 2": wider(original(3, 2, content, 18, "reproduced")),
        "single segment": original(3, 0, content[:300_000]),
        "tiny": original(19, 2, b"abc" * 30, 0, "reproduced"),
        "a byte": original(3, 0, b"x"),
        "nothing": original(3, 0, b""),
    }
    return found


def wider(old: Original) -> Original:
    """The same frame with a window that is an eighth larger: valid, but libzstd does not write such frames."""
    packed = bytearray(old.packed)
    packed[5] += 1
    return Original(bytes(packed), old.content, old.settings, old.boundaries)


def blocks(packed: bytes) -> list[tuple[int, int, bytes]]:
    """The blocks that are not empty: where their content starts and stops, and their bytes without last-block flags."""
    at = zstandard.frame_header_size(packed)
    decompressor = zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj()
    decompressor.decompress(packed[:at])
    found = []
    size = last = 0
    while not last:
        bits = int.from_bytes(packed[at : at + 3], "little")
        last = bits & 1
        end = at + 3 + (1 if bits >> 1 & 3 == 1 else bits >> 3)
        stop = size + len(decompressor.decompress(packed[at:end]))
        if stop > size:
            found.append((size, stop, bytes([packed[at] & 0xFE]) + packed[at + 1 : end]))
        at, size = end, stop
    return found


def read(packed: bytes) -> bytes | None:
    """The content of a frame, decompressed by libzstd, or None if that fails."""
    try:
        return zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj().decompress(packed)
    except zstandard.ZstdError:
        return None


def split_blocks(data: bytes) -> list[bytes]:
    """The blocks in `data`, one by one."""
    found = []
    at = 0
    while at < len(data):
        bits = int.from_bytes(data[at : at + 3], "little")
        stop = at + 3 + (1 if bits >> 1 & 3 == zstd.RLE else bits >> 3)
        found.append(data[at:stop])
        at = stop
    return found
