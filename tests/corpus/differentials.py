"""Archives that clients read differently: each is refused, or comes out so that all read it alike.

What differs was seen in rattler, libarchive and Python's tarfile and zipfile, or is told by their sources and their
advisories (CVE-2025-62518: a PAX size that the header contradicts).
"""

from __future__ import annotations

import bz2
import struct
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from .crafted import (
    BASE,
    from_bytes,
    from_file,
    pax_header,
    resealed,
    tar_of,
    with_field,
)
from .hostile_archives import DISAGREE, with_pkg, zip_case
from .hostile_tars import EXTRA, adding, tar_case
from .packages import GNU, tar_member, zstd_frame
from .refused import Hostile
from .tars import BLOCK
from .zips import DATA_DESCRIPTOR, ZipMember, zip_archive

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX, MAGIC, NAME, SIZE = 345, 257, 0, 124


def in_directory(edit: Callable[[bytearray, int], None]) -> Callable[[list[ZipMember]], bytes]:
    """The zip with the directory's header of its pkg- member edited, which stands at the position given."""

    def build(members: list[ZipMember]) -> bytes:
        archive = bytearray(zip_archive(members))
        at = archive.rindex(members[1].name.encode()) - 46
        edit(archive, at)
        return bytes(archive)

    return build


def patched(at: int, value: bytes) -> Callable[[bytearray, int], None]:
    def edit(archive: bytearray, header: int) -> None:
        archive[header + at : header + at + len(value)] = value

    return edit


def with_extra(extra: bytes) -> Callable[[list[ZipMember]], bytes]:
    """The zip with an extra field in the directory's header of its pkg- member."""

    def build(members: list[ZipMember]) -> bytes:
        archive = bytearray(zip_archive(members))
        name = members[1].name.encode()
        at = archive.rindex(name)
        archive[at + len(name) : at + len(name)] = extra
        archive[at - 46 + 30 : at - 46 + 32] = struct.pack("<H", len(extra))
        end = archive.rindex(b"PK\5\6")
        size = struct.unpack_from("<I", archive, end + 12)[0] + len(extra)
        archive[end + 12 : end + 16] = struct.pack("<I", size)
        return bytes(archive)

    return build


def with_second_end(**numbers: int) -> Callable[[list[ZipMember]], bytes]:
    """The zip with a zip64 end record before its own, which says something else."""

    def build(members: list[ZipMember]) -> bytes:
        archive = zip_archive(members)
        end = archive.rindex(b"PK\5\6")
        count, size, start = struct.unpack_from("<HII", archive, end + 10)
        said = {"count": count, "size": size, "start": start, **numbers}
        record = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, said["count"], said["count"], said["size"], said["start"]
        )
        return archive[:end] + record + struct.pack("<4sLQL", b"PK\6\7", 0, end, 1) + archive[end:]

    return build


def hidden_in_comment(members: list[ZipMember]) -> bytes:
    """A whole other zip in the comment: readers that take the last end record see that one."""
    other = zip_archive([replace(members[1], name="pkg-other-1-0.tar.zst")])
    return zip_archive(members, comment=other)


def end_in_comment(members: list[ZipMember]) -> bytes:
    """A comment that begins like an end record: readers that look for the last one find this."""
    return zip_archive(members, comment=b"PK\5\6" + bytes(18) + b"the end")


def same_place_twice(members: list[ZipMember]) -> bytes:
    """Two names in the directory for one local header."""
    archive = zip_archive(members)
    end = archive.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", archive, end + 10)
    at = archive.rindex(members[2].name.encode()) - 46
    again = archive[at:end].replace(b"info-", b"inf0-")
    return (
        archive[:end]
        + again
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count + 1, count + 1, size + len(again), start, 0)
    )


def counting(count: int, here: int | None = None) -> Callable[[list[ZipMember]], bytes]:
    """The zip whose end record claims another number of entries."""

    def build(members: list[ZipMember]) -> bytes:
        archive = zip_archive(members)
        end = archive.rindex(b"PK\5\6")
        return archive[: end + 8] + struct.pack("<HH", count if here is None else here, count) + archive[end + 12 :]

    return build


