"""The nouns that every part shares: facts about a package, findings about it, and the plan for it.

All of them are immutable, so a plan that was checked is the plan that is carried out. Sizes and offsets are bytes;
offsets count from the start of a component's uncompressed tar stream.

Most are named tuples: making a dataclass takes 0.3 ms, and a named tuple 0.04 ms, which counts in a check that takes
50 ms more than importing click.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from .limits import Limits as Limits  # noqa: PLC0414 (a noun like those below; it has a module for its reasons)

LONGEST_PATH = 4095
"""Characters of the longest path that can be unpacked: Linux allows 4096 bytes with the final NUL, macOS 1024."""


class Format(str, Enum):
    """The two archive formats of conda packages (CEP 35); the value is the file name's ending."""

    CONDA = ".conda"
    TAR_BZ2 = ".tar.bz2"


class FileKind(str, Enum):
    """What a tar member is. The values are those of `path_type` (CEP 34), if it has one."""

    FILE = "file"
    HARDLINK = "hardlink"
    SYMLINK = "softlink"
    DIRECTORY = "directory"
    OTHER = "other"


class File(NamedTuple):
    """One file of a package, according to its listing or its payload.

    `path` has `/` separators, no leading `./` and no final `/`. `size` and `sha256` are None when unknown.
    `content` holds the leading bytes that were asked for, or all of a shorter file; None if it was not read.
    `link` is a link's target as stored: a path from the package's root for hard links, relative for symbolic ones.
    """

    path: str
    kind: FileKind = FileKind.FILE
    size: int | None = None
    sha256: str | None = None
    link: str = ""
    mtime: int | None = None
    content: bytes | None = None

    @property
    def whole(self) -> bytes | None:
        """The whole content, or None if it was not kept."""
        return self.content if self.content is not None and len(self.content) == self.size else None


class Span(NamedTuple):
    """Where a member is: its headers begin at `start`, its content at `content`, the next member at `stop`.

    `name` is the name that the tar stores, with undecodable bytes as surrogate escapes (PEP 383).
    """

    name: str
    start: int
    content: int
    stop: int


class Splice(NamedTuple):
    """Replace the bytes `start` to `stop` of a stream by `new`."""

    start: int
    stop: int
    new: bytes = b""


Source: TypeAlias = Literal["recorded", "reproduced", "assumed", "asked"]


class CompressionSettings(NamedTuple):
    """How a stream was or will be compressed, and how that is known.

    `source` is `recorded` (the stream or the package says so), `reproduced` (compressing the content with them gives
    the original bytes), `assumed` (nothing better is known) or `asked` (the user asked for them). `threaded` is
    libzstd's multi-threaded mode: its output does not depend on the number of threads, but differs from that of the
    single-threaded mode.
    """

    codec: Literal["zstd", "bzip2"]
    level: int
    source: Source
    threaded: bool = False
    checksum: bool = False


class BlockInfo(NamedTuple):
    """A block of a bz2 stream that was decompressed once.

    `start` and `stop` are bit offsets in the stream; `block_crc` is the CRC that the block states. `size` is the bytes
    of content, `crc` their CRC-32 as zlib computes it (bz2's CRC is another one).
    """

    start: int
    stop: int
    block_crc: int
    size: int
    crc: int


class Component(NamedTuple):
    """One tar stream of a package: `info` and `pkg` of a `.conda`, or `tar` of a `.tar.bz2`.

    `spans` says where each of `files` is, `size` how long the stream is. `headers` holds the raw headers, including
    extension headers, of the members whose content an edit could change: those kept whole, and the hard links that the
    reader was asked to keep whole. `blocks` describes the blocks of a bz2 stream, if they were found one by one.
    """

    name: str
    files: tuple[File, ...]
    spans: Sequence[Span]
    size: int
    headers: Mapping[str, bytes] = {}
    blocks: tuple[BlockInfo, ...] = ()


class Identity(NamedTuple):
    """Which version of a file was read. It changes when another program replaces the file or writes to it."""

    device: int
    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Package:
    """What was read of one package. `complete`: including the payload.

    `notes` describe oddities that do not stop the work. `prefix` is where the files are installed,
    with `/` separators, when they are those of an environment; otherwise it is empty. `limits` are those that its
    metadata was read with.
    """

    path: str
    format: Format
    identity: Identity
    components: tuple[Component, ...]
    complete: bool
    notes: tuple[str, ...] = ()
    prefix: str = ""
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def files(self) -> Mapping[str, File]:
        """Every file that was read, by path, in the order found."""
        return {file.path: file for component in self.components for file in component.files}


class Action(str, Enum):
    """What `fix` does about a finding."""

    DROP = "drop"
    CORRECT = "correct"
    RESTAMP = "restamp"
    REPORT = "report"


class Finding(NamedTuple):
    """One fact about one file that the user may want to know, or have repaired.

    `action` is what `fix` does about it: REPORT if it does nothing. `quiet` findings are shown with `-v` only.
    """

    kind: str
    path: str
    size: int = 0
    detail: str = ""
    action: Action = Action.REPORT
    quiet: bool = False


