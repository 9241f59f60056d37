"""A tar stream is parsed in pieces of any size, and every member is found with its exact offsets."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune import fix
from conda_prune.archive.tar import TarReader
from conda_prune.archive.tar_header import (
    BLOCK,
    Header,
    checked_path,
    checksum_of,
    padded,
    padding,
    parse_header,
    parse_pax,
    pax_size,
    with_size,
)
from conda_prune.errors import (
    Damaged,
    LimitExceeded,
    PruneError,
    Unsupported,
)
from conda_prune.model import Component, FileKind, Limits

from ..corpus.crafted import (
    BASE,
    from_tar,
    pax_header,
    pax_record,
    tar_of,
)
from ..corpus.packages import (
    FORMATS,
    GNU,
    PAX,
    USTAR,
    Dialect,
    Format,
    tar_member,
)
from ..corpus.tars import END, read_components

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
def test_members_are_those_of_python_and_fill_the_stream(dialect: Dialect) -> None:
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


def test_only_the_requested_leading_bytes_are_kept() -> None:
    found = read(tar_of([tar_member("a", b"abcdef"), tar_member("b", b"b")]), keep=3)
    assert [file.content for file in found.files] == [b"abc", b"b"]
    assert [file.whole for file in found.files] == [None, b"b"]
    assert found.headers.keys() == {"b"}


def test_headers_of_hard_links_are_kept_on_request() -> None:
    tar = tar_of([tar_member("a", b"abc"), tar_member("b", type=tarfile.LNKTYPE, linkname="a")])
    assert read(tar, keep=16).headers.keys() == {"a"}
    assert read(tar, keep=Limits().text).headers.keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("limits", "within"),
    [
        pytest.param(Limits(members=2), True, id="as-many-members"),
        pytest.param(Limits(members=1), False, id="a-member-more"),
        # Names of 1 and 151 characters, three bytes of content, and the header of the member with that content.
        pytest.param(Limits(text=1 + 151 + 3 + BLOCK), True, id="as-much-text"),
        pytest.param(Limits(text=151 + 3 + BLOCK), False, id="a-byte-more"),
    ],
)
def test_a_limit_is_the_most_that_passes(limits: Limits, within: bool) -> None:
    reader = TarReader(lambda name: 9, limits)
    tar = tar_of([tar_member("a", b"abc"), tar_member("n" * 150, type=tarfile.DIRTYPE, dialect=GNU)])
    if within:
        reader.feed(tar)
        assert len(reader.finish("pkg").files) == 2
    else:
        with pytest.raises(LimitExceeded):
            reader.feed(tar)


@DIALECTS
@pytest.mark.parametrize("content", [b"", b"x", b"y" * BLOCK, b"z" * 99_999])
def test_a_member_with_new_content_keeps_its_header(dialect: Dialect, content: bytes) -> None:
    for raw in members(dialect):
        old = read(tar_of([raw]), keep=1 << 20)
        if old.files[0].kind is not FileKind.FILE or not old.headers:
            continue
        made = member_of(old.headers[old.files[0].path], content, regular=False)
        new = read(tar_of([made]), keep=1 << 20).files[0]
        sha256 = hashlib.sha256(content).hexdigest()
        assert new == old.files[0]._replace(content=content, size=len(content), sha256=sha256)
        at = len(old.headers[old.files[0].path]) - BLOCK
        assert unnumbered(made, at) == unnumbered(raw, at)


def member_of(headers: bytes, content: bytes, *, regular: bool) -> bytes:
    """The headers for new content, and that content."""
    return with_size(headers, len(content), regular=regular) + content + padding(len(content))


def unnumbered(raw: bytes, at: int) -> bytes:
    """All headers of a member, without the size and the checksum of the one at `at`."""
    header = raw[at : at + BLOCK]
    return raw[:at] + header[:124] + header[136:148] + header[156:]


@DIALECTS
@pytest.mark.parametrize("name", ["hard", DEEP[:140] + "n"], ids=["short", "long"])
def test_a_hard_link_becomes_a_file(dialect: Dialect, name: str) -> None:
    target = "t/" * 80 if dialect != USTAR else "target"
    raw = tar_member(name, type=tarfile.LNKTYPE, linkname=target, dialect=dialect, pax={"SCHILY.dev": "1"})
    old = read(tar_of([raw]), keep=Limits().text)
    assert old.files[0].kind is FileKind.HARDLINK
    made = member_of(old.headers[name], b"content", regular=True)
    with tarfile.open(fileobj=io.BytesIO(tar_of([made]))) as archive:
        (info,) = archive.getmembers()
        stream = archive.extractfile(info)
        assert (info.name, info.isreg(), info.linkname) == (name, True, "")
        assert stream is not None
        assert stream.read() == b"content"
    assert read(tar_of([made])).files[0].link == ""


def test_a_size_in_a_pax_record_is_not_patched() -> None:
    raw = pax_header({"size": "5"}) + tar_member("a", b"abcde")
    old = read(tar_of([raw]), keep=99)
    with pytest.raises(Unsupported, match="size in a PAX record"):
        with_size(old.headers["a"], 1, regular=False)


LARGE = 8**11
"""Bytes: the smallest size that does not fit in a header's eleven octal digits."""


