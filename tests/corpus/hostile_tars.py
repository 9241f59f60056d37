"""Tar streams and info/ files that must be refused, in both formats."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from .crafted import (
    BASE,
    SITE,
    from_frame,
    from_spec,
    from_tar,
    pax_header,
    tar_of,
    with_field,
)
from .packages import FORMATS, tar_member, zstd_frame
from .refused import Hostile
from .tars import BLOCK, END

if TYPE_CHECKING:
    from collections.abc import Callable

EXTRA = tar_member("share/extra", b"extra" * 200)
SIZE, CHECKSUM = 124, 148


def tar_case(id: str, build: Callable[[list[bytes]], bytes], *reasons: str) -> tuple[Hostile, ...]:
    """The fault in the pkg component of a .conda, and in a .tar.bz2."""
    return tuple(Hostile(f"{id}{f}", f, from_tar(build, f), payload=f == ".conda", reasons=reasons) for f in FORMATS)


def adding(id: str, member: bytes, *reasons: str) -> tuple[Hostile, ...]:
    """The sound members and a hostile one behind them."""
    return tar_case(id, lambda members: tar_of([*members, member]), *reasons)


ENDS_EARLY = ("ends early", "truncated", "end", "beyond")
AFTER = ("follow", "after", "trailing")
OUTSIDE = ("absolute", "leaves", "outside", "..")
SIZES = ("size", "number")

TARS = (
    *tar_case("tar-empty", lambda members: b"", *ENDS_EARLY),
    *tar_case("tar-without-end", b"".join, *ENDS_EARLY),
    *tar_case("tar-with-half-an-end", lambda members: b"".join(members) + bytes(BLOCK), *ENDS_EARLY),
    *tar_case("tar-cut-at-member", lambda members: b"".join(members[:-1]), *ENDS_EARLY),
    *tar_case("tar-cut-in-member", lambda members: b"".join([*members, EXTRA])[:-BLOCK], *ENDS_EARLY),
    *tar_case("tar-cut-in-block", lambda members: tar_of([*members, EXTRA])[:-1300], *ENDS_EARLY),
    *tar_case("tar-member-after-end", lambda members: tar_of(members) + tar_of([EXTRA]), *AFTER),
    *tar_case("tar-garbage-after-end", lambda members: tar_of(members) + b"garbage", *AFTER),
    *tar_case(
        "tar-zero-block-in-the-middle",
        lambda members: tar_of([*members[:1], bytes(BLOCK), *members[1:]]),
        "zero block",
        "middle",
        *AFTER,
    ),
    *adding("tar-checksum", EXTRA[:CHECKSUM] + b"000001\0 " + EXTRA[CHECKSUM + 8 :], "checksum"),
    *adding("tar-size-negative", with_field(EXTRA, SIZE, b"\xff" * 12), "negative"),
    *adding("tar-size-no-number", with_field(EXTRA, SIZE, b"one thousand"), *SIZES),
    *adding("tar-size-beyond-end", with_field(EXTRA, SIZE, b"00077777777\0"), *ENDS_EARLY, "size"),
    *adding(
        "tar-size-base-256-beyond-end",
        with_field(EXTRA, SIZE, b"\x80" + (1 << 60).to_bytes(11, "big")),
        *ENDS_EARLY,
        "size",
        "unpacks",
    ),
    *adding("tar-pax-size-conflict", pax_header({"size": "512"}) + EXTRA, "size"),
    *adding("tar-pax-size-no-number", pax_header({"size": "1e3"}) + EXTRA, "size"),
    *adding("tar-pax-record-length", pax_header(b"99 path=x\n") + EXTRA, "length", "pax"),
    *adding("tar-pax-without-member", pax_header({"path": "x"}), "no member", "extension", "end"),
    *adding("tar-gnu-sparse", tar_member("share/sparse", b"x" * 512, type=b"S"), "sparse"),
    *adding(
        "tar-pax-sparse",
        pax_header(
            {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.name": "share/s",
                "GNU.sparse.realsize": "100000",
            }
        )
        + EXTRA,
        "sparse",
    ),
    *tar_case(
        "tar-global-path",
        lambda members: tar_of([*members, pax_header({"path": "share/everything"}, b"g"), EXTRA]),
        "global",
    ),
    *tar_case("tar-duplicate", lambda members: tar_of([*members, EXTRA, EXTRA]), "two", "duplicate", "twice"),
    *tar_case(
        "tar-duplicate-but-for-dot",
        lambda members: tar_of([*members, EXTRA, tar_member("./share/extra", b"other")]),
        "two",
        "duplicate",
        "twice",
    ),
    *adding("tar-absolute", tar_member("/etc/passwd", b"root"), *OUTSIDE),
    *adding("tar-parent", tar_member("../outside", b"x"), *OUTSIDE),
    *adding("tar-parent-inside", tar_member("lib/../../outside", b"x"), *OUTSIDE),
    *adding("tar-nul-in-pax-name", pax_header({"path": "share/a\0b"}) + EXTRA, "nul"),
    *adding("tar-nameless", tar_member("", b"x"), "no name", "empty", "name"),
    *adding(
        "tar-link-with-content",
        tar_member("share/link", b"x" * 600, type=tarfile.SYMTYPE, linkname="extra"),
        "content",
        "size",
    ),
)


MODULE = f"{SITE}/m/a.py"


def in_component(id: str, component: str, member: bytes, *reasons: str) -> Hostile:
    """A .conda with one more member in a component where it does not belong."""
    make = from_frame(lambda tar: zstd_frame(tar.removesuffix(END) + member + END), component)
    return Hostile(id, ".conda", make, payload=component == "pkg", reasons=reasons)


TARS += (
    in_component("tar-stranger-in-info", "info", EXTRA, "not below info/"),
    in_component("tar-in-both-components", "pkg", tar_member("info/about.json", b"{}"), "both"),
    in_component("tar-hardlink-to-pkg", "info", tar_member("info/h", type=b"1", linkname=MODULE), "does not exist"),
    in_component(
        "tar-hardlink-to-info", "pkg", tar_member("share/h", type=b"1", linkname="info/index.json"), "does not exist"
    ),
    in_component("tar-index-in-pkg", "pkg", tar_member("info/index.json", b"{}"), "info component"),
)


def listing_case(id: str, edit: Callable[[bytes], bytes], *reasons: str) -> tuple[Hostile, ...]:
    """A package with a broken paths.json."""
    spec = replace(BASE, paths_json=edit)
    return tuple(Hostile(f"{id}{f}", f, from_spec(spec, f), reasons=("paths.json", *reasons)) for f in FORMATS)


def index_case(id: str, content: bytes | None) -> tuple[Hostile, ...]:
    """A package with a broken index.json, or with none."""
    spec = replace(BASE, info={"info/index.json": content})
    return tuple(Hostile(f"{id}{f}", f, from_spec(spec, f), reasons=("index.json",)) for f in FORMATS)


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """An edit that replaces the first occurrence."""
    return lambda listing: listing.replace(old, new, 1)


FIRST_PATH = b'"_path": "lib/python3.11/site-packages/m/a.py"'

METADATA = (
    *listing_case("paths-empty", lambda listing: b""),
    *listing_case("paths-cut", lambda listing: listing[:-9]),
    *listing_case("paths-bom", lambda listing: b"\xef\xbb\xbf" + listing),
    *listing_case("paths-utf-16", lambda listing: listing.decode().encode("utf-16")),
    *listing_case("paths-not-utf-8", swapped(b'"sha256"', b'"sha\xff256"')),
    *listing_case("paths-trailing-data", lambda listing: listing + b"{}"),
    *listing_case("paths-duplicate-key", swapped(b'"paths_version": 1', b'"paths": [],\n  "paths_version": 1')),
    *listing_case("paths-duplicate-key-in-entry", swapped(FIRST_PATH, b'"_path": "x", ' + FIRST_PATH)),
    *listing_case("paths-version-2", swapped(b'"paths_version": 1', b'"paths_version": 2')),
    *listing_case("paths-is-a-list", lambda listing: b"[" + listing + b"]"),
    *listing_case("paths-entry-is-text", swapped(b'"paths": [', b'"paths": ["lib/x",')),
    *listing_case("paths-entry-without-path", swapped(b'"paths": [', b'"paths": [{"path_type": "hardlink"},')),
    *listing_case("paths-parent", swapped(FIRST_PATH, b'"_path": "../outside"')),
    *listing_case("paths-absolute", swapped(FIRST_PATH, b'"_path": "/etc/passwd"')),
    *listing_case("paths-deep", lambda listing: b'{"paths": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    *index_case("index-missing", None),
    *index_case("index-empty", b""),
    *index_case("index-cut", b'{"name": "crafted"'),
    *index_case("index-is-a-list", b'["crafted"]'),
    *index_case("index-name-is-a-number", b'{"name": 1, "version": "1", "build": "0", "depends": []}'),
    *index_case("index-depends-is-text", b'{"name": "x", "version": "1", "build": "0", "depends": "python"}'),
    *index_case("index-deep", b"[" * 200_000),
)
