"""Conda packages from descriptions, byte for byte in the manner of the tools that write real ones.

`rattler` follows rattler's package_streaming/write.rs, `conda-build` conda-build with
conda-package-handling 2, `cph1` conda-package-handling 1.x and the conda-build of its day.
"""

from __future__ import annotations

import bz2
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import zstandard

from .entries import (
    BUILD_TIME,
    Directory,
    Entry,
    File,
    Hardlink,
    Listing,
    PackageSpec,
    Symlink,
    file_at,
    inode_paths,
)
from .listings import component_order, info_files
from .tars import (
    END,
    GNU,
    PAX,
    USTAR,
    Dialect,
    padded,
    read_tar_members,
    split_members,
    tar_member,
)
from .zips import EPOCH, ZipMember, zip_archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "FORMATS",
    "GNU",
    "PAX",
    "USTAR",
    "WRITERS",
    "Dialect",
    "Directory",
    "File",
    "Format",
    "Hardlink",
    "Listing",
    "PackageSpec",
    "Position",
    "Symlink",
    "Writer",
    "component_tars",
    "conda_archive",
    "read_tar_members",
    "split_members",
    "tar_member",
    "write_package",
    "zstd_frame",
]

Format = Literal[".conda", ".tar.bz2"]
Writer = Literal["rattler", "conda-build", "cph1"]
Position = Literal["first", "middle", "last"]

FORMATS: tuple[Format, ...] = (".conda", ".tar.bz2")
WRITERS: tuple[Writer, ...] = ("rattler", "conda-build", "cph1")

