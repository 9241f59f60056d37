"""Parses the 512-byte headers of a tar, and patches them for new content or a new link target.

Specified in POSIX.1 (pax) and the manual of GNU tar. Both leave much open, and readers disagree about it. So a header
is refused if any two of rattler, libarchive and Python would read it differently.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import Damaged, LimitExceeded, Unsupported
from ..model import LONGEST_PATH

BLOCK = 512
REBUILD = "build the package again"
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_CHECKSUM = slice(148, 156)
_LINK_FIELD = 100
"""Bytes of the field for a link's target. A target of exactly this length is not followed by a NUL."""
_MEANINGFUL = frozenset({"path", "linkpath", "size"})
_HIDDEN_RECORD = rb"\n\d+ (?:path|linkpath|size)="
_TIMES = 1 << 63
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


class Header(NamedTuple):
    """What one 512-byte header says. PAX records may override it. `ustar` is whether it is in POSIX's own format."""

    name: bytes
    type: bytes
    size: int
    link: bytes
    mtime: int
    ustar: bool


def parse_header(block: bytes) -> Header:
    """Return what a header block says; raise Damaged if its checksum or a number in it is wrong.

    Raises Unsupported if readers disagree about the name: rattler and libarchive read the prefix field in POSIX headers
    only, Python in every header.
    """
    fields = _HEADER.unpack(block)
    name, mode, uid, gid, size, mtime, checksum, type_, link, magic = fields[:10]
    if checksum[0] & 0x80 or _number(checksum) != checksum_of(block):
        raise Damaged("a tar header's checksum is wrong")
    if not text(size).strip(b" "):
        raise Damaged("a tar header has no size")  # Python reads it as 0; rattler refuses it.
    if mode[0] & 0x80:
        raise Damaged("a tar header's mode is not an octal number")  # rattler ignores it; Python fails.
    _check_numbers(mode, uid, gid, *fields[12:14])
    name = text(name)
    ustar = magic == b"ustar\x0000"
    if prefix := text(fields[14]):
        if not ustar:
            raise Unsupported("a tar header has a name prefix, which its format does not have", REBUILD)
        name = prefix + b"/" + name
    return Header(name, type_, _number(size), text(link), _number(mtime, signed=True), ustar)


def checksum_of(block: bytes | bytearray) -> int:
    """Return the checksum of a header according to POSIX: the sum of its bytes, with spaces in place of the checksum.

    Old writers summed signed bytes, which rattler does not accept. Leaving out the zeros saves half of the time.
    """
    return sum(block.translate(None, b"\0")) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _with_checksum(block: bytearray) -> bytes:
    """Return the header with its checksum, in the form of its writer: rattler's has a seventh digit and no space."""
    form = b"%07o\0" if block[154] and not block[155] else b"%06o\0 "
    block[_CHECKSUM] = form % checksum_of(block)
    return bytes(block)


def with_size(raw: bytes, size: int, *, regular: bool) -> bytes:
    """Return a member's headers for new content of `size` bytes; everything else in them is kept.

    `raw` is the headers as stored; the last block is the one to patch. With `regular`, a hard link becomes a regular
    file without a target. Raises Unsupported if a PAX record states the size.
    """
    extended = b"".join(_patched_extensions(raw[:-BLOCK], without_link=regular))
    block = bytearray(raw[-BLOCK:])
    block[124:136] = b"%011o\0" % size if size < 8**11 else _base256(size)
    if regular:
        block[156:157] = b"0"
        block[157:257] = bytes(100)
    return extended + _with_checksum(block)


def with_link(raw: bytes, target: str) -> bytes:
    """Return a hard link's headers with another target, in which surrogate escapes are undecodable bytes (PEP 383).

    `raw` is the headers as stored. A target may be in the header's field of 100 bytes, in a GNU long link ('K'), or in
    a PAX record. The new target goes where the old one was, if it fits; otherwise, where the writer of this header
    would have put it.
    """
    name = target.encode("utf-8", "surrogateescape")
    block = bytearray(raw[-BLOCK:])
    extensions = list(_extensions(raw[:-BLOCK]))
    if _stored_link(extensions, raw[-BLOCK:]) == target:
        return raw
    types = {header.type for header, _, _ in extensions}
    is_long = len(name) > _LINK_FIELD
    # Readers take a field as bytes, but a record as UTF-8, which they may convert. So a name must not be in a record as
    # the link's target if it is in a field as the target's own name, nor the other way round. Some readers split
    # records at line ends, so a name with a line end cannot be in a record.
    in_records = "\n" not in target
    as_record = b"x" in types and b"K" not in types and in_records and (is_long or not name.isascii())
    made = []
    placed = not is_long
    for header, body, whole in extensions:
        records = parse_pax(body) if header.type == b"x" else {}
        if (as_record and header.type == b"x") or (in_records and "linkpath" in records):
            placed = True
            made.append(_with_records(whole, records | {"linkpath": target}))
        elif "linkpath" in records:
            made.append(_with_records(whole, {key: records[key] for key in records if key != "linkpath"}))
        elif header.type == b"K" and is_long:
            placed = True
            made.append(_with_body(whole, name + b"\0"))
        elif header.type != b"K":
            made.append(whole)
    if not placed and in_records and block[257:265] == b"ustar\x0000":
        made.append(_with_records(_new_header(b"././@PaxHeader", b"x", b"ustar\x0000"), {"linkpath": target}))
    elif not placed:
        made.append(_with_body(_new_header(b"././@LongLink", b"K", b"ustar  \0"), name + b"\0"))
    block[157:257] = name[:_LINK_FIELD].ljust(_LINK_FIELD, b"\0")
    return b"".join(made) + _with_checksum(block)