def wide_end(edit: Callable[[bytearray, int], None]) -> Callable[[list[ZipMember]], bytes]:
    """The zip with a zip64 end record that agrees with its own, then edited; the position given is the locator's."""

    def build(members: list[ZipMember]) -> bytes:
        archive = bytearray(with_second_end()(members))
        edit(archive, archive.rindex(b"PK\6\7"))
        return bytes(archive)

    return build


def described_wrongly(members: list[ZipMember]) -> bytes:
    """Data descriptors of which one states another CRC-32."""
    archive = bytearray(zip_archive([replace(member, flags=DATA_DESCRIPTOR) for member in members]))
    archive[archive.index(b"PK\7\10") + 4] ^= 1
    return bytes(archive)


def with_third(name: str) -> Callable[[list[ZipMember]], bytes]:
    """The zip with one more compressed tar, which is no component."""
    more = zstd_frame(tar_of([tar_member("share/more", b"x")]))
    return lambda members: zip_archive([*members, ZipMember(name, more)])


def dos_directory(archive: bytearray, header: int) -> None:
    """Say that the entry was made by DOS, as a directory; libarchive goes by that, others by the name."""
    archive[header + 5] = 0
    archive[header + 38 : header + 42] = struct.pack("<I", 0x10)


DIFFERENTLY = ("clients read differently", "disagree", "two", "hides another", "between")

ZIPS = (
    zip_case("zip-unicode-path", with_extra(struct.pack("<HHBI", 0x7075, 9, 1, 0) + b"evil"), *DIFFERENTLY),
    zip_case("zip-extra-cut", with_extra(b"\x01\x00\xff\xff"), *DIFFERENTLY),
    zip_case("zip-extra-crumbs", with_extra(b"\x01\x02"), *DIFFERENTLY),
    zip_case("zip-two-zip64-fields", with_extra(2 * struct.pack("<HHQ", 1, 8, 7)), *DIFFERENTLY),
    zip_case("zip-zip64-other-size", with_extra(struct.pack("<HHQQ", 1, 16, 7, 7)), "two sizes"),
    zip_case("zip-zip64-too-short", in_directory(patched(20, b"\xff" * 8)), "disagree", "does not fit", "two sizes"),
    zip_case("zip-second-end-start", with_second_end(start=0), "end records", "disagree"),
    zip_case("zip-second-end-count", with_second_end(count=2), "end records", "disagree"),
    zip_case("zip-hidden-in-comment", hidden_in_comment, *DIFFERENTLY, "extra data"),
    zip_case("zip-end-in-comment", end_in_comment, *DIFFERENTLY),
    zip_case("zip-same-place-twice", same_place_twice, *DIFFERENTLY),
    zip_case("zip-counts-fewer", counting(2), "says that it has"),
    zip_case("zip-counts-more", counting(9), "says that it has"),
    zip_case("zip-of-several", counting(3, here=2), "several"),
    zip_case("zip-symlink", in_directory(patched(38, struct.pack("<I", 0o120777 << 16))), "not a regular file"),
    zip_case("zip-third-archive", with_third("more.tar.zst"), "only some clients"),
    zip_case("zip-archive-below", with_third("sub/pkg-more.tar.zst"), "only some clients"),
    zip_case("zip-archive-of-another-kind", with_third(f"pkg-{BASE.stem}.tar.bz2"), "only some clients"),
    zip_case("zip-signature-of-a-component", with_third(f"info-{BASE.stem}.tar.zst.sig"), "only some clients"),
    zip_case("zip-dos-directory", in_directory(dos_directory), "not a regular file"),
    zip_case("zip-nul-in-name", lambda m: zip_archive([*m, ZipMember("pkg-x.tar.zst\0.txt", b"")]), "name"),
    zip_case("zip-parent", lambda m: zip_archive([*m, ZipMember("../outside", b"x")]), "leaves"),
    zip_case("zip-absolute", lambda m: zip_archive([*m, ZipMember("/etc/passwd", b"x")]), "name"),
    zip_case("zip-backslash", lambda m: zip_archive([*m, ZipMember("..\\outside", b"x")]), "name"),
    zip_case("zip-drive", lambda m: zip_archive([*m, ZipMember("C:/outside", b"x")]), "name"),
    zip_case("zip-unknown-encoding", lambda m: zip_archive([*m, ZipMember("né", b"x")]), "encoding"),
    zip_case("zip-patch-data", with_pkg(flags=0x20), "flags"),
    zip_case("zip-masked-headers", with_pkg(flags=0x2000), "flags"),
    zip_case("zip-needs-a-newer-reader", in_directory(patched(6, b"\x6d\0")), "version 10.9"),
    zip_case("zip-on-another-disk", in_directory(patched(34, b"\1\0")), "several"),
    zip_case("zip-stored-with-two-sizes", in_directory(patched(24, b"\1\0\0\0")), "two sizes"),
    zip_case("zip-elsewhere", in_directory(patched(42, b"\5\0\0\0")), "not where"),
    zip_case("zip-beyond-the-end", in_directory(patched(42, b"\0\0\0\x7f")), "not where"),
    zip_case("zip-directory-cut", in_directory(patched(32, b"\xff\xff")), "directory is damaged"),
    zip_case("zip-directory-noise", in_directory(patched(0, b"noise")), "directory is damaged"),
    zip_case("zip-descriptor-disagrees", described_wrongly, "data descriptor"),
    zip_case("zip-wide-end-elsewhere", wide_end(patched(8, b"\1")), "zip64 end record"),
    zip_case("zip-wide-end-on-another-disk", wide_end(patched(16, b"\2")), "several"),
    zip_case("zip-wide-end-longer", wide_end(patched(-52, b"\x2d")), "unknown bytes"),
    zip_case("zip-local-extra-two-sizes", with_pkg(zip64_local=True, zip64_central=True, local_size=7), *DISAGREE),
    zip_case("zip-method-93", with_pkg(method=93), "method 93"),
)

