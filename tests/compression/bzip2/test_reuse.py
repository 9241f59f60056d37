"""Rewritten bz2 streams are one stream with exactly the expected content, and keep untouched blocks."""

from __future__ import annotations

import bz2
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler.package_streaming import extract

from conda_prune import fix
from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.bzip2 import reader, reuse
from conda_prune.compression.bzip2.find_blocks import find_magic
from conda_prune.compression.recompress import Rewritten, recompress
from conda_prune.compression.stream import CannotReuse, Stream
from conda_prune.compression.threads import ThreadBudget
from conda_prune.judgement.options import Options
from conda_prune.model import BlockInfo, CompressionSettings, Splice
from conda_prune.operations.fix import FixOptions, fix_package
from conda_prune.rewrite import rewriter

from ...corpus.crafted import BASE
from ...corpus.entries import File, PackageSpec
from ...corpus.packages import write_package
from .. import laws
from ..laws import (
    Original,
    edge_splices,
    expected,
    open_range,
    splice_lists,
)
from .streams import (
    BLOCK,
    noise,
    original,
    originals,
    symbols_like_a_magic_number,
    text,
)

LONG = bool(os.environ.get("CONDA_PRUNE_LONG"))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """One of the streams, with splices anywhere, but often near the ends of blocks and of the stream."""
    name = draw(st.sampled_from(sorted(originals())))
    old = originals()[name]
    new = st.one_of(
        st.just(b""), st.binary(max_size=40), st.integers(0, 250_000).map(text), st.integers(0, 700).map(bytes)
    )
    shifts = st.one_of(st.integers(-5, 5), st.integers(-600, 600))
    return name, draw(splice_lists(len(old.content), old.boundaries, shifts, new))


def read(packed: bytes) -> bytes:
    """The content of data that must be a single stream."""
    decompressor = bz2.BZ2Decompressor()
    content = decompressor.decompress(packed)
    assert decompressor.eof
    assert not decompressor.unused_data
    return content


def known_blocks(source: ByteRange, threads: int) -> tuple[BlockInfo, ...]:
    return tuple(piece.block for piece in reader.decompress(source, threads) if piece.block is not None)


def held_blocks(old: Original, blocks: tuple[BlockInfo, ...], every: int) -> dict[int, bytes]:
    """The content of every `every`th block, by bit offset."""
    held, at = {}, 0
    for number, block in enumerate(blocks):
        if number % every == 0:
            held[block.start] = old.content[at : at + block.size]
        at += block.size
    return held


def rewrite(directory: Path, old: Original, splices: list[Splice], threads: int = 2) -> tuple[Rewritten, bytes]:
    """Rewrite with unknown, known and held blocks, and check the laws and that all results are the same."""
    source = open_range(directory, old.packed)
    with source.file:
        blocks = known_blocks(source, threads)
        results = [
            laws.rewrite(source, old, splices, read, threads, *known)
            for known in ((), (blocks,), (blocks, held_blocks(old, blocks, 1)), (blocks, held_blocks(old, blocks, 2)))
        ]
    assert all(result == results[0] for result in results)
    done, packed = results[0]
    assert packed[:4] == old.packed[:4]
    return done, packed


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
    rewrite(tmp_path_factory.getbasetemp(), originals()[name], splices)


@pytest.mark.parametrize("name", sorted(originals()))
def test_splices_at_the_edges_of_a_stream(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    for splices in edge_splices(len(old.content)):
        rewrite(tmp_path, old, splices)


@pytest.mark.parametrize("level", [1, 2, 5, 9])
def test_every_level_keeps_its_untouched_blocks(tmp_path: Path, level: int) -> None:
    content = noise(300_000 * level, level)
    block = 100_000 * level - 19
    done, packed = rewrite(tmp_path, original(content, level), [Splice(block + 9, block + 18)])
    assert done.reused == len(content) - block
    bits = f"{int.from_bytes(packed, 'big'):b}"
    for at in (0, 2 * block):
        # The same content in another stream has the same block, wherever its bits start.
        own = bz2.compress(content[at : at + block], level)
        assert f"{int.from_bytes(own, 'big'):b}"[32:-90] in bits


@pytest.mark.parametrize("offset", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK])
def test_an_insertion_between_blocks_changes_no_block(tmp_path: Path, offset: int) -> None:
    old = originals()["full blocks"]
    done, _ = rewrite(tmp_path, old, [Splice(offset, offset, b"between")])
    assert done.reused == (3 if offset % BLOCK == 0 else 2) * BLOCK


def test_no_splices_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("text", "noise", "runs", "zeros", "level 9", "nothing"):
        old = originals()[name]
        done, packed = rewrite(tmp_path, old, [])
        assert (done.recompressed, packed) == (0, old.packed)


