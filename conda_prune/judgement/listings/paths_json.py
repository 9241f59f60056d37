"""Reads `info/paths.json` (CEP 34): what it lists, or the line where it is wrong.

A listing may have a million entries, so the text is decoded once. It is walked again only to find the line of a fault.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...errors import BadMetadata
from ...model import File, FileKind

PATHS_JSON = "info/paths.json"
KINDS = {"hardlink": FileKind.FILE, "softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}

_GAP = re.compile(r"[ \t\n\r,:]*")
_NESTED_PER_ENTRY, _NESTED_MORE = 4, 100_000
"""Brackets and braces that a listing may hold for each of its entries, and beyond that: names hold some, too. Of empty
lists alone, a text would take 30 times its bytes in memory."""

Row: TypeAlias = Mapping[str, Any]


class _UsualRow(Mapping[str, Any]):
    """An entry with the four keys that both builders write for most files. It takes 64 bytes, and a dict 200."""

    __slots__ = _USUAL_KEYS = ("_path", "path_type", "sha256", "size_in_bytes")

    def __init__(self, path: Any, path_type: Any, sha256: Any, size_in_bytes: Any) -> None:
        self._path = path
        self.path_type = path_type
        self.sha256 = sha256
        self.size_in_bytes = size_in_bytes

    def __getitem__(self, key: str) -> Any:
        if key not in self._USUAL_KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._USUAL_KEYS)

    def __len__(self) -> int:
        return len(self._USUAL_KEYS)

    def items(self) -> Any:  # Mapping's own is slow, and every entry is written again where one changes
        return tuple(zip(self._USUAL_KEYS, (self._path, self.path_type, self.sha256, self.size_in_bytes), strict=True))


class ListedFiles(Mapping[str, File]):
    """The files that the entries of a listing describe, each made when it is first looked up."""

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

    def without(self, removed: Collection[str]) -> ListedFiles:
        """Return the files without these."""
        return ListedFiles({path: row for path, row in self._rows.items() if path not in removed})

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows


@dataclass(frozen=True)
class Listing:
    """A paths.json: its bytes, its JSON object, and its entries by path, in order."""

    raw: bytes
    document: Mapping[str, Any]
    rows: Mapping[str, Row]

    @property
    def files(self) -> Mapping[str, File]:
        """The files that the entries describe."""
        return ListedFiles(self.rows)


def kind_of(row: Row) -> FileKind:
    """Return the kind of file that an entry states; without a `path_type`, it is a regular file."""
    return KINDS[row.get("path_type", "hardlink")]


def parse_listing(raw: bytes) -> Listing:
    """Return what paths.json lists. Raises BadMetadata with the line and column of what is wrong.

    Duplicate keys, two entries for one path, and versions of the format other than 1 are refused. So are numbers that
    Python would write back differently, since an edit writes the whole text again.
    """
    text, document = _decode_document(raw)
    if not isinstance(document, Mapping):
        raise _bad("it is not a JSON object", text, _after_gap(text, 0))
    for key in ("paths_version", "paths"):
        if key not in document:
            raise _bad(f"it has no {key!r}")
    version, listed = document["paths_version"], document["paths"]
    if type(version) is not int or version != 1:
        reason = f"its paths_version is {reprlib.repr(version)}, and only 1 is defined (CEP 34)"
        raise _bad(reason, text, _value_at(text, "paths_version"))
    if not isinstance(listed, list):
        raise _bad("'paths' is not a list", text, _value_at(text, "paths"))
    rows: dict[str, Row] = {}
    for number, row in enumerate(listed):
        fault = _entry_fault(row) or (f"{row['_path']!r} is listed twice" if row["_path"] in rows else "")
        if fault:
            raise _bad(fault, text, _entry_at(text, number))
        rows[row["_path"]] = row
    return Listing(raw, document, rows)


def _decode_document(raw: bytes) -> tuple[str, Any]:
    """Return the text of a listing, and the JSON value that it holds."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise _bad("it starts with a byte order mark", text, 0)
    _check_nesting(raw)
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_float=_exact_float, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise _bad(error.msg, text, error.pos) from error
    except _Unusable as error:
        raise _bad(str(error), text, _place_of_unusable(text)) from error
    except (RecursionError, ValueError) as error:
        raise _bad("it is nested too deeply, or holds a number that is too long") from error
    return text, document


