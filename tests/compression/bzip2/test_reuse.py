"""Rewritten bz2 streams are one stream of exactly what they must hold, and keep the blocks that nobody touched."""

from __future__ import annotations

import bz2
import io
import os
import random
import shutil
import subprocess
import zlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import libarchive
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler.package_streaming import extract

from conda_prune import fix
from conda_prune.compression import settings as stream_settings
from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.bzip2 import bits as bzip2_blocks
from conda_prune.compression.bzip2 import reuse as bzip2_reuse
from conda_prune.compression.bzip2 import stream as bzip2
from conda_prune.compression.recompress import Rewritten, recompress
from conda_prune.compression.splicer import CannotReuse
from conda_prune.compression.threads import ThreadBudget
from conda_prune.errors import PruneError
from conda_prune.judgement.plan import Options
from conda_prune.model import CompressionSettings, Splice
from conda_prune.operations import Writing, fix_package

from ...corpus.crafted import BASE
from ...corpus.entries import File, PackageSpec
from ...corpus.packages import write_package

LONG = bool(os.environ.get("CONDA_PRUNE_LONG"))
BLOCK = 100_000 - 19
MAGIC = f"{0x314159265359:048b}"
END = f"{0x177245385090:048b}"


@dataclass(frozen=True)
class Original:
    """A stream, its content, and where in that its blocks start."""

    packed: bytes
    content: bytes
    starts: tuple[int, ...]


def text(size: int, seed: int = 0) -> bytes:
    """Words, with the runs of equal bytes that tar files are full of."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(500)] + [bytes(n) for n in (4, 5, 255, 259, 300)]
    content = b""
    while len(content) < size:
        content += b" ".join(chance.choices(words, k=5000))
    return content[:size]


def noise(size: int, seed: int = 3) -> bytes:
    """Random bytes, even and odd in turns: no byte comes twice, so a block holds as much as it can, exactly."""
    content = bytearray(random.Random(seed).randbytes(size))
    content[::2] = content[::2].translate(bytes(i & 0xFE for i in range(256)))
    content[1::2] = content[1::2].translate(bytes(i | 1 for i in range(256)))
    return bytes(content)


def original(content: bytes, level: int = 1) -> Original:
    return Original(bz2.compress(content, level), content, block_starts(content, level))


def block_starts(content: bytes, level: int) -> tuple[int, ...]:
    """Where blocks start, found without looking at bits: a compressor says when one is full."""
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
        "randomised": randomised(),
    }


def stream_of(block: str, crc: int) -> bytes:
    """One block's bits behind its CRC, as a stream of level 1."""
    bits = f"{int.from_bytes(b'BZh1', 'big'):032b}{MAGIC}{crc:032b}{block}{END}{crc:032b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def false_magic() -> Original:
    """A valid stream whose only block has a block's magic number among its codes.

    All 256 bytes and one code length (9 bits) for all 258 symbols: so the bits are free, if every ninth is zero.
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
    return Original(packed, content, (0,))


def unblocked(symbols: list[int], origin: int) -> bytes:
    """What the symbols of a block mean: runs and moves to the front undone, then the sorting, then the first runs."""
    front, column, run, place = list(range(256)), bytearray(), 0, 1
    for symbol in symbols:
        if symbol < 2:
            run, place = run + place * (symbol + 1), place * 2
            continue
        column += bytes([front[0]]) * run
        run, place = 0, 1
        front.insert(0, front.pop(symbol - 1))
        column.append(front[0])
    column += bytes([front[0]]) * run
    order = sorted(range(len(column)), key=column.__getitem__)
    at, found = order[origin], bytearray()
    for _ in column:
        found.append(column[at])
        at = order[at]
    content, at = bytearray(), 0
    while at < len(found):
        content.append(found[at])
        if len(content) >= 4 and at >= 3 and len(set(found[at - 3 : at + 1])) == 1:
            raise AssertionError("choose another seed: this one has runs")
        at += 1
    return bytes(content)


def block_crc(content: bytes) -> int:
    """The CRC of bzip2, which is zlib's with every byte and the result read backwards."""
    turned = content.translate(bytes(int(f"{i:08b}"[::-1], 2) for i in range(256)))
    return int(f"{zlib.crc32(turned):032b}"[::-1], 2)


