"""`info/paths.json`, edited as text: what is not changed stays as it was, byte for byte.

py-rattler reads this file and drops keys it does not know; writing JSON anew loses order, indent and escapes. So an
edit replaces just the entries and the values that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import Any

from ..model import File, FileKind
from .json_text import decode, following, key_at, opened, skip, string_end
from .paths_json import Listing, Places, Span

_PIECE = 1 << 20
"""Characters that are encoded at a time."""


def edit_listing(
    listing: Listing,
    dropped: Collection[str],
    changed: Mapping[str, File],
    shortened: Collection[str],
    added: Sequence[File],
) -> bytes:
    """Return the file with the edits made.

    `dropped` entries go; `changed` ones get the file's true hash and size, where they state them; the
    `inode_paths` of `shortened` ones lose the names that are dropped; `added` files get an entry in the style of the
    others, after the last.
    """
    if not (changed or shortened or added or any(path in dropped for path in listing.rows)):
        return listing.raw
    text, places = listing.walked()
    new = _NewText(text)
    new.copy(0, places.first)
    kept = 0
    start = stop = behind = places.first
    for path, (begin, end) in zip(listing.rows, places.entries, strict=True):
        if path not in dropped:
            lead = behind if kept else begin  # what stood before it stays before it
            if lead != stop:
                new.copy(start, stop)
                start = lead
            if path in changed or path in shortened:
                new.copy(start, begin)
                new.write(_edited(text, (begin, end), changed.get(path), dropped if path in shortened else ()))
                start = end
            stop = end
            kept += 1
        behind = end
    if not kept and not added:  # an empty list, without the space that stood in it
        return (text[: places.start] + text[places.stop :]).encode()
    new.copy(start, stop)
    separator = _separator(text, places)
    for number, file in enumerate(added, kept):
        new.write((separator if number else "") + _styled(listing, text, places, file))
    new.copy(behind, len(text))
    return new.encoded


class _NewText:
    """A text made of pieces of another and of new ones: a million entries are held twice then, and no more often."""

    def __init__(self, old: str) -> None:
        self._old = old
        self._new = BytesIO()
        self._new.seek(len(old))  # all the room at once: grown bit by bit, it would take an eighth more
        self._new.write(b" ")
        self._new.seek(0)

    def copy(self, start: int, stop: int) -> None:
        for at in range(start, stop, _PIECE):
            self.write(self._old[at : min(at + _PIECE, stop)])

    def write(self, new: str) -> None:
        self._new.write(new.encode())

    @property
    def encoded(self) -> bytes:
        self._new.truncate()
        return self._new.getvalue()


def _separator(text: str, places: Places) -> str:
    if len(places.bounds) > 2:
        return text[places.bounds[1] : places.bounds[2]]
    return "," + (text[places.start : places.first] or (" " if '": ' in text else ""))


def _edited(text: str, span: Span, true: File | None, gone: Collection[str]) -> str:
    pieces, done = [], span[0]
    at = opened(text, span[0], "{", "}")
    while at is not None:
        key, start = key_at(text, at)
        stop = decode(text, start)[1]
        at = following(text, stop, "}")
        new: str | None = None
        if true is not None and key == "sha256":
            new = json.dumps(true.sha256)
        elif true is not None and key == "size_in_bytes":
            new = json.dumps(true.size)
        elif gone and key == "inode_paths":
            new = _shortened(text, start, gone)
        if new is not None and json.loads(new) != json.loads(text[start:stop]):
            pieces += [text[done:start], new]
            done = stop
    return "".join([*pieces, text[done : span[1]]])


def _shortened(text: str, start: int, gone: Collection[str]) -> str:
    """Return a list of names without those that are gone, in the list's own style."""
    values, spans = [], []
    at = opened(text, start, "[", "]")
    while at is not None:
        value, stop = decode(text, at)
        values.append(value)
        spans.append((at, stop))
        at = following(text, stop, "]")
    kept = [at for at, value in enumerate(values) if not (isinstance(value, str) and value in gone)]
    if not kept:
        return "[]"
    pieces = [text[start : spans[0][0]]]
    for number, at in enumerate(kept):
        pieces.append(text[spans[at - 1][1] : spans[at][0]] if number else "")
        pieces.append(text[slice(*spans[at])])
    return "".join([*pieces, text[spans[-1][1] : skip(text, spans[-1][1]) + 1]])


def _styled(listing: Listing, text: str, places: Places, file: File) -> str:
    """Return a new entry, laid out like the first one there is with more than one key."""
    values: dict[str, Any] = {"_path": file.path, "path_type": "hardlink"}
    values |= {"sha256": file.sha256, "size_in_bytes": file.size}
    if file.kind is FileKind.SYMLINK:
        values["path_type"] = "softlink"
    found = (span for row, span in zip(listing.rows.values(), places.entries, strict=True) if len(row) > 1)
    span = next(found, None)
    if span is None:
        return json.dumps(values)
    text = text[slice(*span)]
    opening = skip(text, 1)
    value = key_at(text, opening)[1]
    between = text[string_end(text, opening) : value]
    value_end = decode(text, value)[1]
    comma = text[value_end : following(text, value_end, "}")]
    members = comma.join(json.dumps(key) + between + json.dumps(values[key]) for key in values)
    return text[:opening] + members + text[len(text[:-1].rstrip(" \t\n\r")) :]
