"""Small bz2 streams of every kind, including valid but strange ones, with their content."""

from __future__ import annotations

import bz2
import random
import zlib
from functools import cache

from conda_prune.model import CompressionSettings

from ..laws import Original

BLOCK = 100_000 - 19
"""Bytes of content in a full block of level 1, if no byte is repeated four times."""
MAGIC = f"{0x314159265359:048b}"
END = f"{0x177245385090:048b}"


def text(size: int, seed: int = 0) -> bytes:
    """Words, and the runs of equal bytes that are common in tar files."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(500)] + [bytes(n) for n in (4, 5, 255, 259, 300)]
    content = b""
    while len(content) < size:
        content += b" ".join(chance.choices(words, k=5000))
    return content[:size]


def noise(size: int, seed: int = 3) -> bytes:
    """Random bytes, alternately even and odd. None is repeated, so every block is exactly full."""
    content = bytearray(random.Random(seed).randbytes(size))
    content[::2] = content[::2].translate(bytes(i & 0xFE for i in range(256)))
    content[1::2] = content[1::2].translate(bytes(i | 1 for i in range(256)))
    return bytes(content)


def original(content: bytes, level: int = 1) -> Original:
    settings = CompressionSettings("bzip2", level, "recorded")
    return Original(bz2.compress(content, level), content, settings, block_starts(content, level))


def block_starts(content: bytes, level: int) -> tuple[int, ...]:
    """Where blocks start, found without parsing: a compressor returns output when a block is full."""
    starts = [0]
    compressor = bz2.BZ2Compressor(level)
    for at in range(0, len(content), 500):
        if len(compressor.compress(content[at : at + 500])) > 4:
            starts.append(at)
    return tuple(starts)


@cache
def originals() -> dict[str, Original]:
    some = noise(350_000)
    return {
        "text": original(text(550_000)),
        "noise": original(some),
        "zeros": original(bytes(12_000_000)),
        "runs": original(b"".join(bytes([i % 251]) * (i % 7) for i in range(150_000))),
        "fours": original(b"".join(bytes([i & 255]) * 4 for i in range(80_000))),
        "run across a block's end": original(some[: BLOCK - 3] + b"z" * 700 + some[:150_000]),
        "run of a block and more": original(some[:5] + b"q" * 400_000 + some[:120_000]),
        "one full block": original(some[:BLOCK]),
        "full blocks": original(some[: 3 * BLOCK]),
        "tiny last block": original(some[: 2 * BLOCK + 1]),
        "level 5": original(text(1_300_000, 5), 5),
        "level 9": original(text(1_500_000, 9), 9),
        "tiny": original(b"abc"),
        "nothing": original(b""),
        "false magic": false_magic(),
        "randomized": randomized(),
    }


def stream_of(block: str, crc: int) -> bytes:
    """A stream of level 1 with one block; `block` is the bits after the block's CRC."""
    bits = f"{int.from_bytes(b'BZh1', 'big'):032b}{MAGIC}{crc:032b}{block}{END}{crc:032b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def false_magic() -> Original:
    """A valid stream with the magic number of a block inside its only block.

    The block uses all 256 byte values, and the same code length (9 bits) for all 258 symbols. So its bits can be chosen
    freely, as long as every ninth is zero.
    """
    chance = random.Random(4)
    aligned = "000000011"[:9][:5] + MAGIC[:4] + MAGIC[4:] + "0"
    codes = [int(aligned[i : i + 9], 2) for i in range(0, len(aligned), 9)]
    symbols = [*(chance.randrange(2, 257) for _ in range(30)), *codes, *(chance.randrange(2, 257) for _ in range(9))]
    assert max(symbols) < 257
    block = "0" + f"{7:024b}" + "1" * (16 + 256)
    block += f"{2:03b}{2:015b}" + "00" + (f"{9:05b}" + "0" * 258) * 2
    block += "".join(f"{symbol:09b}" for symbol in [*symbols, 257])
    content = unblocked(symbols, 7)
    assert MAGIC in block
    packed = stream_of(block, block_crc(content))
    assert bz2.decompress(packed) == content
    return Original(packed, content, CompressionSettings("bzip2", 1, "recorded"), (0,))


def unblocked(symbols: list[int], origin: int) -> bytes:
    """The content of a block: undo zero runs and move-to-front, the sorting, and the first run-length coding."""
    front, column, run, weight = list(range(256)), bytearray(), 0, 1
    for symbol in symbols:
        if symbol < 2:
            run, weight = run + weight * (symbol + 1), weight * 2
            continue
        column += bytes([front[0]]) * run
        run, weight = 0, 1
        front.insert(0, front.pop(symbol - 1))
        column.append(front[0])
    column += bytes([front[0]]) * run
    order = sorted(range(len(column)), key=column.__getitem__)
    at, sorted_back = order[origin], bytearray()
    for _ in column:
        sorted_back.append(column[at])
        at = order[at]
    content, at = bytearray(), 0
    while at < len(sorted_back):
        content.append(sorted_back[at])
        if len(content) >= 4 and at >= 3 and len(set(sorted_back[at - 3 : at + 1])) == 1:
            raise AssertionError("choose another seed: this one has runs")
        at += 1
    return bytes(content)


def block_crc(content: bytes) -> int:
    """The CRC of bzip2: that of zlib, with the bits of every byte and of the result reversed."""
    reversed_ = content.translate(bytes(int(f"{i:08b}"[::-1], 2) for i in range(256)))
    return int(f"{zlib.crc32(reversed_):032b}"[::-1], 2)


def randomized() -> Original:
    """A stream whose block is marked as randomized, which changes nothing in such a short block."""
    content = b"short enough for the first 617 bytes not to be touched" * 9
    bits = f"{int.from_bytes(bz2.compress(content, 1), 'big'):0{8 * len(bz2.compress(content, 1))}b}"
    assert bits[112] == "0"
    bits = bits[:112] + "1" + bits[113:]
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert bz2.decompress(packed) == content
    return Original(packed, content, CompressionSettings("bzip2", 1, "recorded"), (0,))


def symbols_like_a_magic_number(size: int) -> bytes:
    """Content whose blocks have the magic number of a block in their table of used bytes.

    The table has one bit for each byte value, in groups of sixteen, so the bytes of the content determine the bits.
    """
    groups = (0x3141, 0x5926, 0x5359)
    used = [16 * group + at for group, bits in enumerate(groups) for at in range(16) if bits >> (15 - at) & 1]
    return bytes(used[at * at % len(used)] for at in range(size - len(used))) + bytes(used)
