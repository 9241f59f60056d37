"""Zip archives field by field (PKWARE APPNOTE), so that real writers' and hostile ones can both be made."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

STORED = 0
DEFLATED = 8
EPOCH = (1980, 1, 1, 0, 0, 0)
ENCRYPTED = 0x1
DATA_DESCRIPTOR = 0x8
ALL_ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class ZipMember:
    """One member; `local_*` fields give the local header another value than the central directory's."""

    name: str
    data: bytes
    method: int = STORED
    date: tuple[int, int, int, int, int, int] = EPOCH
    zip64_local: bool = False
    zip64_central: bool = False
    flags: int = 0
    crc: int | None = None
    local_name: str | None = None
    local_method: int | None = None
    local_size: int | None = None
    in_directory: bool = True

    def dos_time(self) -> tuple[int, int]:
        year, month, day, hour, minute, second = self.date
        return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day

    def written(self) -> tuple[bytes, int]:
        """The bytes as stored, and the CRC-32 of the content."""
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        if self.method != DEFLATED:
            return self.data, crc
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(self.data) + deflate.flush(), crc

    def local(self) -> bytes:
        """Local header, content and, where flagged, the data descriptor."""
        stored, crc = self.written()
        size = len(self.data) if self.local_size is None else self.local_size
        compressed = len(stored) if self.local_size is None else self.local_size
        name = (self.name if self.local_name is None else self.local_name).encode()
        method = self.method if self.local_method is None else self.local_method
        extra, descriptor, header_sizes = b"", b"", (crc, compressed, size)
        if self.flags & DATA_DESCRIPTOR:
            descriptor = struct.pack("<4sIII", b"PK\7\10", crc, compressed, size)
            header_sizes = (0, 0, 0)
        elif self.zip64_local:
            extra = struct.pack("<HHQQ", 1, 16, size, compressed)
            header_sizes = (crc, ALL_ONES, ALL_ONES)
        version = 45 if self.zip64_local else 20
        header = struct.pack(
            "<4sHHHHHIIIHH",
            b"PK\3\4", version, self.flags, method, *self.dos_time(), *header_sizes, len(name), len(extra),
        )  # fmt: skip
        return header + name + extra + stored + descriptor

    def central(self, offset: int) -> bytes:
        """The entry in the central directory for a local header at `offset`."""
        stored, crc = self.written()
        name, extra, sizes = self.name.encode(), b"", (len(stored), len(self.data))
        if self.zip64_central:
            extra = struct.pack("<HHQQ", 1, 16, len(self.data), len(stored))
            sizes = (ALL_ONES, ALL_ONES)
        version = 45 if self.zip64_central or self.zip64_local else 20
        header = struct.pack(
            "<4sBBHHHHHIIIHHHHHII",
            b"PK\1\2", version, 3, version, self.flags, self.method, *self.dos_time(), crc, *sizes,
            len(name), len(extra), 0, 0, 0, 0o100644 << 16, offset,
        )  # fmt: skip
        return header + name + extra


def zip_archive(
    members: Iterable[ZipMember],
    *,
    comment: bytes = b"",
    before: bytes = b"",
    gap: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """The archive; `before`, `gap` (ahead of the central directory) and `after` are bytes no member owns.

    Offsets are true, that is they count `before`.
    """
    body, directory, count = bytearray(before), bytearray(), 0
    for member in members:
        if member.in_directory:
            directory += member.central(len(body))
            count += 1
        body += member.local()
    body += gap
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), len(comment))
    return bytes(body + directory) + end + comment + after
