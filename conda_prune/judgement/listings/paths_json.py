"""Parses `info/paths.json` (CEP 34). A file that cannot be used is refused with the line and column of the fault.

A listing may have a million entries, so the text is parsed by `json`, which gives no positions of values. If there is a
fault, the text is parsed a second time, value by value, to find its position.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from ...errors import BadMetadata
from ...model import File, FileKind

PATHS_JSON = "info/paths.json"
KINDS = {"hardlink": FileKind.FILE, "softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}

_SEPARATORS = re.compile(r"[ \t\n\r,:]*")
_NESTED_PER_ENTRY, _NESTED_MORE = 4, 100_000
"""How many `[` and `{` a listing may contain: so many for each entry, and so many more. Names may contain some as well.
Without a limit, a text of empty lists would take 30 times its bytes in memory."""
_LARGEST_SIZE = 1 << 53
"""Larger sizes are not sizes of files. JSON readers that use floats do not read them exactly (RFC 8259)."""
_SMALL = 1 << 18
"""Bytes of a listing whose entries may be dicts: these are faster than _UsualRow, but take more memory."""

Row: TypeAlias = Mapping[str, Any]


class _UsualRow(Mapping[str, Any]):
    """An entry with just the four keys that build tools write for most files. It takes 64 bytes; a dict takes 200."""

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

    def get(self, key: str, default: Any = None) -> Any:  # Mapping's own takes three times as long.
        return getattr(self, key) if key in self._USUAL_KEYS else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._USUAL_KEYS)

    def __len__(self) -> int:
        return len(self._USUAL_KEYS)

    def items(self) -> Any:  # Mapping's own is slow, and an edit of one entry writes all of them.
        return (
            ("_path", self._path),
            ("path_type", self.path_type),
            ("sha256", self.sha256),
            ("size_in_bytes", self.size_in_bytes),
        )


class ListedFiles(Mapping[str, File]):
    """The files that the entries of a listing describe. Each is made when it is first looked up."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._rows = rows
        self._made: dict[str, File] = {}

    def __getitem__(self, path: str) -> File:
        made = self._made.get(path)
        if made is None:
            row = self._rows[path]
            size, sha256 = row.get("size_in_bytes"), row.get("sha256")
            known = type(size) is int and 0 <= size <= _LARGEST_SIZE
            made = File(path, kind_of(row), size if known else None, sha256 if isinstance(sha256, str) else None)
            self._made[path] = made
        return made

    def is_directory(self, path: str) -> bool:
        """Return whether the entry of a path describes a directory."""
        return self._rows[path].get("path_type") == "directory"

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
    """Return the kind of file that an entry describes. An entry without a `path_type` is a regular file."""
    return KINDS[row.get("path_type", "hardlink")]


def parse_listing(raw: bytes) -> Listing:
    """Return a parsed paths.json. Raises BadMetadata, with the line and column, if it cannot be used.

    Refused are duplicate keys, two entries for one path, paths outside the package, and versions of the format other
    than 1. An edit writes the whole text again, so numbers that Python would write differently are also refused.
    """
    text, document = _decode_document(raw)
    if not isinstance(document, Mapping):
        raise _fault("it is not a JSON object", text, _after_separators(text, 0))
    for key in ("paths_version", "paths"):
        if key not in document:
            raise _fault(f"it has no {key!r}")
    version, listed = document["paths_version"], document["paths"]
    if type(version) is not int or version != 1:
        reason = f"its paths_version is {reprlib.repr(version)}, and only 1 is defined (CEP 34)"
        raise _fault(reason, text, _position_of_value(text, "paths_version"))
    if not isinstance(listed, list):
        raise _fault("'paths' is not a list", text, _position_of_value(text, "paths"))
    if len(raw) <= _SMALL and (usual := _usual_rows(listed)) is not None:
        return Listing(raw, document, usual)
    rows: dict[str, Row] = {}
    for number, row in enumerate(listed):
        path, wrong = _path_of_entry(row)
        if wrong or path in rows:
            raise _fault(wrong or f"{path!r} is listed twice", text, _position_of_entry(text, number))
        rows[path] = row
    return Listing(raw, document, rows)


