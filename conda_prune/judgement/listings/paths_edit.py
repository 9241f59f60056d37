"""Edits `info/paths.json`: removes, corrects and adds entries. All others keep their values and order.

The file is edited as JSON: py-rattler cannot write it, and drops unknown keys when it reads it.
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
    """Return the edited listing. If no edit applies, the content is the original.

    Entries of `dropped` paths are removed. Those of `changed` paths get the size and hash of the given file, if they
    have these keys. From the `inode_paths` of `shortened` ones, dropped names are removed. `added` files get an entry
    at the end, with its keys in the order of the others. Raises BadMetadata if the document is nested too deeply.
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


def _edited(row: Row, file: File | None, dropped: Collection[str]) -> Row:
    """Return an entry with the size and hash of a file, and without the dropped names in its `inode_paths`."""
    new: dict[str, Any] = {}
    if file is not None:
        values = {"sha256": file.sha256, "size_in_bytes": file.size}
        new |= {key: value for key, value in values.items() if key in row}
    if dropped:
        new["inode_paths"] = [name for name in row["inode_paths"] if not (isinstance(name, str) and name in dropped)]
    return {**row, **new} if new else row


def _order(listing: Listing) -> Collection[str]:
    """Return the keys of the first entry with size and hash, in its order; empty if there is none."""
    complete = (row for row in listing.rows.values() if "sha256" in row and "size_in_bytes" in row)
    return next(complete, {})


def _entry(file: File, order: Collection[str]) -> Row:
    """Return an entry for a file that is not listed, with its keys in this order if that has all of them."""
    row = {
        "_path": file.path,
        "path_type": "softlink" if file.kind is FileKind.SYMLINK else "hardlink",
        "sha256": file.sha256,
        "size_in_bytes": file.size,
    }
    return {key: row[key] for key in sorted(row, key=list(order).index)} if row.keys() <= set(order) else row
