"""The facts that packages are judged by: the files by path, from the payload or only from a listing, and the metadata.

Only texts and the first bytes of bytecode are kept, never the payload. What the metadata may take is bounded before it
is parsed, since a package may come from anybody.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import BadMetadata, LimitExceeded
from ..model import (
    LONGEST_PATH,
    File,
    FileKind,
    Limits,
    Package,
)
from .bytecode import HEADER, Bytecode, parse_bytecode
from .links import SymlinkResolver, each_directory
from .listings.line_lists import (
    FILES,
    HAS_PREFIX,
    INFO_LISTS,
    NO_LINK,
    names,
    prefixes,
)
from .listings.paths_json import (
    PATHS_JSON,
    ListedFiles,
    Listing,
    parse_listing,
)
from .variant.pythons import Version

INDEX = "info/index.json"
_WHOLE = 1 << 40
_TEXTS = {
    PATHS_JSON: _WHOLE,
    FILES: _WHOLE,
    HAS_PREFIX: _WHOLE,
    NO_LINK: _WHOLE,
    INDEX: 1 << 22,
    "info/hash_input.json": 1 << 20,
    "info/recipe/rendered_recipe.yaml": 1 << 21,
}
"""The longest text of each name that is read, in bytes; a longer one is not used at all.

The listings grow with the package, and its Limits bound them. The others do not: among 1,094 real packages, the largest
index.json has 1.2 KB (100 KB for metapackages with a thousand dependencies), and a rendered recipe has 1 KB for each
package in the build's environments. Parsed JSON takes up to 30 times its bytes in memory, and parsing YAML takes a
microsecond per byte.
"""
METADATA = tuple(_TEXTS)
"""Every file of the info component whose content judgement may need."""
_PTH = 1 << 16
"""The longest `.pth` file that is read, in bytes: real ones have a few lines."""


def content_wanted(path: str) -> int:
    """Return how many of a file's first bytes are needed to judge the package."""
    if path.startswith("info/"):
        return _TEXTS.get(path, 0)
    if path.endswith(("/RECORD", "/installed-files.txt")):
        return _WHOLE if path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt")) else 0
    if path.endswith(".pth"):
        return _PTH if path.rpartition("/")[0].endswith(("/site-packages", "/dist-packages")) else 0
    return HEADER if parse_bytecode(path) is not None else 0


@dataclass(frozen=True)
class Contents:
    """A package's files outside `info/`, its metadata, and its paths.json if it has one.

    `index` is info/index.json; `texts` are the files below `info/` that were kept whole, by path. `complete`: the files
    are those of the payload; otherwise they are those that a listing names. `members` are all files that were read,
    including those below `info/`. `removed` are the paths that the plan removes: they are no longer in `files`, but the
    listings still name them. `prefix` is the environment that the files are in; empty for a package.
    """

    files: Mapping[str, File]
    index: Mapping[str, Any]
    texts: Mapping[str, bytes]
    listing: Listing | None
    complete: bool
    members: Mapping[str, File] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    prefix: str = ""
    known_bytecode: tuple[Bytecode, ...] | None = None
    """The value of `bytecode` if it is known already: parsing the names of a million files takes a second."""

    @cached_property
    def bytecode(self) -> tuple[Bytecode, ...]:
        """Every file with the name of a bytecode file, in the order of `files`."""
        if self.known_bytecode is not None:
            return self.known_bytecode
        parsed = filter(None, map(parse_bytecode, self.files))
        if isinstance(self.files, ListedFiles):  # Then no File has to be made.
            return tuple(file for file in parsed if not self.files.is_directory(file.path))
        return tuple(file for file in parsed if self.files[file.path].kind is not FileKind.DIRECTORY)

    @cached_property
    def tags(self) -> frozenset[str]:
        """Every cache tag in the names of the bytecode files."""
        return frozenset(file.tag for file in self.bytecode if file.tag)

    @cached_property
    def links(self) -> Mapping[str, File]:
        """The symbolic links, by path."""
        if not self.complete and self.listing is not None:
            listed = [path for path, row in self.listing.rows.items() if row.get("path_type") == "softlink"]
            return {path: self.files[path] for path in listed if path in self.files}
        return {path: file for path, file in self.files.items() if file.kind is FileKind.SYMLINK}

    @cached_property
    def symlinks(self) -> SymlinkResolver:
        """Resolves the symbolic links among the files."""
        return SymlinkResolver(self.files, self.links)

    @cached_property
    def member_symlinks(self) -> SymlinkResolver:
        """Resolves the symbolic links among all members, including those below `info/`."""
        links = {path: file for path, file in self.members.items() if file.kind is FileKind.SYMLINK}
        return SymlinkResolver(self.members, links)

    @cached_property
    def interpreters(self) -> Mapping[str, frozenset[Version]]:
        """The directories that hold an interpreter, with the versions that its landmarks state, if any."""
        from .landmarks import find_interpreters

        return find_interpreters(self.files)

    @cached_property
    def is_windows(self) -> bool:
        """Whether the package is for Windows, where file names are not case-sensitive."""
        return str(self.index.get("subdir", "")).startswith("win")

    def size(self, path: str) -> int:
        """Return a file's size in bytes, or 0 if it is a link or its size is not known."""
        return self.files[path].size or 0

    def placeholder(self, path: str) -> str | None:
        """Return the build prefix that installers replace in a file, or None if they do not change the file."""
        if self.listing is not None:
            row = self.listing.rows.get(path, {})
            placeholder = row.get("prefix_placeholder")
            return placeholder if isinstance(placeholder, str) else None
        return self._prefixes.get(path)

    @cached_property
    def _prefixes(self) -> Mapping[str, str]:
        return prefixes(self.texts.get(HAS_PREFIX, b""))

    def without(self, removed: Collection[str]) -> Contents:
        """Return the same facts without these files. The members stay as they were read."""
        if not removed:
            return self
        if isinstance(self.files, ListedFiles):
            files: Mapping[str, File] = self.files.without(removed)
        else:
            files = {path: file for path, file in self.files.items() if path not in removed}
        bytecode = tuple(parsed for parsed in self.bytecode if parsed.path not in removed)
        return replace(self, files=files, removed=self.removed | frozenset(removed), known_bytecode=bytecode)


