"""Zips are written again as they were around other contents, and grow wide fields only where they must."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from conda_prune import check
from conda_prune.archive import zip_write
from conda_prune.archive.container import Archive
from conda_prune.archive.extent import Extent
from conda_prune.archive.zip import FULL32, Zip, inflate, read_zip
from conda_prune.archive.zip_write import _CENTRAL as CENTRAL
from conda_prune.archive.zip_write import _LOCAL as LOCAL
from conda_prune.archive.zip_write import NeedsZip64, _stating, write_zip
from conda_prune.errors import Damaged, LimitExceeded, NotAPackage
from conda_prune.model import Limits

from .corpus.crafted import from_zip
from .corpus.zips import DATA_DESCRIPTOR, DEFLATED, ZipMember, zip_archive

MEMBERS = [
    ZipMember("metadata.json", b'{"conda_pkg_format_version": 2}'),
    ZipMember("pkg-a-1-0.tar.zst", b"payload " * 500),
    ZipMember("info-a-1-0.tar.zst", b"info " * 300),
]


class Opened:
    """A zip in a file, as the reader wants it."""

    def __init__(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.file = cast("BinaryIO", open(path, "rb", buffering=0))  # noqa: SIM115
        self.extent = Extent(self.file, 0, os.fstat(self.file.fileno()).st_size)
        self.zip = read_zip(self.extent)

    def again(self, contents: dict[str, bytes], *, wide: bool = False) -> bytes:
        """The zip written again with other contents."""

        def writing(data: bytes) -> Callable[[BinaryIO], object]:
            return lambda out: out.write(data)

        out = io.BytesIO()
        functions = {name: writing(data) for name, data in contents.items()}
        write_zip(out, self.extent, self.zip, functions, wide=wide)
        return out.getvalue()


def wide(member: ZipMember) -> ZipMember:
    return replace(member, zip64_local=True, zip64_central=True)


VARIANTS = {
    "plain": MEMBERS,
    "rattler": [wide(member) for member in MEMBERS],
    "cph": [MEMBERS[0], *(replace(member, zip64_local=True) for member in MEMBERS[1:])],
    "one": MEMBERS[:1],
}


@pytest.mark.parametrize("members", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_without_new_contents_the_zip_is_the_same(members: list[ZipMember], comment: bytes, tmp_path: Path) -> None:
    data = zip_archive(members, comment=comment)
    assert Opened(tmp_path / "a.zip", data).again({}) == data


@pytest.mark.parametrize("members", list(VARIANTS.values())[:3], ids=list(VARIANTS)[:3])
@pytest.mark.parametrize("content", [b"", b"x", b"another payload" * 999], ids=["empty", "one byte", "longer"])
def test_a_new_content_changes_its_own_bytes_and_numbers(
    members: list[ZipMember], content: bytes, tmp_path: Path
) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive(members))
    name = members[1].name
    made = opened.again({name: content})
    # What the crafting code makes of the new content is what comes out: dates, flags, widths and order included.
    assert made == zip_archive([members[0], replace(members[1], data=content), members[2]])
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.read(name) == content


@pytest.mark.parametrize("change", [{"method": DEFLATED}, {"flags": DATA_DESCRIPTOR}], ids=["deflated", "described"])
def test_entries_come_out_stored_with_real_sizes(change: dict[str, int], tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive([replace(m, **change) for m in MEMBERS]))  # type: ignore[arg-type]
    assert opened.again({}) == zip_archive(MEMBERS)


def test_a_wide_zip_has_room_for_large_sizes_in_new_headers(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive(MEMBERS))
    made = opened.again({MEMBERS[1].name: b"new"}, wide=True)
    again = Opened(tmp_path / "b.zip", made)
    assert [entry.size for entry in again.zip.entries] == [len(MEMBERS[0].data), 3, len(MEMBERS[2].data)]
    assert b"\1\0\20\0" in again.zip.entries[1].header
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None


def header_of(opened: Opened, *, central: bool) -> bytes:
    entry = opened.zip.entries[1]
    return entry.central if central else entry.header


@pytest.mark.parametrize("members", list(VARIANTS.values())[:3], ids=list(VARIANTS)[:3])
@pytest.mark.parametrize("size", [0, FULL32 - 1, FULL32, FULL32 + 1, 1 << 40])
@pytest.mark.parametrize("offset", [0, FULL32 - 1, FULL32, 1 << 41])
def test_numbers_beyond_32_bits_go_into_the_wide_field(
    members: list[ZipMember], size: int, offset: int, tmp_path: Path
) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive(members))
    made = _stating(header_of(opened, central=True), CENTRAL, 7, {"size": size, "packed": size, "offset": offset})
    # The standard library's reading of the directory is the judge: it knows nothing of how the header was made.
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(made), 0, 0)
    with zipfile.ZipFile(io.BytesIO(made + end)) as archive:
        (info,) = archive.infolist()
    assert (info.file_size, info.compress_size, info.header_offset, info.CRC) == (size, size, offset, 7)


@pytest.mark.parametrize("size", [FULL32 - 1, FULL32, 1 << 40])
def test_a_local_header_without_room_asks_for_it(size: int, tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive(MEMBERS))
    header = header_of(opened, central=False)
    made = _stating(header, LOCAL, 7, {"size": size, "packed": size})
    assert (len(made) == len(header)) == (size < FULL32)


def test_more_than_65535_entries_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"entry-{number}"), b"")
    opened = Opened(tmp_path / "a.zip", path.read_bytes())
    assert (len(opened.zip.entries), opened.zip.zip64) == (66_000, True)
    made = opened.again({"entry-65999": b"new"})
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert len(archive.infolist()) == 66_000
        assert archive.read("entry-65999") == b"new"


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", b"BZh9"])
def test_what_is_no_zip_is_no_package(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotAPackage):
        Opened(tmp_path / "a.zip", data)


def test_an_empty_zip_has_no_entries(tmp_path: Path) -> None:
    assert Opened(tmp_path / "a.zip", zip_archive([])).zip == Zip((), b"", False)


@pytest.mark.parametrize(
    ("data", "error"), [(b"x" * 500, LimitExceeded), (b"\xff" * 9, Damaged)], ids=["too much", "damaged"]
)
def test_inflating_stops_where_it_must(data: bytes, error: type[Exception], tmp_path: Path) -> None:
    archive = bytearray(zip_archive([ZipMember("a", data, method=DEFLATED)]))
    if error is Damaged:
        archive[31:36] = b"\xff" * 5
    opened = Opened(tmp_path / "a.zip", bytes(archive))
    with pytest.raises(error):
        list(inflate(opened.extent, opened.zip.entries[0], 100))


@pytest.mark.parametrize("more", [-1, 4], ids=["cut", "bytes behind"])
def test_a_deflated_entry_of_another_length_is_damaged(more: int, tmp_path: Path) -> None:
    opened = Opened(tmp_path / "a.zip", zip_archive([ZipMember("a", b"content " * 9, method=DEFLATED)]))
    entry = opened.zip.entries[0]
    with pytest.raises(Damaged, match="is cut or has bytes behind its end"):
        list(inflate(opened.extent, replace(entry, packed=entry.packed + more), 100))


def test_a_directory_of_more_than_64_mebibytes_is_not_read(tmp_path: Path) -> None:
    size = (64 << 20) + 1
    path = tmp_path / "a.conda"
    with open(path, "wb") as file:
        file.write(b"PK\3\4")
        file.seek(4 + size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0))
    with pytest.raises(LimitExceeded, match=f"the zip's directory takes {size} bytes"):
        check(path)


def test_a_component_that_grows_beyond_four_gigabytes_makes_the_zip_wide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the measured size is made up here: the long test below writes that many bytes."""
    package = from_zip(zip_archive)(tmp_path)
    size = 4 << 30
    monkeypatch.setattr(zip_write, "_measured", lambda out, start: (7, size))
    with Archive(str(package), Limits()) as archive, open(tmp_path / "out", "w+b") as out:
        out.write(b"something longer from before" * 999)
        out.seek(0)
        archive.write(out, {"pkg": lambda out: out.write(b"content")})
        names = archive.entry_names
    with zipfile.ZipFile(tmp_path / "out") as read:
        assert tuple(read.namelist()) == names
        assert [info.file_size for info in read.infolist() if info.filename.startswith("pkg-")] == [size]
        assert read.read("metadata.json") == b'{"conda_pkg_format_version": 2}'