class Remainder(NamedTuple):
    """What a rule that nobody asked for leaves alone: how many files of its kind, and their size in bytes.

    `text` says so for one package; `rule_of(kind).remains` says it for many.
    """

    kind: str
    files: int
    size: int
    text: str


Fact: TypeAlias = Literal["version", "implementation", "threading"]
"""Something that is known about a Python; `threading` is whether it is free-threaded."""


class Variant(NamedTuple):
    """Which Python a package is for, which bytecode that Python reads, and the evidence.

    `kind` is `exact` (one Python), `any` (works with every Python: no cached bytecode belongs in it), `none` (nothing
    names a Python), `unknown` (a range, or nothing certain) or `contradictory` (the dependencies exclude each other).
    `tags` are the cache tags that fit, as glob patterns; None if every tag might. `trees` are the versioned directories
    of `lib/` that fit (`python3.11`); None if every one might. `because` is the evidence, strongest first.

    `inferred` are the facts that only the record of the build gives (info/hash_input.json, the recipe, the build
    string). They say what the package was built with, not what it runs with, and count for files in versioned trees
    only. `conflict` is a contradiction in the evidence; unless `kind` is `contradictory`, the weaker piece was ignored.
    """

    kind: Literal["exact", "any", "none", "unknown", "contradictory"]
    python: str = ""
    tags: tuple[str, ...] | None = None
    trees: tuple[str, ...] | None = None
    because: tuple[str, ...] = ()
    conflict: str = ""
    inferred: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Drop:
    """Remove the member."""


class Rewrite(NamedTuple):
    """Give the member this content. Its header keeps everything but size and checksum. A hard link becomes a file."""

    content: bytes
    sha256: str


class Patch(NamedTuple):
    """Overwrite the first bytes of the member's content with `head`. `sha256` is that of the whole new content."""

    head: bytes
    sha256: str


class Relink(NamedTuple):
    """Let the hard link lead to another member of its component, given by its path; its header keeps the rest."""

    target: str


Edit: TypeAlias = Drop | Rewrite | Patch | Relink


class Plan(NamedTuple):
    """All that will be done to one package, decided before anything is written.

    `status`: `clean`, `findings` (there is something to fix) or `refused` (`refusal` says why). `edits` maps paths to
    edits; it is None if the payload was not read, and the plan is a forecast. `needs_payload`: the payload may change
    the forecast. `needs` are the files that must be read whole before there can be edits: their content, and the
    headers of hard links. `unused_keep` are the globs of `keep` that match no file.
    """

    package: Package
    variant: Variant
    findings: tuple[Finding, ...]
    status: Literal["clean", "findings", "refused"]
    refusal: str = ""
    edits: Mapping[str, Edit] | None = None
    notes: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    needs_payload: bool = False
    unused_keep: tuple[str, ...] = ()
    remainders: tuple[Remainder, ...] = ()


class Size(NamedTuple):
    """Size in bytes and SHA-256 of a package's file."""

    size: int
    sha256: str


class Compression(NamedTuple):
    """How the payload is compressed. The byte counts are the content that a fix copied compressed, and compressed
    again.
    """

    codec: str
    level: int
    source: Source
    reused_bytes: int | None = None
    recompressed_bytes: int | None = None


class IndexRecord(NamedTuple):
    """What a channel's index said about one package's file, and says now: SHA-256, empty if it said nothing."""

    file: str
    before: str
    after: str


@dataclass(frozen=True)
class Result:
    """The result for one package: what `check` and `fix` return, and what every report prints.

    Attributes:
        path: The package's path, as it was given or found.
        status: `clean`, `findings` (something would be repaired), `fixed`, `refused` (contradictory evidence) or
            `error`; only in reports `skipped` (an audit leaves it out) and `indexed` (a refreshed index).
        format: The format; None if the package could not be read.
        name: The package's name. Like `version`, `build` and `subdir`, it is empty if the package could not be read.
        variant: Which Python it is for; None if it could not be read.
        members: How many files it has.
        findings: Every finding.
        notes: Remarks for people, less urgent than `warnings`.
        before: The package's file as it was found; None if it could not be read.
        after: The file that was written; None if nothing was.
        output: The path of what was written or copied; None if nothing was.
        compression: How the payload is compressed; None if it was not determined.
        deep: Whether the payload was read.
        seconds: How long the work took, in seconds.
        error: Why the package was refused, skipped or could not be processed; otherwise None.
        records: What a channel's index says about the package now.
        unused_keep: The globs of `keep` that match none of its files.
        remainders: What stays in the package because its kind was not selected.
    """

    path: str
    status: Literal["clean", "findings", "fixed", "refused", "error", "skipped", "indexed"]
    format: Format | None = None
    name: str = ""
    version: str = ""
    build: str = ""
    subdir: str = ""
    variant: Variant | None = None
    members: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    before: Size | None = None
    after: Size | None = None
    output: str | None = None
    compression: Compression | None = None
    deep: bool = False
    seconds: float = 0.0
    error: str | None = None
    warnings: tuple[str, ...] = field(default=())
    records: tuple[IndexRecord, ...] = ()
    unused_keep: tuple[str, ...] = ()
    remainders: tuple[Remainder, ...] = ()
