"""Writes a zip again around other contents: the same entries in the same order, with their dates and attributes.

Every entry comes out Stored, with its real sizes in the local header: rattler cannot install anything else. Python's
zipfile makes the headers, so numbers that were stated twice are stated once, and extra fields are dropped: writers of
packages use them for 64-bit sizes only. Specified in PKWARE's APPNOTE 6.3.
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
"""Bytes of content from which on an entry gets room for 64-bit sizes, which must be decided before it is compressed.
zipfile needs that room for more than 2 GiB, and content that cannot be compressed grows a little."""


@dataclass(frozen=True, slots=True)
class NewContent:
    """What replaces an entry's content: a function that writes it, and about how many bytes it writes at most."""

    write: Callable[[IO[bytes]], object]
    most: int


def write_zip(out: BinaryIO, byte_range: ByteRange, found: Zip, contents: Mapping[str, NewContent]) -> None:
    """Write the zip again to `out`, a seekable file, from its start; entries in `contents` get new content.

    What is copied is checked against its CRC-32. Raises Damaged where that is wrong, and whatever the functions raise;
    what was written then is of no use.
    """
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = found.comment
        for entry in found.in_file_order:
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
            info.external_attr = attributes  # zipfile makes 0 the mode 0600.


def _info(entry: Entry) -> zipfile.ZipInfo:
    """Return what zipfile needs to know to make an entry's headers."""
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
