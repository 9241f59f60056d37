"""A package is opened once, its format follows from its name, and changes to the file are detected."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conda_prune import (
    PruneError,
    check,
    fix,
    system,
)
from conda_prune.archive.container import Archive, format_of
from conda_prune.errors import (
    BadMetadata,
    CannotWrite,
    Changed,
    Damaged,
    NotAPackage,
)
from conda_prune.model import BlockInfo, Format, Limits

from ..corpus.crafted import BASE, from_zip
from ..corpus.packages import FORMATS, write_package
from ..corpus.zips import DEFLATED, ZipMember, zip_archive

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no named pipes in directories, and needs a privilege to make links"
)


@pytest.mark.parametrize("name", ["a.conda", "a.tar.bz2", "a.b.conda", "x/.conda"])
def test_the_name_decides_the_format(name: str) -> None:
    assert format_of(name) is (Format.TAR_BZ2 if name.endswith("bz2") else Format.CONDA)


@pytest.mark.parametrize("name", ["a", "a.zip", "a.tar", "a.conda.orig", "a.CONDA", ""])
def test_other_names_are_not_packages(name: str) -> None:
    with pytest.raises(NotAPackage, match="name ends neither"):
        format_of(name)


def refused(path: Path, words: str) -> None:
    for work in (check, partial(fix, in_place=True)):
        with pytest.raises(PruneError, match=words):
            work(path)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_missing_file_is_reported(tmp_path: Path, ending: str) -> None:
    refused(tmp_path / f"a{ending}", "no such file; check the path")


def test_a_directory_is_not_a_package(tmp_path: Path) -> None:
    (tmp_path / "a.conda").mkdir()
    refused(tmp_path / "a.conda", "not a regular file")


def block(start: int, size: int) -> BlockInfo:
    return BlockInfo(start, start + 100, 0, size, 0)


def test_blocks_are_held_while_there_is_room(tmp_path: Path) -> None:
    with Archive(str(write_package(BASE, tmp_path, format=".tar.bz2")), Limits()) as archive:
        archive.hold_block(b"not held by default", block(32, 19))
        assert archive.held == {}
        archive.hold = 10
        archive.hold_block(b"one", None)
        archive.hold_block(b"two", block(32, 6))
        archive.hold_block(b"four", block(200, 4))
        assert archive.held == {32: b"onetwo", 200: b"four"}
        archive.hold_block(b"a", block(400, 1))
        assert len(archive.held) == 2


def test_a_block_too_large_to_hold_is_not_collected(tmp_path: Path) -> None:
    with Archive(str(write_package(BASE, tmp_path, format=".tar.bz2")), Limits()) as archive:
        archive.hold = 10
        for _ in range(3):
            archive.hold_block(b"piece", None)
        assert archive.hold == 0
        archive.hold_block(b"end", block(32, 18))
        assert archive.held == {}


def test_a_block_that_is_read_twice_is_held_once(tmp_path: Path) -> None:
    with Archive(str(write_package(BASE, tmp_path, format=".tar.bz2")), Limits()) as archive:
        archive.hold = 10
        for _ in range(3):
            archive.hold_block(b"four", block(32, 4))
        assert (archive.held, archive.hold) == ({32: b"four"}, 6)


@posix
@pytest.mark.parametrize("ending", FORMATS)
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    os.mkfifo(path)
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune", "fix", "--in-place", str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "not a regular file" in done.stderr


@posix
def test_a_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.conda").symlink_to("nowhere")
    refused(tmp_path / "a.conda", "its link points to nothing")


@posix
def test_a_circle_of_links_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.conda").symlink_to("b.conda")
    (tmp_path / "b.conda").symlink_to("a.conda")
    refused(tmp_path / "a.conda", "cannot be read")
    assert sorted(os.listdir(tmp_path)) == ["a.conda", "b.conda"]


@posix
def test_a_package_behind_links_is_fixed_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    real = write_package(BASE, tmp_path / "store")
    first, second = tmp_path / real.name, tmp_path / "second.conda"
    first.symlink_to(real)
    second.symlink_to(first)
    assert fix(second, in_place=True, backup=".orig").status == "fixed"
    assert (first.is_symlink(), second.is_symlink(), real.is_symlink()) == (True, True, False)
    assert sorted(os.listdir(tmp_path / "store")) == sorted([real.name, f"{real.name}.orig"])
    assert check(real).status == "clean"


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(NotAPackage, match="cannot be a path"):
        check("a\0.conda")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_read_only_package_is_checked_and_not_fixed(tmp_path: Path, format_: Any) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    package.chmod(0o444)
    assert check(package).status == "findings"
    with pytest.raises(CannotWrite, match="the file is read-only"):
        fix(package, in_place=True)
    assert fix(package, dry_run=True).status == "findings"
    assert fix(package, output_dir=tmp_path / "out").status == "fixed"


@posix
@pytest.mark.parametrize("what", ["file", "directory"])
def test_read_only_is_reported_before_the_payload_is_read(tmp_path: Path, what: str) -> None:
    """This is about a .conda. A .tar.bz2 has to be read to know that there is something to fix."""
    package = write_package(BASE, tmp_path)
    with Archive(str(package), Limits()) as archive:
        packed = archive.component("pkg")
        assert packed is not None
        middle = packed.byte_range.start + packed.byte_range.size // 2
    data = bytearray(package.read_bytes())
    data[middle] ^= 1
    package.write_bytes(data)
    with pytest.raises(Damaged):
        fix(package, in_place=True)
    read_only = package if what == "file" else tmp_path
    mode = read_only.stat().st_mode
    read_only.chmod(mode & ~0o222)
    try:
        with pytest.raises(CannotWrite, match="is read-only"):
            fix(package, in_place=True)
    finally:
        read_only.chmod(mode)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (bytes(data), [package.name])


def test_the_directory_of_the_package_is_refused_as_output(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path)
    with pytest.raises(CannotWrite, match="fix it in place"):
        fix(package, output_dir=tmp_path)


@pytest.mark.parametrize("format_", FORMATS)
def test_inner_names_are_kept_in_a_renamed_file(tmp_path: Path, format_: Any) -> None:
    original = write_package(BASE, tmp_path, format=format_)
    renamed = tmp_path / f"renamed-1-0{format_}"
    os.rename(original, renamed)
    with Archive(str(renamed), Limits()) as archive:
        before = archive.entry_names
    assert fix(renamed, in_place=True).status == "fixed"
    with Archive(str(renamed), Limits()) as archive:
        assert archive.entry_names == before
    assert os.listdir(tmp_path) == [renamed.name]


METADATA = {
    "empty": b"", "no-json": b"{", "a-list": b"[]", "no-version": b"{}", "deep": b"[" * 100_000,
    "version-3": b'{"conda_pkg_format_version": 3}', "huge": b" " * (1 << 20) + b"{}x",
}  # fmt: skip


@pytest.mark.parametrize("content", METADATA.values(), ids=METADATA)
def test_metadata_without_version_2_is_refused(tmp_path: Path, content: bytes) -> None:
    package = from_zip(lambda members: zip_archive([ZipMember("metadata.json", content), *members[1:]]))(tmp_path)
    with pytest.raises(BadMetadata, match=r"metadata.json|format version"):
        check(package)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full")
def test_too_little_room_to_inflate_entries_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = from_zip(lambda members: zip_archive([replace(m, method=DEFLATED) for m in members]))(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    with pytest.raises(CannotWrite, match="set TMPDIR"):
        check(package)


def test_short_writes_of_deflated_entries_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(memoryview(data)[:3])

    package = from_zip(lambda members: zip_archive([replace(m, method=DEFLATED) for m in members]))(tmp_path)
    names = iter("abc")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Short(tmp_path / next(names), "w+b"))
    assert check(package, deep=True).status == "findings"


@pytest.mark.parametrize("format_", FORMATS)
def test_short_reads_change_nothing(tmp_path: Path, format_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    whole = check(package, deep=True)
    real = system.read_at
    monkeypatch.setattr(system, "read_at", lambda file, offset, length: real(file, offset, min(length, 3)))
    assert check(package, deep=True).findings == whole.findings


@pytest.mark.parametrize("format_", FORMATS)
def test_an_unreadable_file_is_reported(tmp_path: Path, format_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: object, offset: int, length: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    package = write_package(BASE, tmp_path, format=format_)
    monkeypatch.setattr(system, "read_at", fails)
    refused(package, "cannot be read: Input/output error")


def test_a_file_that_shrinks_while_read_has_changed(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path)

    def shrinks() -> None:
        with Archive(str(package), Limits()) as archive:
            os.truncate(package, 100)
            with pytest.raises(Damaged, match="became shorter"):
                archive.whole.read(0, archive.whole.size)
            archive.check_unwritten()

    with pytest.raises(Changed):
        shrinks()


def test_positioned_reads_are_shared_between_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no pread, so readers share one file offset. They must never get each other's bytes."""
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(5000)))
    if hasattr(os, "pread"):
        monkeypatch.delattr(os, "pread")
    wrong: list[int] = []

    def read(start: int) -> None:
        for number in range(start, 5000, 8):
            if system.read_at(file, 4 * number, 4) != number.to_bytes(4, "big"):
                wrong.append(number)

    with open(path, "rb", buffering=0) as file:
        threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