BUILD_DATE = (2024, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Habits:
    """What sets one writer's tar streams apart from another's."""

    dialect: Dialect
    owner: tuple[int, int, str, str]
    mtime: float
    tar_unit: int
    copies_links: bool
    legacy_listings: bool
    zstd_level: int


HABITS: Mapping[Writer, Habits] = {
    "rattler": Habits(GNU, (0, 0, "", ""), BUILD_TIME, 512, True, False, 15),
    "conda-build": Habits(PAX, (0, 0, "", ""), BUILD_TIME + 0.28125, 10240, False, True, 19),
    "cph1": Habits(GNU, (502, 20, "", ""), 0, 512, False, True, 22),
}
#: The conda-build of before 2022 left its own user in .tar.bz2 packages and padded them as tarfile does.
OLD_TAR_BZ2 = Habits(GNU, (501, 20, "travis", "staff"), BUILD_TIME, 10240, False, True, 22)


def write_package(
    spec: PackageSpec,
    directory: Path,
    *,
    format: Format = ".conda",
    writer: Writer = "rattler",
    dialect: Dialect | None = None,
    info_position: Position = "first",
    level: int | None = None,
    stem: str | None = None,
) -> Path:
    """Writes the package and returns its path; the same arguments always give the same bytes.

    `dialect` and `level` default to the writer's own. `info_position` says where a .tar.bz2 has its info/
    members (in real packages not always first). `stem` renames the file only: inner names stay.
    """
    habits = OLD_TAR_BZ2 if (writer, format) == ("cph1", ".tar.bz2") else HABITS[writer]
    info, pkg = component_tars(spec, writer=writer, habits=habits, dialect=dialect)
    path = directory / f"{stem or spec.stem}{format}"
    if format == ".tar.bz2":
        at = {"first": 0, "middle": len(pkg) // 2, "last": len(pkg)}[info_position]
        tar = padded(b"".join([*pkg[:at], *info, *pkg[at:]]) + END, habits.tar_unit)
        path.write_bytes(bz2.compress(tar, 9 if level is None else level))
        return path
    frames = [zstd_frame(padded(b"".join(m) + END, habits.tar_unit), writer, level) for m in (info, pkg)]
    path.write_bytes(conda_archive(spec.stem, *frames, writer=writer))
    return path


def component_tars(
    spec: PackageSpec,
    *,
    writer: Writer = "rattler",
    habits: Habits | None = None,
    dialect: Dialect | None = None,
) -> tuple[list[bytes], list[bytes]]:
    """The members of the info and of the pkg component, each with all its bytes, in the writer's order."""
    habits = habits or HABITS[writer]
    rattler = writer == "rattler"
    described = info_files(spec, rattler=rattler, legacy=habits.legacy_listings)
    info: dict[str, Entry] = {path: File(data) for path, data in described.items()}
    pkg = spec.entries | {path: File(data) for path, data in spec.info_in_pkg.items()}
    chosen = habits.dialect if dialect is None else dialect
    return (
        members(info, order(info, rattler), habits, chosen),
        members(pkg, order(pkg, rattler), habits, chosen),
    )


def order(entries: Mapping[str, Entry], rattler: bool) -> list[str]:
    """Member order: rattler sorts by path component, conda-build groups by extension and size."""
    if rattler:
        return sorted(entries, key=component_order)

    def grouped(path: str) -> tuple[int, int, str]:
        found = file_at(entries, path)
        extension = path.rpartition(".")[2].encode("utf-8", "surrogateescape")
        return zlib.crc32(extension), len(found.data) if found else 0, path

    return sorted(entries, key=grouped)


def members(entries: Mapping[str, Entry], names: Iterable[str], habits: Habits, dialect: Dialect) -> list[bytes]:
    """The tar members of these entries; of hard-linked names the first is the file, the others link to it."""
    written: set[str] = set()
    result = []
    for path in names:
        entry = entries[path]
        type, linkname, data, mode, mtime = tarfile.REGTYPE, "", b"", 0o644, habits.mtime
        if isinstance(entry, Directory):
            type, mode = tarfile.DIRTYPE, entry.mode
        elif isinstance(entry, Symlink):
            type, linkname, mode = tarfile.SYMTYPE, entry.target, 0o755 if habits.copies_links else 0o777
        else:
            found = file_at(entries, path)
            if found is None:
                raise ValueError(f"{path!r} is a hard link to nothing")
            mode, mtime = found.mode, habits.mtime if found.mtime is None else found.mtime
            before = [name for name in inode_paths(entries, path) if name in written]
            if before and not habits.copies_links:
                type, linkname = tarfile.LNKTYPE, before[0]
            else:
                data = found.data
                written.add(path)
        result.append(
            tar_member(
                path,
                data,
                type=type,
                linkname=linkname,
                mode=mode,
                mtime=mtime,
                owner=habits.owner,
                dialect=dialect,
            )
        )
    return result


def zstd_frame(data: bytes, writer: Writer = "rattler", level: int | None = None) -> bytes:
    """One zstd frame as the writer makes it, at its default level unless told otherwise.

    rattler compresses multi-threaded, which gives the same bytes for any number of threads;
    conda-package-handling 1.x leaves a window of 128 MiB and no content size, however small the content is.
    """
    level = HABITS[writer].zstd_level if level is None else level
    if writer == "cph1":
        # Tables of the level's own size cost seconds; on small content these give the same bytes.
        small = max(17, len(data).bit_length() + 1)
        tables = {"chain_log": min(27, small + 1), "hash_log": min(25, small)} if level == 22 else {}
        stream = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters.from_level(
                level, window_log=27, write_content_size=False, **tables
            )
        ).compressobj()
        return stream.compress(data) + stream.flush()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(data), threads=1 if writer == "rattler" else 0, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def conda_archive(stem: str, info: bytes, pkg: bytes, *, writer: Writer = "rattler") -> bytes:
    """The outer zip of a .conda around two finished frames, in the writer's order and dates."""
    rattler = writer == "rattler"
    version = b'{"conda_pkg_format_version":2}' if rattler else b'{"conda_pkg_format_version": 2}'
    date = BUILD_DATE if rattler else EPOCH
    zip64 = writer != "cph1"
    metadata = ZipMember("metadata.json", version, date=BUILD_DATE, zip64_local=rattler, zip64_central=rattler)
    components = [
        ZipMember(f"{part}-{stem}.tar.zst", frame, date=date, zip64_local=zip64, zip64_central=rattler)
        for part, frame in (("pkg", pkg), ("info", info))
    ]
    return zip_archive([*components[::-1], metadata] if writer == "cph1" else [metadata, *components])
