"""Reads which entries a zip has, and refuses every zip that two readers could read differently.

A zip states everything twice: in a local header before each entry, and in a central directory at the end. Some readers
use the one, some the other. So both must agree, no entry may have a second name, and there may be no bytes between or
around the entries. Python's zipfile checks none of this. It would only save reading the directory, and importing it
takes a fifth of the time of importing click. Specified in PKWARE's APPNOTE 6.3; `.conda` in CEP 35.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ..compression.byte_range import ByteRange
from ..errors import (
    Damaged,
    LimitExceeded,
    NotAPackage,
    Unsupported,
)

STORED, DEFLATED = 0, 8
_ENCRYPTED, DESCRIPTOR, _UTF8 = 1, 8, 1 << 11
_KNOWN_FLAGS = 2 | 4 | DESCRIPTOR | _UTF8
_DOS, _UNIX, _NEWEST = 0, 3, 63
_DOS_DIRECTORY = 0x10
_ZIP64, _OTHER_NAME = 1, 0x7075
"""Extra fields: 64-bit numbers, and Info-ZIP's second name in UTF-8."""
_LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_HIDDEN = "there are bytes between the zip's entries that belong to no entry"
_DIRECTORY_LIMIT = 1 << 23
"""The most bytes of a central directory. A package needs a few hundred; parsed, they take ten times as much memory."""


class Entry(NamedTuple):
    """One entry. `size` and `crc` are those of its content, which takes `packed` bytes in the file.

    The entry starts with its local header at `offset`. Its content starts at `data`, and the next entry at `stop`.
    `descriptor` is whether size and CRC-32 follow the content instead of being in the local header, and `zip64` whether
    the local header has 64-bit sizes. `central` is the entry's header in the directory, as stored.
    """

    name: str
    method: int
    crc: int
    size: int
    packed: int
    offset: int
    data: int
    stop: int
    descriptor: bool
    zip64: bool
    central: bytes


class Zip(NamedTuple):
    """A zip's entries in the order of its directory, and its comment."""

    entries: tuple[Entry, ...]
    comment: bytes

    @property
    def in_file_order(self) -> list[Entry]:
        """The entries in the order of their bytes in the file."""
        return sorted(self.entries, key=lambda entry: entry.offset)


def read_zip(byte_range: ByteRange) -> Zip:
    """Return the zip's entries; raise NotAPackage, Damaged, Unsupported or LimitExceeded if readers may disagree."""
    if byte_range.read(0, 4) not in (b"PK\3\4", b"PK\5\6"):
        raise NotAPackage("it is not a zip archive, as a .conda must be (CEP 35)", "check how it was downloaded")
    end = _read_end(byte_range)
    if end.start + end.size != end.at:
        raise Unsupported("there is extra data before the zip, or between its entries and its directory")
    if end.size > _DIRECTORY_LIMIT:
        raise LimitExceeded(f"the zip's directory takes {end.size} bytes")
    entries = tuple(_central_entries(byte_range, byte_range.read(end.start, end.size), end.entries))
    _check_layout(entries, end.start)
    return Zip(entries, end.comment)


class _End(NamedTuple):
    """What the end records say. They begin at `at`; `start` and `size` are those of the directory."""

    at: int
    start: int
    size: int
    entries: int
    comment: bytes


def _read_end(byte_range: ByteRange) -> _End:
    tail_at = max(0, byte_range.size - _END.size - _FULL16)
    tail = byte_range.read(tail_at, byte_range.size)
    index = tail.rfind(b"PK\5\6")
    if index < 0 or len(tail) - index < _END.size:
        raise Damaged("the zip's end is missing: it is truncated", "download or build it again")
    _, *narrow, comment_size = _END.unpack_from(tail, index)
    at = tail_at + index
    if at + _END.size + comment_size != byte_range.size:
        raise Unsupported("bytes follow the end of the zip, or its comment hides another end")
    comment = tail[index + _END.size :]
    numbers = narrow
    if at >= _LOCATOR.size and byte_range.read(at - _LOCATOR.size, 4) == b"PK\6\7":
        at, numbers = _read_end64(byte_range, at)
        # Some readers use one record, some the other, so both must say the same.
        for narrow_number, number, full in zip(narrow, numbers, (_FULL16,) * 4 + (_FULL32,) * 2, strict=True):
            if narrow_number not in (number, full):
                raise Unsupported("the two end records of the zip disagree")
    disk, first_disk, here, count, size, start = numbers
    if disk or first_disk or here != count:
        raise Unsupported("the zip is split into several parts")
    return _End(at, start, size, count, comment)


