"""Levels and modes are recovered from the bytes alone, or if that fails, from the best evidence there is."""

from __future__ import annotations

import bz2
import random
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import zstandard

from conda_prune.compression import level_recovery as stream_settings
from conda_prune.compression.byte_range import ByteRange
from conda_prune.errors import (
    Damaged,
    NotAPackage,
    Unsupported,
    UsageError,
)
from conda_prune.model import CompressionSettings

MIB = 1 << 20


@cache
def content(size: int) -> bytes:
    """Text that each level compresses differently: words, and repetitions at all distances."""
    chance = random.Random(7)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(2000)]
    text = bytearray(b" ".join(chance.choices(words, k=20_000)))
    while len(text) < size:
        start, length = chance.randrange(len(text)), chance.choice([20, 200, 2000])
        text += text[start : start + length] + b" ".join(chance.choices(words, k=length // 6))
    return bytes(text[:size])


def compressed(data: bytes, level: int, threads: int, *, sized: bool = True, checksum: bool = False) -> bytes:
    settings = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(data) * sized, threads=threads, write_content_size=sized, write_checksum=checksum
    )
    compressor = zstandard.ZstdCompressor(compression_params=settings)
    packed = compressor.compressobj(size=len(data) if sized else -1)
    return packed.compress(data) + packed.flush()


def recovered(
    directory: Path, packed: bytes, prefer: CompressionSettings | None = None, recorded: int | None = None
) -> CompressionSettings:
    path = directory / "stream"
    path.write_bytes(packed)
    with path.open("rb", buffering=0) as file:
        return stream_settings.recover(ByteRange(file, 0, len(packed)), "zstd", prefer, recorded)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("level", [-7, 1, 3, 9, 15, 19])
@pytest.mark.parametrize("checksum", [False, True])
def test_the_level_and_the_mode_are_recovered(tmp_path: Path, level: int, threads: int, checksum: bool) -> None:
    data = content(6 * MIB if level <= 1 else 2 * MIB + 1 if level < 16 else 9 * MIB)
    found = recovered(tmp_path, compressed(data, level, threads, checksum=checksum))
    assert (found.level, found.source, found.checksum) == (level, "reproduced", checksum)
    if level <= 1:
        assert found.threaded == bool(threads)


@pytest.mark.parametrize(("level", "threads"), [(3, 0), (9, 2), (15, 2), (16, 0), (19, 0)])
def test_recovered_settings_reproduce_the_bytes(tmp_path: Path, level: int, threads: int) -> None:
    data = content(2 * MIB)
    packed = compressed(data, level, threads)
    found = recovered(tmp_path, packed)
    assert compressed(data, found.level, int(found.threaded)) == packed


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 100_000, 400_000])
@pytest.mark.parametrize("level", [-7, 3, 15, 19, 22])
def test_small_streams_are_compared_as_a_whole(tmp_path: Path, size: int, level: int) -> None:
    packed = compressed(content(MIB)[:size], level, 0)
    found = recovered(tmp_path, packed)
    assert found.source == "reproduced"
    assert compressed(content(MIB)[:size], found.level, int(found.threaded)) == packed


def test_the_default_wins_among_equivalent_levels(tmp_path: Path) -> None:
    assert recovered(tmp_path, compressed(b"tiny", 3, 0)).level == 15
    noise = random.Random(1).randbytes(MIB)
    assert recovered(tmp_path, compressed(noise, 19, 0)).level == 15


def test_settings_of_the_other_component_are_tried_first(tmp_path: Path) -> None:
    prefer = CompressionSettings("zstd", 7, "reproduced", threaded=True)
    found = recovered(tmp_path, compressed(b"tiny", 3, 0), prefer)
    assert (found.level, found.threaded) == (7, True)
    assert recovered(tmp_path, compressed(content(3 * MIB), 19, 0), prefer).level == 19


