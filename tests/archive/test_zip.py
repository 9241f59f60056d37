"""Zips are written with new content for some entries, keep everything else, and are readable by every client."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pytest

from conda_prune import check
from conda_prune.archive.zip import inflate, read_zip
from conda_prune.archive.zip_write import NewContent, write_zip
from conda_prune.compression.byte_range import ByteRange
from conda_prune.errors import Damaged, LimitExceeded, NotAPackage

from ..corpus.zips import (
    DATA_DESCRIPTOR,
    DEFLATED,
    ZipMember,
    zip_archive,
)
from ..libarchive_or_skip import libarchive

GIB = 1 << 30

MEMBERS = [
    ZipMember("metadata.json", b'{"conda_pkg_format_version": 2}'),
    ZipMember("pkg-a-1-0.tar.zst", b"payload " * 500),
    ZipMember("info-a-1-0.tar.zst", b"info " * 300),
]


class Opened:
    """A zip in a file, opened and parsed."""

    def __init__(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.file = cast("BinaryIO", open(path, "rb", buffering=0))  # noqa: SIM115
        self.byte_range = ByteRange(self.file, 0, os.fstat(self.file.fileno()).st_size)
        self.zip = read_zip(self.byte_range)

    def rewritten(self, contents: dict[str, bytes], *, most: int = 0) -> bytes:
        """The zip written with new content for some entries."""

        def new(data: bytes) -> NewContent:
            return NewContent(lambda to: to.write(data), most or len(data))

        out = io.BytesIO()
        write_zip(out, self.byte_range, self.zip, {name: new(data) for name, data in contents.items()})
        return out.getvalue()


def wide(member: ZipMember) -> ZipMember:
    return replace(member, zip64_local=True, zip64_central=True)


VARIANTS = {
    "plain": MEMBERS,
    "rattler": [wide(member) for member in MEMBERS],
    "cph": [MEMBERS[0], *(replace(member, zip64_local=True) for member in MEMBERS[1:])],
    "one": MEMBERS[:1],
    "dated": [replace(member, date=(2024, 2, 29, 23, 59, 58)) for member in MEMBERS],
    "deflated": [replace(member, method=DEFLATED) for member in MEMBERS],
    "described": [replace(member, flags=DATA_DESCRIPTOR) for member in MEMBERS],
}


def facts(data: bytes) -> tuple[bytes, list[tuple[Any, ...]]]:
    """What a zip's directory says about each entry, except for its size and offset."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        entries = [
            (info.filename, info.date_time, info.external_attr, info.create_system, archive.read(info))
            for info in archive.infolist()
        ]
    return archive.comment, entries


def streamed(data: bytes) -> list[tuple[str, bytes]]:
    """The entries that a reader finds from the local headers alone."""
    with libarchive.memory_reader(data, format_name="zip") as archive:
        return [(entry.pathname, b"".join(entry.get_blocks())) for entry in archive]