@pytest.mark.parametrize("name", ["false magic", "randomized"])
def test_strange_blocks_are_compressed_again(tmp_path: Path, name: str) -> None:
    done, packed = rewrite(tmp_path, originals()[name], [Splice(0, 1)])
    assert done.reused == 0
    assert packed == bz2.compress(originals()[name].content[1:], 1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_change_the_bytes(tmp_path: Path, threads: int) -> None:
    old = originals()["text"]
    splices = [Splice(1000, 250_000), Splice(300_000, 300_001, b"new")]
    assert rewrite(tmp_path, old, splices, threads)[1] == rewrite(tmp_path, old, splices)[1]


def test_other_readers_read_the_result(tmp_path: Path) -> None:
    old = originals()["level 5"]
    splices = [Splice(1_200_000, 1_250_000, b"new"), Splice(1_299_000, 1_299_001)]
    done, packed = rewrite(tmp_path, old, splices)
    assert done.reused
    laws.check_other_readers(packed, expected(old.content, splices), "bzip2", "bzip2")


def test_rattler_unpacks_a_package_with_the_result(tmp_path: Path) -> None:
    files = {f"lib/file{i}": File(text(300_000, i)) for i in range(9)}
    package = write_package(PackageSpec("wide", files=files), tmp_path, format=".tar.bz2", writer="rattler", level=1)
    packed = package.read_bytes()
    tar = bz2.decompress(packed)
    at = tar.index(text(300_000, 3)[:1000])
    done, packed = rewrite(
        tmp_path, Original(packed, tar, CompressionSettings("bzip2", 1, "recorded")), [Splice(at, at + 9, b"NINE BYTE")]
    )
    assert done.reused > 2_000_000
    package.write_bytes(packed)
    extract(package, tmp_path / "unpacked")
    for i in range(9):
        content = text(300_000, i)
        assert (tmp_path / f"unpacked/lib/file{i}").read_bytes() == (b"NINE BYTE" + content[9:] if i == 3 else content)


def test_new_data_may_look_like_the_start_of_a_block(tmp_path: Path) -> None:
    new = symbols_like_a_magic_number(5000)
    assert len(find_magic(bz2.compress(new, 1))) == 2
    done, packed = rewrite(tmp_path, originals()["noise"], [Splice(0, BLOCK, new)])
    assert done.reused == 0
    assert bz2.decompress(packed).startswith(new)


def test_old_data_may_look_like_the_start_of_a_block(tmp_path: Path) -> None:
    content = symbols_like_a_magic_number(5000)
    old = original(content)
    assert rewrite(tmp_path, old, [Splice(10, 20)])[0].reused == 0
    source = open_range(tmp_path, old.packed)
    with source.file:
        pieces = list(reader.decompress(source, 2))
    assert b"".join(piece.content for piece in pieces) == content
    assert [piece.block for piece in pieces] == [None]


def test_indistinguishable_blocks_are_all_compressed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is only detected after part of the new file is written."""
    monkeypatch.setattr(rewriter, "is_small", lambda settings, size: False)
    files = {"a": File(noise(400_000)), "z": File(symbols_like_a_magic_number(1000) * 300)}
    package = write_package(replace(BASE, files={**BASE.files, **files}), tmp_path, format=".tar.bz2", level=1)
    progress: list[int] = []
    result = fix_package(
        str(package), Options(None, frozenset(), frozenset(), ()), FixOptions(), progress=Recorder(progress)
    )
    assert (result.status, result.compression and result.compression.reused_bytes) == ("fixed", 0)
    assert min(progress) < 0 < sum(progress), "progress is taken back"
    assert fix(package, in_place=True).status == "clean"


class Recorder:
    """Records progress."""

    def __init__(self, progress: list[int]) -> None:
        self.progress = progress

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        self.progress.append(done)

    def warn(self, line: str) -> None:
        pass


@pytest.mark.parametrize("wrong", [-1, 1])
def test_blocks_that_do_not_add_up_are_not_copied(tmp_path: Path, wrong: int) -> None:
    old = originals()["text"]
    source = open_range(tmp_path, old.packed)
    stream = Stream(source, old.settings, len(old.content) + wrong)
    with source.file, pytest.raises(CannotReuse, match="do not make up"):
        reuse.rewrite(stream, [Splice(0, 1)], io.BytesIO(), ThreadBudget(1), lambda done: None)


def test_a_block_changed_since_reading_is_not_copied(tmp_path: Path) -> None:
    old = originals()["noise"]
    source = open_range(tmp_path, old.packed)
    with source.file:
        blocks = known_blocks(source, 2)
        changed = (*blocks[:-1], blocks[-1]._replace(block_crc=blocks[-1].block_crc ^ 1))
        stream = Stream(source, old.settings, len(old.content), changed)
        with pytest.raises(CannotReuse, match="a block changed"):
            reuse.rewrite(stream, [Splice(0, 1)], io.BytesIO(), ThreadBudget(1), lambda done: None)


@pytest.mark.parametrize("plain", [False, True])
def test_held_blocks_are_not_decompressed_again(tmp_path: Path, plain: bool) -> None:
    old = originals()["noise"]
    source = open_range(tmp_path, old.packed)
    with source.file:
        blocks = known_blocks(source, 2)
        stream = Stream(source, old.settings, len(old.content), blocks, held_blocks(old, blocks, 1))
        unreadable = stream._replace(source=Unreadable(source))
        out = io.BytesIO()
        recompress(unreadable, [Splice(5, len(old.content))], out, ThreadBudget(1), lambda done: None, plain)
    assert bz2.decompress(out.getvalue()) == old.content[:5]


class Unreadable(ByteRange):
    """A file of which only the header can be read."""

    def __init__(self, byte_range: ByteRange) -> None:
        super().__init__(byte_range.file, byte_range.start, byte_range.size)

    def read(self, offset: int, length: int) -> bytes:
        assert offset + length <= 4
        return super().read(offset, length)


@pytest.mark.parametrize("name", ["text", "noise"])
def test_an_incomplete_list_of_blocks_is_ignored(tmp_path: Path, name: str) -> None:
    old = originals()[name]
    source = open_range(tmp_path, old.packed)
    results = []
    with source.file:
        for blocks in ((), known_blocks(source, 2)[:-1]):
            results.append(laws.rewrite(source, old, [Splice(5, 6)], read, 2, blocks))
    assert results[0] == results[1]
