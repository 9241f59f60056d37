"""Writes a zip again around other contents.

Headers are copied, not made: names, dates, attributes, order and zip64 fields stay as found. Every entry comes out
Stored with real sizes in its local header: rattler installs nothing else. Specified in PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from .extent import CHUNK, Extent
from .zip import CENTRAL, DESCRIPTOR, END, END64, FULL16, FULL32, LOCAL, LOCATOR, STORED, Entry, Zip, inflate


class NeedsZip64(Exception):
    """A number does not fit into a local header that has no zip64 field."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where a header has what it states; `numbers` are in the order of the zip64 field."""

    fixed: struct.Struct
    version: int
    flags: int
    method: int
    crc: int
    numbers: Mapping[str, int]
    name_size: int
    extra_size: int


_LOCAL = _Shape(LOCAL, 4, 6, 8, 14, {"size": 22, "packed": 18}, 26, 28)
_CENTRAL = _Shape(CENTRAL, 6, 8, 10, 16, {"size": 24, "packed": 20, "offset": 42}, 28, 30)
_ZIP64_VERSION = 45


def write_zip(
    out: BinaryIO,
    extent: Extent,
    found: Zip,
    contents: Mapping[str, Callable[[BinaryIO], object]],
    *,
    wide: bool = False,
) -> None:
    """Write the zip again to `out`, at its position 0: entries named in `contents` get what its functions write.

    The functions write to the file's end, and may read back and truncate what they wrote. Entries that are Stored with
    real sizes, and have no new content, are copied as they are. With `wide`, new local headers get zip64 fields where
    they have none; raises NeedsZip64 where that is necessary.
    """
    written: dict[str, tuple[int, int, int]] = {}
    for entry in found.in_file_order:
        offset = out.tell()
        if entry.name not in contents and entry.method == STORED and not entry.descriptor:
            for piece in extent.chunks(entry.offset, entry.stop):
                out.write(piece)
            written[entry.name] = entry.crc, entry.size, offset
            continue
        header = _with_zip64(entry.header) if wide else entry.header
        out.write(header)
        if entry.name in contents:
            contents[entry.name](out)
        else:
            for piece in inflate(extent, entry, entry.size):
                out.write(piece)
        crc, size = _measured(out, offset + len(header))
        stated = _stating(header, _LOCAL, crc, {"size": size, "packed": size})
        if len(stated) != len(header):
            raise NeedsZip64
        out.seek(offset)
        out.write(stated)
        out.seek(0, os.SEEK_END)
        written[entry.name] = crc, size, offset
    _write_directory(out, found, written)


def _measured(out: BinaryIO, start: int) -> tuple[int, int]:
    """Return CRC-32 and number of the bytes from `start` to the file's end, where writing stopped."""
    out.seek(start)
    crc = size = 0
    while piece := out.read(CHUNK):
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    return crc, size


def _with_zip64(header: bytes) -> bytes:
    """Return a local header with room for both sizes in a zip64 field, where it has none."""
    name_end = LOCAL.size + _u16(header, _LOCAL.name_size)
    if _field_at(header[name_end:]) is not None:
        return header
    patched = bytearray(header[:name_end] + b"\1\0\20\0" + bytes(16) + header[name_end:])
    for place in _LOCAL.numbers.values():
        patched[place : place + 4] = FULL32.to_bytes(4, "little")
    patched[_LOCAL.extra_size : _LOCAL.extra_size + 2] = (_u16(header, _LOCAL.extra_size) + 20).to_bytes(2, "little")
    return bytes(patched)


def _stating(header: bytes, shape: _Shape, crc: int, numbers: Mapping[str, int]) -> bytes:
    """Return the header of an entry that is Stored without a data descriptor and has this CRC-32 and these numbers.

    Numbers stand in the zip64 field where they did before, and where they have to.
    """
    patched = bytearray(header)
    _put(patched, shape.flags, 2, _u16(header, shape.flags) & ~DESCRIPTOR)
    _put(patched, shape.method, 2, STORED)
    _put(patched, shape.crc, 4, crc)
    extra_at = shape.fixed.size + _u16(header, shape.name_size)
    extra_stop = extra_at + _u16(header, shape.extra_size)
    extra = header[extra_at:extra_stop]
    field_at = _field_at(extra)
    listed = [
        key
        for key, place in shape.numbers.items()
        if numbers[key] >= FULL32 or header[place : place + 4] == b"\xff" * 4
    ]
    for key, place in shape.numbers.items():
        _put(patched, place, 4, FULL32 if key in listed else numbers[key])
    if listed:
        _put(patched, shape.version, 2, max(_ZIP64_VERSION, _u16(header, shape.version)))
    elif field_at is not None:
        # rattler states the sizes twice, and is followed in that.
        listed = list(shape.numbers)[: _u16(extra, field_at + 2) // 8]
    if not listed:
        return bytes(patched)
    field = b"\1\0" + (8 * len(listed)).to_bytes(2, "little")
    field += b"".join(numbers[key].to_bytes(8, "little") for key in listed)
    before, after = (extra, b"") if field_at is None else (extra[:field_at], _behind(extra, field_at))
    patched[extra_at:extra_stop] = before + field + after
    _put(patched, shape.extra_size, 2, len(before + field + after))
    return bytes(patched)


def _field_at(extra: bytes) -> int | None:
    """Return where the zip64 field begins, None where there is none."""
    at = 0
    while at + 4 <= len(extra):
        if extra[at : at + 2] == b"\1\0":
            return at
        at += 4 + _u16(extra, at + 2)
    return None


def _behind(extra: bytes, at: int) -> bytes:
    return extra[at + 4 + _u16(extra, at + 2) :]


def _put(header: bytearray, at: int, size: int, number: int) -> None:
    header[at : at + size] = number.to_bytes(size, "little")


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _write_directory(out: BinaryIO, found: Zip, written: Mapping[str, tuple[int, int, int]]) -> None:
    start = out.tell()
    for entry in found.entries:
        out.write(_central_header(entry, *written[entry.name]))
    end = out.tell()
    count, size = len(found.entries), end - start
    if found.zip64 or count >= FULL16 or max(size, start) >= FULL32:
        out.write(
            END64.pack(b"PK\6\6", END64.size - 12, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0, count, count, size, start)
        )
        out.write(LOCATOR.pack(b"PK\6\7", 0, end, 1))
    narrow = (min(count, FULL16), min(count, FULL16), min(size, FULL32), min(start, FULL32))
    out.write(END.pack(b"PK\5\6", 0, 0, *narrow, len(found.comment)) + found.comment)


def _central_header(entry: Entry, crc: int, size: int, offset: int) -> bytes:
    return _stating(entry.central, _CENTRAL, crc, {"size": size, "packed": size, "offset": offset})
