"""Rewritten zstd frames have exactly the expected content and keep untouched blocks, for every kind of writer."""

from __future__ import annotations

import io
import os
import random
import threading
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler.package_streaming import extract

from conda_prune.compression import level_recovery as stream_settings
from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.recompress import Rewritten, recompress
from conda_prune.compression.stream import CannotReuse, Reused, Stream
from conda_prune.compression.threads import Pipe, ThreadBudget
from conda_prune.compression.zstd import frame as zstd
from conda_prune.compression.zstd import reuse
from conda_prune.compression.zstd.blocks import JobLayout, ReusableRange
from conda_prune.compression.zstd.compressor import RangeCompressor
from conda_prune.compression.zstd.writer import FramePart
from conda_prune.errors import Damaged
from conda_prune.model import CompressionSettings, Splice

from ...corpus.entries import File, PackageSpec
from ...corpus.packages import write_package
from .. import laws
from ..laws import (
    FullDisk,
    Original,
    edge_splices,
    expected,
    open_range,
    splice_lists,
)
from .frames import (
    KIB,
    MIB,
    blocks,
    frame,
    mixed,
    original,
    originals,
    read,
)

LONG = bool(os.environ.get("CONDA_PRUNE_LONG"))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """One of the frames, with splices where they are likely to matter."""
    name = draw(st.sampled_from(sorted(originals())))
    old = originals()[name]
    shifts = st.one_of(st.integers(-3, 3), st.integers(-300_000, 300_000), st.sampled_from([-128 * KIB, 128 * KIB]))
    new = st.one_of(st.just(b""), st.binary(max_size=40), st.builds(mixed, st.integers(0, 200_000), st.integers(0, 3)))
    return name, draw(splice_lists(len(old.content), old.boundaries, shifts, new))


def rewrite(
    directory: Path, old: Original, splices: list[Splice], source: ByteRange | None = None, threads: int = 2
) -> tuple[Rewritten, bytes]:
    """Rewrite, and check the laws and that the result is one frame that every client can read."""
    source = source or open_range(directory, old.packed)
    with source.file:
        done, packed = laws.rewrite(source, old, splices, read, threads)
    new = open_range(directory, packed)
    with new.file:
        header, before = zstd.read_frame(new), zstandard.get_frame_parameters(old.packed)
        assert b"".join(zstd.decompress(new)) == expected(old.content, splices)
    assert header.content_size == done.size
    # Many frames here have a window that is not their level's default. Compressing everything again uses the default.
    assert header.window == before.window_size or not done.reused
    assert header.checksum == before.has_checksum
    return done, packed


def reuse_only(
    source: ByteRange, old: Original, splices: list[Splice], out: IO[bytes], size: int | None = None
) -> Reused:
    """Rewrite a frame that is said to have `size` bytes of content; do not fall back on compressing everything."""
    stream = Stream(source, old.settings, len(old.content) if size is None else size)
    with source.file:
        return reuse.rewrite(stream, splices, out, ThreadBudget(2), lambda done: None)


@settings(
    max_examples=5000 if LONG else 80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
@given(case=cases())
def test_the_result_is_the_input_with_the_splices(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, list[Splice]]
) -> None:
    name, splices = case
    directory = tmp_path_factory.getbasetemp()
    rewrite(directory, originals()[name], splices)


