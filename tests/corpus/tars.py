"""Tar streams from descriptions, and the members of a finished package with all their bytes."""

from __future__ import annotations

import bz2
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import zstandard

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 512
END = bytes(2 * BLOCK)


#: How long names, large numbers and fractions are written.
Dialect: TypeAlias = Literal[0, 1, 2]
USTAR: Final = tarfile.USTAR_FORMAT
GNU: Final = tarfile.GNU_FORMAT
PAX: Final = tarfile.PAX_FORMAT


def padded(data: bytes, unit: int = BLOCK) -> bytes:
    """The data, filled with zeros to a multiple of `unit`."""
    return data + bytes(-len(data) % unit)


def tar_member(
    name: str,
    data: bytes = b"",
    *,
    type: bytes = tarfile.REGTYPE,
    linkname: str = "",
    mode: int = 0o644,
    mtime: float = 0,
    owner: tuple[int, int, str, str] = (0, 0, "", ""),
    dialect: Dialect = GNU,
    pax: dict[str, str] | None = None,
) -> bytes:
    """All bytes of one member: extension headers, header, content and padding.

    Raises ValueError for what the dialect cannot express, such as a name of 300 characters in USTAR.
    """
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = len(data), type, linkname
    header.mode, header.mtime = mode, mtime
    header.uid, header.gid, header.uname, header.gname = owner
    header.pax_headers = dict(pax or {})
    return header.tobuf(dialect, "utf-8", "surrogateescape") + padded(data)


def split_members(tar: bytes) -> list[tuple[str, bytes]]:
    """Name and all bytes (extension headers, header, content, padding) of each member, in order."""
    stream = io.BytesIO(tar)
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
        bounds = [*(member.offset for member in members), archive.offset]
    return [(member.name, tar[start:stop]) for member, start, stop in zip(members, bounds, bounds[1:], strict=False)]


def read_components(path: Path) -> dict[str, bytes]:
    """The decompressed tar streams: `pkg` and `info` of a .conda, `tar` of a .tar.bz2."""
    if not zipfile.is_zipfile(path):
        return {"tar": bz2.decompress(path.read_bytes())}
    components = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".tar.zst"):
                decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
                with decompressor.stream_reader(archive.read(name)) as stream:
                    components[name.split("-")[0]] = stream.read()
    return components


def read_tar_members(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Per component of the package, each member's name and all of its bytes, in archive order."""
    return {component: split_members(tar) for component, tar in read_components(path).items()}
