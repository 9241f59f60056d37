"""Finds where a listing and the payload disagree: wrong hashes and sizes, entries without files, files without entries.

Entries of symbolic links are not compared, since build tools record different values there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...model import File, FileKind
from ..contents import Contents
from ..links import content_of, directories
from .line_lists import FILES, INFO_LISTS, names
from .paths_json import Listing, Row, kind_of


def disagreements(contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield the paths that a listing and the payload disagree about, each with what is wrong. Paths may repeat."""
    if contents.listing is not None:
        yield from _wrong_entries(contents, contents.listing)
        yield from ((path, "not listed") for path in _unlisted(contents, contents.listing.rows.keys()))
    for name in INFO_LISTS:
        if contents.texts.get(name):
            listed = as_members(contents, names(name, contents.texts[name]))
            for path in _absent(contents, listed):
                yield path, f"listed in {name}, but not in the package"
            if name == FILES:
                yield from ((path, f"not listed in {name}") for path in _unlisted(contents, set(listed)))


def as_members(contents: Contents, listed: Collection[str]) -> list[str]:
    """Return the names in a line list as the tar has them. Lists written on Windows may have backslashes."""
    return [path if path in contents.members else path.replace("\\", "/") for path in listed]


def _wrong_entries(contents: Contents, listing: Listing) -> Iterator[tuple[str, str]]:
    for path in _absent(contents, listing.rows):
        if kind_of(listing.rows[path]) is not FileKind.DIRECTORY:
            yield path, "listed, but not in the package"
    for path, row in listing.rows.items():
        if path in contents.files and kind_of(row) is FileKind.FILE:
            file = content_of(contents.members, path)
            if file is not None and (wrong := _wrong_keys(row, file)):
                yield path, f"wrong {' and '.join(wrong)}"


def _wrong_keys(row: Row, file: File) -> list[str]:
    """Return the keys of an entry that do not agree with the file."""
    wrong = []
    # JSON's `true` and `1.0` are equal to 1 in Python, but not right.
    if "size_in_bytes" in row and (type(row["size_in_bytes"]) is not int or row["size_in_bytes"] != file.size):
        wrong.append("size_in_bytes")
    if "sha256" in row and str(row["sha256"]).lower() != file.sha256:
        wrong.append("sha256")
    return wrong


def _absent(contents: Contents, listed: Collection[str]) -> Iterator[str]:
    """Yield the listed names for which there is neither a file nor a directory.

    Dropped files are left out, since their entries are removed anyway.
    """
    missing = [path for path in listed if path and path not in contents.members and path not in contents.removed]
    if missing:
        existing = directories(path for path in contents.members if path not in contents.removed)
        yield from (path for path in missing if path.rstrip("/") not in existing)


def _unlisted(contents: Contents, listed: Collection[str]) -> Iterator[str]:
    """Yield the files that are not listed, without directories."""
    for path, file in contents.files.items():
        if path not in listed and file.kind not in (FileKind.DIRECTORY, FileKind.OTHER):
            yield path


def is_listable(contents: Contents, path: str) -> bool:
    """Return whether a file is listed or could be: JSON cannot hold a name that is not UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return contents.listing is None or path in contents.listing.rows
    return True