@pytest.mark.parametrize("name", sorted(originals()))
def test_splices_at_the_edges_of_a_frame(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    for splices in edge_splices(len(old.content)):
        rewrite(tmp_path, old, splices)


MISLEADING = {"larger jobs", "odd jobs", "claims one thread", "threaded, not reproduced"}
"""Frames whose jobs are not where the settings say."""


@pytest.mark.parametrize("name", sorted(originals().keys() - MISLEADING))
def test_copied_blocks_fit_at_the_first_attempt(tmp_path: Path, name: str) -> None:
    """Otherwise everything is compressed again, which is right, but much slower."""
    old = originals()[name]
    size = len(old.content)
    for splices in (
        [Splice(0, 0, b"first")],
        [Splice(size // 3, size // 3 + 1)],
        [Splice(size // 2, size)],
        [Splice(size // 5, size // 5 + size // 9), Splice(size // 2, size // 2 + 1, b"new")],
        [Splice(size - size // 4, size - size // 5)],
    ):
        if splices[-1].stop > size:
            continue
        source, out = open_range(tmp_path, old.packed), io.BytesIO()
        with source.file:
            stream = Stream(source, old.settings, size)
            done = recompress(stream, splices, out, ThreadBudget(2), lambda done: None)
        assert read(out.getvalue()) == expected(old.content, splices)
        assert done.crc == zlib.crc32(expected(old.content, splices))


@pytest.mark.parametrize("name", [name for name in sorted(originals()) if name.startswith("threaded")])
def test_untouched_jobs_keep_their_bytes(tmp_path: Path, name: str) -> None:
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


@pytest.mark.parametrize("name", ["single", "single 15", "single, its own window", "single, flushes"])
def test_a_single_threaded_frame_keeps_independent_blocks(tmp_path: Path, name: str) -> None:
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


@pytest.mark.parametrize("name", ["claims threads", "odd jobs", "larger jobs", "jobs cut short"])
@pytest.mark.parametrize("cut", [700, 300_000, MIB - 5, 2 * MIB + 5])
def test_wrong_settings_keep_only_real_blocks(tmp_path: Path, name: str, cut: int) -> None:
    old = originals()[name]
    done, packed = rewrite(tmp_path, old, [Splice(cut, cut + 700, b"new")])
    before, after = blocks(old.packed), {data for _, _, data in blocks(packed)}
    assert done.reused <= sum(stop - start for start, stop, data in before if data in after)


class Changing(ByteRange):
    """A file that returns other bytes when it is read a second time, as failing memory may do."""

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


def test_a_wrong_byte_in_a_copied_block_is_detected(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    source = Changing(open_range(tmp_path, old.packed))
    size = len(old.content)
    done, _ = rewrite(tmp_path, old, [Splice(size - 20, size - 10)], source)
    assert max(source.reads.values()) >= 2
    assert done.reused == 0, "all of it was compressed again"


def test_damage_is_reported_as_damage(tmp_path: Path) -> None:
    old = originals()["threaded, checksum"]
    packed = bytearray(old.packed)
    packed[len(packed) // 2 : len(packed) // 2 + 2000] = bytes(2000)
    source = open_range(tmp_path, bytes(packed))
    with pytest.raises(Damaged):
        reuse_only(source, old, [Splice(5, 6)], io.BytesIO())


@pytest.mark.parametrize("name", ["threaded, noise", "single"])
def test_a_full_disk_ends_the_work(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    with pytest.raises(OSError, match="No space"):
        reuse_only(open_range(tmp_path, old.packed), old, [Splice(MIB, MIB + 9)], FullDisk(MIB // 2))


def test_an_exception_in_progress_ends_the_work(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    source = open_range(tmp_path, old.packed)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    stream = Stream(source, old.settings, len(old.content))
    with source.file, pytest.raises(KeyboardInterrupt):
        recompress(stream, [Splice(MIB, MIB + 9)], io.BytesIO(), ThreadBudget(2), stop)


@pytest.mark.parametrize("ordinal", [1, 2], ids=["writer", "range"])
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "not-begun"])
def test_an_interruption_while_a_thread_starts_leaves_none_behind(
    tmp_path: Path, ordinal: int, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that uses `fix` ends only when all threads have ended: the one that writes, and those that compress."""
    submitted: list[Callable[..., object]] = []

    class Interrupted(ThreadPoolExecutor):
        def submit(self, work: Callable[..., object], /, *arguments: object) -> Future[object]:  # type: ignore[override]
            submitted.append(work)
            if len(submitted) == ordinal:
                if begun:
                    super().submit(work, *arguments)
                raise KeyboardInterrupt
            return super().submit(work, *arguments)

    monkeypatch.setattr(reuse, "ThreadPoolExecutor", Interrupted)
    old = originals()["threaded, noise"]
    splices = [Splice(at, at + 9) for at in range(MIB, len(old.content), 2 * MIB)]
    with pytest.raises(KeyboardInterrupt):
        reuse_only(open_range(tmp_path, old.packed), old, splices, io.BytesIO())
    assert len(submitted) == ordinal
    for thread in threading.enumerate():
        if thread.name.startswith("conda-prune zstd"):
            thread.join(10)
            assert not thread.is_alive()


def test_an_asked_level_compresses_everything(tmp_path: Path) -> None:
    old = originals()["threaded 3"]
    asked = Original(old.packed, old.content, stream_settings.asked("zstd", 1), old.boundaries)
    assert rewrite(tmp_path, asked, [Splice(5, 6)])[0].reused == 0


def test_plain_compresses_everything(tmp_path: Path) -> None:
    old = originals()["threaded 3"]
    source = open_range(tmp_path, old.packed)
    with source.file:
        stream = Stream(source, old.settings, len(old.content))
        done = recompress(stream, [], io.BytesIO(), ThreadBudget(1), lambda done: None, plain=True)
    assert done.reused == 0


def test_a_long_window_keeps_blocks_before_the_first_splice(tmp_path: Path) -> None:
    content = mixed(MIB) + bytes(20 * MIB) + mixed(MIB)
    packed = frame(content, 22, 0, 27, sized=False)
    assert zstandard.get_frame_parameters(packed).window_size == 1 << 27
    old = Original(packed, content, CompressionSettings("zstd", 22, "reproduced"), ())
    assert rewrite(tmp_path, old, [Splice(21 * MIB + 5, 21 * MIB + 7)])[0].reused >= 20 * MIB


@pytest.mark.parametrize("name", ["threaded 15", "threaded, checksum", "single", "single, no size, 128 MiB"])
def test_other_readers_read_the_result(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    splices = [Splice(MIB + 100, MIB + 900, b"new"), Splice(2 * MIB + 5, 2 * MIB + 6)]
    done, packed = rewrite(tmp_path, old, splices)
    assert done.reused
    laws.check_other_readers(packed, expected(old.content, splices), "zstd", "zstd", "--memory=128MB")


def test_rattler_unpacks_a_package_with_the_result(tmp_path: Path) -> None:
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


def test_a_splice_in_a_copied_block_is_detected(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    source, size = open_range(tmp_path, old.packed), len(old.content)
    with source.file, ThreadPoolExecutor() as pool:
        header, stream, parts = zstd.read_frame(source), Stream(source, old.settings, size), Pipe[FramePart](9)
        compressor = RangeCompressor(pool, old.settings, header, size, ThreadBudget(1))
        rewriter = reuse.FrameRewriter(stream, header, [Splice(5, 6)], compressor, parts, lambda done: None)
        with pytest.raises(CannotReuse, match="splice lies in a block"):
            rewriter.run([ReusableRange(0, 0, False, size)], JobLayout(size, 0, 0))


@pytest.mark.parametrize(("wrong", "message"), [(-MIB, "more than it did before"), (MIB, "less than it did before")])
def test_a_frame_that_changed_since_measured_is_detected(tmp_path: Path, wrong: int, message: str) -> None:
    old = originals()["threaded, noise"]
    size = len(old.content) + wrong
    with pytest.raises(Damaged, match=message):
        reuse_only(open_range(tmp_path, old.packed), old, [Splice(5, 6)], io.BytesIO(), size)


def test_overlapping_splices_are_detected(tmp_path: Path) -> None:
    old = originals()["threaded, noise"]
    with pytest.raises(CannotReuse, match="expected size"):
        reuse_only(open_range(tmp_path, old.packed), old, [Splice(5, 10), Splice(7, 12)], io.BytesIO())


def test_a_full_disk_ends_the_work_early(tmp_path: Path) -> None:
    """Long before everything is read, and with the error of the disk."""
    content = random.Random(1).randbytes(24 * MIB)
    source = open_range(tmp_path, frame(content, 1, 2, 19))
    done: list[int] = []
    stream = Stream(source, CompressionSettings("zstd", 1, "reproduced", threaded=True), len(content))
    splices = [Splice(len(content) - 9, len(content))]
    with source.file, pytest.raises(OSError, match="No space"):
        reuse.rewrite(stream, splices, FullDisk(0), ThreadBudget(2), done.append)
    assert sum(done) < len(content)
