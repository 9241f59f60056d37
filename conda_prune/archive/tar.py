"""Where the members of a tar stream begin and end, and how one is cut or given another content.

Members are never encoded again: of 412 real tars, re-encoding through a library gave the same bytes for 60 at best,
cutting byte ranges for all. So this parser keeps spans, and refuses what two readers could understand differently.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import Damaged, LimitExceeded, Unsupported
from ..model import Component, File, FileKind, Limits, Span

BLOCK = 512
_ZEROS = bytes(BLOCK)
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_CHECKSUM = slice(148, 156)
_KINDS = {
    b"0": FileKind.FILE, b"\0": FileKind.FILE, b"7": FileKind.FILE, b"1": FileKind.HARDLINK,
    b"2": FileKind.SYMLINK, b"5": FileKind.DIRECTORY,
    b"3": FileKind.OTHER, b"4": FileKind.OTHER, b"6": FileKind.OTHER,
}  # fmt: skip
_HARMLESS_GLOBALS = frozenset({"comment", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
_LONG_LIMIT = 1 << 21
"""Bytes of a long name or of extended attributes that are read at most."""

Piece: TypeAlias = "bytes | memoryview"
Steps: TypeAlias = "Generator[int, Piece, None]"

_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class Header:
    """What one 512-byte header says. `size` is the size field's, before any PAX record."""

    name: bytes
    type: bytes
    size: int
    link: bytes
    mtime: int


def parse_header(block: bytes) -> Header:
    """Return what a header block says; raise Damaged when its checksum or a number in it is wrong."""
    fields = _HEADER.unpack(block)
    name, _mode, _uid, _gid, size, mtime, checksum, type_, link, magic = fields[:10]
    if _number(checksum) not in checksums(block):
        raise Damaged("a tar header's checksum is wrong")
    name = _text(name)
    # Only POSIX ustar (NUL after the magic) has a prefix field there; in GNU headers it holds times.
    if magic[:6] == b"ustar\0" and fields[14][:1] != b"\0":
        name = _text(fields[14]) + b"/" + name
    return Header(name, type_, _number(size), _text(link), _number(mtime, signed=True))


def checksums(block: bytes) -> tuple[int, int]:
    """Return the sum that POSIX wants in a header, and the signed one that old writers used."""
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    total = sum(rest)
    return total, total - 256 * sum(byte > 127 for byte in rest)


def with_content(raw: bytes, content: bytes, *, regular: bool) -> bytes:
    """Return a whole member (headers, content, padding) with another content.

    `raw` is the member's headers as they are, whose last block is the one to patch. With `regular` a hard link becomes
    a regular file and loses its target. Raises Unsupported where a PAX record states the size.
    """
    extended, block = raw[:-BLOCK], bytearray(raw[-BLOCK:])
    if extended:
        extended = b"".join(_patched_extensions(extended, without_link=regular))
    block[124:136] = b"%011o\0" % len(content) if len(content) < 8**11 else _base256(len(content))
    if regular:
        block[156:157] = b"0"
        block[157:257] = bytes(100)
    block[_CHECKSUM] = b"%06o\0 " % checksums(bytes(block))[0]
    return extended + bytes(block) + content + bytes(-len(content) % BLOCK)


def _patched_extensions(raw: bytes, *, without_link: bool) -> Iterator[bytes]:
    """Yield the extension headers of a member, as they are but for a link target that is to go."""
    offset = 0
    while offset < len(raw):
        header = parse_header(raw[offset : offset + BLOCK])
        stop = offset + BLOCK + _padded(header.size)
        body = raw[offset + BLOCK : offset + BLOCK + header.size]
        whole = raw[offset:stop]
        offset = stop
        if header.type == b"x":
            records = parse_pax(body)
            if "size" in records:
                raise Unsupported("a listing's tar header states its size in a PAX record")
            if without_link and "linkpath" in records:
                kept = b"".join(_pax_record(key, value) for key, value in records.items() if key != "linkpath")
                if kept:
                    yield with_content(whole[:BLOCK], kept, regular=False)
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
    """Return the records of a PAX extended header; raise Damaged when they do not add up (POSIX pax, 'x' header)."""
    records: dict[str, str] = {}
    offset = 0
    while offset < len(body) and body[offset]:
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
        if name in records:
            raise Unsupported(f"a PAX header has two {name!r} records")
        records[name] = value.decode("utf-8", "surrogateescape")
        offset = stop
    return records


