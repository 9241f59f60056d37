"""Inputs that real writers seldom make and that must be processed all the same."""

from __future__ import annotations

import bz2
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import zstandard

from .crafted import (
    BASE,
    BASE_DROPS,
    Crafted,
    from_file,
    from_frame,
    from_spec,
    from_tar,
    from_zip,
    pax_header,
    raw_block_frame,
    tar_of,
    with_field,
)
from .packages import (
    FORMATS,
    GNU,
    PAX,
    USTAR,
    component_tars,
    conda_archive,
    tar_member,
    zstd_frame,
)
from .tars import BLOCK
from .zips import (
    DATA_DESCRIPTOR,
    DEFLATED,
    ZipMember,
    zip_archive,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .packages import Dialect, Format


@dataclass(frozen=True)
class Odd(Crafted):
    """An input that must be processed: `drops` go, everything else stays byte for byte."""

    drops: frozenset[str] = BASE_DROPS


EXTRA_TEXT = b"extra" * 200
EXTRA = tar_member("share/extra", EXTRA_TEXT)
#: Members behind the sound ones are listed nowhere: without paths.json there is no listing to disagree.
UNLISTED = replace(BASE, paths_json=None, legacy_listings=False)


def zip_case(id: str, note: str, build: Callable[..., bytes]) -> Odd:
    """A .conda whose zip is peculiar."""
    return Odd(id, ".conda", from_zip(build), note)


def frame_case(id: str, note: str, edit: Callable[[bytes], bytes]) -> tuple[Odd, ...]:
    """A .conda with a peculiar frame in its info or its pkg component."""
    return tuple(Odd(f"{id}-{part}", ".conda", from_frame(edit, part), note, part == "pkg") for part in ("info", "pkg"))


def tar_case(
    id: str, note: str, build: Callable[[list[bytes]], bytes], formats: tuple[Format, ...] = FORMATS
) -> tuple[Odd, ...]:
    """A peculiar tar stream in the pkg component of a .conda, and in a .tar.bz2."""
    return tuple(Odd(f"{id}{f}", f, from_tar(build, f, UNLISTED), note, f == ".conda") for f in formats)


def adding(id: str, note: str, *members: bytes) -> tuple[Odd, ...]:
    """The sound members and peculiar ones behind them."""
    return tar_case(id, note, lambda sound: tar_of([*sound, *members]))


def in_dialect(id: str, note: str, dialect: Dialect) -> tuple[Odd, ...]:
    """The names of more than 100 characters as this dialect writes them."""
    deep = "lib/python3.11/site-packages/" + "directory/" * 9
    spec = replace(
        BASE, files={**BASE.files, f"{deep}a.py": "", f"{deep}__pycache__/a.cpython-39.pyc": b"\x61\x0d\r\n"}
    )
    drops = BASE_DROPS | {f"{deep}__pycache__/a.cpython-39.pyc"}
    return tuple(Odd(f"{id}{f}", f, from_spec(spec, f, dialect=dialect), note, False, drops) for f in FORMATS)


def dotted(name: bytes) -> bytes:
    """As `tar -C dir .` writes them: all begin with ./."""
    return b"./" + name


def roundabout(name: bytes) -> bytes:
    """Names, of the listing too, with more slashes and dots than they need."""
    return name.replace(b"info/", b"info//").replace(b"/m/", b"/./m/")


def renamed(rename: Callable[[bytes], bytes], format: Format) -> Callable[[Path], Path]:
    """All names as `rename` makes them."""

    def again(member: bytes) -> bytes:
        return with_field(member, 0, rename(member[:100].rstrip(b"\0")).ljust(100, b"\0"))

    def make(directory: Path) -> Path:
        info, pkg = (list(map(again, members)) for members in component_tars(BASE))
        path = directory / f"{BASE.stem}{format}"
        if format == ".conda":
            path.write_bytes(conda_archive(BASE.stem, zstd_frame(tar_of(info)), zstd_frame(tar_of(pkg))))
            return path
        path.write_bytes(bz2.compress(tar_of([*info, *pkg])))
        return path

    return make


def base_256(number: int) -> bytes:
    """A number field as GNU tar writes large ones."""
    return b"\x80" + number.to_bytes(11, "big")


def unsized(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=15, write_content_size=False).compress(tar)


def checksummed(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=15, write_checksum=True).compress(tar)


def fast(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=-7).compress(tar)


def recompressed(data: bytes, level: int) -> bytes:
    """The same stream at another bz2 level."""
    return bz2.compress(bz2.decompress(data), level)


ODD: tuple[Odd, ...] = (
    zip_case(
        "zip-deflated",
        "CEP 35 forbids it, readers accept it; the output is Stored.",
        lambda members: zip_archive([replace(m, method=DEFLATED) for m in members]),
    ),
    zip_case(
        "zip-data-descriptors",
        "rattler cannot install it; the output has real sizes.",
        lambda members: zip_archive([replace(m, flags=DATA_DESCRIPTOR) for m in members]),
    ),
    zip_case("zip-comment", "A comment behind the end record.", lambda m: zip_archive(m, comment=b"a comment")),
    zip_case("zip-no-metadata", "Readers do without metadata.json.", lambda m: zip_archive(m[1:])),
    zip_case("zip-metadata-last", "As conda-package-handling 1.x.", lambda m: zip_archive([m[2], m[1], m[0]])),
    zip_case(
        "zip-utf-8-flag",
        "Bit 11: names are UTF-8.",
        lambda m: zip_archive([replace(x, flags=0x800) for x in m]),
    ),
    zip_case(
        "zip-name-not-composed",
        "A name that libarchive gives in another form (NFC).",
        lambda m: zip_archive([*m, ZipMember("e\u0301.txt", b"x", flags=0x800)]),
    ),
    zip_case(
        "zip-zip64-local-only",
        "zip64 fields in the local headers only.",
        lambda m: zip_archive([replace(x, zip64_local=True) for x in m]),
    ),
    *frame_case("zstd-no-content-size", "Streaming writers do not know the size.", unsized),
    *frame_case("zstd-with-checksum", "A content checksum.", checksummed),
    *frame_case("zstd-raw-blocks", "Uncompressed blocks.", raw_block_frame),
    *frame_case("zstd-fast", "A negative level, as pixi uses for its own builds.", fast),
    *(Odd(f"names-with-dot{f}", f, renamed(dotted, f), "Names that begin with ./, also below info/.") for f in FORMATS),
    *(
        Odd(f"names-roundabout{f}", f, renamed(roundabout, f), "Names that lead there by a//b and a/./b.")
        for f in FORMATS
    ),
    *in_dialect("names-ustar-prefix", "USTAR splits long names into prefix and name.", USTAR),
    *in_dialect("names-gnu", "GNU writes a LongLink member.", GNU),
    *in_dialect("names-pax", "PAX writes a path record.", PAX),
    *tar_case("tar-padding", "NUL bytes behind the end blocks.", lambda m: tar_of(m) + bytes(100 * BLOCK)),
    *tar_case("tar-odd-padding", "Padding that is no multiple of a block.", lambda m: tar_of(m) + bytes(100)),
    *adding("tar-base-256", "A small size written base-256.", with_field(EXTRA, 124, base_256(len(EXTRA_TEXT)))),
    *adding("tar-size-spaces", "A number with spaces around it.", with_field(EXTRA, 124, b"       1750 ")),
    *adding("tar-v7", "A header from before USTAR: no magic.", with_field(EXTRA, 257, bytes(8))),
    *adding("tar-type-nul", "A regular file of type NUL.", with_field(EXTRA, 156, b"\0")),
    *adding("tar-type-contiguous", "Type 7 is a regular file too.", with_field(EXTRA, 156, b"7")),
    *adding(
        "tar-pax-size-agrees",
        "A size record that says what the header says.",
        pax_header({"size": str(len(EXTRA_TEXT)), "mtime": "1.5"}) + EXTRA,
    ),
    *adding(
        "tar-pax-unknown",
        "Records that nobody needs.",
        pax_header({"LIBARCHIVE.xattr.user.x": "eA", "SCHILY.dev": "1", "comment": "née"}) + EXTRA,
    ),
    *adding("tar-pax-line-ends", "Lines in a record.", pax_header({"comment": "a\n7 b=c\n"}) + EXTRA),
    *adding(
        "tar-two-globals",
        "Global headers together, as they are left where a member between them went.",
        pax_header({"comment": "x"}, b"g") + pax_header({"mtime": "5"}, b"g") + EXTRA,
    ),
    *adding("tar-gnu-name-without-end", "No NUL behind it.", tar_member("L", b"share/long", type=b"L") + EXTRA),
    *adding("tar-file-with-target", "A link's target where there is no link.", with_field(EXTRA, 157, b"share/x\0")),
    *adding("tar-file-with-pax-target", "The same in a PAX header.", pax_header({"linkpath": "share/x"}) + EXTRA),
    *adding("tar-directories", "Directories with a slash.", tar_member("share", type=tarfile.DIRTYPE), EXTRA),
    *adding("tar-backslash", "A name with a backslash.", tar_member("share\\extra", b"x")),
    *adding("tar-latin-1", "A name that is not UTF-8.", tar_member("share/\udce9", b"x")),
    *adding(
        "tar-latin-1-pax",
        "Names in PAX records are UTF-8, which old writers do not heed.",
        pax_header({"path": "share/\udce9"}) + tar_member("share/x", b"x"),
    ),
    *adding(
        "tar-latin-1-link",
        "A target that is not UTF-8.",
        tar_member("share/\udce9", b"x"),
        tar_member("share/link", type=tarfile.SYMTYPE, linkname="\udce9"),
    ),
    *adding(
        "tar-symlink-outside",
        "A link out of the package is never followed.",
        tar_member("share/link", type=tarfile.SYMTYPE, linkname="../../../etc/passwd"),
    ),
    *(
        Odd(f"writer-cph1{f}", f, from_spec(BASE, f, "cph1"), "A window of 128 MiB exactly, no content size.")
        for f in FORMATS
    ),
    Odd(
        "bz2-level-1",
        ".tar.bz2",
        from_file(lambda data: recompressed(data, 1), ".tar.bz2"),
        "Blocks of 100 kB.",
    ),
)
