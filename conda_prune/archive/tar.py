"""Where the members of a tar stream begin and end.

Members are never encoded again: of 412 real tars, re-encoding through a library gave the same bytes for 60 at best,
cutting byte ranges for all. So this parser keeps spans, and refuses what two readers could understand differently.
"""

from __future__ import annotations

import posixpath
from array import array
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, overload

from ..errors import Damaged, LimitExceeded, Unsupported
from ..model import (
    Component,
    File,
    FileKind,
    Limits,
    Span,
)
from .tar_header import (
    BLOCK,
    REBUILD,
    Header,
    check_length,
    checked_path,
    decode,
    long_name,
    padded,
    parse_header,
    parse_pax,
    pax_mtime,
    pax_size,
)

_ZEROS = bytes(BLOCK)
_KINDS = {
    b"0": FileKind.FILE, b"\0": FileKind.FILE, b"7": FileKind.FILE, b"1": FileKind.HARDLINK,
    b"2": FileKind.SYMLINK, b"5": FileKind.DIRECTORY,
}  # fmt: skip
_HARMLESS_GLOBALS = frozenset({"comment", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
_LONG_LIMIT = 1 << 21
"""Bytes of a long name or of extended attributes that are read at most."""

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")
Piece: TypeAlias = "bytes | memoryview"
Steps: TypeAlias = "Generator[int, Piece, None]"


class Later(Protocol):
    """Calls functions with an argument: now or later, but in order, and all before `finish` is called."""

    def __call__(self, do: Callable[[T], object], what: T, /) -> object: ...


_SPARSE = ("GNU.sparse", "SCHILY.realsize", "SUN.holesdata")


def now(do: Callable[[T], object], what: T) -> None:
    """Call a function at once."""
    do(what)


class TarReader:
    """Takes a tar stream in pieces of any size and tells its members.

    Call `feed` with each piece, then `finish`. `keep` names how many leading bytes of a member's content to keep.
    `later` hashes in parallel to the parsing; None leaves the hashes out, and hashlib, whose import takes 3 ms.
    `finish` raises Damaged unless the stream ended with its two zero blocks: a tar cut between two members is an error.
    """

    def __init__(self, keep: Callable[[str], int], limits: Limits, later: Later | None = now) -> None:
        self._keep = keep
        self._limits = limits
        self._later = later
        self._files: list[File] = []
        self._hashed: list[str] = []
        self._spans = Spans()
        self._headers: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._linked: dict[str, str] = {}
        self._texts = 0
        self._position = 0
        self._steps = self._members()
        self._want = next(self._steps)
        self._held = bytearray()
        self._ended = False

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
        hashed = iter(self._hashed)
        for at, file in enumerate(self._files):
            if file.kind is FileKind.FILE and self._later is not None:
                self._files[at] = file._replace(sha256=next(hashed))
        files = tuple(self._files)
        return Component(name, files, self._spans, self._position + len(self._held), self._headers)

    def _members(self) -> Steps:
        """Ask for the bytes of a block (positive) or of a content (negative), and make members of what comes."""
        while True:
            member = _Member(self._position)
            try:
                yield from self._next(member)
            except (Damaged, Unsupported) as error:
                raise type(error)(f"{error.reason} (at byte {member.start} of the tar)", error.hint) from error

    def _next(self, member: _Member) -> Steps:
        while (block := bytes((yield BLOCK))) != _ZEROS:
            header = parse_header(block)
            member.headers.append(block)
            if header.type not in b"xgLK":
                break
            if header.size > _LONG_LIMIT:
                raise LimitExceeded(f"a tar member's name or attributes take {header.size} bytes")
            body = b""
            if header.size:
                body = bytes((yield padded(header.size)))
                member.headers.append(body)
            member.extend(header, body[: header.size])
            if header.type == b"g":  # it is about all members after it, and stays whatever becomes of the next
                member.headers.clear()
                member.start = self._position
        if block == _ZEROS:
            if member.extensions:
                raise Damaged("the tar ends after an extension header that belongs to no member")
            yield from self._trailer()
        yield from self._member(member, header)

    def _trailer(self) -> Steps:
        block = yield BLOCK
        if block != _ZEROS:
            raise Damaged("a single zero block stands in the middle of the tar")
        self._ended = True
        while True:
            block = yield BLOCK
            if block != _ZEROS:
                raise Damaged("data follows the end of the tar")

    def _member(self, member: _Member, header: Header) -> Steps:
        stored, link = member.name(header), member.link(header)
        check_length(stored, "name")
        check_length(link, "link target")
        path = checked_path(stored)
        kind = _kind(member, header, stored)
        if kind not in (FileKind.HARDLINK, FileKind.SYMLINK):
            link = ""  # whatever the header says, readers look at it for links only
        elif not link:
            raise Unsupported(f"the tar member {path!r} is a link without a target", REBUILD)
        if path == "." and kind is not FileKind.DIRECTORY:
            raise Unsupported(f"the tar member {path!r} is no directory", REBUILD)
        size = pax_size(member.pax, header, path)
        if kind is not FileKind.FILE and size:
            raise Unsupported(f"the tar member {path!r} is a {kind.value} that claims {size} bytes of content", REBUILD)
        self._take_name(path)
        if kind is FileKind.HARDLINK and (target := posixpath.normpath(link)) not in self._names:
            self._linked[target] = path
        self._hold(len(stored) + len(link))
        content_at = self._position
        content = b""
        if kind is FileKind.FILE:
            keep = min(self._keep(path), size)
            self._hold(keep)
            content = yield from self._content(size, keep)
        whole = size if kind is FileKind.FILE else None
        self._files.append(File(path, kind, whole, None, link, pax_mtime(member.pax, header), content))
        if kind is FileKind.HARDLINK or (content and len(content) == size):
            self._headers[path] = b"".join(member.headers)
            self._hold(len(self._headers[path]))
        self._spans.append(stored, member.start, content_at, self._position)

    def _take_name(self, path: str) -> None:
        if path in self._names:
            raise Unsupported(f"two tar members are called {path!r}", REBUILD)
        if path in self._linked:
            raise Unsupported(f"the hard link {self._linked[path]!r} to {path!r} stands before it", REBUILD)
        self._names.add(path)
        if len(self._names) > self._limits.members:
            raise LimitExceeded(f"more than {self._limits.members} files", "raise --max-members if you trust it")

    def _hold(self, size: int) -> None:
        """Count bytes that stay in memory: texts, names, and the headers of what may get another content."""
        self._texts += size
        if self._texts > self._limits.text:
            raise LimitExceeded(
                f"its metadata and names take more than {self._limits.text} bytes",
                f"raise {self._limits.text_option} if you trust it",
            )

    def _content(self, size: int, keep: int) -> Generator[int, Piece, bytes]:
        digest = None
        if self._later is not None:
            import hashlib

            digest = hashlib.sha256()
        kept = bytearray()
        left = size
        while left:
            piece = yield -left
            left -= len(piece)
            if self._later is not None and digest is not None:
                self._later(digest.update, piece)
            if len(kept) < keep:
                kept += piece[: keep - len(kept)]
        if size % BLOCK:
            yield BLOCK - size % BLOCK
        if self._later is not None and digest is not None:
            self._later(self._hash, digest)
        return bytes(kept)

    def _hash(self, digest: _Hash) -> None:
        self._hashed.append(digest.hexdigest())


class Spans(Sequence[Span]):
    """Spans in order, made when they are asked for: a package may have a million."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._bounds = array("Q")

    def append(self, name: str, start: int, content: int, stop: int) -> None:
        """Add a span behind the others."""
        self._names.append(name)
        self._bounds.extend((start, content, stop))

    @overload
    def __getitem__(self, at: int) -> Span: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Span]: ...
    def __getitem__(self, at: int | slice) -> Span | Sequence[Span]:
        """Return the span, or the spans, at a place."""
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        return Span(self._names[at], *self._bounds[3 * at : 3 * at + 3])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        """Return whether the other has the same spans."""
        return isinstance(other, Spans) and (self._names, self._bounds) == (other._names, other._bounds)

    __hash__ = None  # type: ignore[assignment]


class _Member:
    """What is known of a member before its own header: its extension headers, and all headers as they are."""

    __slots__ = ("_gnu_link", "_gnu_name", "extensions", "headers", "pax", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.headers: list[bytes] = []
        self.extensions: set[bytes] = set()
        self.pax: dict[str, str] = {}
        self._gnu_name: bytes | None = None
        self._gnu_link: bytes | None = None

    def extend(self, header: Header, body: bytes) -> None:
        """Take an extension header; raise Unsupported for what readers understand differently."""
        if header.type in self.extensions - {b"g"}:  # global ones stand together when a member between them went
            raise Unsupported("two extension headers of one type before one tar member", REBUILD)
        if header.type == b"g" and self.extensions - {b"g"}:
            raise Unsupported("a global PAX header stands between a tar member's headers", REBUILD)
        self.extensions.add(header.type)
        if header.type == b"x":
            self.pax = parse_pax(body)
        elif header.type == b"L":
            self._gnu_name = long_name(body)
        elif header.type == b"K":
            self._gnu_link = long_name(body)
        elif not _HARMLESS_GLOBALS.issuperset(parse_pax(body)):
            raise Unsupported("a global PAX header changes the members after it", REBUILD)

    def name(self, header: Header) -> str:
        """Return the member's name as stored."""
        return self._text("path", self._gnu_name, header.name)

    def link(self, header: Header) -> str:
        """Return the member's link target as stored."""
        return self._text("linkpath", self._gnu_link, header.link)

    def _text(self, key: str, gnu: bytes | None, plain: bytes) -> str:
        if key in self.pax and gnu is not None:
            raise Unsupported("a tar member has both a GNU and a PAX name", REBUILD)
        return self.pax[key] if key in self.pax else decode(plain if gnu is None else gnu)


def _kind(member: _Member, header: Header, stored: str) -> FileKind:
    kind = _KINDS.get(header.type)
    if header.type == b"S" or any(key.startswith(_SPARSE) for key in member.pax):
        raise Unsupported("a tar member is sparse", REBUILD)
    if kind is None:
        raise Unsupported(f"a tar member is of type {header.type!r}, which is no file, link or directory", REBUILD)
    if kind is not FileKind.FILE or not stored.endswith("/"):
        return kind
    if header.ustar or header.type != b"\0":
        raise Unsupported(f"the tar member {stored!r} is a file to some readers and a directory to others", REBUILD)
    return FileKind.DIRECTORY  # what every reader makes of it (V7 tar)