def _decode_document(raw: bytes) -> tuple[str, Any]:
    """Return the text of a listing and its JSON value. Raises BadMetadata if it cannot be parsed."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _fault(f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise _fault("it starts with a byte order mark", text, 0)
    _check_nesting(raw)
    if len(raw) <= _SMALL and (small := _decode_small(text)) is not None:
        return text, small
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_float=_exact_float, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise _fault(error.msg, text, error.pos) from error
    except _Unusable as error:
        raise _fault(str(error), text, _position_of_unusable(text)) from error
    except (RecursionError, ValueError) as error:
        raise _fault("it is nested too deeply, or holds a number that is too long") from error
    return text, document


def _decode_small(text: str) -> Any:
    """Return the JSON value of a small listing in half the time, or None if it is not certain that it can be used.

    Every key is followed by a colon. So if there are as many colons as keys, no key appears twice in one object.
    """
    try:
        document = _decode_plainly(text)
        keys = len(document) + sum(map(len, document["paths"]))
        are_objects = type(document) is dict and {*map(type, document["paths"])} <= {dict}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return document if are_objects and keys == text.count(":") else None


def _usual_rows(listed: list[Any]) -> dict[str, Row] | None:
    """Return the entries by path if one look at all of them together finds nothing wrong, otherwise None."""
    try:
        rows: dict[str, Row] = {row["_path"]: row for row in listed}
        kinds = {row.get("path_type", "hardlink") for row in listed}
        paths = "\n".join(["", *rows])
    except (KeyError, TypeError, AttributeError):
        return None
    is_sound = len(rows) == len(listed) and kinds <= KINDS.keys() and "" not in rows
    return rows if is_sound and "\n/" not in paths and "\0" not in paths and ".." not in paths else None


def _check_nesting(raw: bytes) -> None:
    """Raise BadMetadata if a text contains more lists and objects than a listing needs."""
    if len(raw) <= _NESTED_MORE:
        return
    entries = raw.count(b'"_path"')
    nested = raw.count(b"[") + raw.count(b"{")
    if nested > _NESTED_PER_ENTRY * entries + _NESTED_MORE:
        raise _fault(f"it holds {nested} lists and objects for {entries} entries")


def _path_of_entry(row: Any) -> tuple[str, str]:
    """Return the path of an entry, and what is wrong with the entry, or an empty string."""
    if type(row) is _UsualRow:  # Nearly all are, and a listing may have a million.
        path, kind = row["_path"], row.path_type
    elif isinstance(row, dict):
        path, kind = row.get("_path"), row.get("path_type", "hardlink")
    else:
        path, kind = None, None
    if not isinstance(path, str):
        return "", "an entry has no _path"
    if not isinstance(kind, str) or kind not in KINDS:
        return path, f"an entry has the unknown path_type {reprlib.repr(kind)}"
    if not path or path.startswith("/") or "\0" in path or (".." in path and ".." in path.split("/")):
        return path, f"the path {path!r} is outside the package"
    return path, ""


class _Unusable(ValueError):
    """A value that two JSON parsers may read differently, or that cannot be written again as it was."""


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
    """Return the value of a number. Raises _Unusable if Python would write another value."""
    value = float(literal)
    if repr(value) == literal:
        return value
    from decimal import Decimal, InvalidOperation  # Imported here, since known listings contain no such numbers.

    try:
        exact = Decimal(literal) == Decimal(repr(value))
    except InvalidOperation:
        exact = False
    if not exact:
        raise _Unusable(f"it holds the number {literal}, which would be written back as {value!r}")
    return value


def _refuse_constant(name: str) -> None:
    raise _Unusable(f"it holds {name}, which is not JSON")


_decode_plainly = json.JSONDecoder(parse_float=_exact_float, parse_constant=_refuse_constant).decode


# What follows finds the position of a fault. The text was parsed before, so up to the fault it is valid JSON. Positions
# are offsets in characters.

_decode = json.JSONDecoder().raw_decode
_decode_strictly = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_exact_float, parse_constant=_refuse_constant
).raw_decode


def _after_separators(text: str, position: int) -> int:
    """Return the position of the next value or closing bracket."""
    match = _SEPARATORS.match(text, position)
    return match.end() if match else position


def _values(text: str, position: int) -> Iterator[int]:
    """Yield the positions of the values directly inside an object or list. In an object, keys and values alternate."""
    position = _after_separators(text, position + 1)
    while text[position] not in "]}":
        yield position
        position = _after_separators(text, _decode(text, position)[1])


def _outermost_items(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each key of the outermost object, the key's position, and its value's position."""
    if text[start := _after_separators(text, 0)] == "{":
        values = _values(text, start)
        for key_position, value_position in zip(values, values, strict=True):
            yield _decode(text, key_position)[0], key_position, value_position


def _position_of_value(text: str, wanted: str) -> int:
    return next(position for key, _, position in _outermost_items(text) if key == wanted)


def _position_of_entry(text: str, number: int) -> int:
    return next(islice(_values(text, _position_of_value(text, "paths")), number, None))


def _position_of_unusable(text: str) -> int | None:
    """Return the position of the first key, value or entry that cannot be used."""
    seen: set[str] = set()
    for key, key_position, value_position in _outermost_items(text):
        if key in seen:
            return key_position
        seen.add(key)
        has_entries = key == "paths" and text[value_position] == "["
        for position in _values(text, value_position) if has_entries else (value_position,):
            try:
                _decode_strictly(text, position)
            except _Unusable:
                return position
    return None


def _fault(what: str, text: str = "", position: int | None = None) -> BadMetadata:
    """Return an error that says what is wrong and, if the position is known, in which line and column."""
    where = ""
    if position is not None:
        line = text.count("\n", 0, position) + 1
        where = f" (line {line}, column {position - text.rfind(chr(10), 0, position)})"
    return BadMetadata(f"{PATHS_JSON} cannot be used: {what}{where}")
