"""The edits of all listings that follow from a plan: every listing then names exactly what is left.

Only what was found is corrected: an entry that nobody complained about, and whose file did not change, stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

from ...model import Action, Drop, Edit, File, FileKind, Finding, Patch, Rewrite
from ..contents import Contents
from ..links import content_of, opened_file
from .disagreements import as_members
from .line_lists import FILES, INFO_LISTS, edit_lines, is_installed_list, names
from .paths_edit import EditedListing, edit_listing
from .paths_json import PATHS_JSON, Listing, kind_of

_EMPTY = hashlib.sha256(b"").hexdigest()
_RESTYLED = "is formatted as rattler-build does it: no known tool writes the format that it had"


def listing_edits(
    contents: Contents, edits: Mapping[str, Edit], findings: Collection[Finding]
) -> tuple[dict[str, Edit], tuple[str, ...]]:
    """Return the edits of the listings that follow from the other edits and from the findings about listings, and notes
    about them.

    `contents` is what is left. Raises BadMetadata where a listing cannot be written back.
    """
    stale = {finding.path for finding in findings if finding.action is Action.CORRECT}
    if not (stale or edits or contents.removed):
        return {}, ()
    made = dict(_installed_lists(contents, edits))
    absent = {path for path in stale if path not in contents.files}
    gone = contents.removed | absent
    for name in INFO_LISTS:
        if contents.texts.get(name):
            listed = set(as_members(contents, names(name, contents.texts[name]))) if name == FILES and stale else ()
            added = [path for path in contents.files if path in stale and path not in listed] if listed else ()
            new = edit_lines(name, contents.texts[name], gone, added=added)
            made.update(_rewritten(name, contents.texts[name], new))
    if contents.listing is None:
        return made, ()
    edited = _new_listing(contents, contents.listing, {**edits, **made}, stale, gone)
    made.update(_rewritten(PATHS_JSON, contents.texts[PATHS_JSON], edited.content))
    return made, (f"{PATHS_JSON} {_RESTYLED}",) if edited.restyled else ()


def _installed_lists(contents: Contents, edits: Mapping[str, Edit]) -> Iterator[tuple[str, Edit]]:
    def changed(path: str) -> bytes | None:
        edit = edits.get(path)
        if not isinstance(edit, Patch):
            return None
        return edit.head + (contents.files[path].whole or b"")[len(edit.head) :]

    for path, file in contents.files.items():
        if is_installed_list(path) and file.whole is not None:
            prefix = contents.placeholder(path) or ""
            new = edit_lines(path, file.whole, contents.removed, changed=changed, prefix=prefix)
            yield from _rewritten(path, file.whole, new)


def _rewritten(path: str, old: bytes, new: bytes) -> Iterator[tuple[str, Edit]]:
    if new != old:
        yield path, Rewrite(new, hashlib.sha256(new).hexdigest())


def _new_listing(
    contents: Contents, listing: Listing, edits: Mapping[str, Edit], stale: Collection[str], gone: Collection[str]
) -> EditedListing:
    changed, shortened = {}, set()
    edited = any(not isinstance(edit, Drop) for edit in edits.values())
    for path, row in listing.rows.items():
        if kind_of(row) is not FileKind.FILE or path not in contents.files:
            continue
        if path in stale or edited:
            true = _after(contents, edits, path)
            if true is not None and (path in stale or true is not content_of(contents.members, path)):
                changed[path] = true
        inode_paths = row.get("inode_paths")
        if isinstance(inode_paths, list) and any(isinstance(name, str) and name in gone for name in inode_paths):
            shortened.add(path)
    added = [_entry(contents, edits, path) for path in contents.files if path in stale and path not in listing.rows]
    return edit_listing(listing, gone, changed, shortened, added)


def _entry(contents: Contents, edits: Mapping[str, Edit], path: str) -> File:
    """Return what an entry of its own says about a file: of a symbolic link, about the file it leads to (CEP 34)."""
    file = contents.files[path]
    if file.kind is not FileKind.SYMLINK:
        return (_after(contents, edits, path) or file)._replace(path=path, kind=FileKind.FILE)
    target = opened_file(contents.files, path, contents.symlinks)
    true = _after(contents, edits, target.path) if target is not None else None
    return file._replace(size=true.size if true else 0, sha256=true.sha256 if true else _EMPTY)


def _after(contents: Contents, edits: Mapping[str, Edit], path: str) -> File | None:
    """Return the regular file that a name has after the edits, with its size and hash; None where it has none."""
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