def randomised() -> Original:
    """A stream whose block is marked as randomised, which changes nothing in one so short."""
    content = b"short enough for the first 617 bytes not to be touched" * 9
    bits = f"{int.from_bytes(bz2.compress(content, 1), 'big'):0{8 * len(bz2.compress(content, 1))}b}"
    assert bits[112] == "0"
    bits = bits[:112] + "1" + bits[113:]
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert bz2.decompress(packed) == content
    return Original(packed, content, (0,))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """One of the streams, and splices everywhere, rather near the ends of blocks and of the stream."""
    name = draw(st.sampled_from(sorted(originals())))
    old = originals()[name]
    size = len(old.content)
    near = st.builds(
        lambda place, shift: min(max(place + shift, 0), size),
        st.sampled_from([*old.starts, 0, size]),
        st.one_of(st.integers(-5, 5), st.integers(-600, 600)),
    )
    bounds = sorted(draw(st.lists(st.one_of(st.integers(0, size), near), max_size=10)))
    new = st.one_of(
        st.just(b""), st.binary(max_size=40), st.integers(0, 250_000).map(text), st.integers(0, 700).map(bytes)
    )
    return name, [Splice(start, stop, draw(new)) for start, stop in zip(bounds[::2], bounds[1::2], strict=False)]


def expected(content: bytes, splices: list[Splice]) -> bytes:
    for splice in reversed(splices):
        content = content[: splice.start] + splice.new + content[splice.stop :]
    return content


def open_extent(directory: Path, packed: bytes) -> ByteRange:
    path = directory / "source"
    path.write_bytes(b"before" + packed + b"behind")
    return ByteRange(path.open("rb", buffering=0), 6, len(packed))


def rewrite(directory: Path, old: Original, splices: list[Splice], threads: int = 2) -> tuple[Rewritten, bytes]:
    """Rewrite, as a whole where blocks cannot be kept; check all that holds of every result."""
    byte_range = open_extent(directory, old.packed)
    with byte_range.file:
        settings = stream_settings.recover(byte_range, "bzip2")
        marks: list[bzip2_reuse.BlockInfo] = []
        for _ in bzip2_reuse.decompress(byte_range, threads, marks):
            pass
        results = []
        for known in ([], marks):
            for plain in (False, True):
                told: list[int] = []
                out = io.BytesIO()
                size, budget = len(old.content), ThreadBudget(threads)
                try:
                    done = recompress(byte_range, splices, settings, size, out, budget, told.append, plain, marks=known)
                except CannotReuse:
                    assert not plain
                    continue
                packed = out.getvalue()
                break
            results.append((done, packed))
    assert results[0] == results[1], "blocks that are known need not be decompressed"
    content = expected(old.content, splices)
    assert done.size == len(content) == done.reused + done.recompressed
    assert done.crc == zlib.crc32(content)
    assert sum(told) == len(old.content)
    decompressor = bz2.BZ2Decompressor()
    assert decompressor.decompress(packed) == content
    assert decompressor.eof
    assert not decompressor.unused_data
    assert packed[:4] == old.packed[:4]
    return done, packed


@settings(
    max_examples=5000 if LONG else 80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
@given(case=cases())
def test_what_comes_out_is_what_goes_in_but_for_the_splices(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, list[Splice]]
) -> None:
    name, splices = case
    rewrite(tmp_path_factory.getbasetemp(), originals()[name], splices)


