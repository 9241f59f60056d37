"""Where the entries of a zip begin and end, and how the zip is written again around other contents.

Headers are copied, not made: names, dates, attributes, order and zip64 fields stay as found. What two zip readers could
understand differently (hidden entries, a directory that disagrees with the local headers, bytes between or around the
entries) is refused. Specified in PKWARE's APPNOTE 6.3; `.conda` in CEP 35.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import Damaged, LimitExceeded, NotAPackage, Unsupported
from .extent import CHUNK, Extent

STORED, DEFLATED = 0, 8
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 1, 8, 1 << 11
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_DIRECTORY_LIMIT = 1 << 26
"""Bytes of a central directory at most; a package needs a few hundred."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its sizes and where it stands. `header` and `central` are its two headers as they are in the file.

    `data` to `data + packed` are its bytes, and `stop` is where what follows them begins.
    """

    name: str
    method: int
    crc: int
    size: int
    packed: int
    offset: int
    data: int
    stop: int
    header: bytes
    central: bytes
    descriptor: bool


@dataclass(frozen=True, slots=True)
class Zip:
    """A zip's entries in the order of its directory, and its comment."""

    entries: tuple[Entry, ...]
    comment: bytes
    zip64: bool

    @property
    def in_file_order(self) -> list[Entry]:
        """The entries in the order in which they stand in the file."""
        return sorted(self.entries, key=lambda entry: entry.offset)


def read_zip(extent: Extent) -> Zip:
    """Return what the zip holds; raise NotAPackage, Damaged or Unsupported when it cannot be trusted."""
    if extent.read(0, 4) not in (b"PK\3\4", b"PK\5\6"):
        raise NotAPackage("it is not a zip archive, as a .conda must be (CEP 35)", "check how it was downloaded")
    end_at, end = _end_record(extent)
    _, disk, first_disk, here, count, size, start, comment_size = end
    comment = extent.read(end_at + _END.size, comment_size)
    zip64 = False
    if extent.read(end_at - _LOCATOR.size, 4) == b"PK\6\7":
        zip64 = True
        _, _, end64_at, _ = _LOCATOR.unpack(extent.read(end_at - _LOCATOR.size, _LOCATOR.size))
        record = extent.read(end64_at, _END64.size)
        if len(record) != _END64.size or record[:4] != b"PK\6\6":
            raise Damaged("the zip64 end record is not where it should be")
        _, length, _, _, disk, first_disk, here, count, size, start = _END64.unpack(record)
        if end64_at + 12 + length != end_at - _LOCATOR.size:
            raise Unsupported("unknown bytes stand before the end of the zip")
        end_at = end64_at
    if disk or first_disk or here != count:
        raise Unsupported("the zip is one part of several")
    if start + size != end_at:
        raise Unsupported("junk stands before the zip, or between its entries and its directory")
    if size > _DIRECTORY_LIMIT:
        raise LimitExceeded(f"the zip's directory takes {size} bytes")
    entries = tuple(_central_entries(extent, extent.read(start, size), count))
    _check_layout(entries, start)
    return Zip(entries, comment, zip64)


def _end_record(extent: Extent) -> tuple[int, tuple[bytes, int, int, int, int, int, int, int]]:
    tail_at = max(0, extent.size - _END.size - _FULL16)
    tail = extent.read(tail_at, extent.size)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise Damaged("the zip's end is missing: it is truncated", "download or build it again")
    end = _END.unpack_from(tail, at)
    if tail_at + at + _END.size + end[7] != extent.size:
        raise Unsupported("bytes follow the end of the zip, or its comment hides another end")
    return tail_at + at, end


def _central_entries(extent: Extent, directory: bytes, count: int) -> Iterator[Entry]:
    at = found = 0
    while at < len(directory):
        if len(directory) - at < _CENTRAL.size or directory[at : at + 4] != b"PK\1\2":
            raise Damaged("the zip's directory is damaged")
        fields = _CENTRAL.unpack_from(directory, at)
        stop = at + _CENTRAL.size + fields[10] + fields[11] + fields[12]
        if stop > len(directory):
            raise Damaged("the zip's directory is damaged")
        yield _entry(extent, fields, directory[at:stop])
        at = stop
        found += 1
    if found != count:
        raise Damaged(f"the zip's directory has {found} entries and claims {count}")