def contents_of(package: Package) -> Contents:
    """Parse a package's metadata. This takes seconds for a million files: call it only once each time it is read.

    Raises BadMetadata if the index or a listing cannot be used, and LimitExceeded if they are larger than allowed.
    """
    texts = {
        path: file.whole
        for path, file in package.files.items()
        if path.startswith("info/") and file.whole is not None and (file.whole or file.size == 0)
    }
    if INDEX not in package.files:
        raise BadMetadata(f"{INDEX} is missing: it does not say what package this is (CEP 34)")
    if (size := package.files[INDEX].size or 0) > _TEXTS[INDEX]:
        raise LimitExceeded(f"{INDEX} takes {size} bytes, and more than {_TEXTS[INDEX]} are not read", "build it again")
    index = read_json(texts.get(INDEX, b""), INDEX)
    _check_index(index)
    for name in INFO_LISTS:
        _check_count(name, texts.get(name, b""), b"\n", package.limits)
    listing = None
    if PATHS_JSON in texts:
        _check_count(PATHS_JSON, texts[PATHS_JSON], b'"_path"', package.limits)
        listing = parse_listing(texts[PATHS_JSON])
    if package.complete:
        files: Mapping[str, File] = {path: file for path, file in package.files.items() if _is_payload(path)}
    elif listing is not None:
        files = listing.files
    else:
        files = {path: File(path) for path in names(FILES, texts.get(FILES, b"")) if path}
    if listing is not None:
        _check_lengths(listing.rows, PATHS_JSON)
    elif not package.complete:
        _check_lengths(files, FILES)
    if not package.complete:
        _check_depths(files, package.limits)
    return Contents(files, index, texts, listing, package.complete, package.files, prefix=package.prefix)


def _check_lengths(paths: Collection[str], where: str) -> None:
    """Raise BadMetadata for a path that is too long for every system.

    The time to judge a path grows with the square of its length: each of its directories is looked up by its path.
    """
    longest = max(map(len, paths), default=0)
    if longest > LONGEST_PATH:
        raise BadMetadata(f"{where} has a path of {longest} characters, and no system unpacks more than {LONGEST_PATH}")


def _check_count(name: str, text: bytes, mark: bytes, limits: Limits) -> None:
    """Raise LimitExceeded for a listing that names more files than a package of its size can have.

    `mark` is in the text once for each file.
    """
    if len(text) > limits.listed and text.count(mark) > limits.listed:
        option = "--max-members" if limits.listed == limits.members else limits.text_option
        raise LimitExceeded(f"{name} lists more than {limits.listed} files", f"raise {option} if you trust it")


def _check_depths(paths: Collection[str], limits: Limits) -> None:
    """Raise LimitExceeded if the paths of all directories together take too much memory.

    The reader of a payload applies the same limit.
    """
    longest = max(map(len, paths), default=0)
    if sum(map(len, paths)) * longest <= limits.text:
        return  # A path has fewer directories than characters, and each is shorter than the path.
    characters = 0
    for directory in each_directory(paths):
        characters += len(directory)
        if characters > limits.text:
            reason = f"the names of its directories take more than {limits.text} bytes"
            raise LimitExceeded(reason, f"raise {limits.text_option} if you trust it")


def _check_index(index: object) -> None:
    """Raise BadMetadata if the index does not have the types that all clients rely on (CEP 34)."""
    if not isinstance(index, dict):
        raise BadMetadata(f"{INDEX} is not a JSON object")
    for key in ("name", "version", "build"):
        if not isinstance(index.get(key, ""), str):
            raise BadMetadata(f"{INDEX} has a {key} that is not a string: {reprlib.repr(index[key])}")
    for key in ("depends", "constrains"):
        value = index.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadMetadata(f"{INDEX} has {key} that are not a list of strings")


def read_json(raw: bytes, name: str) -> Any:
    """Return the value of a JSON text. Raises BadMetadata with the line and column of a syntax error."""
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadMetadata(f"{name} is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadMetadata(
            f"{name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise BadMetadata(f"{name} is nested too deeply, or holds a number that is too long") from error


def has_listing(contents: Contents) -> bool:
    """Return whether the metadata names the package's files, so that the payload need not be read for their names."""
    return contents.listing is not None or FILES in contents.texts


def _is_payload(path: str) -> bool:
    return not path.startswith("info/") and path not in ("info", ".")