def test_the_recorded_level_is_tried_next_and_used_last(tmp_path: Path) -> None:
    assert recovered(tmp_path, compressed(b"tiny", 3, 0), recorded=6).level == 6
    # No level has this strategy at this size, so nothing reproduces the stream.
    settings = zstandard.ZstdCompressionParameters(
        window_log=22, hash_log=9, chain_log=9, search_log=1, min_match=7, strategy=2, write_content_size=True
    )
    odd = zstandard.ZstdCompressor(compression_params=settings).compress(content(5 * MIB))
    assert recovered(tmp_path, odd, recorded=12) == CompressionSettings("zstd", 12, "recorded", threaded=False)
    assert recovered(tmp_path, odd).source == "assumed"
    assert recovered(tmp_path, odd, recorded=15).threaded


def long_mode(data: bytes, level: int, *, sized: bool) -> bytes:
    """What `zstd --long=26` writes. Its command line also uses threads=1."""
    settings = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(data), enable_ldm=True, window_log=26, threads=1, write_content_size=sized
    )
    packed = zstandard.ZstdCompressor(compression_params=settings).compressobj(size=len(data) if sized else -1)
    return packed.compress(data) + packed.flush()


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("level", [1, 3, 9])
def test_an_assumed_level_is_not_slower_than_the_original(tmp_path: Path, level: int, sized: bool) -> None:
    """Long mode has the window of level 21 at every level."""
    data = content(3 * MIB)
    packed = long_mode(data + bytes(62 * MIB) if sized else data, level, sized=sized)
    assert zstandard.get_frame_parameters(packed).window_size == 64 * MIB
    found = recovered(tmp_path, packed)
    assert found.source == "assumed"
    assert found.level <= max(level, 3), "up to level 3, reading takes longer than writing"
    settings = zstandard.ZstdCompressionParameters.from_level(found.level, source_size=len(data))
    again = zstandard.ZstdCompressor(compression_params=settings).compress(data)
    assert len(again) < 1.1 * len(packed)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd command is not installed")
def test_long_mode_of_the_zstd_command_assumes_a_fast_level(tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(content(3 * MIB) + bytes(70 * MIB))
    done = subprocess.run(["zstd", "-3", "--long=26", "-c", tmp_path / "content"], capture_output=True, check=True)
    found = recovered(tmp_path, done.stdout)
    assert (found.source, found.level) == ("assumed", 3)


def test_a_huge_window_does_not_assume_a_slow_level(tmp_path: Path) -> None:
    settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=28, write_content_size=False)
    packed = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    found = recovered(tmp_path, packed.compress(content(MIB)) + packed.flush())
    assert (found.source, found.level) == ("assumed", 3)


def test_a_stream_without_size_can_be_level_22(tmp_path: Path) -> None:
    packed = compressed(content(MIB // 2), 22, 0, sized=False)
    assert recovered(tmp_path, packed).level == 22


def test_other_data_is_refused(tmp_path: Path) -> None:
    packed = compressed(content(MIB), 3, 0)
    with pytest.raises(Damaged):
        recovered(tmp_path, b"PK\3\4" + bytes(100))
    with pytest.raises(Unsupported):
        recovered(tmp_path, b"\x50\x2a\x4d\x18" + bytes(100))
    with pytest.raises(Damaged):
        recovered(tmp_path, packed[:20] + b"\xff" * 2000 + packed[2020:])


def test_settings_for_an_asked_level() -> None:
    assert stream_settings.asked("zstd", -7) == CompressionSettings("zstd", -7, "asked", threaded=True)
    assert stream_settings.asked("bzip2", 9) == CompressionSettings("bzip2", 9, "asked")


@pytest.mark.parametrize(("codec", "level"), [("zstd", 23), ("zstd", -8), ("bzip2", 0), ("bzip2", 10)])
def test_levels_that_do_not_exist_are_refused(codec: Literal["zstd", "bzip2"], level: int) -> None:
    with pytest.raises(UsageError, match=f"--level {level}"):
        stream_settings.asked(codec, level)


def test_bz2_states_its_level(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(bz2.compress(b"x", 4) + b"y")
    with path.open("rb", buffering=0) as file:
        assert stream_settings.recover(ByteRange(file, 0, path.stat().st_size), "bzip2") == CompressionSettings(
            "bzip2", 4, "recorded"
        )
        with pytest.raises(NotAPackage):
            stream_settings.recover(ByteRange(file, 1, 20), "bzip2")
