"""Edits the listings to match a plan, so that they name exactly the files that are left.

Only entries with a finding, and entries of files that the plan changes or removes, are edited. All others stay as they
are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

from ...model import (
    Action,
    Drop,
    Edit,
    File,
    FileKind,
    Finding,
    Patch,
    Rewrite,
)
from ..contents import Contents
from ..links import content_of, opened_file
from .disagreements import as_members
from .line_lists import (
    FILES,
    INFO_LISTS,
    edit_lines,
    is_installed_list,
    names,
)
from .paths_edit import EditedListing, edit_listing
from .paths_json import PATHS_JSON, Listing, kind_of

_EMPTY = hashlib.sha256(b"").hexdigest()
_RESTYLED = "is formatted as rattler-build does it: no known tool writes the format that it had"
"""What is said of a paths.json whose formatting could not be kept."""


def listing_edits(
    contents: Contents, edits: Mapping[str, Edit], findings: Collection[Finding]
) -> tuple[dict[str, Edit], tuple[str, ...]]:
    """Return the edits of the listings and notes about them.

    `contents` is what is left after the drops, `edits` are those of all other files. Raises BadMetadata if a listing is
    nested too deeply to be written.
    """
    stale = {finding.path for finding in findings if finding.action is Action.CORRECT}
    if not (stale or edits or contents.removed):
        return {}, ()
    listings = dict(installed_list_edits(contents, edits))
    absent = {path for path in stale if path not in contents.files}
    removed = contents.removed | absent
    for name in INFO_LISTS:
        if contents.texts.get(name):
            listed = set(as_members(contents, names(name, contents.texts[name]))) if name == FILES and stale else ()
            added = [path for path in contents.files if path in stale and path not in listed] if listed else ()
            new = edit_lines(name, contents.texts[name], removed, added=added)
            listings.update(_rewrite(name, contents.texts[name], new))
    if contents.listing is None:
        return listings, ()
    edited = _edited_paths_json(contents, contents.listing, {**edits, **listings}, stale, removed)
    listings.update(_rewrite(PATHS_JSON, contents.texts[PATHS_JSON], edited.content))
    return listings, (f"{PATHS_JSON} {_RESTYLED}",) if edited.restyled else ()


def forecast_edits(contents: Contents, dropped: Collection[str]) -> dict[str, Edit]:
    """Return the edits of the listings in the info component if nothing but these drops is known.

    Reading the payload may lead to more edits, of these listings and of others.
    """
    kept = contents.without(dropped)
    edits: dict[str, Edit] = {}
    for name in INFO_LISTS:
        if text := kept.texts.get(name):
            edits.update(_rewrite(name, text, edit_lines(name, text, kept.removed)))
    if kept.listing is not None:
        edited = _edited_paths_json(kept, kept.listing, {}, (), kept.removed)
        edits.update(_rewrite(PATHS_JSON, kept.texts[PATHS_JSON], edited.content))
    return edits


def installed_list_edits(contents: Contents, edits: Mapping[str, Edit]) -> Iterator[tuple[str, Edit]]:
    """Yield the edits of each RECORD and installed-files.txt that was read, by path.

    Dropped files are removed from it, and the digests of files that `edits` patch are updated. `contents` is what is
    left after the drops.
    """

    def changed(path: str) -> bytes | None:
        edit = edits.get(path)
        if not isinstance(edit, Patch):
            return None
        return edit.head + (contents.files[path].whole or b"")[len(edit.head) :]

    for path, file in contents.files.items():
        if is_installed_list(path) and file.whole is not None:
            prefix = contents.placeholder(path) or ""
            new = edit_lines(path, file.whole, contents.removed, changed=changed, prefix=prefix)
            yield from _rewrite(path, file.whole, new)


def _rewrite(path: str, old: bytes, new: bytes) -> Iterator[tuple[str, Edit]]:
    if new != old:
        yield path, Rewrite(new, hashlib.sha256(new).hexdigest())


def _edited_paths_json(
    contents: Contents, listing: Listing, edits: Mapping[str, Edit], stale: Collection[str], removed: Collection[str]
) -> EditedListing:
    """Return the new paths.json. `edits` are all other edits, including those of other listings."""
    changed, shortened = {}, set()
    content_changes = any(not isinstance(edit, Drop) for edit in edits.values())
    for path, row in listing.rows.items():
        if kind_of(row) is not FileKind.FILE or path not in contents.files:
            continue
        if path in stale or content_changes:
            file = _file_after(contents, edits, path)
            if file is not None and (path in stale or file is not content_of(contents.members, path)):
                changed[path] = file
        inode_paths = row.get("inode_paths")
        if isinstance(inode_paths, list) and any(isinstance(name, str) and name in removed for name in inode_paths):
            shortened.add(path)
    added = [
        _listed_file(contents, edits, path) for path in contents.files if path in stale and path not in listing.rows
    ]
    return edit_listing(listing, removed, changed, shortened, added)


def _listed_file(contents: Contents, edits: Mapping[str, Edit], path: str) -> File:
    """Return the file as a new entry must describe it. Size and hash of a symbolic link are its target's (CEP 34)."""
    file = contents.files[path]
    if file.kind is not FileKind.SYMLINK:
        return (_file_after(contents, edits, path) or file)._replace(path=path, kind=FileKind.FILE)
    target = opened_file(contents.files, path, contents.symlinks)
    target = _file_after(contents, edits, target.path) if target is not None else None
    return file._replace(size=target.size if target else 0, sha256=target.sha256 if target else _EMPTY)


def _file_after(contents: Contents, edits: Mapping[str, Edit], path: str) -> File | None:
    """Return the regular file at a path with its size and hash after the edits; None if there is no regular file."""
    file = content_of(contents.members, path)
    if file is None:
        return None
    for name in (path, file.path):
        edit = edits.get(name)
        if isinstance(edit, Rewrite):
            return file._replace(size=len(edit.content), sha256=edit.sha256)
        if isinstance(edit, Patch):
            return file._replace(sha256=edit.sha256)
    return file