def _check_nesting(raw: bytes) -> None:
    entries = raw.count(b'"_path"')
    nested = raw.count(b"[") + raw.count(b"{")
    if nested > _NESTED_PER_ENTRY * entries + _NESTED_MORE:
        raise _bad(f"it holds {nested} lists and objects for {entries} entries")


def _entry_fault(row: Any) -> str:
    """Return what is wrong with an entry, or an empty string."""
    if not isinstance(row, (dict, _UsualRow)) or not isinstance(row.get("_path"), str):
        return "an entry has no _path"
    kind = row.get("path_type", "hardlink")
    if not isinstance(kind, str) or kind not in KINDS:
        return f"an entry has the unknown path_type {reprlib.repr(kind)}"
    path: str = row["_path"]
    if not path or path.startswith("/") or "\0" in path or (".." in path and ".." in path.split("/")):
        return f"the path {path!r} is outside the package"
    return ""


class _Unusable(ValueError):
    """A JSON value that two readers may understand differently, or that cannot be written back as it was."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    """Return a JSON object with its keys in order. Raises _Unusable if a key appears twice."""
    if len(pairs) == 4:
        (path_key, path), (type_key, path_type), (hash_key, sha256), (size_key, size) = pairs
        if path_key == "_path" and type_key == "path_type" and hash_key == "sha256" and size_key == "size_in_bytes":
            return _UsualRow(path, path_type, sha256, size)
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Unusable(f"the key {key!r} appears twice in one object")
            seen.add(key)
    return values


def _exact_float(literal: str) -> float:
    value = float(literal)
    if repr(value) == literal:
        return value
    from decimal import Decimal, InvalidOperation  # here, as listings hold no fractions

    try:
        exact = Decimal(literal) == Decimal(repr(value))
    except InvalidOperation:
        exact = False
    if not exact:
        raise _Unusable(f"it holds the number {literal}, which would be written back as {value!r}")
    return value


def _refuse_constant(name: str) -> None:
    raise _Unusable(f"it holds {name}, which is not JSON")


# To find the line of a fault, a text that was decoded before is walked again: it is known to be valid JSON.

_decode = json.JSONDecoder().raw_decode
_decode_strictly = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_exact_float, parse_constant=_refuse_constant
).raw_decode


def _after_gap(text: str, at: int) -> int:
    """Return where the next value begins: after white space and separators."""
    match = _GAP.match(text, at)
    return match.end() if match else at


def _values(text: str, at: int) -> Iterator[int]:
    """Yield where each value directly inside the object or list at `at` begins; of an object, also each key."""
    at = _after_gap(text, at + 1)
    while text[at] not in "]}":
        yield at
        at = _after_gap(text, _decode(text, at)[1])


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the keys of the outermost object, where each begins, and where its value does."""
    if text[start := _after_gap(text, 0)] == "{":
        values = _values(text, start)
        for key_at, value_at in zip(values, values, strict=True):
            yield _decode(text, key_at)[0], key_at, value_at


def _value_at(text: str, wanted: str) -> int:
    return next(value_at for key, _, value_at in _members(text) if key == wanted)


def _entry_at(text: str, number: int) -> int:
    return next(at for place, at in enumerate(_values(text, _value_at(text, "paths"))) if place == number)


def _place_of_unusable(text: str) -> int | None:
    """Return where the unusable key, value or entry begins."""
    seen: set[str] = set()
    for key, key_at, value_at in _members(text):
        if key in seen:
            return key_at
        seen.add(key)
        for at in _values(text, value_at) if key == "paths" and text[value_at] == "[" else (value_at,):
            try:
                _decode_strictly(text, at)
            except _Unusable:
                return at
    return None


def _bad(what: str, text: str = "", at: int | None = None) -> BadMetadata:
    place = ""
    if at is not None:
        place = f" (line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)})"
    return BadMetadata(f"{PATHS_JSON} cannot be used: {what}{place}")