@pytest.mark.long
def test_long_a_component_beyond_four_gigabytes(tmp_path: Path) -> None:
    """A sparse file of 5 GiB becomes an entry: headers, directory and end are wide, and every reader agrees."""
    opened = Opened(tmp_path / "a.zip", zip_archive(MEMBERS))
    out_path = tmp_path / "wide.zip"

    def sparse(out: BinaryIO) -> None:
        out.seek(5 << 30, os.SEEK_CUR)
        out.write(b"end")

    with open(out_path, "w+b") as out:
        with pytest.raises(NeedsZip64):
            write_zip(out, opened.extent, opened.zip, {MEMBERS[1].name: sparse})
        out.seek(0)
        out.truncate()
        write_zip(out, opened.extent, opened.zip, {MEMBERS[1].name: sparse}, wide=True)
    code = (
        "import sys, zipfile\n"
        "with zipfile.ZipFile(sys.argv[1]) as archive:\n"
        "    assert archive.testzip() is None\n"
        "    print([info.file_size for info in archive.infolist()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([len(MEMBERS[0].data), (5 << 30) + 3, len(MEMBERS[2].data)])
    with open(out_path, "rb", buffering=0) as file:
        extent = Extent(cast("BinaryIO", file), 0, os.fstat(file.fileno()).st_size)
        again = read_zip(extent)
        assert [entry.size for entry in again.entries][1] == (5 << 30) + 3
        copied = io.BytesIO()
        entry = again.entries[1]
        write_zip(copied, extent, again, {entry.name: lambda out: out.write(b"small")})
    with zipfile.ZipFile(io.BytesIO(copied.getvalue())) as archive:
        assert archive.testzip() is None
        assert archive.read(entry.name) == b"small"