@pytest.mark.parametrize("name", sorted(originals()))
def test_the_edges_of_every_stream(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    size = len(old.content)
    for splices in (
        [],
        [Splice(0, 0, b"first")],
        [Splice(size, size, b"last")],
        [Splice(0, size)],
        [Splice(0, size, b"all of it")],
        [Splice(size // 2, size)],
        [Splice(0, size // 2), Splice(size // 2, size // 2, b"x" * 1000), Splice(size // 2, size - size // 3)],
    ):
        rewrite(tmp_path, old, splices)


@pytest.mark.parametrize("level", [1, 2, 5, 9])
def test_every_level_keeps_its_untouched_blocks(tmp_path: Path, level: int) -> None:
    content = noise(300_000 * level, level)
    block = 100_000 * level - 19
    done, packed = rewrite(tmp_path, original(content, level), [Splice(block + 9, block + 18)])
    assert done.reused == len(content) - block
    bits = f"{int.from_bytes(packed, 'big'):b}"
    for at in (0, 2 * block):
        # The same content in a stream of its own has the same block, wherever its bits start.
        own = bz2.compress(content[at : at + block], level)
        assert f"{int.from_bytes(own, 'big'):b}"[32:-90] in bits


@pytest.mark.parametrize("place", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK])
def test_an_insertion_between_blocks_touches_none(tmp_path: Path, place: int) -> None:
    old = originals()["full blocks"]
    done, _ = rewrite(tmp_path, old, [Splice(place, place, b"between")])
    assert done.reused == (3 if place % BLOCK == 0 else 2) * BLOCK


def test_nothing_to_do_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("text", "noise", "runs", "zeros", "level 9", "nothing"):
        old = originals()[name]
        done, packed = rewrite(tmp_path, old, [])
        assert (done.recompressed, packed) == (0, old.packed)


@pytest.mark.parametrize("name", ["false magic", "randomised"])
def test_strange_blocks_are_compressed_again(tmp_path: Path, name: str) -> None:
    done, packed = rewrite(tmp_path, originals()[name], [Splice(0, 1)])
    assert done.reused == 0
    assert packed == bz2.compress(originals()[name].content[1:], 1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_byte(tmp_path: Path, threads: int) -> None:
    old = originals()["text"]
    splices = [Splice(1000, 250_000), Splice(300_000, 300_001, b"new")]
    assert rewrite(tmp_path, old, splices, threads)[1] == rewrite(tmp_path, old, splices)[1]


@pytest.mark.parametrize("name", sorted(originals()))
@pytest.mark.parametrize("threads", [1, 2])
def test_reading_on_many_cores_gives_the_same_content(tmp_path: Path, name: str, threads: int) -> None:
    old = originals()[name]
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file:
        pieces = list(bzip2_reuse.decompress(byte_range, threads, []))
    assert b"".join(pieces) == old.content
    assert all(len(piece) <= 1 << 20 for piece in pieces)


@pytest.mark.parametrize("name", ["noise", "text", "tiny", "nothing"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "followed", "two streams", "wrong footer"])
def test_reading_on_many_cores_refuses_what_reading_on_one_refuses(tmp_path: Path, name: str, harm: str) -> None:
    packed = bytearray(originals()[name].packed)
    if harm == "cut":
        del packed[-5:]
    elif harm == "flipped":
        packed[len(packed) // 2] ^= 4
    elif harm == "wrong footer":
        packed[-3] ^= 8
    else:
        packed += bytes(packed) if harm == "two streams" else b"followed by this"
    byte_range = open_extent(tmp_path, bytes(packed))
    with byte_range.file:
        with pytest.raises(PruneError) as plain:
            list(bzip2.decompress(byte_range))
        with pytest.raises(PruneError) as parallel:
            list(bzip2_reuse.decompress(byte_range, 2, []))
    assert str(plain.value) == str(parallel.value)


@given(pieces=st.lists(st.one_of(st.just(MAGIC), st.text("01", max_size=70), st.just(MAGIC[:47])), max_size=9))
def test_magic_numbers_are_found_at_every_bit(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    bits = "".join(pieces)
    bits += "0" * (-len(bits) % 8)
    wanted = [at for at in range(len(bits)) if bits.startswith(MAGIC, at)]
    data = int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]
    assert bzip2_blocks.find(data) == wanted
    byte_range = open_extent(tmp_path_factory.getbasetemp(), data)
    with byte_range.file:
        assert list(bzip2_blocks.positions(byte_range, len(bits), chunk=8)) == [*wanted, len(bits)]


def test_foreign_readers_read_it_to_the_end(tmp_path: Path) -> None:
    old = originals()["level 5"]
    splices = [Splice(1_200_000, 1_250_000, b"new"), Splice(1_299_000, 1_299_001)]
    done, packed = rewrite(tmp_path, old, splices)
    assert done.reused
    content = expected(old.content, splices)
    with libarchive.memory_reader(packed, format_name="raw", filter_name="bzip2") as archive:
        assert b"".join(block for entry in archive for block in entry.get_blocks()) == content
    if program := shutil.which("bzip2"):
        assert subprocess.run([program, "-dc"], input=packed, capture_output=True, check=True).stdout == content


def test_rattler_reads_a_package_to_its_end(tmp_path: Path) -> None:
    files = {f"lib/file{i}": File(text(300_000, i)) for i in range(9)}
    package = write_package(PackageSpec("wide", files=files), tmp_path, format=".tar.bz2", writer="rattler", level=1)
    packed = package.read_bytes()
    tar = bz2.decompress(packed)
    at = tar.index(text(300_000, 3)[:1000])
    done, packed = rewrite(tmp_path, Original(packed, tar, ()), [Splice(at, at + 9, b"NINE BYTE")])
    assert done.reused > 2_000_000
    package.write_bytes(packed)
    extract(package, tmp_path / "unpacked")
    for i in range(9):
        content = text(300_000, i)
        assert (tmp_path / f"unpacked/lib/file{i}").read_bytes() == (b"NINE BYTE" + content[9:] if i == 3 else content)


def test_the_level_is_the_headers(tmp_path: Path) -> None:
    for level in range(1, 10):
        byte_range = open_extent(tmp_path, bz2.compress(b"x", level))
        with byte_range.file:
            assert bzip2.read_level(byte_range) == level
            assert stream_settings.recover(byte_range, "bzip2") == CompressionSettings("bzip2", level, "recorded")


def symbols_like_a_magic_number(size: int) -> bytes:
    """Content of which every block's table of used bytes reads as a block's magic number.

    The table has a bit for each byte, sixteen to a group: whoever chooses the bytes chooses the bits.
    """
    groups = (0x3141, 0x5926, 0x5359)
    used = [16 * group + at for group, bits in enumerate(groups) for at in range(16) if bits >> (15 - at) & 1]
    return bytes(used[at * at % len(used)] for at in range(size - len(used))) + bytes(used)


def test_new_data_may_look_like_the_start_of_a_block(tmp_path: Path) -> None:
    new = symbols_like_a_magic_number(5000)
    assert len(bzip2_blocks.find(bz2.compress(new, 1))) == 2
    done, packed = rewrite(tmp_path, originals()["noise"], [Splice(0, BLOCK, new)])
    assert done.reused == 0
    assert bz2.decompress(packed).startswith(new)


def test_old_data_may_look_like_the_start_of_a_block(tmp_path: Path) -> None:
    content = symbols_like_a_magic_number(5000)
    old = Original(bz2.compress(content, 1), content, (0,))
    assert rewrite(tmp_path, old, [Splice(10, 20)])[0].reused == 0
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file:
        marks: list[bzip2_reuse.BlockInfo] = []
        assert b"".join(bzip2_reuse.decompress(byte_range, 2, marks)) == content
    assert marks == []


def test_a_package_whose_blocks_cannot_be_told_apart_is_compressed_as_a_whole(tmp_path: Path) -> None:
    """That turns out when a part of the new file is written already."""
    files = {"a": File(noise(400_000)), "z": File(symbols_like_a_magic_number(1000) * 300)}
    package = write_package(replace(BASE, files={**BASE.files, **files}), tmp_path, format=".tar.bz2", level=1)
    told: list[int] = []
    result = fix_package(str(package), Options(None, frozenset(), frozenset(), ()), Writing(), progress=Told(told))
    assert (result.status, result.compression and result.compression.reused_bytes) == ("fixed", 0)
    assert min(told) < 0 < sum(told), "progress was taken back once"
    assert fix(package, in_place=True).status == "clean"


class Told:
    """Progress that is noted."""

    def __init__(self, told: list[int]) -> None:
        self.told = told

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        self.told.append(done)


def test_half_a_block_is_none() -> None:
    whole = bzip2_blocks.pack(noise(5000), 1)
    half = whole.length // 2
    with pytest.raises(CannotReuse, match="starts no block"):
        bzip2_blocks.unpack(bzip2_blocks.Bits(whole.value >> half, whole.length - half, 1, whole.crc), 1).rest()


@pytest.mark.parametrize("wrong", [-1, 1])
def test_blocks_of_another_size_than_the_content_are_not_kept(tmp_path: Path, wrong: int) -> None:
    old = originals()["text"]
    byte_range, size = open_extent(tmp_path, old.packed), len(old.content) + wrong
    with byte_range.file, (tmp_path / "out").open("wb") as out, pytest.raises(CannotReuse, match="do not make up"):
        bzip2_reuse.rewrite(byte_range, [Splice(0, 1)], size, out, ThreadBudget(1), lambda done: None)


def test_a_block_that_changed_since_it_was_read_is_not_kept(tmp_path: Path) -> None:
    old = originals()["noise"]
    byte_range = open_extent(tmp_path, old.packed)
    marks: list[bzip2_reuse.BlockInfo] = []
    with byte_range.file, (tmp_path / "out").open("wb") as out:
        for _ in bzip2_reuse.decompress(byte_range, 2, marks):
            pass
        marks[-1] = replace(marks[-1], block_crc=marks[-1].block_crc ^ 1)
        with pytest.raises(CannotReuse, match="a block is not what it was"):
            bzip2_reuse.rewrite(
                byte_range, [Splice(0, 1)], len(old.content), out, ThreadBudget(1), lambda done: None, marks
            )