def _entry(extent: Extent, fields: tuple[int, ...], central: bytes) -> Entry:
    _, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, _, disk, _, _, offset = fields
    raw = central[_CENTRAL.size : _CENTRAL.size + name_size]
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
    extra = central[_CENTRAL.size + name_size : _CENTRAL.size + name_size + extra_size]
    size, packed, offset = _wide(extra, size, packed, offset)
    if flags & _ENCRYPTED:
        raise Unsupported(f"the zip entry {name!r} is encrypted")
    if method not in (STORED, DEFLATED):
        raise Unsupported(f"the zip entry {name!r} is compressed by method {method}")
    if disk:
        raise Unsupported("the zip is one part of several")
    if method == STORED and packed != size:
        raise Damaged(f"the zip entry {name!r} is stored, with two sizes")
    fixed = extent.read(offset, _LOCAL.size)
    if len(fixed) != _LOCAL.size or fixed[:4] != b"PK\3\4":
        raise Damaged(f"the zip entry {name!r} is not where the directory says")
    local = _LOCAL.unpack(fixed)
    header = extent.read(offset, _LOCAL.size + local[9] + local[10])
    data = offset + len(header)
    if header[_LOCAL.size : _LOCAL.size + local[9]] != raw or local[3] != method or local[2] != flags:
        raise Unsupported(f"the zip's directory and the entry {name!r} disagree")
    described = bool(flags & _DESCRIPTOR)
    local_size, local_packed, _ = _wide(header[_LOCAL.size + local[9] :], local[8], local[7], 0)
    stated = (local[6], local_packed, local_size)
    if stated != (crc, packed, size) and not (described and stated in ((0, 0, 0), (0, _FULL32, _FULL32))):
        raise Unsupported(f"the zip's directory and the entry {name!r} disagree")
    stop = data + packed
    if described:
        stop += _descriptor_size(extent, stop, (crc, packed, size), name)
    return Entry(name, method, crc, size, packed, offset, data, stop, header, central, described)


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Return the three numbers with those that are full replaced by the zip64 field's."""
    field = _zip64_field(extra)
    numbers = []
    for number in (size, packed, offset):
        if number == _FULL32 and field is not None and len(field) >= 8:
            number, field = int.from_bytes(field[:8], "little"), field[8:]
        numbers.append(number)
    return numbers[0], numbers[1], numbers[2]


def _zip64_field(extra: bytes) -> bytes | None:
    at = _zip64_at(extra)
    if at is None:
        return None
    return extra[at + 4 : at + 4 + int.from_bytes(extra[at + 2 : at + 4], "little")]


def _zip64_at(extra: bytes) -> int | None:
    at = 0
    while at + 4 <= len(extra):
        if extra[at : at + 2] == b"\1\0":
            return at
        at += 4 + int.from_bytes(extra[at + 2 : at + 4], "little")
    return None


def _descriptor_size(extent: Extent, at: int, expected: tuple[int, int, int], name: str) -> int:
    raw = extent.read(at, 24)
    for layout in ("<4sLLL", "<4sLQQ", "<LLL", "<LQQ"):
        shape = struct.Struct(layout)
        if len(raw) < shape.size:
            continue
        found = shape.unpack_from(raw)
        if found[-3:] == expected and (len(found) == 3 or found[0] == b"PK\7\10"):
            return shape.size
    raise Unsupported(f"the zip entry {name!r} has a data descriptor that disagrees with the directory")


