"""`info/paths.json` as it is read: what it lists, and where it is wrong (CEP 34).

The usual way costs little more than `json.loads`: entries stay as they were decoded, and files are made of those that
are asked for. Only a text that may be wrong is walked member by member, to tell the place of the fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from ..errors import BadMetadata, PruneError
from ..model import File, FileKind
from .json_text import DoubleKey, decode, following, key_at, opened, place, skip

PATHS_JSON = "info/paths.json"
KINDS = {"hardlink": FileKind.FILE, "softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}
_KEY = re.compile(r'"[ \t\n\r]*:')

Row: TypeAlias = Mapping[str, Any]
Span: TypeAlias = tuple[int, int]


class ListedFiles(Mapping[str, File]):
    """The files that the entries of a listing describe, made when they are asked for."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._rows = rows

    def __getitem__(self, path: str) -> File:
        row = self._rows[path]
        size, sha256 = row.get("size_in_bytes"), row.get("sha256")
        known = type(size) is int and size >= 0
        return File(path, kind_of(row), size if known else None, sha256 if isinstance(sha256, str) else None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows


@dataclass(frozen=True)
class Listing:
    """A paths.json: its text, and its entries by path, in order."""

    text: str
    rows: Mapping[str, Row]

    @property
    def files(self) -> Mapping[str, File]:
        """The files that the entries describe."""
        return ListedFiles(self.rows)

    @cached_property
    def places(self) -> Places:
        """Where everything stands that an edit may touch."""
        return _walked(self.text)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the inside of the list's brackets begins and ends, and where each of its entries does, in order."""

    start: int
    stop: int
    entries: Sequence[Span]


def kind_of(row: Row) -> FileKind:
    """Return what an entry says its file is; an entry without `path_type` is a file."""
    return KINDS[row.get("path_type", "hardlink")]


def parse_listing(raw: bytes) -> Listing:
    """Return what paths.json lists; raise BadMetadata with the place of what is wrong.

    Duplicate keys, two entries for one path, and versions of the format other than 1 are refused.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise _bad("it begins with a byte order mark", text, 0)
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        rows = _sound_rows(document, text)
        if rows is None:
            _walked(text)
            rows = {row["_path"]: row for row in document["paths"]}
    except json.JSONDecodeError as error:
        raise _bad(error.msg, text, error.pos) from error
    except (RecursionError, ValueError) as error:
        raise _bad(f"it holds what JSON has not: {error}" if str(error) in _CONSTANTS else _TOO_MUCH) from error
    return Listing(text, rows)


_CONSTANTS = ("NaN", "Infinity", "-Infinity")
_TOO_MUCH = "it is nested too deeply, or holds a number that is too long"


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _sound_rows(document: object, text: str) -> Mapping[str, Row] | None:
    """Return the entries by path, or None where something may be wrong.

    A key that stands twice in an object has vanished from what was decoded, so there are more colons behind strings
    than keys. So there are where the entries hold objects of their own, whose keys are not counted here.
    """
    if not isinstance(document, dict) or not _is_version_1(document.get("paths_version")):
        return None
    listed = document.get("paths")
    if not isinstance(listed, list):
        return None
    try:
        rows = {row["_path"]: row for row in listed}
        names = "\0".join(["", *rows, ""])
        kinds = {row.get("path_type", "hardlink") for row in listed}
    except (TypeError, KeyError, AttributeError):
        return None
    keys = len(document) + sum(map(len, listed))
    sound = (
        len(rows) == len(listed)
        and names.count("\0") == len(rows) + 1
        and "\0\0" not in names
        and "\0/" not in names
        and ".." not in names
        and kinds <= KINDS.keys()
        and (text.count(":") == keys or sum(1 for _ in _KEY.finditer(text)) == keys)
    )
    return rows if sound else None


def _is_version_1(version: object) -> bool:
    return type(version) is int and version == 1


def _walked(text: str) -> Places:
    """Return where the members stand; raise BadMetadata or JSONDecodeError where one is wrong."""
    places: Places | None = None
    version: tuple[object, int] | None = None
    keys: set[str] = set()
    end = start = skip(text, 0)
    at = opened(text, start, "{", "}")
    while at is not None:
        key, start = key_at(text, at)
        if key in keys:
            raise _bad(f"the key {key!r} stands there twice", text, at)
        keys.add(key)
        if key == "paths":
            places = _walked_entries(text, start)
            end = places.stop + 1
        else:
            value, end = _decoded(text, start)
            if key == "paths_version":
                version = value, start
        at = following(text, end, "}")
    if version is None:
        raise _bad("it has no paths_version")
    if not _is_version_1(version[0]):
        raise _bad(f"its paths_version is {version[0]!r}, and only 1 is known (CEP 34)", text, version[1])
    if places is None:
        raise _bad("it has no list of paths")
    return places


def _walked_entries(text: str, start: int) -> Places:
    entries: list[Span] = []
    seen: set[str] = set()
    at = opened(text, start, "[", "]")
    stop = start + 1
    while at is not None:
        row, stop = _decoded(text, at)
        path = _checked_path(row, text, at)
        if path in seen:
            raise _bad(f"it lists {path!r} twice", text, at)
        seen.add(path)
        entries.append((at, stop))
        at = following(text, stop, "]")
    return Places(start + 1, skip(text, stop), entries)


def _decoded(text: str, at: int) -> tuple[Any, int]:
    try:
        return decode(text, at)
    except DoubleKey as error:
        raise _bad(f"the key {str(error)!r} stands twice in one object", text, at) from error


def _checked_path(row: object, text: str, at: int) -> str:
    if not isinstance(row, dict) or not isinstance(row.get("_path"), str):
        raise _bad("an entry has no _path", text, at)
    path: str = row["_path"]
    kind = row.get("path_type", "hardlink")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _bad(f"an entry has the unknown path_type {kind!r}", text, at)
    if not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise _bad(f"the path {path!r} leaves the package", text, at)
    return path


def _bad(what: str, text: str = "", at: int | None = None) -> PruneError:
    return BadMetadata(f"{PATHS_JSON} cannot be used: {what}{f' in {place(text, at)}' if at is not None else ''}")