LONG = b"share/extra\0../../outside\0"


def gnu_long(body: bytes, type: bytes = b"L") -> bytes:
    """A GNU member that gives the next one a long name."""
    return tar_member("././@LongLink", body, type=type)


def without_magic(member: bytes, offset: int, field: bytes) -> bytes:
    """A member with a header from before ustar, one field replaced."""
    return resealed(resealed(member[:BLOCK], MAGIC, bytes(8)), offset, field) + member[BLOCK:]


def signed(member: bytes) -> bytes:
    """The member with its checksum as old writers made it, of signed bytes; rattler refuses that."""
    header = member[:148] + b" " * 8 + member[156:BLOCK]
    total = sum(byte - 256 * (byte > 127) for byte in header)
    return member[:148] + b"%06o\0 " % total + member[156:]


def base_256_checksum(member: bytes) -> bytes:
    """The member with its checksum as GNU tar writes large numbers; only Python reads that."""
    header = member[:148] + b" " * 8 + member[156:BLOCK]
    return member[:148] + b"\x80" + sum(header).to_bytes(7, "big") + member[156:]


def below_link(link: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda members: tar_of([*members, link, tar_member("share/link/a/passwd", b"x")])


COMMENT = pax_header({"comment": "x"}, b"g")
DIRECTORY = tar_member("share/d", type=tarfile.DIRTYPE)
IN_A_ROW = [tar_member(f"share/{at + 1}", type=b"1", linkname=f"share/{at}") for at in range(40)]
SPARSE_REAL = {"SCHILY.realsize": "100000"}

TARS = (
    *adding(
        "tar-pax-size-header-zero",
        pax_header({"size": str(BLOCK)}) + with_field(EXTRA, SIZE, b"00000000000\0"),
        "size",
    ),
    *adding("tar-pax-size-twice", pax_header(b"10 size=1\n12 size=512\n") + EXTRA, "two 'size'", "length"),
    *adding("tar-pax-size-of-5000-digits", pax_header({"size": "1000".zfill(5000)}) + EXTRA, "size"),
    *adding("tar-pax-path-empty", pax_header({"path": ""}) + EXTRA, "path"),
    *adding("tar-pax-after-nul", pax_header(b"14 path=share\n\0" + b"13 path=evil\n") + EXTRA, "pax"),
    *adding("tar-pax-path-with-line-end", pax_header({"path": "share/a\nb"}) + EXTRA, "line"),
    *adding("tar-pax-hidden-in-value", pax_header({"comment": "x\n19 path=share/evil"}) + EXTRA, "line"),
    *adding("tar-pax-hidden-in-name", pax_header({"x\n19 path": "share/evil"}) + EXTRA, "line"),
    *adding("tar-pax-nameless", pax_header({"": "x"}) + EXTRA, "no name"),
    *adding("tar-pax-and-gnu-name", gnu_long(b"share/a\0") + pax_header({"path": "share/b"}) + EXTRA, "both"),
    *adding("tar-two-pax-headers", pax_header({"path": "share/a"}) + pax_header({"path": "share/b"}) + EXTRA, "two"),
    *adding("tar-gnu-name-goes-on", gnu_long(LONG) + EXTRA, "continues after"),
    *adding("tar-gnu-name-with-two-ends", gnu_long(b"share/a\0\0") + EXTRA, "continues after"),
    *adding("tar-global-size", pax_header({"size": "0"}, b"g") + EXTRA, "global"),
    *adding("tar-global-behind-gnu-name", gnu_long(b"share/a\0") + COMMENT + EXTRA, "between"),
    *adding("tar-global-behind-pax-name", pax_header({"path": "share/a"}) + COMMENT + EXTRA, "between"),
    *adding("tar-global-at-the-end", COMMENT, "no member"),
    *adding("tar-star-sparse", pax_header(SPARSE_REAL) + EXTRA, "sparse"),
    *adding("tar-sun-sparse", pax_header({"SUN.holesdata": " 0 100"}) + EXTRA, "sparse"),
    *adding("tar-prefix-in-gnu", with_field(tar_member("x", b"x", dialect=GNU), PREFIX, b"../etc\0"), "prefix"),
    *adding("tar-prefix-in-v7", without_magic(EXTRA, PREFIX, b"etc\0"), "prefix"),
    *adding("tar-file-with-slash", with_field(EXTRA[:BLOCK], NAME, b"share/extra/\0")[:BLOCK], "size", "directory"),
    *adding("tar-empty-file-with-slash", with_field(tar_member("share/e"), NAME, b"share/e/\0"), "directory"),
    *adding("tar-signed-checksum", signed(tar_member("share/é", b"x")), "checksum"),
    *adding("tar-checksum-base-256", base_256_checksum(EXTRA), "checksum"),
    *adding("tar-size-empty", with_field(tar_member("share/empty"), SIZE, bytes(12)), "no size"),
    *adding("tar-size-blank", with_field(tar_member("share/empty"), SIZE, b" " * 12), "no size"),
    *adding("tar-size-base-256-huge", with_field(EXTRA, SIZE, b"\x80\1" + bytes(10)), "number"),
    *adding("tar-size-base-256-odd", with_field(EXTRA, SIZE, b"\x81" + bytes(11)), "number"),
    *adding("tar-size-junk-behind", with_field(EXTRA, SIZE, b"1750\0junk\0\0\0"), "followed by"),
    *adding("tar-size-spaces-inside", with_field(EXTRA, SIZE, b"0000 001750\0"), "number"),
    *adding("tar-mode-no-number", with_field(EXTRA, 100, b"rw-r--r\0"), "number"),
    *adding("tar-mode-base-256", with_field(EXTRA, 100, b"\x80" + (0o644).to_bytes(7, "big")), "mode"),
    *adding("tar-time-before-time", with_field(EXTRA, 136, b"\xff" * 4 + bytes(8)), "time"),
    *adding("tar-pax-time-nan", pax_header({"mtime": "nan"}) + EXTRA, "time"),
    *adding("tar-pax-time-infinite", pax_header({"mtime": "1e999"}) + EXTRA, "time"),
    *adding("tar-pax-time-too-late", pax_header({"mtime": str(1 << 63)}) + EXTRA, "time"),
    *adding("tar-device-no-number", with_field(EXTRA, 329, b"xxxxxxx\0"), "number"),
    *adding("tar-symlink-to-nowhere", tar_member("share/link", type=tarfile.SYMTYPE), "without a target"),
    *adding("tar-hardlink-to-nowhere", tar_member("share/link", type=tarfile.LNKTYPE), "without a target"),
    *adding(
        "tar-gnu-link-to-nowhere",
        gnu_long(b"\0", b"K") + tar_member("share/link", type=tarfile.SYMTYPE, linkname="extra"),
        "without a target",
    ),
    *adding("tar-file-dot", tar_member(".", b"x"), "not a directory"),
    *adding("tar-fifo", tar_member("share/fifo", type=tarfile.FIFOTYPE), "type"),
    *adding("tar-device", tar_member("share/null", type=tarfile.CHRTYPE), "type"),
    *adding("tar-volume", tar_member("volume", type=b"V"), "type"),
    *adding("tar-multi-volume", tar_member("share/rest", b"x", type=b"M"), "type"),
    *adding("tar-symlink-too-long", tar_member("share/l", type=b"2", linkname="./" * 2048 + "x"), "no system unpacks"),
    *tar_case(
        "tar-hardlinks-in-a-row",
        lambda members: tar_of([*members, tar_member("share/0", b"x"), *IN_A_ROW]),
        "one after another",
    ),
    *adding("tar-hardlink-before-file", tar_member("share/h", type=b"1", linkname="share/extra") + EXTRA, "before"),
    *tar_case(
        "tar-hardlink-to-directory",
        lambda members: tar_of([*members, DIRECTORY, tar_member("share/h", type=b"1", linkname="share/d")]),
        "is a directory",
    ),
    *adding("tar-hardlink-with-content", tar_member("share/h", b"x" * 9, type=b"1", linkname="share/x"), "content"),
    *adding("tar-directory-with-content", tar_member("share/d", b"x" * 9, type=b"5"), "content"),
    *tar_case(
        "tar-duplicate-but-for-slashes",
        lambda members: tar_of([*members, EXTRA, tar_member("share//./extra", b"other")]),
        "two",
    ),
    *tar_case(
        "tar-below-symlink",
        below_link(tar_member("share/link", type=tarfile.SYMTYPE, linkname="../../../etc")),
        "not a directory",
    ),
    *tar_case("tar-below-file", below_link(tar_member("share/link", b"x")), "not a directory"),
    *adding("tar-backslash-parent", tar_member("share\\..\\..\\outside", b"x"), "leaves"),
    *adding("tar-absolute-and-long", pax_header({"path": f"/{'x' * 4_000}"}) + EXTRA, "absolute"),
    *adding("tar-drive", tar_member("C:/outside", b"x"), "absolute"),
)

INDEX = tar_member("info/index.json", b'{"name": "other", "version": "1", "build": "0", "depends": []}')


STREAMS = (
    *tar_case("tar-second-index", lambda members: tar_of([*members, INDEX]), "both", "two", "info component"),
    Hostile(
        "bz2-empty-second-stream",
        ".tar.bz2",
        from_file(lambda data: data + bz2.compress(b""), ".tar.bz2"),
        reasons=("follow",),
    ),
    Hostile("bz2-empty-stream", ".tar.bz2", from_bytes(bz2.compress(b""), ".tar.bz2"), reasons=("ends early",)),
    Hostile(
        "bz2-empty-first-stream",
        ".tar.bz2",
        from_file(lambda data: bz2.compress(b"") + data, ".tar.bz2"),
        reasons=("follow", "ends early"),
    ),
)

DIFFERENTIALS: tuple[Hostile, ...] = (*ZIPS, *TARS, *STREAMS)
