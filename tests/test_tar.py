"""A tar stream is taken in pieces of any size, and its members are told with their exact places."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune.archive.tar import TarReader
from conda_prune.archive.tar_header import (
    BLOCK,
    checked_path,
    checksum_of,
    padded,
    padding,
    parse_header,
    parse_pax,
    place,
    with_size,
)
from conda_prune.errors import Damaged, PruneError, Unsupported
from conda_prune.model import Component, FileKind, Limits

from .corpus.crafted import pax_header, pax_record, tar_of
from .corpus.packages import GNU, PAX, USTAR, Dialect, tar_member
from .corpus.tars import END

DIALECTS = pytest.mark.parametrize("dialect", [USTAR, GNU, PAX], ids=["ustar", "gnu", "pax"])
DEEP = "directory/" * 15


def read(tar: bytes, size: int = 1 << 20, keep: int = 0) -> Component:
    reader = TarReader(lambda name: keep, Limits())
    for start in range(0, len(tar), size):
        reader.feed(tar[start : start + size])
    return reader.finish("pkg")


def members(dialect: Dialect) -> list[bytes]:
    name = DEEP[:140] + "n" if dialect == USTAR else DEEP + "n" * 101
    return [
        tar_member("empty", dialect=dialect),
        tar_member("one", b"1", dialect=dialect),
        tar_member("block", b"b" * BLOCK, dialect=dialect),
        tar_member("more", b"m" * (BLOCK + 1), dialect=dialect),
        tar_member(name, b"deep", dialect=dialect),
        tar_member("directory", type=tarfile.DIRTYPE, dialect=dialect),
        tar_member("link", type=tarfile.SYMTYPE, linkname="one", dialect=dialect),
        tar_member("hard", type=tarfile.LNKTYPE, linkname="one", dialect=dialect),
        tar_member("née", b"utf-8", dialect=dialect, mtime=1.5),
    ]


def test_an_empty_tar_has_no_members() -> None:
    found = read(END)
    assert (found.name, found.files, list(found.spans), found.size) == ("pkg", (), [], len(END))


@DIALECTS
@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 5000, 1 << 20])
def test_pieces_of_any_size_give_the_same_members(dialect: Dialect, size: int) -> None:
    tar = tar_of(members(dialect))
    assert read(tar, size) == read(tar)


@DIALECTS
def test_members_are_what_python_sees_at_places_that_fill_the_stream(dialect: Dialect) -> None:
    raw = members(dialect)
    tar = tar_of(raw)
    found = read(tar, keep=1 << 20)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        infos = archive.getmembers()
        for file, info in zip(found.files, infos, strict=True):
            stream = archive.extractfile(info) if info.isreg() else None
            content = stream.read() if stream else b""
            assert (file.path, file.link) == (info.name, info.linkname)
            assert file.mtime == int(info.mtime)
            if file.kind is FileKind.FILE:
                assert (file.content, file.size) == (content, info.size)
                assert file.sha256 == hashlib.sha256(content).hexdigest()
            else:
                assert (file.size, file.sha256) == (None, None)
    assert [tar[span.start : span.stop] for span in found.spans] == raw
    assert [span.stop - span.content for span in found.spans] == [padded(file.size or 0) for file in found.files]


def test_only_the_asked_leading_bytes_are_kept() -> None:
    found = read(tar_of([tar_member("a", b"abcdef"), tar_member("b", b"b")]), keep=3)
    assert [file.content for file in found.files] == [b"abc", b"b"]
    assert [file.whole for file in found.files] == [None, b"b"]
    assert found.headers.keys() == {"b"}


@DIALECTS
@pytest.mark.parametrize("content", [b"", b"x", b"y" * BLOCK, b"z" * 99_999])
def test_a_member_takes_another_content_and_keeps_its_header(dialect: Dialect, content: bytes) -> None:
    for raw in members(dialect):
        old = read(tar_of([raw]), keep=1 << 20)
        if old.files[0].kind is not FileKind.FILE or not old.headers:
            continue
        made = member_of(old.headers[old.files[0].path], content, regular=False)
        new = read(tar_of([made]), keep=1 << 20).files[0]
        assert new == replace(
            old.files[0], content=content, size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        at = len(old.headers[old.files[0].path]) - BLOCK
        assert unnumbered(made, at) == unnumbered(raw, at)


def member_of(headers: bytes, content: bytes, *, regular: bool) -> bytes:
    """The headers for another content, and that content."""
    return with_size(headers, len(content), regular=regular) + content + padding(len(content))


def unnumbered(raw: bytes, at: int) -> bytes:
    """All headers of a member but size and checksum of the one that begins at `at`."""
    header = raw[at : at + BLOCK]
    return raw[:at] + header[:124] + header[136:148] + header[156:]


@DIALECTS
def test_a_hard_link_becomes_a_file(dialect: Dialect) -> None:
    target = "t/" * 80 if dialect != USTAR else "target"
    raw = tar_member("hard", type=tarfile.LNKTYPE, linkname=target, dialect=dialect, pax={"SCHILY.dev": "1"})
    old = read(tar_of([raw]))
    assert old.files[0].kind is FileKind.HARDLINK
    made = member_of(old.headers["hard"], b"content", regular=True)
    with tarfile.open(fileobj=io.BytesIO(tar_of([made]))) as archive:
        (info,) = archive.getmembers()
        stream = archive.extractfile(info)
        assert (info.isreg(), info.linkname, stream and stream.read()) == (True, "", b"content")
    assert read(tar_of([made])).files[0].link == ""


def test_a_size_in_a_pax_record_is_not_patched() -> None:
    raw = pax_header({"size": "5"}) + tar_member("a", b"abcde")
    old = read(tar_of([raw]), keep=99)
    with pytest.raises(Unsupported, match="size in a PAX record"):
        with_size(old.headers["a"], 1, regular=False)


def test_a_large_size_is_written_base_256() -> None:
    made = with_size(tar_member("a")[:BLOCK], 8**11, regular=False)
    assert parse_header(made).size == 8**11


@pytest.mark.parametrize(
    ("stored", "path"),
    [("a", "a"), ("./a", "a"), (".//a", "a"), ("././a", "a"), ("a/", "a"), (".", "."), ("./", "."), ("a..b", "a..b"),
     ("..a/b", "..a/b"), ("a/...", "a/..."), ("a\\b", "a\\b"), ("c:x", "c:x"), (" ", " ")],
)  # fmt: skip
def test_harmless_names_are_kept(stored: str, path: str) -> None:
    assert checked_path(stored) == path


@pytest.mark.parametrize("stored", ["", "/", "/a", "..", "../a", "a/..", "a/../b", "a\\..\\b", "C:/a", "c:\\a", "a\0b"])
def test_names_that_leave_the_package_are_refused(stored: str) -> None:
    with pytest.raises(Unsupported):
        checked_path(stored)


@pytest.mark.parametrize(("path", "leads"), [("a/b", "a/b"), ("a//b", "a/b"), ("a/./b", "a/b"), ("a/.b", "a/.b")])
def test_names_of_one_place_are_the_same(path: str, leads: str) -> None:
    assert place(path) == leads


@given(
    st.dictionaries(st.text("abcxyzé=", min_size=1).filter(lambda key: "=" not in key), st.text("a\n=é ", min_size=1))
)
def test_pax_records_are_read_as_they_were_written(records: dict[str, str]) -> None:
    body = b"".join(pax_record(key, value) for key, value in records.items())
    assert parse_pax(body) == records


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 2047), st.integers(0, 255))
def test_no_header_makes_it_fail_otherwise_than_in_words(noise: bytes, at: int, byte: int) -> None:
    tar = bytearray(tar_of([*members(PAX)[:3], pax_header({"path": "x"}), tar_member("y")]))
    tar[at : at + 1] = bytes([byte])
    header = at // BLOCK * BLOCK
    tar[header + 148 : header + 156] = b"%06o\0 " % checksum_of(bytes(tar[header : header + BLOCK]))
    for data in (bytes(tar), noise, bytes(tar[:at]) + noise):
        try:
            found = read(data, 100)
        except PruneError:
            continue
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert len(archive.getmembers()) == len(found.files)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("ab/.", min_size=1, max_size=9), st.binary(max_size=1200)), max_size=5),
    st.sampled_from([GNU, PAX]),
)
def test_whatever_is_accepted_is_read_alike_by_python(files: list[tuple[str, bytes]], dialect: Dialect) -> None:
    tar = tar_of([tar_member(name, data, dialect=dialect) for name, data in files])
    try:
        found = read(tar, keep=2000)
    except PruneError:
        return
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for file, info in zip(found.files, archive.getmembers(), strict=True):
            stream = archive.extractfile(info)
            assert file.content == (stream.read() if stream else b"")


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 1023])
def test_an_end_of_less_than_two_blocks_is_no_end(cut: int) -> None:
    with pytest.raises(Damaged, match="ends early"):
        read(tar_member("a", b"a") + END[:cut])