def _check_layout(entries: tuple[Entry, ...], directory_at: int) -> None:
    """Raise Unsupported unless the entries fill the file up to the directory without gap, overlap or namesake."""
    names: set[str] = set()
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != at:
            raise Unsupported("bytes that no directory entry names stand between the zip's entries")
        at = entry.stop
        if entry.name in names:
            raise Unsupported(f"two zip entries are called {entry.name!r}")
        names.add(entry.name)
    if at != directory_at:
        raise Unsupported("bytes that no directory entry names stand between the zip's entries")


def inflate(extent: Extent, entry: Entry, limit: int) -> Iterator[bytes]:
    """Yield the uncompressed bytes of an entry; raise Damaged where size or CRC-32 are not the stated ones."""
    crc = size = 0
    for piece in _inflated(extent.slice(entry.data, entry.data + entry.packed), entry.method):
        size += len(piece)
        if size > limit:
            raise LimitExceeded(f"the zip entry {entry.name!r} takes more than {limit} bytes")
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        raise Damaged(f"the CRC-32 of the zip entry {entry.name!r} is wrong", "download or build it again")


def _inflated(packed: Extent, method: int) -> Iterator[bytes]:
    if method == STORED:
        yield from packed.chunks()
        return
    decompressor = zlib.decompressobj(-15)
    try:
        for piece in packed.chunks():
            while piece:
                yield decompressor.decompress(piece, 1 << 20)
                piece = decompressor.unconsumed_tail
        yield decompressor.flush()
    except zlib.error as error:
        raise Damaged(f"a deflated zip entry is damaged: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise Damaged("a deflated zip entry is cut or has bytes behind its end")


def write_zip(
    out: BinaryIO,
    extent: Extent,
    found: Zip,
    contents: Mapping[str, Callable[[BinaryIO], object]],
    *,
    wide: bool = False,
) -> None:
    """Write the zip again to `out`, at its position 0: entries named in `contents` get what its functions write.

    The functions write to the file's end, and may read back and truncate what they wrote. Every entry comes out
    Stored, with real sizes in its local header. Entries that were so are copied as they are. With `wide`, entries get
    zip64 fields where they have none; raises NeedsZip64 where that is necessary.
    """
    written: dict[str, tuple[bytes, int]] = {}
    for entry in found.in_file_order:
        offset = out.tell()
        if entry.name not in contents and entry.method == STORED and not entry.descriptor:
            for piece in extent.chunks(entry.offset, entry.stop):
                out.write(piece)
            written[entry.name] = (entry.central, offset)
            continue
        header = _plain(entry.header, _LOCAL.size, 6, 8)
        central = _plain(entry.central, _CENTRAL.size, 8, 10)
        if wide and _zip64_at(header[_LOCAL.size + _u16(header, 26) :]) is None:
            header = _with_zip64(header)
        out.write(header)
        if entry.name in contents:
            contents[entry.name](out)
        else:
            for piece in inflate(extent, entry, entry.size):
                out.write(piece)
        crc, size = _measured(out, offset + len(header))
        out.seek(offset)
        out.write(_stated(header, _LOCAL, crc, size))
        out.seek(0, os.SEEK_END)
        written[entry.name] = (_stated(central, _CENTRAL, crc, size), offset)
    _write_directory(out, found, written)


class NeedsZip64(Exception):
    """A number does not fit into a header that has no zip64 field."""


def _measured(out: BinaryIO, start: int) -> tuple[int, int]:
    """Return CRC-32 and number of the bytes from `start` to the file's end, where writing stopped."""
    out.seek(start)
    crc = size = 0
    while piece := out.read(CHUNK):
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    return crc, size


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _plain(header: bytes, fixed: int, flags_at: int, method_at: int) -> bytes:
    """Return the header of an entry that is Stored and has no data descriptor."""
    flags = _u16(header, flags_at) & ~_DESCRIPTOR
    patched = bytearray(header)
    patched[flags_at : flags_at + 2] = flags.to_bytes(2, "little")
    patched[method_at : method_at + 2] = STORED.to_bytes(2, "little")
    return bytes(patched)


def _with_zip64(header: bytes) -> bytes:
    name_end = _LOCAL.size + _u16(header, 26)
    patched = bytearray(header[:name_end] + b"\1\0\20\0" + bytes(16) + header[name_end:])
    patched[4:6] = max(45, _u16(header, 4)).to_bytes(2, "little")
    patched[28:30] = (_u16(header, 28) + 20).to_bytes(2, "little")
    return bytes(patched)


def _stated(header: bytes, shape: struct.Struct, crc: int, size: int) -> bytes:
    """Return the local or central header with CRC-32 and both sizes, wide where it was wide or has to be."""
    at = 14 if shape is _LOCAL else 16
    patched = bytearray(header)
    patched[at : at + 4] = crc.to_bytes(4, "little")
    return _with_numbers(bytes(patched), shape, {"packed": size, "size": size})


def _with_numbers(header: bytes, shape: struct.Struct, numbers: Mapping[str, int]) -> bytes:
    """Return a header with these numbers, in the header's own fields or in its zip64 field as they were."""
    at = {"packed": 18, "size": 22} if shape is _LOCAL else {"packed": 20, "size": 24, "offset": 42}
    extra_at = shape.size + _u16(header, 26 if shape is _LOCAL else 28)
    extra_size = _u16(header, 28 if shape is _LOCAL else 30)
    extra = header[extra_at : extra_at + extra_size]
    values = _numbers(header, shape, at, extra)
    values.update(numbers)
    full = {key for key in at if header[at[key] : at[key] + 4] == b"\xff" * 4}
    # Writers that fill the zip64 field without need (rattler) are followed in that.
    listed = [key for key in ("size", "packed", "offset") if key in at and (key in full or not full)]
    field_at = _zip64_at(extra)
    listed = listed[: _u16(extra, field_at + 2) // 8] if field_at is not None else []
    needed = {key for key in at if values[key] >= _FULL32}
    patched = bytearray(header)
    if needed - set(listed):
        if shape is _LOCAL:
            raise NeedsZip64
        listed = [key for key in ("size", "packed", "offset") if key in needed or key in listed]
    for key, place in at.items():
        wide = key in needed or (key in full and key in listed)
        patched[place : place + 4] = (_FULL32 if wide else values[key]).to_bytes(4, "little")
    if not listed:
        return bytes(patched)
    field = b"".join(values[key].to_bytes(8, "little") for key in listed)
    if field_at is None:
        new_extra = b"\1\0" + len(field).to_bytes(2, "little") + field + extra
    else:
        rest = extra[field_at + 4 + _u16(extra, field_at + 2) :]
        new_extra = extra[:field_at] + b"\1\0" + len(field).to_bytes(2, "little") + field + rest
    patched[extra_at : extra_at + extra_size] = new_extra
    sized_at = 28 if shape is _LOCAL else 30
    patched[sized_at : sized_at + 2] = len(new_extra).to_bytes(2, "little")
    return bytes(patched)


def _numbers(header: bytes, shape: struct.Struct, at: Mapping[str, int], extra: bytes) -> dict[str, int]:
    narrow = {key: int.from_bytes(header[place : place + 4], "little") for key, place in at.items()}
    size, packed, offset = _wide(extra, narrow["size"], narrow["packed"], narrow.get("offset", 0))
    return {"size": size, "packed": packed, "offset": offset}


def _write_directory(out: BinaryIO, found: Zip, written: Mapping[str, tuple[bytes, int]]) -> None:
    start = out.tell()
    for entry in found.entries:
        central, offset = written[entry.name]
        out.write(_with_numbers(central, _CENTRAL, {"offset": offset}))
    end = out.tell()
    count, size = len(found.entries), end - start
    if found.zip64 or count >= _FULL16 or max(size, start) >= _FULL32:
        out.write(_END64.pack(b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, count, count, size, start))
        out.write(_LOCATOR.pack(b"PK\6\7", 0, end, 1))
    narrow = (min(count, _FULL16), min(count, _FULL16), min(size, _FULL32), min(start, _FULL32))
    out.write(_END.pack(b"PK\5\6", 0, 0, *narrow, len(found.comment)) + found.comment)