def _stored_link(extensions: Sequence[tuple[Header, bytes, bytes]], block: bytes) -> str:
    """Return the link target that a member's headers state."""
    for header, body, _ in extensions:
        if header.type == b"K":
            return decode(long_name(body))
        if header.type == b"x" and "linkpath" in (records := parse_pax(body)):
            return records["linkpath"]
    return decode(parse_header(block).link)


def _new_header(name: bytes, type_: bytes, magic: bytes) -> bytes:
    """Return an extension header without content, as Python's tarfile writes it, but with its checksum not yet set."""
    number = b"0000000\0"
    size = mtime = b"%011o\0" % 0
    owner = number, number, number  # Mode, user and group.
    return _HEADER.pack(
        name, *owner, size, mtime, b" " * 8, type_, b"", magic, b"", b"", number, number, b"", b""
    )  # fmt: skip


def _with_body(whole: bytes, body: bytes) -> bytes:
    """Return an extension header with `body` as its new content, or nothing if `body` is empty.

    `whole` starts with the header's block; old content after it is ignored.
    """
    return with_size(whole[:BLOCK], len(body), regular=False) + body + padding(len(body)) if body else b""


def _with_records(whole: bytes, records: dict[str, str]) -> bytes:
    """Return a PAX extended header with `records` as its new content, or nothing if there are none."""
    return _with_body(whole, b"".join(_pax_record(key, value) for key, value in records.items()))


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block after `size` bytes of content."""
    return bytes(-size % BLOCK)


def _extensions(raw: bytes) -> Iterator[tuple[Header, bytes, bytes]]:
    """Yield a member's extension headers: the parsed header, its content, and all of its bytes."""
    offset = 0
    while offset < len(raw):
        header = parse_header(raw[offset : offset + BLOCK])
        stop = offset + BLOCK + padded(header.size)
        yield header, raw[offset + BLOCK : offset + BLOCK + header.size], raw[offset:stop]
        offset = stop


def _patched_extensions(raw: bytes, *, without_link: bool) -> Iterator[bytes]:
    """Yield the extension headers of a member as stored, except that a link target is left out if requested."""
    for header, body, whole in _extensions(raw):
        if header.type == b"x":
            records = parse_pax(body)
            if "size" in records:
                raise Unsupported("a listing's tar header states its size in a PAX record")
            if without_link and "linkpath" in records:
                del records["linkpath"]
                yield _with_records(whole, records)
                continue
        elif header.type == b"K" and without_link:
            continue
        yield whole


def _pax_record(key: str, value: str) -> bytes:
    payload = b" %s=%s\n" % (key.encode("utf-8"), value.encode("utf-8", "surrogateescape"))
    length = len(payload) + 1
    while len(str(length)) + len(payload) != length:
        length += 1
    return str(length).encode("ascii") + payload


def parse_pax(body: bytes) -> dict[str, str]:
    """Return the records of a PAX extended header (POSIX pax, 'x'); raise Damaged if their lengths are wrong.

    Raises Unsupported if readers would see other records.
    """
    records: dict[str, str] = {}
    offset = 0
    while offset < len(body):
        space = body.find(b" ", offset, offset + 20)
        digits = body[offset:space] if space > 0 else b""
        if not digits.isdigit():
            raise Damaged("a PAX header's record has no length")
        stop = offset + int(digits)
        record = body[space + 1 : stop]
        if stop > len(body) or not record.endswith(b"\n") or b"=" not in record:
            raise Damaged("a PAX header's record has a wrong length")
        key, _, value = record[:-1].partition(b"=")
        name = key.decode("utf-8", "replace")
        if not name:
            raise Damaged("a PAX header's record has no name")
        if name in records:
            raise Unsupported(f"a PAX header has two {name!r} records")
        if name in _MEANINGFUL and (not value or b"\0" in value or b"\n" in value):
            raise Unsupported(f"a PAX header's {name!r} record is empty, or contains a NUL or a line end")
        if re.search(_HIDDEN_RECORD, record):
            raise Unsupported(
                "a PAX header's record contains another one for readers that split by lines, as rattler does"
            )
        records[name] = value.decode("utf-8", "surrogateescape")
        offset = stop
    return records


