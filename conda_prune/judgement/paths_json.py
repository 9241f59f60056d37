"""`info/paths.json`, edited as text: what is not changed stays as it was, byte for byte (CEP 34).

py-rattler reads this file and drops keys it does not know; writing JSON anew loses order, indent and escapes. So the
places of the entries and of their values are kept, and an edit replaces just those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from ..errors import BadMetadata, PruneError
from ..model import File, FileKind

PATHS_JSON = "info/paths.json"
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODE = json.JSONDecoder(object_pairs_hook=lambda pairs: _unique(pairs)).raw_decode
_KINDS = {"hardlink": FileKind.FILE, "softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place in the text, what it says as a JSON object, and the file that it describes."""

    start: int
    stop: int
    value: Mapping[str, Any]
    file: File


@dataclass(frozen=True, slots=True)
class Listing:
    """A paths.json: its text, its entries in order, and the place of the list's brackets' inside."""

    text: str
    entries: tuple[Entry, ...]
    start: int
    stop: int


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
        return _parse(text)
    except json.JSONDecodeError as error:
        raise _bad(error.msg, text, error.pos) from error
    except (RecursionError, ValueError) as error:
        raise _bad("it is nested too deeply, or holds a number that is too long") from error


def _parse(text: str) -> Listing:
    paths: tuple[tuple[Entry, ...], int, int] | None = None
    version: object = None
    keys: set[str] = set()
    at: int | None = _opened(text, _skip(text, 0), "{", "}")
    while at is not None:
        key, start = _key(text, at)
        if key in keys:
            raise _bad(f"the key {key!r} stands there twice", text, at)
        keys.add(key)
        if key == "paths":
            entries, stop = _entries(text, start)
            paths = entries, start + 1, stop - 1
        else:
            value, stop = _DECODE(text, start)
            if key == "paths_version":
                version = value
        end, at = stop, _following(text, stop, "}")
    end = _skip(text, _skip(text, end if keys else _skip(text, 0) + 1) + 1)
    if end != len(text):
        raise _bad("something follows the JSON object", text, end)
    if version != 1 or isinstance(version, bool):
        raise _bad(f"its paths_version is {version!r}, and only 1 is known (CEP 34)")
    if paths is None:
        raise _bad("it has no list of paths")
    return Listing(text, *paths)


def _opened(text: str, at: int, bracket: str, closing: str) -> int | None:
    """Return where the first member of an object or list stands, or None in an empty one."""
    if text[at : at + 1] != bracket:
        raise json.JSONDecodeError(f"{bracket!r} is missing", text, at)
    at = _skip(text, at + 1)
    return None if text[at : at + 1] == closing else at


def _following(text: str, at: int, closing: str) -> int | None:
    """Return where the member after the one that ends at `at` stands, or None behind the last."""
    at = _skip(text, at)
    if text[at : at + 1] == closing:
        return None
    return _skip(text, _closing(text, at, ","))