def _read_end64(byte_range: ByteRange, end_at: int) -> tuple[int, list[int]]:
    """Return where the zip64 end record is, and its six numbers in the same order as in the 32-bit record."""
    _, disk, at, disks = _LOCATOR.unpack(byte_range.read(end_at - _LOCATOR.size, _LOCATOR.size))
    record = byte_range.read(at, _END64.size)
    if len(record) != _END64.size or record[:4] != b"PK\6\6":
        raise Damaged("the zip64 end record is not where it should be")
    _, length, _, _, *numbers = _END64.unpack(record)
    if at + 12 + length != end_at - _LOCATOR.size or length != _END64.size - 12:
        raise Unsupported("there are unknown bytes before the end of the zip")
    if disk or disks > 1:
        raise Unsupported("the zip is split into several parts")
    return at, numbers


def _central_entries(byte_range: ByteRange, directory: bytes, count: int) -> Iterator[Entry]:
    at = actual = 0
    while at < len(directory):
        if len(directory) - at < CENTRAL.size or directory[at : at + 4] != b"PK\1\2":
            raise Damaged("the zip's directory is damaged")
        fields = CENTRAL.unpack_from(directory, at)
        stop = at + CENTRAL.size + fields[10] + fields[11] + fields[12]
        if stop > len(directory):
            raise Damaged("the zip's directory is damaged")
        yield _entry(byte_range, fields, directory[at:stop])
        at = stop
        actual += 1
    if actual != count:
        raise Damaged(f"the zip's directory has {actual} entries, but says that it has {count}")


def _entry(byte_range: ByteRange, fields: tuple[int, ...], central: bytes) -> Entry:
    """Return the entry that a directory header describes, after comparing it with the entry's local header."""
    _, version, needed, flags, method, _, _, crc, packed, size, name_size, extra_size, _, disk, _, mode, offset = fields
    raw = central[CENTRAL.size : CENTRAL.size + name_size]
    name = _checked_name(raw, flags)
    extra = central[CENTRAL.size + name_size : CENTRAL.size + name_size + extra_size]
    size, packed, offset = _zip64_numbers(extra, name, size, packed, offset)
    _check_kind(name, flags, method, mode, version)
    if needed > _NEWEST:
        raise Unsupported(f"the zip entry {name!r} needs version {needed / 10} of the format")
    if disk:
        raise Unsupported("the zip is split into several parts")
    if method == STORED and packed != size:
        raise Damaged(f"the zip entry {name!r} is stored, with two sizes")
    header = _local_header(byte_range, offset, name)
    local = _LOCAL.unpack_from(header)
    if header[_LOCAL.size : _LOCAL.size + local[9]] != raw or local[3] != method or local[2] != flags:
        raise Unsupported(f"the zip's directory and the entry {name!r} disagree")
    described = bool(flags & DESCRIPTOR)
    local_extra = header[_LOCAL.size + local[9] :]
    local_size, local_packed, _ = _zip64_numbers(local_extra, name, local[8], local[7], None)
    stated = (local[6], local_packed, local_size)
    if stated != (crc, packed, size) and not (described and stated in ((0, 0, 0), (0, _FULL32, _FULL32))):
        raise Unsupported(f"the zip's directory and the entry {name!r} disagree")
    data = offset + len(header)
    stop = data + packed
    if described:
        stop += _descriptor_size(byte_range, stop, (crc, packed, size), name)
    zip64 = _zip64_field(local_extra, name) is not None
    return Entry(name, method, crc, size, packed, offset, data, stop, described, zip64, central)


def _checked_name(raw: bytes, flags: int) -> str:
    """Return an entry's name; raise Unsupported if readers would decode it or place it differently."""
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise Unsupported(f"the name of the zip entry {raw!r} is in an unknown encoding") from None
    if not name.isprintable() or not name or name[0] == "/" or "\\" in name or ":" in name:
        raise Unsupported(f"the zip entry {name!r} has a name that clients read differently")
    if ".." in name.split("/"):
        raise Unsupported(f"the zip entry {name!r} leaves the package")
    return name


def _check_kind(name: str, flags: int, method: int, mode: int, version: int) -> None:
    """Raise Unsupported unless the entry is a regular file, stored or deflated."""
    if flags & _ENCRYPTED:
        raise Unsupported(f"the zip entry {name!r} is encrypted")
    if flags & ~_KNOWN_FLAGS:
        raise Unsupported(f"the zip entry {name!r} has the unknown flags {flags & ~_KNOWN_FLAGS:#x}")
    if method not in (STORED, DEFLATED):
        raise Unsupported(f"the zip entry {name!r} is compressed by method {method}")
    unix = version >> 8 == _UNIX and stat.S_IFMT(mode >> 16) not in (0, stat.S_IFREG)
    if unix or (version >> 8 == _DOS and mode & _DOS_DIRECTORY):
        raise Unsupported(f"the zip entry {name!r} is not a regular file")


