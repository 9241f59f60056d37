"""Means to craft archives that no writer makes: one sound package, and the places where it can be bent."""

from __future__ import annotations

import bz2
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .bytecode import modules
from .packages import (
    USTAR,
    Dialect,
    Format,
    PackageSpec,
    Writer,
    component_tars,
    conda_archive,
    tar_member,
    write_package,
    zstd_frame,
)
from .scenario import for_311
from .tars import BLOCK, END
from .zips import ZipMember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Make: TypeAlias = Callable[[Path], Path]

SITE = "lib/python3.11/site-packages"
BASE = for_311("crafted", modules(SITE, "m/a", tags=("cpython-311", "cpython-310")))
BASE_DROPS = frozenset({"lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc"})

SKIPPABLE = struct.pack("<II", 0x184D2A50, 8) + b"skipped!"


@dataclass(frozen=True)
class Crafted:
    """One crafted input: `make` writes it into a directory and returns its path.

    `payload`: the peculiarity lies in the pkg component of a .conda, which a reader of names and listings
    alone need not open.
    """

    id: str
    format: Format
    make: Make
    note: str = ""
    payload: bool = False


def tar_of(members: Iterable[bytes]) -> bytes:
    """A complete tar stream of finished members."""
    return b"".join(members) + END


def write(directory: Path, content: bytes, format: Format, stem: str = BASE.stem) -> Path:
    """The file with this content, named as the sound package."""
    path = directory / f"{stem}{format}"
    path.write_bytes(content)
    return path


def from_spec(spec: PackageSpec, format: Format, writer: Writer = "rattler", dialect: Dialect | None = None) -> Make:
    """A package written the usual way; what is peculiar lies in the description."""

    def make(directory: Path) -> Path:
        return write_package(spec, directory, format=format, writer=writer, dialect=dialect)

    return make


def from_bytes(content: bytes, format: Format) -> Make:
    """A file that is no package at all."""
    return lambda directory: write(directory, content, format)


def from_file(edit: Callable[[bytes], bytes], format: Format) -> Make:
    """The sound package's file with an edit of its bytes."""

    def make(directory: Path) -> Path:
        path = write_package(BASE, directory, format=format)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return make


def from_zip(build: Callable[[list[ZipMember]], bytes]) -> Make:
    """A .conda whose outer zip is built from metadata.json, pkg- and info-, in this order."""

    def make(directory: Path) -> Path:
        info, pkg = component_tars(BASE)
        members = conda_members(zstd_frame(tar_of(info)), zstd_frame(tar_of(pkg)))
        return write(directory, build(members), ".conda")

    return make


def conda_members(info: bytes, pkg: bytes) -> list[ZipMember]:
    """The zip members of a .conda around two frames: metadata.json, pkg-, info-."""
    return [
        ZipMember("metadata.json", b'{"conda_pkg_format_version": 2}'),
        ZipMember(f"pkg-{BASE.stem}.tar.zst", pkg),
        ZipMember(f"info-{BASE.stem}.tar.zst", info),
    ]


def from_frame(edit: Callable[[bytes], bytes], component: str) -> Make:
    """A .conda of which one component's compressed frame is made by `edit` from the tar stream."""

    def make(directory: Path) -> Path:
        info, pkg = (tar_of(members) for members in component_tars(BASE))
        frames = {
            "info": edit(info) if component == "info" else zstd_frame(info),
            "pkg": edit(pkg) if component == "pkg" else zstd_frame(pkg),
        }
        return write(directory, conda_archive(BASE.stem, frames["info"], frames["pkg"]), ".conda")

    return make


def from_tar(build: Callable[[list[bytes]], bytes], format: Format, spec: PackageSpec = BASE) -> Make:
    """A package whose tar stream (of a .conda: the pkg component's) is built from the sound members."""

    def make(directory: Path) -> Path:
        info, pkg = component_tars(spec)
        if format == ".tar.bz2":
            return write(directory, bz2.compress(build([*info, *pkg])), format)
        frames = zstd_frame(tar_of(info)), zstd_frame(build(pkg))
        return write(directory, conda_archive(spec.stem, *frames), format)

    return make


def resealed(header: bytes, offset: int, field: bytes) -> bytes:
    """A tar header block with one field replaced and the checksum made right again."""
    block = bytearray(header)
    block[offset : offset + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:BLOCK])
    return bytes(block)


def with_field(member: bytes, offset: int, field: bytes) -> bytes:
    """A member without extension headers, with one field of its header replaced."""
    return resealed(member[:BLOCK], offset, field) + member[BLOCK:]


def pax_header(records: dict[str, str] | bytes, type: bytes = b"x") -> bytes:
    """A PAX extended (`x`) or global (`g`) header of its own, with records or with raw bytes."""
    if isinstance(records, dict):
        records = b"".join(pax_record(key, value) for key, value in records.items())
    return tar_member("PaxHeader", records, type=type, dialect=USTAR)


def pax_record(key: str, value: str) -> bytes:
    """One record, with its own length in front (POSIX pax)."""
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def raw_block_frame(data: bytes) -> bytes:
    """A zstd frame of uncompressed blocks (RFC 8878, raw blocks of at most 128 KiB)."""
    # One segment, content size in eight bytes.
    frame = bytearray(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", len(data)))
    pieces = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
    for number, piece in enumerate(pieces, 1):
        frame += ((len(piece) << 3) | (number == len(pieces))).to_bytes(3, "little") + piece
    return bytes(frame)