def _key(text: str, at: int) -> tuple[str, int]:
    """Return an object's key and where its value stands."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("a key in double quotes is missing", text, at)
    key, stop = scanstring(text, at + 1, True)
    return key, _skip(text, _closing(text, stop, ":"))


def _entries(text: str, start: int) -> tuple[tuple[Entry, ...], int]:
    """Return the entries of the list at `start`, and where the list ends."""
    entries: list[Entry] = []
    seen: set[str] = set()
    at = _opened(text, start, "[", "]")
    stop = start + 1
    while at is not None:
        value, stop = _DECODE(text, at)
        entry = Entry(at, stop, value, _file(value, text, at))
        if entry.file.path in seen:
            raise _bad(f"it lists {entry.file.path!r} twice", text, at)
        seen.add(entry.file.path)
        entries.append(entry)
        at = _following(text, stop, "]")
    return tuple(entries), _skip(text, stop) + 1


def _file(value: object, text: str, at: int) -> File:
    if not isinstance(value, dict) or not isinstance(value.get("_path"), str):
        raise _bad("an entry has no _path", text, at)
    path = value["_path"]
    kind = _KINDS.get(value.get("path_type", "hardlink"))
    if kind is None:
        raise _bad(f"an entry has the unknown path_type {value.get('path_type')!r}", text, at)
    if not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise _bad(f"the path {path!r} leaves the package", text, at)
    size, sha256 = value.get("size_in_bytes"), value.get("sha256")
    known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return File(path, kind, size if known else None, sha256 if isinstance(sha256, str) else None)


def edit_listing(
    listing: Listing,
    dropped: Collection[str],
    changed: Mapping[str, File],
    renamed: Mapping[str, Sequence[str]],
    added: Sequence[File],
) -> str:
    """Return the text with the edits made.

    `dropped` entries go; `changed` ones get the file's true hash and size; `renamed` ones a new `inode_paths`; `added`
    files get an entry in the style of the others, after the last.
    """
    text, entries = listing.text, listing.entries
    kept = [at for at, entry in enumerate(entries) if entry.file.path not in dropped]
    if not kept and not added:
        return text[: listing.start] + text[listing.stop :]
    first, last = (entries[0].start, entries[-1].stop) if entries else (listing.start, listing.start)
    separator = _separator(listing)
    pieces = [text[:first]]
    for number, at in enumerate(kept):
        if number:
            # Between two that were neighbours stays what stood there.
            pieces.append(text[entries[at - 1].stop : entries[at].start] if kept[number - 1] == at - 1 else separator)
        pieces.append(_edited(text, entries[at], changed, renamed))
    for number, file in enumerate(added, len(kept)):
        pieces += [separator if number else "", _styled(listing, file)]
    return "".join([*pieces, text[last:]])


def _separator(listing: Listing) -> str:
    if len(listing.entries) > 1:
        return listing.text[listing.entries[0].stop : listing.entries[1].start]
    lead = listing.text[listing.start : listing.entries[0].start] if listing.entries else ""
    return "," + (lead or " ")


def _edited(text: str, entry: Entry, changed: Mapping[str, File], renamed: Mapping[str, Sequence[str]]) -> str:
    path = entry.file.path
    if path not in changed and path not in renamed:
        return text[entry.start : entry.stop]
    pieces, done = [], entry.start
    at = _opened(text, entry.start, "{", "}")
    while at is not None:
        key, start = _key(text, at)
        stop = _DECODE(text, start)[1]
        at = _following(text, stop, "}")
        new: str | None = None
        if path in changed and key == "sha256":
            new = json.dumps(changed[path].sha256)
        elif path in changed and key == "size_in_bytes":
            new = json.dumps(changed[path].size)
        elif path in renamed and key == "inode_paths":
            new = _shortened(text, start, renamed[path])
        if new is not None:
            pieces += [text[done:start], new]
            done = stop
    return "".join([*pieces, text[done : entry.stop]])


def _shortened(text: str, start: int, names: Sequence[str]) -> str:
    """Return a list of names with only these left, in the list's own style."""
    spans = []
    at = _opened(text, start, "[", "]")
    while at is not None:
        name, stop = _DECODE(text, at)
        spans.append((name, at, stop))
        at = _following(text, stop, "]")
    kept = [text[first:stop] for name, first, stop in spans if name in names]
    if not kept:
        return "[]"
    separator = text[spans[0][2] : spans[1][1]] if len(spans) > 1 else ", "
    end = _skip(text, spans[-1][2]) + 1
    return text[start : spans[0][1]] + separator.join(kept) + text[spans[-1][2] : end]


def _styled(listing: Listing, file: File) -> str:
    """Return a new entry, laid out like the first one there is."""
    values: dict[str, Any] = {"_path": file.path, "path_type": "hardlink"}
    values |= {"sha256": file.sha256, "size_in_bytes": file.size}
    if file.kind is FileKind.DIRECTORY:
        values = {"_path": file.path, "path_type": "directory"}
    elif file.kind is FileKind.SYMLINK:
        values["path_type"] = "softlink"
    model = next((entry for entry in listing.entries if len(entry.value) > 1), None)
    if model is None:
        return json.dumps(values)
    text = listing.text[model.start : model.stop]
    opening = _skip(text, 1)
    key_end = scanstring(text, opening + 1, True)[1]
    value = _key(text, opening)[1]
    value_end = _DECODE(text, value)[1]
    comma = text[value_end : _following(text, value_end, "}")]
    members = comma.join(json.dumps(key) + text[key_end:value] + json.dumps(values[key]) for key in values)
    return text[:opening] + members + text[len(text[:-1].rstrip(" \t\n\r")) :]


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _closing(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"{mark!r} is missing", text, at)
    return at + 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise _bad(f"the key {double!r} stands twice in one entry")
    return values


def _bad(what: str, text: str = "", at: int | None = None) -> PruneError:
    place = ""
    if at is not None:
        line = text.count("\n", 0, at) + 1
        place = f" in line {line}, column {at - text.rfind(chr(10), 0, at)}"
    return BadMetadata(f"{PATHS_JSON} cannot be used: {what}{place}")
