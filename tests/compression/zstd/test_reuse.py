"""Rewritten zstd frames hold exactly what they must, whoever wrote the original, and keep what nobody touched."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import libarchive
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rattler.package_streaming import extract

from conda_prune.compression import settings as stream_settings
from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.recompress import Rewritten, recompress
from conda_prune.compression.splicer import CannotReuse, Splicer
from conda_prune.compression.threads import Pipe, ThreadBudget
from conda_prune.compression.zstd import frame as zstd
from conda_prune.compression.zstd import reader as zstd_reader
from conda_prune.compression.zstd import reuse as zstd_reuse
from conda_prune.compression.zstd import writer as zstd_writer
from conda_prune.errors import Damaged
from conda_prune.model import CompressionSettings, Splice

from ...corpus.entries import File, PackageSpec
from ...corpus.packages import write_package

if TYPE_CHECKING:
    from conda_prune.model import Source

LONG = bool(os.environ.get("CONDA_PRUNE_LONG"))
MIB = 1 << 20
KIB = 1 << 10


@dataclass(frozen=True)
class Original:
    """A frame, its content, what it is said to have been written with, and places where something begins or ends."""

    packed: bytes
    content: bytes
    settings: CompressionSettings
    places: tuple[int, ...]


@cache
def mixed(size: int, seed: int = 0) -> bytes:
    """Content like a package's: text, binary tables, noise and zeros, in stretches of all lengths."""
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
    """Content of words alone: every block refers to those before it, and uses their tables."""
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
    """A frame by libzstd; a window of its own makes jobs of 1 MiB at every level."""
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
    recipe = CompressionSettings("zstd", level, source, threaded, bool(options.get("checksum")))
    return Original(packed, content, recipe, tuple(range(0, len(content) + 1, MIB // 2)))


CONTENT = 3 * MIB + 54_321


@cache
def originals() -> dict[str, Original]:
    """Every kind of frame that the wild has, in small."""
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
        "said to be threaded": original(3, 0, words, 18, "reproduced", claim=True),
        "said to be single": original(3, 2, words, 18, "reproduced", claim=False),
        "odd jobs": original(3, 2, words, 18, "reproduced", job_size=700_001),
        "larger jobs": original(3, 2, words, 18, "reproduced", job_size=2 * MIB),
        "jobs cut short": original(3, 2, words, 18, "reproduced", flushes=(200_000, 3 * MIB)),
        "another level": Original(
            frame(content, 1, 2, 18), content, CompressionSettings("zstd", 19, "recorded", True), ()
        ),
        "window no power": wider(original(3, 2, content, 18, "reproduced")),
        "single segment": original(3, 0, content[:300_000]),
        "tiny": original(19, 2, b"abc" * 30, 0, "reproduced"),
        "a byte": original(3, 0, b"x"),
        "nothing": original(3, 0, b""),
    }
    return found


def wider(old: Original) -> Original:
    """The same frame with an eighth more of window: valid, but nothing that libzstd writes."""
    packed = bytearray(old.packed)
    packed[5] += 1
    return Original(bytes(packed), old.content, old.settings, old.places)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """One of the frames, and splices near everything that could matter."""
    name = draw(st.sampled_from(sorted(originals())))
    size = len(originals()[name].content)
    places = [place for place in originals()[name].places if place <= size] or [0]
    near = st.builds(
        lambda place, shift: min(max(place + shift, 0), size),
        st.sampled_from([*places, 0, size]),
        st.one_of(st.integers(-3, 3), st.integers(-300_000, 300_000), st.sampled_from([-128 * KIB, 128 * KIB])),
    )
    bounds = sorted(draw(st.lists(st.one_of(st.integers(0, size), near), max_size=10)))
    new = st.one_of(
        st.just(b""),
        st.binary(max_size=40),
        st.builds(lambda n, seed: mixed(n, seed), st.integers(0, 200_000), st.integers(0, 3)),
    )
    splices = [Splice(start, stop, draw(new)) for start, stop in zip(bounds[::2], bounds[1::2], strict=False)]
    if draw(st.booleans()) and bounds[::2] and len(bounds) % 2:
        splices.append(Splice(bounds[-1], size, draw(new)))
    return name, splices


def expected(content: bytes, splices: list[Splice]) -> bytes:
    """The content with the splices made, from the back."""
    for splice in reversed(splices):
        content = content[: splice.start] + splice.new + content[splice.stop :]
    return content


def open_extent(directory: Path, packed: bytes) -> ByteRange:
    """A file with something before and behind the frame."""
    path = directory / "source"
    path.write_bytes(b"before" + packed + b"behind")
    return ByteRange(path.open("rb", buffering=0), 6, len(packed))


def rewrite(
    directory: Path, old: Original, splices: list[Splice], byte_range: ByteRange | None = None, threads: int = 2
) -> tuple[Rewritten, bytes]:
    """Rewrite; check all that holds of every result.

    What was kept and does not fit is found by the CRC-32, as the verification of a package does, and then rewritten as
    a whole.
    """
    byte_range = byte_range or open_extent(directory, old.packed)
    content = expected(old.content, splices)
    try:
        for plain in (False, True):
            told: list[int] = []
            out = io.BytesIO()
            size, count = len(old.content), told.append
            try:
                done = recompress(byte_range, splices, old.settings, size, out, ThreadBudget(threads), count, plain)
            except CannotReuse:
                assert not plain
                continue
            packed = out.getvalue()
            assert done.crc == zlib.crc32(content)
            if plain or not done.reused or crc_of(packed) == done.crc:
                break
    finally:
        byte_range.file.close()
    assert done.size == len(content) == done.reused + done.recompressed
    assert sum(told) == len(old.content)
    check_frame(directory, old, packed, content, bool(done.reused))
    return done, packed


def crc_of(packed: bytes) -> int | None:
    """The CRC-32 of a frame's content, None where it has none."""
    try:
        return zlib.crc32(
            zstandard.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW).decompressobj().decompress(packed)
        )
    except zstandard.ZstdError:
        return None


def check_frame(directory: Path, old: Original, packed: bytes, content: bytes, reused: bool) -> None:
    """One whole frame of the content, as every client can read it."""
    new = open_extent(directory, packed)
    try:
        header, before = zstd.read_frame(new), zstandard.get_frame_parameters(old.packed)
        assert b"".join(zstd.decompress(new)) == content
    finally:
        new.file.close()
    assert header.content_size == len(content)
    # Many of the windows here are not their level's own, which compressing as a whole goes back to.
    assert header.window == before.window_size or not reused
    assert header.checksum == before.has_checksum


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
    directory = tmp_path_factory.getbasetemp()
    rewrite(directory, originals()[name], splices)


@pytest.mark.parametrize("name", sorted(originals()))
def test_the_edges_of_every_frame(tmp_path: Path, name: str) -> None:
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


MISLEADING = {"larger jobs", "odd jobs", "said to be single", "threaded, not reproduced"}
"""Frames whose jobs are not where the settings say."""


@pytest.mark.parametrize("name", sorted(originals().keys() - MISLEADING))
def test_what_is_kept_fits_at_the_first_attempt(tmp_path: Path, name: str) -> None:
    """A misfit would be noticed and the payload compressed as a whole: right, but much slower."""
    old = originals()[name]
    size = len(old.content)
    for splices in (
        [Splice(0, 0, b"first")],
        [Splice(size // 3, size // 3 + 1)],
        [Splice(size // 2, size)],
        [Splice(size // 5, size // 5 + size // 9), Splice(size // 2, size // 2 + 1, b"new")],
        [Splice(size - size // 4, size - size // 5)],
    ):
        byte_range = open_extent(tmp_path, old.packed)
        with byte_range.file, (tmp_path / "out").open("wb+") as out:
            if splices[-1].stop > size:
                continue
            done = recompress(byte_range, splices, old.settings, size, out, ThreadBudget(2), lambda done: None)
            out.seek(0)
            assert crc_of(out.read()) == done.crc == zlib.crc32(expected(old.content, splices))


WINDOW = MIB // 2
REPRODUCED = CompressionSettings("zstd", 3, "reproduced", threaded=True)
LAYOUTS = [
    pytest.param(REPRODUCED, WINDOW, 9 * MIB, (2 * MIB, WINDOW // 8, WINDOW), id="jobs"),
    pytest.param(REPRODUCED, WINDOW, MIB // 2 + 1, (2 * MIB, WINDOW // 8, WINDOW), id="just large enough for a thread"),
    pytest.param(REPRODUCED, WINDOW, MIB // 2, (MIB // 2, WINDOW // 8, WINDOW), id="too small for one"),
    pytest.param(REPRODUCED, WINDOW, 0, (1, WINDOW // 8, WINDOW), id="nothing"),
    pytest.param(REPRODUCED, WINDOW + 65536, 9 * MIB, (9 * MIB, 73728, WINDOW + 65536), id="a window of others"),
    pytest.param(REPRODUCED, 1 << 16, 9 * MIB, (MIB, 1 << 13, 1 << 16), id="small window"),
    pytest.param(REPRODUCED, 1 << 15, 9 * MIB, (MIB, 1 << 12, 0), id="a window too small to try blocks"),
    pytest.param(REPRODUCED, 64 * MIB, 999 * MIB, (256 * MIB, 8 * MIB, 64 * MIB), id="a large window"),
    pytest.param(REPRODUCED, 128 * MIB, 999 * MIB, (512 * MIB, 16 * MIB, 0), id="a window too large to copy often"),
    pytest.param(REPRODUCED, 128 * MIB, 9 * MIB, (512 * MIB, 16 * MIB, 128 * MIB), id="a large window, less content"),
    pytest.param(
        CompressionSettings("zstd", 3, "recorded", True),
        WINDOW,
        9 * MIB,
        (2 * MIB, WINDOW, WINDOW),
        id="not reproduced",
    ),
    pytest.param(
        CompressionSettings("zstd", 3, "reproduced"), WINDOW, 9 * MIB, (9 * MIB, WINDOW // 8, WINDOW), id="one thread"
    ),
    # libzstd's long mode: jobs by the size of the chain table, and matches in the whole window.
    pytest.param(
        CompressionSettings("zstd", 22, "reproduced", True),
        128 * MIB,
        999 * MIB,
        (512 * MIB, 128 * MIB, 0),
        id="long mode",
    ),
]


@pytest.mark.parametrize(("recipe", "window", "size", "layout"), LAYOUTS)
def test_where_jobs_are_looked_for(
    recipe: CompressionSettings, window: int, size: int, layout: tuple[int, int, int]
) -> None:
    assert zstd_reuse.jobs(zstd.Frame(14, window, False, size, False), recipe, size) == zstd_reuse.Jobs(*layout)


@pytest.mark.parametrize("level", [-5, 1, 3, 6, 7, 8, 9, 12, 13, 15, 16, 17, 18, 19, 22])
@pytest.mark.parametrize("window_log", [18, 19, 20])
def test_jobs_start_and_refer_back_where_libzstd_lets_them(level: int, window_log: int) -> None:
    """Noise that comes again and again is a few bytes where it is seen, and itself where it lies too far back."""
    recipe = CompressionSettings("zstd", level, "reproduced", threaded=True)
    size = 6 * MIB
    layout = zstd_reuse.jobs(zstd.Frame(10, 1 << window_log, False, size, False), recipe, size)
    assert layout.size == max(1 << window_log + 2, MIB)
    lengths = []
    for period in (layout.reach - 100, layout.reach + 3000):
        content = random.Random(period).randbytes(period) * (size // period + 1)
        found = {start: data for start, _, data in blocks(frame(content[:size], level, 2, window_log))}
        lengths.append(len(found[layout.size]))
    assert lengths[0] < 1000
    assert lengths[1] >= 2500


@pytest.mark.parametrize("name", [name for name in sorted(originals()) if name.startswith("threaded")])
def test_untouched_jobs_are_the_originals_own_bytes(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    cut = Splice(MIB + 300_000, MIB + 300_512)
    done, packed = rewrite(tmp_path, old, [cut])
    job = 2 * MIB
    if name == "threaded, its own window":
        assert job < done.reused < len(old.content) - MIB // 2
        return
    before, after = blocks(old.packed), blocks(packed)
    head = [data for start, stop, data in before if stop <= cut.start]
    tail = [data for start, stop, data in before if start >= job]
    assert len(head) >= 6
    assert [data for _, _, data in after[: len(head)]] == head
    assert [data for _, _, data in after[len(after) - len(tail) :]] == tail
    sizes = [stop - start for start, stop, _ in before if stop <= cut.start or start >= job]
    assert done.reused >= sum(sizes)


def blocks(packed: bytes) -> list[tuple[int, int, bytes]]:
    """The blocks that hold anything, unmarked, and where their content starts and stops."""
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


@pytest.mark.parametrize("name", ["single", "single 15", "single, its own window", "single, flushes"])
def test_a_single_threaded_frame_keeps_what_depends_on_no_splice(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    done, packed = rewrite(tmp_path, old, [Splice(700_000, 700_001)])
    before, after = blocks(old.packed), blocks(packed)
    head = [data for _, stop, data in before if stop <= 700_000]
    assert [data for _, _, data in after[: len(head)]] == head
    window = zstandard.get_frame_parameters(old.packed).window_size
    tail = [(start, data) for start, _, data in before if start >= 700_001 + window]
    same = [data for (_, data), (_, _, new) in zip(tail[::-1], after[::-1], strict=False) if data == new]
    assert len(same) >= 8
    assert done.reused >= 600_000 + 128 * KIB * len(same) // 2


@given(content=st.binary(min_size=1, max_size=300), level=st.sampled_from([1, 3, 9]), repeat=st.integers(1, 3000))
def test_blocks_of_a_frames_start_are_independent_and_those_that_refer_are_not(
    content: bytes, level: int, repeat: int
) -> None:
    whole = content * repeat
    [(_, _, block), *_] = blocks(frame(whole, level, 0, 18))
    first = whole[: 128 * KIB]
    memories = (b"", zstd_reader.unlikely_memory())
    alike = [zstd_reader.decode_alike(b"\x40", memory, b"", [(block, first)]) for memory in memories]
    # The other reader notices where libzstd uses the three offsets that every frame starts with.
    assert alike[0]
    assert not zstd_reader.decode_alike(b"\x40", b"", b"", [(block, first + b"x")])


@pytest.mark.parametrize("offset", [1, 4, 8])
def test_a_block_that_uses_an_offset_every_frame_begins_with_is_told_by_the_unlikely_memory(offset: int) -> None:
    chance = random.Random(2)
    content = chance.randbytes(50) + chance.randbytes(offset) * (2000 // offset) + chance.randbytes(20)
    [(_, _, block)] = blocks(frame(content, 16, 0, 18))
    assert zstd_reader.decode_alike(b"\x40", b"", b"", [(block, content)])
    assert not zstd_reader.decode_alike(b"\x40", zstd_reader.unlikely_memory.__wrapped__(), b"", [(block, content)])


@pytest.mark.parametrize("level", [1, 9, 19])
def test_a_block_that_uses_another_ones_tables_is_told_by_both_memories(level: int) -> None:
    content = text(400 * KIB)
    start, stop, block = blocks(frame(content, level, 0, 18))[-1]
    window = content[start - 256 * KIB : start]
    for memory in (b"", zstd_reader.unlikely_memory.__wrapped__()):
        assert not zstd_reader.decode_alike(b"\x40", memory, window, [(block, content[start:stop])])


def test_a_block_may_refer_to_the_first_byte_of_its_window() -> None:
    size = 256 * KIB
    content = random.Random(2).randbytes(size) * 2
    [(_, stop, block), *_] = [found for found in blocks(frame(content, 9, 0, 18)) if found[0] == size]
    assert len(block) < 100
    for memory in (b"", zstd_reader.unlikely_memory.__wrapped__()):
        assert zstd_reader.decode_alike(b"\x40", memory, content[:size], [(block, content[size:stop])])
        assert not zstd_reader.decode_alike(b"\x40", memory, content[1:size], [(block, content[size:stop])])


@example(sizes=[1, 1023], asked=1024)
@example(sizes=[1, 1024], asked=1024)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20), asked=st.integers(0, 1024))
def test_the_window_is_held_and_hardly_more(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], asked: int
) -> None:
    packed = frame(b"", 3, 0, 10, sized=False)
    byte_range = open_extent(tmp_path_factory.getbasetemp(), packed)
    with byte_range.file:
        reader = zstd_reader.Reader(byte_range, zstd.read_frame(byte_range), Splicer([]), lambda done: None)
    content = b""
    for number, size in enumerate(sizes):
        piece = random.Random(number).randbytes(size)
        reader.count(piece)
        content += piece
        assert reader.tail(asked) == content[len(content) - min(asked, len(content)) :]
        held = [len(piece) for piece in reader._tail]
        assert sum(held[1:]) < 1024
    assert (reader.crc, reader.new_size) == (zlib.crc32(content), len(content))


@pytest.mark.parametrize("name", ["said to be threaded", "odd jobs", "larger jobs", "jobs cut short"])
@pytest.mark.parametrize("cut", [700, 300_000, MIB - 5, 2 * MIB + 5])
def test_a_frame_that_was_not_written_as_it_seems_keeps_only_what_it_can(tmp_path: Path, name: str, cut: int) -> None:
    old = originals()[name]
    done, packed = rewrite(tmp_path, old, [Splice(cut, cut + 700, b"new")])
    before, after = blocks(old.packed), {data for _, _, data in blocks(packed)}
    assert done.reused <= sum(stop - start for start, stop, data in before if data in after)


class Changing(ByteRange):
    """A file that gives other bytes when some of them are read a second time, as failing memory might."""

    def __init__(self, byte_range: ByteRange) -> None:
        super().__init__(byte_range.file, byte_range.start, byte_range.size)
        self.reads: dict[tuple[int, int], int] = {}

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        key = (offset, length)
        self.reads[key] = self.reads.get(key, 0) + 1
        if length > 50_000 and self.reads[key] == 2:
            return data[:40_000] + bytes([data[40_000] ^ 0x10]) + data[40_001:]
        return data


def test_a_wrong_byte_in_a_copied_block_is_noticed_and_the_content_compressed_as_a_whole(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    byte_range = Changing(open_extent(tmp_path, old.packed))
    size = len(old.content)
    done, _ = rewrite(tmp_path, old, [Splice(size - 20, size - 10)], byte_range)
    assert max(byte_range.reads.values()) >= 2
    assert done.reused == 0


def test_damage_is_told_from_what_only_does_not_fit(tmp_path: Path) -> None:
    old = originals()["threaded, checksum"]
    packed = bytearray(old.packed)
    packed[len(packed) // 2 : len(packed) // 2 + 2000] = bytes(2000)
    byte_range = open_extent(tmp_path, bytes(packed))
    with (tmp_path / "out").open("wb+") as out, byte_range.file, pytest.raises(Damaged):
        recompress(byte_range, [Splice(5, 6)], old.settings, len(old.content), out, ThreadBudget(2), lambda done: None)


class Full(io.BytesIO):
    """A disk that is full after a megabyte."""

    def write(self, data: object) -> int:
        if self.tell() > MIB // 2:
            raise OSError(28, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["threaded, noise", "single"])
def test_a_full_disk_ends_the_work(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file, pytest.raises(OSError, match="No space"):
        recompress(
            byte_range,
            [Splice(MIB, MIB + 9)],
            old.settings,
            len(old.content),
            Full(),
            ThreadBudget(2),
            lambda done: None,
        )


def test_a_caller_that_stops_the_work_gets_its_own_exception(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    byte_range = open_extent(tmp_path, old.packed)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with byte_range.file, (tmp_path / "out").open("wb") as out, pytest.raises(KeyboardInterrupt):
        recompress(byte_range, [Splice(MIB, MIB + 9)], old.settings, len(old.content), out, ThreadBudget(2), stop)


def test_a_level_that_was_asked_for_compresses_everything(tmp_path: Path) -> None:
    old = originals()["threaded 3"]
    asked = Original(old.packed, old.content, stream_settings.asked("zstd", 1), old.places)
    assert rewrite(tmp_path, asked, [Splice(5, 6)])[0].reused == 0


def test_the_plain_way_when_it_is_wanted(tmp_path: Path) -> None:
    old = originals()["threaded 3"]
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file, (tmp_path / "out").open("wb+") as out:
        done = recompress(
            byte_range, [], old.settings, len(old.content), out, ThreadBudget(1), lambda done: None, plain=True
        )
    assert done.reused == 0


def test_a_long_window_keeps_what_stands_before_the_first_splice(tmp_path: Path) -> None:
    content = mixed(MIB) + bytes(20 * MIB) + mixed(MIB)
    packed = frame(content, 22, 0, 27, sized=False)
    assert zstandard.get_frame_parameters(packed).window_size == 1 << 27
    old = Original(packed, content, CompressionSettings("zstd", 22, "reproduced"), ())
    assert rewrite(tmp_path, old, [Splice(21 * MIB + 5, 21 * MIB + 7)])[0].reused >= 20 * MIB


@pytest.mark.parametrize("name", ["threaded 15", "threaded, checksum", "single", "single, no size, 128 MiB"])
def test_foreign_readers_read_it(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    splices = [Splice(MIB + 100, MIB + 900, b"new"), Splice(2 * MIB + 5, 2 * MIB + 6)]
    done, packed = rewrite(tmp_path, old, splices)
    assert done.reused
    content = expected(old.content, splices)
    with libarchive.memory_reader(packed, format_name="raw", filter_name="zstd") as archive:
        assert b"".join(block for entry in archive for block in entry.get_blocks()) == content
    if program := shutil.which("zstd"):
        run = subprocess.run([program, "-dc", "--memory=128MB"], input=packed, capture_output=True, check=True)
        assert run.stdout == content


def test_rattler_unpacks_a_conda_around_it(tmp_path: Path) -> None:
    files = {f"lib/file{i}": File(mixed(400_000, i)) for i in range(9)}
    package = write_package(PackageSpec("wide", files=files), tmp_path, format=".conda", writer="rattler")
    with zipfile.ZipFile(package) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    [name] = [name for name, _ in entries if name.startswith("pkg-")]
    tar = zstandard.ZstdDecompressor().stream_reader(dict(entries)[name]).read()
    at = tar.index(mixed(400_000, 3)[:1000])
    done, packed = rewrite(tmp_path, original(15, 2, tar, 18, "reproduced"), [Splice(at, at + 9, b"NINE BYTE")])
    assert done.reused > 2 * MIB
    with zipfile.ZipFile(package, "w") as archive:
        for entry, data in entries:
            archive.writestr(entry, packed if entry == name else data)
    extract(package, tmp_path / "unpacked")
    for i in range(9):
        content = mixed(400_000, i)
        assert (tmp_path / f"unpacked/lib/file{i}").read_bytes() == (b"NINE BYTE" + content[9:] if i == 3 else content)


@given(
    size=st.integers(1, 300),
    splices=st.lists(st.integers(0, 300), max_size=8),
    job=st.integers(1, 60),
    reach=st.integers(1, 60),
)
def test_kept_ranges_hold_no_splice_and_see_none(size: int, splices: list[int], job: int, reach: int) -> None:
    bounds = sorted(min(place, size) for place in splices)
    made = [Splice(start, stop) for start, stop in zip(bounds[::2], bounds[1::2], strict=False)]
    for window in (0, reach, job):
        at = 0
        for keep in zstd_reuse.kept_ranges(made, size, zstd_reuse.Jobs(job, reach, window)):
            assert at < keep.stop <= size
            assert not any(at <= splice.start < keep.stop < splice.stop for splice in made)
            before = [splice.stop for splice in made if splice.start < keep.stop and splice.stop <= keep.stop]
            if keep.job is not None:
                assert keep.job % job == 0
                assert at <= keep.job < keep.stop
                assert all(place <= keep.job - reach for place in before)
            if keep.search:
                assert at <= keep.clear < keep.stop
                assert all(place <= keep.clear - window for place in before)
            assert keep.job is not None or keep.search
            at = keep.stop


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, (1 << 32) - 1, 1 << 32, 1 << 40])
@pytest.mark.parametrize("checksum", [False, True])
def test_frame_headers_say_what_they_must(size: int, checksum: bool) -> None:
    old = frame(bytes(1000), 3, 0, 20, checksum=checksum, sized=False)
    found = zstandard.get_frame_parameters(zstd_writer.frame_header(old, size) + bytes(4))
    assert (found.content_size, found.window_size, found.has_checksum) == (size, 1 << 20, checksum)


@pytest.mark.parametrize(
    ("splices", "message"),
    [([Splice(5, 11)], "reaches behind"), ([Splice(11, 12)], "lies behind"), ([Splice(10, 11)], "lies behind")],
)
def test_a_splice_outside_of_the_stream_is_refused(splices: list[Splice], message: str) -> None:
    splicer = Splicer(splices)
    list(splicer.feed(bytes(10)))
    with pytest.raises(ValueError, match=message):
        list(splicer.finish())


def test_a_splice_in_blocks_that_are_to_stay_is_noticed(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file:
        splicer = Splicer([Splice(5, 6)])
        reader = zstd_reader.Reader(byte_range, zstd.read_frame(byte_range), splicer, lambda done: None)
        with pytest.raises(CannotReuse, match="in a kept range"):
            list(reader.kept(len(old.content)))


@pytest.mark.parametrize(("wrong", "message"), [(-MIB, "more than it did before"), (MIB, "less than it did before")])
def test_a_frame_that_changed_after_it_was_measured_is_noticed(tmp_path: Path, wrong: int, message: str) -> None:
    old = originals()["threaded, noise"]
    byte_range = open_extent(tmp_path, old.packed)
    size = len(old.content) + wrong
    with byte_range.file, pytest.raises(Damaged, match=message):
        zstd_reuse.rewrite(
            byte_range, [Splice(5, 6)], old.settings, size, io.BytesIO(), ThreadBudget(2), lambda done: None
        )


def test_splices_that_overlap_are_noticed(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    byte_range = open_extent(tmp_path, old.packed)
    splices = [Splice(5, 10), Splice(7, 12)]
    with byte_range.file, pytest.raises(CannotReuse, match="not the size"):
        zstd_reuse.rewrite(
            byte_range, splices, old.settings, len(old.content), io.BytesIO(), ThreadBudget(2), lambda done: None
        )


class FullAtOnce(io.BytesIO):
    """A disk that is full."""

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_from_the_start_ends_the_work_with_its_own_reason(tmp_path: Path) -> None:
    """Long before everything was read: whoever sends parts to a writer that gave up is told why it did."""
    content = random.Random(1).randbytes(24 * MIB)
    byte_range = open_extent(tmp_path, frame(content, 1, 2, 19))
    told: list[int] = []
    recipe, splices = (
        CompressionSettings("zstd", 1, "reproduced", threaded=True),
        [Splice(len(content) - 9, len(content))],
    )
    with byte_range.file, pytest.raises(OSError, match="No space"):
        zstd_reuse.rewrite(byte_range, splices, recipe, len(content), FullAtOnce(), ThreadBudget(2), told.append)
    assert sum(told) < len(content)


def compressed(level: int, threads: int, window_log: int, before: bytes, content: bytes) -> list[zstd_writer.Packed]:
    """What is written for a range of content behind other content."""
    header = zstd.Frame(10, 1 << window_log, False, 8 * MIB, False)
    compressor = zstd_writer.Compressor(
        CompressionSettings("zstd", level, "reproduced", True), header, 8 * MIB, ThreadBudget(threads)
    )
    compressing = compressor.start(before, len(content), 0)
    for at in range(0, len(content), 100_000):
        compressing.put(content[at : at + 100_000])
    compressing.finish()
    found = list(compressing.output)
    compressing.taken()
    return found


def taken_apart(data: bytes) -> list[bytes]:
    """Blocks, one by one."""
    found = []
    at = 0
    while at < len(data):
        bits = int.from_bytes(data[at : at + 3], "little")
        stop = at + 3 + (1 if bits >> 1 & 3 == zstd.RLE else bits >> 3)
        found.append(data[at:stop])
        at = stop
    return found


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 16, 19])
@pytest.mark.parametrize("window_log", [17, 20])
@pytest.mark.parametrize(
    ("before", "length"), [(0, 700_000), (0, 2_500_000), (60_000, 3000), (100_000, 700_000), (60_000, 1_500_000)]
)
def test_new_blocks_may_follow_any_others(level: int, window_log: int, before: int, length: int) -> None:
    old, content = text(before), text(before + length)[before:]
    new = b"".join(packed.data for packed in compressed(level, 2, window_log, old, content))
    for memory in (b"", zstd_reader.unlikely_memory()):
        reader = zstandard.ZstdDecompressor().decompressobj()
        reader.decompress(zstd.MAGIC + b"\0" + bytes([window_log - 10 << 3]) + memory)
        for at in range(0, before, 1 << 16):
            piece = old[at : at + (1 << 16)]
            reader.decompress((len(piece) << 3).to_bytes(3, "little") + piece)
        assert b"".join(map(reader.decompress, taken_apart(new))) == content


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 16, 19])
@pytest.mark.parametrize("threads", [1, 2])
def test_all_that_was_shown_is_referred_to_where_that_is_less_than_the_window(level: int, threads: int) -> None:
    old = random.Random(1).randbytes(64 * KIB)
    new = compressed(level, threads, 20, old, (old * 2)[:100_000])
    assert sum(len(packed.data) for packed in new) < 100


@given(sizes=st.lists(st.integers(1, 200_000), max_size=30), cuts=st.lists(st.integers(0, 700_000), max_size=12))
@example(sizes=[100_000] * 17, cuts=[])
@example(sizes=[1001, 5, 2002], cuts=[])
def test_blocks_are_taken_in_groups_as_they_come(sizes: list[int], cuts: list[int]) -> None:
    """Of one byte repeated, raw and empty blocks: the empty ones go, no block is marked as the last."""
    made = [
        (min(size, 128 * KIB) << 3 | zstd.RLE << 1 | size & 1).to_bytes(3, "little") + b"x"
        if size % 3 == 0
        else (size % 1001 << 3 | size & 1).to_bytes(3, "little") + bytes(size % 1001)
        for size in sizes
    ]
    whole = b"".join(made)
    bounds = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    groups = list(zstd_writer.regroup(whole[a:b] for a, b in pairwise(bounds)))
    wanted = [bytes([block[0] & 0xFE]) + block[1:] for block in made if block not in (bytes(3), b"\1\0\0")]
    assert [block for group in groups for block in taken_apart(group.data)] == wanted
    assert [len(taken_apart(group.data)) for group in groups] == [
        min(zstd_reader.GROUP, len(wanted) - at) for at in range(0, len(wanted), zstd_reader.GROUP)
    ]
    assert all(group.data[group.last :] == taken_apart(group.data)[-1] for group in groups)


def test_blocks_that_end_within_one_are_no_blocks() -> None:
    with pytest.raises(CannotReuse, match="within a block"):
        list(zstd_writer.regroup([b"\x21\0"]))


def test_a_frame_without_blocks_is_none(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    byte_range = open_extent(tmp_path, old.packed)
    with byte_range.file:
        writer = zstd_writer.Writer(byte_range, zstd.read_frame(byte_range), 0, io.BytesIO())
        parts: Pipe[zstd_writer.Part] = Pipe(1)
        parts.close()
        writer.run(parts)
    assert isinstance(writer.failure, CannotReuse)
