"""Edits `info/paths.json`: removes, corrects and adds entries. All others keep their values, order and style.

It is edited as JSON, since py-rattler cannot write this file, and drops keys that it does not know when it reads one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadMetadata
from ...model import File, FileKind
from .json_style import RATTLER_BUILD, style_of
from .paths_json import PATHS_JSON, Listing, Row


@dataclass(frozen=True, slots=True)
class EditedListing:
    """A listing's new content. `restyled`: no known style reproduces the original, so it has rattler-build's style."""

    content: bytes
    restyled: bool = False


def edit_listing(
    listing: Listing,
    dropped: Collection[str],
    changed: Mapping[str, File],
    shortened: Collection[str],
    added: Sequence[File],
) -> EditedListing:
    """Return the file with the edits made.

    `dropped` entries are removed. `changed` ones get the file's true hash and size, if they state them. The
    `inode_paths` of `shortened` ones lose the dropped names. `added` files get an entry like the others, at the end.
    Without an edit, the content is the original.
    """
    if not (changed or shortened or added or any(path in dropped for path in listing.rows)):
        return EditedListing(listing.raw)
    rows = [
        _edited(row, changed.get(path), dropped if path in shortened else ())
        for path, row in listing.rows.items()
        if path not in dropped
    ]
    order = _order(listing)
    rows += [_entry(file, order) for file in added]
    try:
        style = style_of(listing.document, listing.raw)
        content = (style or RATTLER_BUILD).dump({**listing.document, "paths": rows})
    except RecursionError as error:
        raise BadMetadata(f"{PATHS_JSON} cannot be used: it is nested too deeply") from error
    return EditedListing(content, restyled=style is None)


def _edited(row: Row, true: File | None, removed: Collection[str]) -> Row:
    new: dict[str, Any] = {}
    if true is not None:
        facts = {"sha256": true.sha256, "size_in_bytes": true.size}
        new |= {key: value for key, value in facts.items() if key in row}
    if removed:
        new["inode_paths"] = [name for name in row["inode_paths"] if not (isinstance(name, str) and name in removed)]
    return {**row, **new} if new else row


def _order(listing: Listing) -> Collection[str]:
    """Return the keys of the listing's first complete entry, in its order."""
    complete = (row for row in listing.rows.values() if "sha256" in row and "size_in_bytes" in row)
    return next(complete, {})


def _entry(file: File, order: Collection[str]) -> Row:
    """Return an entry for a file that is not listed yet."""
    row = {
        "_path": file.path,
        "path_type": "softlink" if file.kind is FileKind.SYMLINK else "hardlink",
        "sha256": file.sha256,
        "size_in_bytes": file.size,
    }
    return {key: row[key] for key in sorted(row, key=list(order).index)} if row.keys() <= set(order) else row
