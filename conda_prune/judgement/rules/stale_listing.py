"""Where the listings and the payload disagree, and the edits after which every listing names exactly what is left.

Only what was found is corrected: an entry that nobody complained about, and whose file did not change, stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...model import (
    Action,
    Drop,
    Edit,
    File,
    FileKind,
    Finding,
    Patch,
    Rewrite,
    Variant,
)
from ..contents import Contents
from ..links import content_of, directories, opened_file
from ..listings.line_lists import (
    FILES,
    INFO_LISTS,
    edit_lines,
    is_installed_list,
    names,
)
from ..listings.paths_json import (
    PATHS_JSON,
    Listing,
    Row,
    kind_of,
)

if TYPE_CHECKING:
    from ..listings.paths_edit import EditedListing

STALE_LISTING = "stale-listing"
_EMPTY = hashlib.sha256(b"").hexdigest()
_RESTYLED = "is formatted as rattler-build does it: no known tool writes the format that it had"


def stale_listing(contents: Contents, variant: Variant) -> Iterator[Finding]:
    """A listing that disagrees with the payload: `paths.json` has an entry with another hash or size than its file, an
    entry without a file, or a file without an entry; or `info/files`, `has_prefix` or `no_link` do.

    Causes: something changed, added or removed files after the listing was written: a repair by hand, a signing step,
    a tool that knows `paths.json` and none of the older lists.

    Fix: the entry is corrected, taken out or added, each change being reported. Entries of symbolic links keep what
    they say: builders record different things there.

    Safe: no file's content is touched. Clients link what the listing names, and compare it with what they unpacked.

    Prevention: change files before the package is made, never in the finished archive.
    """
    if not contents.complete:
        return
    reported: set[str] = set()
    for path, detail in _disagreements(contents):
        if path not in reported:
            reported.add(path)
            file = contents.files.get(path)
            size = (file.size if file is not None else None) or 0
            if file is None or _is_listable(contents, path):
                yield Finding(STALE_LISTING, path, size, detail, Action.CORRECT)
            else:
                yield Finding(STALE_LISTING, path, size, f"{detail}: its name is not UTF-8")


def _disagreements(contents: Contents) -> Iterator[tuple[str, str]]:
    if contents.listing is not None:
        yield from _wrong_entries(contents, contents.listing)
        yield from ((path, "not listed") for path in _unlisted(contents, contents.listing.rows.keys()))
    for name in INFO_LISTS:
        if contents.texts.get(name):
            listed = _as_members(contents, names(name, contents.texts[name]))
            for path in _absent(contents, listed):
                yield path, f"listed in {name}, but not in the package"
            if name == FILES:
                yield from ((path, f"not listed in {name}") for path in _unlisted(contents, set(listed)))


def _as_members(contents: Contents, listed: Collection[str]) -> list[str]:
    """Return the names of a line list as the tar has them: a list that was made on Windows may have backslashes."""
    return [path if path in contents.members else path.replace("\\", "/") for path in listed]


def _wrong_entries(contents: Contents, listing: Listing) -> Iterator[tuple[str, str]]:
    for path in _absent(contents, listing.rows):
        if kind_of(listing.rows[path]) is not FileKind.DIRECTORY:
            yield path, "listed, but not in the package"
    for path, row in listing.rows.items():
        if path in contents.files and kind_of(row) is FileKind.FILE:
            true = content_of(contents.members, path)
            if true is not None and (wrong := _wrong_keys(row, true)):
                yield path, f"wrong {' and '.join(wrong)}"


def _wrong_keys(row: Row, true: File) -> list[str]:
    wrong = []
    if "size_in_bytes" in row and (type(row["size_in_bytes"]) is not int or row["size_in_bytes"] != true.size):
        wrong.append("size_in_bytes")
    if "sha256" in row and str(row["sha256"]).lower() != true.sha256:
        wrong.append("sha256")
    return wrong


def _absent(contents: Contents, listed: Collection[str]) -> Iterator[str]:
    """Yield the listed names for which there is neither a file nor a directory, nor was a file before the drops."""
    missing = [path for path in listed if path and path not in contents.members and path not in contents.gone]
    if missing:
        there = directories(path for path in contents.members if path not in contents.gone)
        yield from (path for path in missing if path.rstrip("/") not in there)


def _unlisted(contents: Contents, listed: Collection[str]) -> Iterator[str]:
    for path, file in contents.files.items():
        if path not in listed and file.kind not in (FileKind.DIRECTORY, FileKind.OTHER):
            yield path


def _is_listable(contents: Contents, path: str) -> bool:
    """Return whether a file has an entry, or could get one: JSON holds no bytes that are not UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return contents.listing is None or path in contents.listing.rows
    return True


def listing_edits(
    contents: Contents, edits: Mapping[str, Edit], findings: Collection[Finding]
) -> tuple[dict[str, Edit], tuple[str, ...]]:
    """Return the edits of the listings that follow from the other edits and from the findings about listings, and notes
    about them.

    `contents` is what is left. Raises BadMetadata where a listing cannot be written back.
    """
    stale = {finding.path for finding in findings if (finding.kind, finding.action) == (STALE_LISTING, Action.CORRECT)}
    if not (stale or edits or contents.gone):
        return {}, ()
    made = dict(_installed_lists(contents, edits))
    absent = {path for path in stale if path not in contents.files}
    gone = contents.gone | absent
    for name in INFO_LISTS:
        if contents.texts.get(name):
            listed = set(_as_members(contents, names(name, contents.texts[name]))) if name == FILES and stale else ()
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
            new = edit_lines(path, file.whole, contents.gone, changed=changed, prefix=prefix)
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
    from ..listings.paths_edit import edit_listing  # Only a repair edits listings.

    return edit_listing(listing, gone, changed, shortened, added)


def _entry(contents: Contents, edits: Mapping[str, Edit], path: str) -> File:
    """Return what an entry of its own says about a file: of a symbolic link, about the file it leads to (CEP 34)."""
    file = contents.files[path]
    if file.kind is not FileKind.SYMLINK:
        return replace(_after(contents, edits, path) or file, path=path, kind=FileKind.FILE)
    target = opened_file(contents.files, path, contents.symlinks)
    true = _after(contents, edits, target.path) if target is not None else None
    return replace(file, size=true.size if true else 0, sha256=true.sha256 if true else _EMPTY)


def _after(contents: Contents, edits: Mapping[str, Edit], path: str) -> File | None:
    """Return the regular file that a name has after the edits, with its size and hash; None where it has none."""
    file = content_of(contents.members, path)
    if file is None:
        return None
    for name in (path, file.path):
        edit = edits.get(name)
        if isinstance(edit, Rewrite):
            return replace(file, size=len(edit.content), sha256=edit.sha256)
        if isinstance(edit, Patch):
            return replace(file, sha256=edit.sha256)
    return file