@pytest.mark.parametrize(
    ("field", "record", "size"),
    [
        pytest.param(5, None, 5, id="no-record"),
        pytest.param(5, "5", 5, id="both-the-same"),
        pytest.param(0, str(LARGE), LARGE, id="too-large-for-the-header"),
        pytest.param(LARGE, str(LARGE), LARGE, id="base-256-and-a-record"),
        pytest.param(5, "6", None, id="two-sizes"),
        pytest.param(0, str(LARGE - 1), None, id="the-header-had-room"),
        pytest.param(1, str(LARGE), None, id="two-sizes-one-of-them-large"),
        pytest.param(0, "-1", None, id="negative"),
        pytest.param(0, "\u0665", None, id="digits-of-another-script"),
    ],
)
def test_a_member_has_one_size(field: int, record: str | None, size: int | None) -> None:
    """Readers that ignore PAX records must see the same size (CVE-2025-62518)."""
    pax = {} if record is None else {"size": record}
    header = Header(b"a", b"0", field, b"", 0, True)
    if size is not None:
        assert pax_size(pax, header, "a") == size
    else:
        with pytest.raises(PruneError):
            pax_size(pax, header, "a")


@pytest.mark.parametrize(
    ("size", "field"),
    [
        pytest.param(LARGE - 1, b"77777777777\0", id="octal-if-it-fits"),
        pytest.param(LARGE, b"\x80" + LARGE.to_bytes(11, "big"), id="base-256-above"),
    ],
)
def test_a_size_is_written_as_every_reader_reads_it(size: int, field: bytes) -> None:
    block = tar_member("a")[:BLOCK]
    made = with_size(block, size, regular=False)
    assert made[124:136] == field
    assert made[136:148] == block[136:148], "the next field stays where it was"
    assert parse_header(made[:BLOCK]).size == size


@pytest.mark.parametrize("length", [1, 3, 4, 5, 90, 91, 92, 93, 990, 991, 992])
def test_other_records_are_kept_when_the_link_is_removed(length: int) -> None:
    raw = pax_header({"linkpath": "t" * 200, "x": "y" * length}) + tar_member(
        "hard", type=tarfile.LNKTYPE, linkname="t"
    )
    made = member_of(read(tar_of([raw]), keep=Limits().text).headers["hard"], b"", regular=True)
    assert parse_pax(made[BLOCK : BLOCK + parse_header(made[:BLOCK]).size]) == {"x": "y" * length}


