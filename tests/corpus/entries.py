"""What a package holds: the kinds of tar members, and the description of a whole package."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

#: 2024-01-01T00:00:00Z: the time of every build in the corpus.
BUILD_TIME = 1_704_067_200


@dataclass(frozen=True)
class File:
    """A regular file. `mtime` None means the writer's own choice."""

    data: bytes
    mode: int = 0o644
    mtime: float | None = None
    prefix_placeholder: str | None = None
    no_link: bool = False


@dataclass(frozen=True)
class Hardlink:
    """Another name of the file at `target`, a path from the package's root.

    conda-build writes the name that comes first in the archive as the regular file and all later ones
    as links to it, as tarfile does; rattler-build writes a copy of the content.
    """

    target: str


@dataclass(frozen=True)
class Symlink:
    """A symbolic link with the text `target`, relative to the link's own directory."""

    target: str


@dataclass(frozen=True)
class Directory:
    """A directory entry of its own (tar type 5)."""

    mode: int = 0o755


Entry: TypeAlias = File | Hardlink | Symlink | Directory
AnyEntry: TypeAlias = Entry | bytes | str


class Listing(Enum):
    """How info/paths.json comes about when it is not given as bytes."""

    TRUE = "written from the files, in the style of the writer"


#: True listing, explicit bytes, an edit of the true listing, or None for a package without paths.json.
PathsJson: TypeAlias = Listing | bytes | Callable[[bytes], bytes] | None


@dataclass(frozen=True)
class PackageSpec:
    """The description of one package, independent of format and writer.

    `index_extra` is merged into info/index.json (a value of None removes the key). `info` holds further
    files of the info component by their full path, and replaces generated ones of the same name; None as
    content leaves a generated one out. `info_in_pkg` are info/ files that end up in the pkg component, as
    conda-package-handling before 2.5.0 did with licenses (conda-package-handling #316).
    `legacy_listings` adds info/files, has_prefix and no_link; None leaves it to the writer.
    """

    name: str
    version: str = "1.2.3"
    build: str = "h123abc4_0"
    subdir: str = "linux-64"
    depends: tuple[str, ...] = ()
    files: Mapping[str, AnyEntry] = field(default_factory=dict)
    index_extra: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, bytes | None] = field(default_factory=dict)
    info_in_pkg: Mapping[str, bytes] = field(default_factory=dict)
    paths_json: PathsJson = Listing.TRUE
    legacy_listings: bool | None = None

    @property
    def stem(self) -> str:
        """The name that CEP 26 gives the package's file, without the extension."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def entries(self) -> dict[str, Entry]:
        """The files, with plain bytes and text turned into `File`."""
        return {path: as_entry(entry) for path, entry in self.files.items()}


def as_entry(entry: AnyEntry) -> Entry:
    """The entry itself; bytes and text become a file that holds them."""
    if isinstance(entry, str):
        return File(entry.encode())
    if isinstance(entry, bytes):
        return File(entry)
    return entry


def file_at(entries: Mapping[str, Entry], path: str) -> File | None:
    """The regular file that opening `path` reads, through links; None when there is none."""
    for _ in range(len(entries) + 1):
        entry = entries.get(path)
        if isinstance(entry, File):
            return entry
        if isinstance(entry, Hardlink):
            path = entry.target
        elif isinstance(entry, Symlink):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.target))
        else:
            return None
    return None


def inode_paths(entries: Mapping[str, Entry], path: str) -> list[str]:
    """All names of the file at `path`, sorted; only itself when nothing is hard-linked to it."""
    entry = entries[path]
    first = entry.target if isinstance(entry, Hardlink) else path
    return sorted(
        {first} | {p for p, other in entries.items() if isinstance(other, Hardlink) and other.target == first}
    )
