"""Writes a zip with new content for some entries: the same entries in the same order, with their dates and attributes.

Every entry is written Stored, with its real sizes in the local header, because rattler cannot install anything else.
Python's zipfile makes the headers. So extra fields are dropped, which package writers only use for 64-bit sizes, and
numbers that were stated twice are stated once. Specified in PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, BinaryIO

from ..compression.byte_range import ByteRange
from .zip import (
    CENTRAL,
    Entry,
    Zip,
    inflate,
)

_MAY_BE_LARGE = 2_000_000_000
"""Bytes of content from which an entry gets room for 64-bit sizes, which is decided before it is compressed. zipfile
needs the room from 2 GiB on, and content that cannot be compressed grows a little."""


@dataclass(frozen=True, slots=True)
class NewContent:
    """The new content of an entry: a function that writes it, and about how many bytes it writes at most."""

    write: Callable[[IO[bytes]], object]
    most: int


def write_zip(out: BinaryIO, byte_range: ByteRange, old: Zip, contents: Mapping[str, NewContent]) -> None:
    """Write the zip `old` to `out`, a seekable file, from the start. Entries in `contents` get new content.

    Entries that are copied are checked against their CRC-32: raises Damaged if one is wrong. Exceptions of the
    functions in `contents` are passed on. Discard `out` after an exception.
    """
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = old.comment
        for entry in old.in_file_order:
            new = contents.get(entry.name)
            info = _info(entry)
            attributes = info.external_attr
            large = (new.most if new else entry.size) >= _MAY_BE_LARGE
            with archive.open(info, "w", force_zip64=entry.zip64 or large) as to:
                if new:
                    new.write(to)
                else:
                    for piece in inflate(byte_range, entry, entry.size):
                        to.write(piece)
            info.external_attr = attributes  # zipfile turned 0 into the mode 0600.


def _info(entry: Entry) -> zipfile.ZipInfo:
    """Return an entry's date, attributes and versions for zipfile, which makes the headers."""
    _, made_by, needed, _, _, time, date, _, _, _, name, extra, _, _, internal, external, _ = CENTRAL.unpack_from(
        entry.central
    )
    when = (date >> 9) + 1980, date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2
    info = zipfile.ZipInfo(entry.name, when)
    info.create_version, info.create_system = made_by & 0xFF, made_by >> 8
    info.extract_version = needed
    info.internal_attr, info.external_attr = internal, external
    info.comment = entry.central[CENTRAL.size + name + extra :]
    return info
