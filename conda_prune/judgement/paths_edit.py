"""`info/paths.json`, edited as text: what is not changed stays as it was, byte for byte.

py-rattler reads this file and drops keys it does not know; writing JSON anew loses order, indent and escapes. So an
edit replaces just the entries and the values that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..model import File, FileKind
from .json_text import decode, following, key_at, opened, skip, string_end
from .paths_json import Listing, Span


def edit_listing(
    listing: Listing,
    dropped: Collection[str],
    changed: Mapping[str, File],
    shortened: Collection[str],
    added: Sequence[File],
) -> str:
    """Return the text with the edits made.

    `dropped` entries go; `changed` ones get the file's true hash and size, where they state them; the
    `inode_paths` of `shortened` ones lose the names that are dropped; `added` files get an entry in the style of the
    others, after the last.
    """
    text, places = listing.text, listing.places
    entries = list(zip(listing.rows, places.entries, strict=True))
    kept = [at for at, (path, _) in enumerate(entries) if path not in dropped]
    if len(kept) == len(entries) and not (changed or shortened or added):
        return text
    if not kept and not added:
        return text[: places.start] + text[places.stop :]
    first, last = (places.entries[0][0], places.entries[-1][1]) if entries else (places.start, places.start)
    pieces = [text[:first]]
    for number, at in enumerate(kept):
        path, span = entries[at]
        if number:
            pieces.append(text[places.entries[at - 1][1] : span[0]])  # what stood before it stays before it
        if path in changed or path in shortened:
            pieces.append(_edited(text, span, changed.get(path), dropped if path in shortened else ()))
        else:
            pieces.append(text[span[0] : span[1]])
    separator = _separator(listing)
    for number, file in enumerate(added, len(kept)):
        pieces += [separator if number else "", _styled(listing, file)]
    return "".join([*pieces, text[last:]])


def _separator(listing: Listing) -> str:
    text, places = listing.text, listing.places
    if len(places.entries) > 1:
        return text[places.entries[0][1] : places.entries[1][0]]
    lead = text[places.start : places.entries[0][0]] if places.entries else ""
    return "," + (lead or " ")


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


def _styled(listing: Listing, file: File) -> str:
    """Return a new entry, laid out like the first one there is with more than one key."""
    values: dict[str, Any] = {"_path": file.path, "path_type": "hardlink"}
    values |= {"sha256": file.sha256, "size_in_bytes": file.size}
    if file.kind is FileKind.SYMLINK:
        values["path_type"] = "softlink"
    found = (span for row, span in zip(listing.rows.values(), listing.places.entries, strict=True) if len(row) > 1)
    span = next(found, None)
    if span is None:
        return json.dumps(values)
    text = listing.text[slice(*span)]
    opening = skip(text, 1)
    value = key_at(text, opening)[1]
    between = text[string_end(text, opening) : value]
    value_end = decode(text, value)[1]
    comma = text[value_end : following(text, value_end, "}")]
    members = comma.join(json.dumps(key) + between + json.dumps(values[key]) for key in values)
    return text[:opening] + members + text[len(text[:-1].rstrip(" \t\n\r")) :]
