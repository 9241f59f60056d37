"""Packages of a few kilobytes whose metadata unpacks to hundreds of megabytes, or takes as much memory."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import zstandard

from .crafted import (
    BASE,
    SITE,
    conda_members,
    pax_header,
)
from .packages import PackageSpec, component_tars, tar_member
from .tars import BLOCK, END
from .zips import zip_archive

if TYPE_CHECKING:
    from pathlib import Path

INDEX = (
    b'{"name": "crafted", "version": "1.2.3", "build": "h123abc4_0",'
    b' "depends": ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"], '
)
PATHS = b'{"paths_version": 1, "paths": ['
RECIPE = "info/recipe/rendered_recipe.yaml"
RECORD, EGG = f"{SITE}/m-1.dist-info/RECORD", f"{SITE}/m.egg-info/installed-files.txt"
UNLISTED = replace(BASE, paths_json=None, legacy_listings=False)


@dataclass(frozen=True)
class TextBomb:
    """A file that repeats `unit` between a head and a tail."""

    id: str
    name: str
    head: bytes
    unit: bytes
    tail: bytes = b""
    spec: PackageSpec = BASE

    def members(self, size: int) -> Iterator[bytes]:
        """Yield the tar member of a file of about that many bytes, in pieces."""
        count = size // len(self.unit)
        header = tarfile.TarInfo(self.name)
        header.size = len(self.head) + count * len(self.unit) + len(self.tail)
        yield header.tobuf(tarfile.GNU_FORMAT) + self.head
        piece = self.unit * (1 + (1 << 16) // len(self.unit))
        while count * len(self.unit) >= len(piece):
            yield piece
            count -= len(piece) // len(self.unit)
        yield self.unit * count + self.tail + bytes(-header.size % BLOCK)


@dataclass(frozen=True)
class MemberBomb:
    """Many members of the payload, made by their number."""

    id: str
    member: Callable[[int], bytes]
    spec: PackageSpec = UNLISTED
    name: str = ""

    def members(self, size: int) -> Iterator[bytes]:
        """Yield members of about that many bytes together."""
        number = 0
        while size > 0:
            member = self.member(number)
            yield member
            number += 1
            size -= len(member)


def _link(number: int, target: str, type: bytes = tarfile.SYMTYPE) -> bytes:
    return pax_header({"linkpath": target}) + tar_member(f"share/{number}", type=type, linkname="x")


def _hardlink(number: int) -> bytes:
    if not number:
        return tar_member("share/0")
    return pax_header({"comment": "x" * 100_000}) + tar_member(
        f"share/{number}", type=tarfile.LNKTYPE, linkname="share/0"
    )


_OPEN = replace(BASE, depends=("python",))

BOMBS: tuple[TextBomb | MemberBomb, ...] = (
    TextBomb("index-lists", "info/index.json", INDEX + b'"x": [', b"[],", b"[]]}"),
    TextBomb("index-objects", "info/index.json", INDEX + b'"x": [', b'{"":{}},', b"[]]}"),
    TextBomb("index-depends", "info/index.json", INDEX + b'"depends": [', b'"abcd 1",', b'"a"]}'),
    TextBomb("index-wide-characters", "info/index.json", INDEX + '"x": "😀'.encode(), b"a", b'"}'),
    TextBomb("paths-lists", "info/paths.json", PATHS, b"[],", b"[]]}"),
    TextBomb("paths-entries", "info/paths.json", PATHS, b'{"_path":"a"},', b"[]]}"),
    TextBomb("paths-nested", "info/paths.json", PATHS + b'{"_path":"a","x":[', b"[],", b"[]]}]}"),
    TextBomb("paths-keys", "info/paths.json", PATHS + b'{"_path":"a","x":[', b'{"_path":0},', b"[]]}]}"),
    TextBomb("paths-numbers", "info/paths.json", PATHS + b'{"_path":"a","x":[', b"1.5,", b"1]}]}"),
    TextBomb("paths-wide-characters", "info/paths.json", PATHS + '{"_path":"😀","x":"'.encode(), b"a", b'"}]}'),
    TextBomb("files", "info/files", b"", b"ab\n", spec=UNLISTED),
    TextBomb("has-prefix", "info/has_prefix", b"", b"ab\n", spec=UNLISTED),
    TextBomb("no-link", "info/no_link", b"", b"ab\n", spec=UNLISTED),
    TextBomb("hash-input", "info/hash_input.json", b'{"x":[', b"[],", b"[]]}", spec=_OPEN),
    TextBomb("recipe-lines", RECIPE, b"a:\n", b"- []\n", spec=_OPEN),
    TextBomb("recipe-flow", RECIPE, b"a: [", b"[],", b"[]]", spec=_OPEN),
    TextBomb("record-lines", RECORD, b"", b"a\n"),
    TextBomb("record-open-quote", RECORD, b'"', b"a\n"),
    TextBomb("record-quotes", RECORD, b'"', b'""'),
    TextBomb("installed-files", EGG, b"", b"a\n"),
    TextBomb("pth", f"{SITE}/m.pth", b"", b"a\n"),
    MemberBomb("attributes", lambda n: pax_header({"comment": "x" * 1_000_000}) + tar_member(f"share/{n}")),
    MemberBomb("attributes-of-hard-links", _hardlink),
    MemberBomb("long-names", lambda n: pax_header({"path": f"share/{n}" + "x" * 4000}) + tar_member("x")),
    MemberBomb("deep-names", lambda n: pax_header({"path": f"share/{n}" + "/x" * 2000}) + tar_member("x")),
    MemberBomb("long-targets", lambda n: _link(n, f"{n}" + "x" * 4000)),
    MemberBomb("deep-targets", lambda n: _link(n, "a/" * 2000 + "x")),
)


def write_bomb(bomb: TextBomb | MemberBomb, size: int, path: Path) -> Path:
    """Write the package with that many bytes of the bomb, in place of the file of that name."""
    info, pkg = component_tars(bomb.spec)
    frames = []
    for members, component in ((info, "info"), (pkg, "pkg")):
        packer = zstandard.ZstdCompressor(level=1).compressobj()
        pieces = [packer.compress(member) for member in members if _name(member) != bomb.name]
        if bomb.name.startswith("info/") == (component == "info"):
            pieces += [packer.compress(piece) for piece in bomb.members(size)]
        frames.append(b"".join([*pieces, packer.compress(END), packer.flush()]))
    path.write_bytes(zip_archive(conda_members(*frames)))
    return path


def _name(member: bytes) -> str:
    return member[:100].rstrip(b"\0").decode()
