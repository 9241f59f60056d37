"""What a package holds, as judgement sees it: its files by path, from its payload or from its listing alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import BadMetadata
from ..model import File, FileKind, Package
from .bytecode import Bytecode, parse_bytecode
from .paths_json import PATHS_JSON, Listing, parse_listing

INDEX = "info/index.json"
FILES = "info/files"
_TEXTS = (PATHS_JSON, INDEX, FILES, "info/has_prefix", "info/no_link", "info/hash_input.json")
_WHOLE = 1 << 40


def content_wanted(path: str) -> int:
    """Return how many leading bytes of a file's content judgement wants to see."""
    if path.startswith("info/"):
        return _WHOLE if path in _TEXTS or (path.startswith("info/recipe/") and path.endswith(".yaml")) else 0
    if path.endswith(("/RECORD", "/installed-files.txt")):
        return _WHOLE if path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt")) else 0
    return 16 if parse_bytecode(path) is not None else 0


@dataclass(frozen=True)
class Contents:
    """A package's files outside `info/`, its metadata, and its listing where it has one.

    `complete`: the files are those of the payload; otherwise the listing's word is taken for them.
    """

    files: Mapping[str, File]
    index: Mapping[str, Any]
    texts: Mapping[str, bytes]
    listing: Listing | None
    complete: bool

    @cached_property
    def bytecode(self) -> tuple[Bytecode, ...]:
        """Every file with a bytecode's name, in the order found; directories are none."""
        return tuple(
            parsed
            for path, file in self.files.items()
            if (parsed := parse_bytecode(path)) is not None and file.kind is not FileKind.DIRECTORY
        )

    def size(self, path: str) -> int:
        """Return a file's size in bytes, 0 where it is not known or the path is a link."""
        return self.files[path].size or 0


def contents_of(package: Package) -> Contents:
    """Return what a package holds; raise BadMetadata where its listing or index cannot be read."""
    texts = {
        path: file.whole
        for path, file in package.files.items()
        if path.startswith("info/") and file.whole is not None and (file.whole or file.size == 0)
    }
    if INDEX not in package.files:
        raise BadMetadata(f"{INDEX} is missing: it does not say what package this is (CEP 34)")
    index = read_json(texts.get(INDEX, b""), INDEX)
    _check_index(index)
    listing = parse_listing(texts[PATHS_JSON]) if PATHS_JSON in texts else None
    if package.complete:
        files: Mapping[str, File] = {path: file for path, file in package.files.items() if _is_payload(path)}
    else:
        files = {file.path: file for file in _listed(listing, texts)}
    return Contents(files, index, texts, listing, package.complete)


def _check_index(index: object) -> None:
    """Raise BadMetadata where the index has not the types that every client relies on (CEP 34)."""
    if not isinstance(index, dict):
        raise BadMetadata(f"{INDEX} is no JSON object")
    for key in ("name", "version", "build"):
        if not isinstance(index.get(key, ""), str):
            raise BadMetadata(f"{INDEX} has a {key} that is no text: {index[key]!r}")
    for key in ("depends", "constrains"):
        value = index.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadMetadata(f"{INDEX} has {key} that are no list of texts")


def read_json(raw: bytes, name: str) -> Any:
    """Return a JSON text's value; raise BadMetadata with the place of the fault."""
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


def lines(raw: bytes) -> list[str]:
    """Return a line list's lines without their ends."""
    return [line.decode("utf-8", "surrogateescape") for line in raw.splitlines()]


def has_listing(package: Package) -> bool:
    """Return whether the info component names the package's files, so that the payload need not be read for that."""
    return PATHS_JSON in package.files or FILES in package.files


def _is_payload(path: str) -> bool:
    return not path.startswith("info/") and path not in ("info", ".")


def _listed(listing: Listing | None, texts: Mapping[str, bytes]) -> Iterable[File]:
    if listing is not None:
        return [entry.file for entry in listing.entries]
    return [File(line) for line in lines(texts.get(FILES, b"")) if line]