def dated(field: bytes) -> bytes:
    """Return a header with `field` as its modification time."""
    block = bytearray(tar_member("a")[:BLOCK])
    block[136:148] = field
    block[148:156] = b"%06o\0 " % checksum_of(bytes(block))
    return bytes(block)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"00000000017\0", id="octal"),
        pytest.param(b"         17 ", id="spaces"),
        pytest.param(bytes(12), id="nothing"),
        pytest.param(b"\x80" + (2**40).to_bytes(11, "big"), id="base-256"),
        pytest.param(b"\x80" + (2**63 - 1).to_bytes(11, "big"), id="as-large-as-64-bits-hold"),
        pytest.param(b"\xff" * 12, id="before-1970"),
    ],
)
def test_numbers_are_those_that_python_reads(field: bytes) -> None:
    assert parse_header(dated(field)).mtime == tarfile.TarInfo.frombuf(dated(field), "utf-8", "strict").mtime


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"00000000018\0", id="not-octal"),
        pytest.param(b"0000000 017\0", id="a-space-inside"),
        pytest.param(b"17\0junk0000\0", id="junk-after-the-nul"),
        pytest.param(b"\x80" + (2**63).to_bytes(11, "big"), id="more-than-64-bits-hold"),
        pytest.param(b"\x81" + bytes(11), id="other-bits-next-to-the-mark"),
        pytest.param(b"\xfe" + b"\xff" * 11, id="negative-without-its-first-bits"),
    ],
)
def test_ambiguous_numbers_are_refused(field: bytes) -> None:
    with pytest.raises(Damaged):
        parse_header(dated(field))


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


@pytest.mark.parametrize(
    ("stored", "path"),
    [("a/b", "a/b"), ("a//b", "a/b"), ("a/./b", "a/b"), ("a/.b", "a/.b"), ("./a/.//b/.", "a/b"), ("././", ".")],
)
def test_names_are_normalized(stored: str, path: str) -> None:
    assert checked_path(stored) == path


@given(
    st.dictionaries(st.text("abcxyzé=", min_size=1).filter(lambda key: "=" not in key), st.text("a\n=é ", min_size=1))
)
def test_pax_records_are_read_as_written(records: dict[str, str]) -> None:
    body = b"".join(pax_record(key, value) for key, value in records.items())
    assert parse_pax(body) == records


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 2047), st.integers(0, 255))
def test_every_header_is_read_or_refused(noise: bytes, at: int, byte: int) -> None:
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
def test_accepted_tars_are_read_the_same_by_python(files: list[tuple[str, bytes]], dialect: Dialect) -> None:
    tar = tar_of([tar_member(name, data, dialect=dialect) for name, data in files])
    try:
        found = read(tar, keep=2000)
    except PruneError:
        return
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for file, info in zip(found.files, archive.getmembers(), strict=True):
            stream = archive.extractfile(info)
            assert file.content == (stream.read() if stream else b"")


@pytest.mark.parametrize("more", [1, 511, 512, 9000])
def test_zeros_after_the_end_belong_to_the_stream(more: int) -> None:
    tar = tar_of([tar_member("a", b"a")]) + bytes(more)
    assert read(tar).size == len(tar)


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 1023])
def test_an_end_of_less_than_two_blocks_is_refused(cut: int) -> None:
    with pytest.raises(Damaged, match="ends early"):
        read(tar_member("a", b"a") + END[:cut])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("dropped", [["a"], ["b"], ["a", "b"], ["c"], ["b", "c"], ["a", "b", "c"]], ids="".join)
def test_a_global_header_outlives_the_member_after_it(dropped: list[str], format_: Format, tmp_path: Path) -> None:
    """Python applies its time to every member after it, and reports one without a member after it as damage."""
    mtimes = {"a": 1_500_000_000, "b": 1_500_000_000, "c": 1_700_000_000}
    named = {f"share/{'__pycache__/' * (key in dropped)}{key}.cpython-310.pyc": time for key, time in mtimes.items()}

    def dated(members: list[bytes]) -> bytes:
        a, b, c = (tar_member(name, b"x") for name in named)
        first, second = (pax_header({"mtime": str(mtimes[key])}, b"g") for key in "ac")
        return tar_of([*members, first, a, b, second, c])

    def seen(package: Path) -> dict[str, float]:
        tar = read_components(package)["pkg" if format_ == ".conda" else "tar"]
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            return {info.name: info.mtime for info in archive}

    spec = replace(BASE, files={}, paths_json=None, legacy_listings=False)
    package = from_tar(dated, format_, spec)(tmp_path)
    before = seen(package)
    assert {name: before[name] for name in named} == named
    fix(package, in_place=True)
    assert seen(package) == {name: time for name, time in before.items() if "__pycache__" not in name}
    assert fix(package, in_place=True).status == "clean"