def _local_header(byte_range: ByteRange, offset: int, name: str) -> bytes:
    fixed = byte_range.read(offset, _LOCAL.size)
    if len(fixed) != _LOCAL.size or fixed[:4] != b"PK\3\4":
        raise Damaged(f"the zip entry {name!r} is not where the directory says")
    size = _LOCAL.size + _u16(fixed, 26) + _u16(fixed, 28)
    header = byte_range.read(offset, size)
    if len(header) != size:
        raise Damaged(f"the zip entry {name!r} is not where the directory says")
    return header


def _zip64_numbers(extra: bytes, name: str, size: int, packed: int, offset: int | None) -> tuple[int, int, int]:
    """Return the three numbers, with those that have all bits set replaced by the numbers of the zip64 field.

    Raises Unsupported if the extra fields, or a number that is stated twice, are ambiguous.
    """
    field = _zip64_field(extra, name)
    numbers = [size, packed] if offset is None else [size, packed, offset]
    if field is not None:
        wide = [int.from_bytes(field[at : at + 8], "little") for at in range(0, len(field) - 7, 8)]
        full = [number == _FULL32 for number in numbers]
        # The field may also be there if no number needs it: rattler states the sizes twice.
        which = [index for index, is_full in enumerate(full) if is_full or not any(full)]
        if len(field) % 8 or len(wide) > len(which) or len(wide) < sum(full):
            raise Unsupported(f"the zip64 field of the zip entry {name!r} does not fit its sizes")
        for index, number in zip(which, wide, strict=False):
            if not full[index] and numbers[index] != number:
                raise Unsupported(f"the zip entry {name!r} has two sizes")
            numbers[index] = number
    return numbers[0], numbers[1], numbers[2] if offset is not None else 0


def _zip64_field(extra: bytes, name: str) -> bytes | None:
    """Return an entry's zip64 field, or None; raise Unsupported if its extra fields are ambiguous."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, size = _u16(extra, at), _u16(extra, at + 2)
        if kind in fields or kind == _OTHER_NAME or at + 4 + size > len(extra):
            raise Unsupported(f"the zip entry {name!r} has extra fields that clients read differently")
        fields[kind] = extra[at + 4 : at + 4 + size]
        at += 4 + size
    if extra[at:].strip(b"\0"):
        raise Unsupported(f"the zip entry {name!r} has extra fields that clients read differently")
    return fields.get(_ZIP64)


def _descriptor_size(byte_range: ByteRange, at: int, expected: tuple[int, int, int], name: str) -> int:
    raw = byte_range.read(at, 24)
    for layout in ("<4sLLL", "<4sLQQ", "<LLL", "<LQQ"):
        shape = struct.Struct(layout)
        if len(raw) < shape.size:
            continue
        numbers = shape.unpack_from(raw)
        if numbers[-3:] == expected and (len(numbers) == 3 or numbers[0] == b"PK\7\10"):
            return shape.size
    raise Unsupported(f"the zip entry {name!r} has a data descriptor that disagrees with the directory")


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _check_layout(entries: tuple[Entry, ...], directory_at: int) -> None:
    """Raise Unsupported unless the entries fill the file up to the directory, without gaps, overlaps or equal names."""
    names: set[str] = set()
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != at:
            raise Unsupported(_HIDDEN)
        at = entry.stop
        if entry.name in names:
            raise Unsupported(f"two zip entries have the name {entry.name!r}")
        names.add(entry.name)
    if at != directory_at:
        raise Unsupported(_HIDDEN)


def inflate(byte_range: ByteRange, entry: Entry, limit: int) -> Iterator[bytes]:
    """Yield the content of an entry; raise Damaged if its size or CRC-32 is wrong.

    Raises LimitExceeded if the content has more than `limit` bytes.
    """
    crc = size = 0
    for piece in _inflated(byte_range.slice(entry.data, entry.data + entry.packed), entry.method):
        size += len(piece)
        if size > limit:
            raise LimitExceeded(f"the zip entry {entry.name!r} takes more than {limit} bytes")
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        raise Damaged(f"the CRC-32 of the zip entry {entry.name!r} is wrong", "download or build it again")


def _inflated(packed: ByteRange, method: int) -> Iterator[bytes]:
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
        raise Damaged("a deflated zip entry is truncated, or followed by extra bytes")