class TarReader:
    """Takes a tar stream in pieces of any size and tells its members.

    Call `feed` with each piece, then `finish`. `keep` names how many leading bytes of a member's content to keep.
    `finish` raises Damaged unless the stream ended with its two zero blocks: a tar cut between two members is an error.
    """

    def __init__(self, keep: Callable[[str], int], limits: Limits, *, hashing: bool = True) -> None:
        self._keep = keep
        self._limits = limits
        self._hashing = hashing
        self._files: list[File] = []
        self._spans: list[Span] = []
        self._headers: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._texts = 0
        self._position = 0
        self._steps = self._members()
        self._want = next(self._steps)
        self._held = bytearray()

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next piece of the stream."""
        view = memoryview(piece)
        while view:
            if self._want < 0:  # content that may be handed on in pieces
                part = view[: -self._want]
                self._position += len(part)
                self._want = self._steps.send(part)
                view = view[len(part) :]
                continue
            missing = self._want - len(self._held)
            part = view[:missing]
            self._held += part
            view = view[len(part) :]
            if len(self._held) == self._want:
                block = bytes(self._held)
                self._held.clear()
                self._position += len(block)
                self._want = self._steps.send(block)

    def finish(self, name: str) -> Component:
        """Return the component called `name`; raise Damaged when the stream ended too early."""
        if not self._ended or self._held.strip(b"\0"):
            raise Damaged(f"the tar stream ends early, after {self._position} bytes and {len(self._files)} members")
        return Component(name, tuple(self._files), tuple(self._spans), self._position + len(self._held), self._headers)

    _ended = False

    def _members(self) -> Steps:
        """Ask for the bytes of a block (positive) or of a content (negative), and make members of what comes."""
        while True:
            start = self._position
            name = link = None
            pax: dict[str, str] = {}
            extensions: set[bytes] = set()
            headers: list[bytes] = []
            while True:
                block = bytes((yield BLOCK))
                if block == _ZEROS:
                    break
                headers.append(block)
                header = parse_header(block)
                if header.type not in b"xgLK":
                    break
                if header.type in extensions:
                    raise Unsupported("two extension headers of one type before one tar member")
                extensions.add(header.type)
                if header.size > _LONG_LIMIT:
                    raise LimitExceeded(f"a tar member's name or attributes take {header.size} bytes")
                body = b""
                if header.size:
                    headers.append(bytes((yield _padded(header.size))))
                    body = headers[-1][: header.size]
                if header.type == b"x":
                    pax = parse_pax(body)
                elif header.type == b"g":
                    _check_globals(parse_pax(body))
                elif header.type == b"L":
                    name = _text(body)
                else:
                    link = _text(body)
            if block == _ZEROS:
                if extensions - {b"g"}:
                    raise Damaged("the tar ends after an extension header that belongs to no member")
                yield from self._trailer()
            yield from self._member(start, b"".join(headers), header, pax, name, link)

    def _trailer(self) -> Steps:
        block = yield BLOCK
        if block != _ZEROS:
            raise Damaged("a single zero block stands in the middle of the tar")
        self._ended = True
        while True:
            block = yield BLOCK
            if block != _ZEROS:
                raise Damaged("data follows the end of the tar")

    def _member(
        self,
        start: int,
        raw: bytes,
        header: Header,
        pax: dict[str, str],
        name: bytes | None,
        link: bytes | None,
    ) -> Steps:
        kind = _KINDS.get(header.type)
        if kind is None or any(key.startswith("GNU.sparse") for key in pax):
            what = "sparse" if header.type == b"S" or kind else f"of type {header.type!r}"
            raise Unsupported(f"a tar member is {what}", "build the package again")
        if ("path" in pax and name is not None) or ("linkpath" in pax and link is not None):
            raise Unsupported("a tar member has both a GNU and a PAX name")
        stored = pax["path"] if "path" in pax else _decode(header.name if name is None else name)
        target = pax["linkpath"] if "linkpath" in pax else _decode(header.link if link is None else link)
        path = checked_path(stored)
        size = _pax_size(pax, header, path)
        if kind is FileKind.FILE and stored.endswith("/"):
            kind = FileKind.DIRECTORY  # what every reader makes of it (V7 tar)
        if kind is not FileKind.FILE and size:
            raise Unsupported(f"the tar member {path!r} is a {kind.value} that claims {size} bytes of content")
        if path in self._names:
            raise Unsupported(f"two tar members are called {path!r}", "build the package again")
        self._names.add(path)
        if len(self._names) > self._limits.members:
            raise LimitExceeded(f"more than {self._limits.members} files")
        content_at = self._position
        content, sha256 = b"", None
        if kind is FileKind.FILE:
            keep = min(self._keep(path), size)
            self._texts += keep
            if self._texts > self._limits.text:
                raise LimitExceeded(f"more than {self._limits.text} bytes of metadata to hold in memory")
            content, sha256 = yield from self._content(size, keep)
        self._files.append(
            File(
                path=path,
                kind=kind,
                size=size if kind is FileKind.FILE else None,
                sha256=sha256,
                link=target,
                mtime=_pax_mtime(pax, header),
                content=content,
            )
        )
        if kind is FileKind.HARDLINK or (content and len(content) == size):
            self._headers[path] = raw
        self._spans.append(Span(stored, start, content_at, self._position))

    def _content(self, size: int, keep: int) -> Generator[int, Piece, tuple[bytes, str | None]]:
        digest = hashlib.sha256() if self._hashing else None
        kept = bytearray()
        left = size
        while left:
            piece = yield -left
            left -= len(piece)
            if digest:
                digest.update(piece)
            if len(kept) < keep:
                kept += piece[: keep - len(kept)]
        if size % BLOCK:
            yield BLOCK - size % BLOCK
        return bytes(kept), digest.hexdigest() if digest else None


def checked_path(stored: str) -> str:
    """Return a stored name as a package path; raise Unsupported for names that leave the package or end early."""
    if stored.startswith("/") or _DRIVE.match(stored):
        raise Unsupported(f"a tar member has the absolute name {stored!r}")
    if "\0" in stored:
        raise Unsupported(f"a tar member's name holds a NUL: {stored!r}")
    if ".." in stored:
        parts = stored.replace("\\", "/").split("/")
        if ".." in parts:
            raise Unsupported(f"a tar member's name leaves the package: {stored!r}")
    path = stored.rstrip("/")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    if not path:
        if stored in (".", "./"):
            return "."
        raise Unsupported("a tar member has no name")
    return path


def _check_globals(records: dict[str, str]) -> None:
    if not _HARMLESS_GLOBALS.issuperset(records):
        raise Unsupported("a global PAX header changes the members after it", "build the package again")


def _pax_size(pax: dict[str, str], header: Header, path: str) -> int:
    if "size" not in pax:
        return header.size
    if not pax["size"].isascii() or not pax["size"].isdigit():
        raise Damaged(f"the size of the tar member {path!r} is {pax['size']!r}")
    size = int(pax["size"])
    # A writer that needs the record cannot state the size in the header; one that states another lies to somebody.
    if header.size not in (size, 0) and size < 8**11:
        raise Unsupported(f"the tar member {path!r} has two sizes, {header.size} and {size}")
    return size


def _pax_mtime(pax: dict[str, str], header: Header) -> int:
    if "mtime" not in pax:
        return header.mtime
    try:
        return int(float(pax["mtime"]) // 1)
    except (ValueError, OverflowError):
        return header.mtime


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes, *, signed: bool = False) -> int:
    """Return a header's number: octal digits, or base 256 when the first bit is set (GNU tar)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if value < 0 and not signed:
            raise Damaged("a tar header has a negative number")
        return value
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise Damaged(f"a tar header has {digits!r} where a number should be")
    return int(digits, 8)


def _base256(value: int) -> bytes:
    return (value | 1 << 95).to_bytes(12, "big")