def checked_path(stored: str) -> str:
    """Return a stored name as a path in the package. It is normalized: `a//b` and `a/./b` become `a/b`.

    Raises Unsupported for names that lead out of the package, or that some readers end early.
    """
    if stored.startswith("/") or _DRIVE.match(stored):
        raise Unsupported(f"a tar member has the absolute name {stored!r}")
    if "\0" in stored:
        raise Unsupported(f"a tar member's name contains a NUL: {stored!r}")
    if ".." in stored:
        parts = stored.replace("\\", "/").split("/")
        if ".." in parts:
            raise Unsupported(f"a tar member's name leaves the package: {stored!r}")
    if not stored:
        raise Unsupported("a tar member has no name")
    path = stored.rstrip("/")
    if "//" in path or path.startswith("./") or "/." in path:
        path = "/".join(part for part in path.split("/") if part not in ("", "."))
    return path or "."


def check_length(path: str, what: str) -> None:
    """Raise LimitExceeded for a path that no system can unpack: work on it grows with the square of its depth."""
    if len(path) > LONGEST_PATH:
        raise LimitExceeded(
            f"a tar member's {what} {path[:40]!r}… has {len(path)} characters, and no system unpacks more than"
            f" {LONGEST_PATH}",
            REBUILD,
        )


def pax_size(pax: dict[str, str], header: Header, path: str) -> int:
    """Return a member's size in bytes; raise Damaged if it is not a size, Unsupported if readers see different ones."""
    if "size" not in pax:
        return header.size
    # Python refuses to parse a number of very many digits, and no size needs them.
    if not pax["size"].isascii() or not pax["size"].isdigit() or len(pax["size"]) > len(str(1 << 63)):
        raise Damaged(f"the size of the tar member {path!r} is {pax['size'][:32]!r}")
    size = int(pax["size"])
    # If the header has room for the size, it must be there as well, because some readers ignore the record
    # (CVE-2025-62518).
    if header.size != size and not (header.size == 0 and size >= 8**11):
        raise Unsupported(f"the tar member {path!r} has two sizes, {header.size} and {size}")
    return size


def pax_mtime(pax: dict[str, str], header: Header) -> int:
    """Return a member's modification time in whole seconds; raise Damaged if it does not fit in 64 bits."""
    try:
        time = float(pax["mtime"]) if "mtime" in pax else header.mtime
    except ValueError:
        return header.mtime
    if not -_TIMES <= time < _TIMES:  # Also true for NaN.
        raise Damaged("a tar member's modification time is out of range")
    return int(time // 1)


def padded(size: int) -> int:
    """Return a size in bytes, rounded up to whole blocks."""
    return size + -size % BLOCK


def text(field: bytes) -> bytes:
    """Return the content of a text field of a header, which ends at the first NUL."""
    return field.partition(b"\0")[0]


def long_name(body: bytes) -> bytes:
    """Return a GNU long name; raise Unsupported if readers end it differently: rattler only removes one final NUL."""
    name, _, rest = body.partition(b"\0")
    if rest:
        raise Unsupported("a GNU long name continues after its NUL", REBUILD)
    return name


def decode(name: bytes) -> str:
    """Return a name as a string; bytes that are not UTF-8 become surrogate escapes (PEP 383)."""
    return name.decode("utf-8", "surrogateescape")


@lru_cache(256)  # Most members of a package have the same mode, owner and device.
def _check_numbers(*fields: bytes) -> None:
    for field in fields:
        _number(field, signed=True)  # If a number is wrong, Python stops as if the tar ended here.


@lru_cache(1024)  # Most members have the same time as the one before.
def _number(field: bytes, *, signed: bool = False) -> int:
    """Return the number in a field of a header: octal digits, or base 256 if the first bit is set (GNU tar)."""
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
        if value < 0 and not signed:
            raise Damaged("a tar header has a negative number")
        if field[0] not in (0x80, 0xFF) or value >= 1 << 63:
            raise Damaged(f"a tar header has the number {field.hex()}")
        return value
    digits, _, rest = field.partition(b"\0")
    digits = digits.strip(b" ")
    if rest.strip(b"\0 "):  # libarchive does not recognize such a file as a tar.
        raise Damaged(f"a tar header's number is followed by other bytes: {field!r}")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise Damaged(f"a tar header has {digits!r} where a number should be")
    return int(digits, 8)


def _base256(value: int) -> bytes:
    return (value | 1 << 95).to_bytes(12, "big")