def local_headers(data: bytes) -> list[tuple[int, int, int, int]]:
    """Flags, method and the two 32-bit sizes in each local header."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        starts = [info.header_offset for info in archive.infolist()]
    return [(*struct.unpack_from("<6x2H", data, at), *struct.unpack_from("<18x2L", data, at)) for at in starts]


@pytest.mark.parametrize("members", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_without_new_content_every_reader_sees_the_same(
    members: list[ZipMember], comment: bytes, tmp_path: Path
) -> None:
    data = zip_archive(members, comment=comment)
    made = Opened(tmp_path / "a.zip", data).rewritten({})
    assert facts(made) == facts(data)
    assert streamed(made) == [(member.name, member.data) for member in members]


@pytest.mark.parametrize(
    "members", [v for v in VARIANTS.values() if len(v) > 1], ids=[v for v in VARIANTS if v != "one"]
)
@pytest.mark.parametrize("content", [b"", b"x", b"another payload" * 999], ids=["empty", "one byte", "longer"])
def test_new_content_changes_nothing_else(members: list[ZipMember], content: bytes, tmp_path: Path) -> None:
    made = Opened(tmp_path / "a.zip", zip_archive(members)).rewritten({members[1].name: content})
    wanted = [members[0], replace(members[1], data=content), members[2]]
    assert facts(made) == facts(zip_archive(wanted))
    assert streamed(made) == [(member.name, member.data) for member in wanted]
    again = Opened(tmp_path / "b.zip", made)
    assert [entry.name for entry in again.zip.in_file_order] == [member.name for member in members]


@pytest.mark.parametrize("members", VARIANTS.values(), ids=VARIANTS)
def test_entries_come_out_stored_with_real_sizes(members: list[ZipMember], tmp_path: Path) -> None:
    """rattler reads only the local headers, and cannot install anything else."""
    made = Opened(tmp_path / "a.zip", zip_archive(members)).rewritten({})
    for (flags, method, packed, size), member in zip(local_headers(made), members, strict=True):
        assert (flags & DATA_DESCRIPTOR, method) == (0, 0)
        assert packed == size == (0xFFFFFFFF if member.zip64_local else len(member.data))


def test_an_entry_without_attributes_gets_none(tmp_path: Path) -> None:
    data = zip_archive(MEMBERS).replace(struct.pack("<L", 0o100644 << 16), bytes(4))
    made = Opened(tmp_path / "a.zip", data).rewritten({MEMBERS[1].name: b"new"})
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert [info.external_attr for info in archive.infolist()] == [0, 0, 0]


def test_a_copied_entry_with_a_wrong_crc_is_refused(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive([*MEMBERS, ZipMember("more", b"x", crc=7)]))
    with pytest.raises(Damaged, match="CRC-32 of the zip entry 'more'"):
        opened.rewritten({MEMBERS[1].name: b"new"})


def test_a_possibly_large_entry_gets_room_for_64_bit_sizes(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive(MEMBERS))
    made = opened.rewritten({MEMBERS[1].name: b"new"}, most=2 * GIB)
    assert [header[2:] for header in local_headers(made)] == [
        (len(MEMBERS[0].data),) * 2, (0xFFFFFFFF,) * 2, (len(MEMBERS[2].data),) * 2,
    ]  # fmt: skip
    assert streamed(made)[1] == (MEMBERS[1].name, b"new")
    again = Opened(tmp_path / "b.zip", made)
    assert [entry.size for entry in again.zip.entries] == [len(MEMBERS[0].data), 3, len(MEMBERS[2].data)]


def test_more_than_65535_entries_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"entry-{number}"), b"")
    opened = Opened(tmp_path / "a.zip", path.read_bytes())
    assert len(opened.zip.entries) == 66_000
    made = opened.rewritten({"entry-65999": b"new"})
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert len(archive.infolist()) == 66_000
        assert archive.read("entry-65999") == b"new"


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", b"BZh9"])
def test_a_file_that_is_not_a_zip_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotAPackage):
        Opened(tmp_path / "a.zip", data)


def test_an_empty_zip_has_no_entries(tmp_path: Path) -> None:
    assert Opened(tmp_path / "a.zip", zip_archive([])).zip.entries == ()


@pytest.mark.parametrize(
    ("data", "error"), [(b"x" * 500, LimitExceeded), (b"\xff" * 9, Damaged)], ids=["too much", "damaged"]
)
def test_inflating_stops_at_the_limit_and_at_damage(data: bytes, error: type[Exception], tmp_path: Path) -> None:
    archive = bytearray(zip_archive([ZipMember("a", data, method=DEFLATED)]))
    if error is Damaged:
        archive[31:36] = b"\xff" * 5
    opened = Opened(tmp_path / "a.zip", bytes(archive))
    with pytest.raises(error):
        list(inflate(opened.byte_range, opened.zip.entries[0], 100))


@pytest.mark.parametrize("more", [-1, 4], ids=["truncated", "extra bytes"])
def test_a_deflated_entry_of_another_length_is_damaged(more: int, tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive([ZipMember("a", b"content " * 9, method=DEFLATED)]))
    entry = opened.zip.entries[0]
    with pytest.raises(Damaged, match="is truncated, or followed by extra bytes"):
        list(inflate(opened.byte_range, entry._replace(packed=entry.packed + more), 100))


def test_a_directory_of_more_than_8_mebibytes_is_not_read(tmp_path: Path) -> None:
    size = (8 << 20) + 1
    path = tmp_path / "a.conda"
    with open(path, "wb") as file:
        file.write(b"PK\3\4")
        file.seek(4 + size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0))
    with pytest.raises(LimitExceeded, match=f"the zip's directory takes {size} bytes"):
        check(path)


class Sparse(io.FileIO):
    """A file in which zeros take no space."""

    def write(self, data: Any) -> int:
        if len(data) == len(ZEROS) and not any(memoryview(data)[:1]):
            self.seek(len(data), os.SEEK_CUR)
            return len(data)
        return super().write(data)


ZEROS = bytes(64 << 20)


def test_a_component_beyond_four_gigabytes_gets_64_bit_sizes(tmp_path: Path) -> None:
    check_large_entry(4 * GIB, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("size", [2 * GIB - len(ZEROS), 2 * GIB, 5 * GIB])
def test_long_a_component_around_a_size_limit_of_zip(size: int, tmp_path: Path) -> None:
    """zipfile starts to write 64-bit sizes at 2 GiB."""
    check_large_entry(size, tmp_path)


def check_large_entry(size: int, tmp_path: Path) -> None:
    """Replace a small entry by one of `size` + 3 bytes, and then by a small one again."""

    def write(to: IO[bytes]) -> None:
        for _ in range(size // len(ZEROS)):
            to.write(ZEROS)
        to.write(b"end")

    opened = Opened(tmp_path / "a.zip", zip_archive(MEMBERS))
    path = tmp_path / "large.zip"
    with Sparse(path, "w+b") as out:
        write_zip(cast("BinaryIO", out), opened.byte_range, opened.zip, {MEMBERS[1].name: NewContent(write, size + 3)})
    sizes = [len(MEMBERS[0].data), size + 3, len(MEMBERS[2].data)]
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == sizes
        assert archive.read(MEMBERS[2].name) == MEMBERS[2].data
    with libarchive.file_reader(str(path)) as archive:
        assert [entry.size for entry in archive] == sizes
    with open(path, "rb", buffering=0) as file:
        byte_range = ByteRange(cast("BinaryIO", file), 0, os.fstat(file.fileno()).st_size)
        again = read_zip(byte_range)
        assert [entry.size for entry in again.entries] == sizes
        small = io.BytesIO()
        new = NewContent(lambda to: to.write(b"small"), 5)
        write_zip(small, byte_range, again, {MEMBERS[1].name: new})
    assert streamed(small.getvalue())[1] == (MEMBERS[1].name, b"small")
