"""`info/paths.json` as it is read: what it lists, and where it is wrong (CEP 34).

The usual way costs little more than `json.loads`: entries stay as they were decoded, and files are made of those that
are asked for. Only a text that may be wrong is walked member by member, to tell the place of the fault.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import BadMetadata, PruneError
from ..model import File, FileKind
from .json_text import DoubleKey, decode, following, key_at, opened, place, skip

PATHS_JSON = "info/paths.json"
KINDS = {"hardlink": FileKind.FILE, "softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}
_KEY = re.compile(r'"[ \t\n\r]*:')

_LARGE = 1 << 24
"""Bytes of a listing from which on its entries are to be held in little memory, which takes longer."""
_USUAL = ("_path", "path_type", "sha256", "size_in_bytes")
_USUAL_KEYS = frozenset(_USUAL)

Row: TypeAlias = Mapping[str, Any]
Span: TypeAlias = tuple[int, int]


class _UsualRow(Mapping[str, Any]):
    """An entry with the usual keys and no other, in 64 bytes: a dict takes 184."""

    __slots__ = _USUAL

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Row:
        """Return the entry, small where it can be."""
        if entry.keys() != _USUAL_KEYS:
            return entry
        row = cls()
        for key in _USUAL:
            setattr(row, key, entry[key])
        return row

    def __getitem__(self, key: str) -> Any:
        if key not in _USUAL_KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_USUAL)

    def __len__(self) -> int:
        return len(_USUAL)


class ListedFiles(Mapping[str, File]):
    """The files that the entries of a listing describe, made when they are asked for."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._rows = rows
        self._made: dict[str, File] = {}

    def __getitem__(self, path: str) -> File:
        made = self._made.get(path)
        if made is None:
            row = self._rows[path]
            size, sha256 = row.get("size_in_bytes"), row.get("sha256")
            known = type(size) is int and size >= 0
            made = File(path, kind_of(row), size if known else None, sha256 if isinstance(sha256, str) else None)
            self._made[path] = made
        return made

    def without(self, gone: Collection[str]) -> ListedFiles:
        """Return the files that are left when these are taken out."""
        return ListedFiles({path: row for path, row in self._rows.items() if path not in gone})

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows


@dataclass(frozen=True)
class Listing:
    """A paths.json: its bytes, and its entries by path, in order."""

    raw: bytes
    rows: Mapping[str, Row]

    @property
    def files(self) -> Mapping[str, File]:
        """The files that the entries describe."""
        return ListedFiles(self.rows)

    def walked(self) -> tuple[str, Places]:
        """Return the text, and where everything stands in it that an edit may touch."""
        text = self.raw.decode("utf-8")
        return text, _walked(text, sound=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the inside of the list's brackets begins and ends, and where each of its entries does, in order.

    `bounds` has the entries' beginnings and ends by turns: a listing may have a million.
    """

    start: int
    stop: int
    bounds: array[int]

    @property
    def entries(self) -> Iterator[Span]:
        """The entries' places, in order."""
        bounds = iter(self.bounds)
        return zip(bounds, bounds, strict=True)

    @property
    def first(self) -> int:
        """Where the first entry begins, or the list ends that has none."""
        return self.bounds[0] if self.bounds else self.start


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
        small = _UsualRow.of if len(raw) >= _LARGE else None
        document = json.loads(text, parse_constant=_refuse_constant, object_hook=small)
        rows = _sound_rows(document, text)
        if rows is None:
            _walked(text)
            rows = {row["_path"]: row for row in document["paths"]}
    except json.JSONDecodeError as error:
        raise _bad(error.msg, text, error.pos) from error
    except (RecursionError, ValueError) as error:
        raise _bad(f"it holds what JSON has not: {error}" if str(error) in _CONSTANTS else _TOO_MUCH) from error
    return Listing(raw, rows)


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


def _walked(text: str, *, sound: bool = False) -> Places:
    """Return where the members stand; raise BadMetadata or JSONDecodeError where one is wrong.

    `sound`: the text was read before, so it lists nothing twice, and the names need not be remembered.
    """
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
            places = _walked_entries(text, start, None if sound else set())
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


def _walked_entries(text: str, start: int, seen: set[str] | None) -> Places:
    bounds = array("Q")
    at = opened(text, start, "[", "]")
    stop = start + 1
    while at is not None:
        row, stop = _decoded(text, at)
        path = _checked_path(row, text, at)
        if seen is not None:
            if path in seen:
                raise _bad(f"it lists {path!r} twice", text, at)
            seen.add(path)
        bounds.extend((at, stop))
        at = following(text, stop, "]")
    return Places(start + 1, skip(text, stop), bounds)


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
