"""Compares two packages member by member, to prove what a repair has changed.

The packages are read with the standard library and zstandard (`diff_reading`). None of the code that reads, judges and
rewrites packages for a repair is used, so a bug there cannot hide itself. The caller decides which files are stray, and
passes the paths that may be missing.

Everything else must be the same: the bytes of every kept member and its tar header, the order of the members, the
entries of the zip, and how each component is compressed. Listings may lack the entries of the removed files and no
others, and what they state about a changed file must be true.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .diff_reading import (
    PATHS_JSON,
    Component,
    Contents,
    Member,
    read_contents,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two packages.

    Attributes:
        what: What kind of difference it is, such as `removed`.
        component: The component that it is in; empty if it is about the container.
        path: The path of the member; empty if it is not about one.
        detail: The difference.
        expected: Whether removing stray files explains it.
    """

    what: str
    component: str
    path: str
    detail: str
    expected: bool


@dataclass(frozen=True)
class Difference:
    """All differences between two packages.

    Attributes:
        old: The path of the old package.
        new: The path of the new package.
        old_size: The size of the old file in bytes.
        new_size: The size of the new file in bytes.
        kept: How many members are in both packages.
        changes: The differences, in the order of the old package.
    """

    old: str
    new: str
    old_size: int
    new_size: int
    kept: int
    changes: tuple[Change, ...] = field(default=())

    @property
    def unexpected(self) -> tuple[Change, ...]:
        """The differences that removing stray files does not explain."""
        return tuple(change for change in self.changes if not change.expected)


def compare(old: str, new: str, strays: Collection[str]) -> Difference:
    """Return the differences between two packages. `strays` are the paths that may be missing from the new one.

    Raises NotAPackage or Damaged, with the path in the message, if one of them cannot be read.
    """
    before, after = read_contents(old), read_contents(new)
    changes = list(_container_changes(before, after))
    kept = 0
    present = {path: member for component in after.components.values() for path, member in component.members.items()}
    removed = {path for component in before.components.values() for path in component.members if path not in present}
    for name, component in before.components.items():
        if name in after.components:
            changes += _component_changes(name, component, after.components[name], strays, removed, present)
            kept += len(component.members.keys() & after.components[name].members.keys())
    return Difference(old, new, before.size, after.size, kept, tuple(changes))


def _container_changes(before: Contents, after: Contents) -> Iterator[Change]:
    if bool(before.container) != bool(after.container):
        detail = "a .conda became a .tar.bz2" if before.container else "a .tar.bz2 became a .conda"
        yield Change("container", "", "", detail, False)
    elif before.container != after.container:
        detail = f"{', '.join(before.container)} became {', '.join(after.container)}"
        yield Change("container", "", "", detail, False)
    for name in before.components.keys() - after.components.keys():
        yield Change("container", name, "", "the component is missing", False)
    for name in after.components.keys() - before.components.keys():
        yield Change("container", name, "", "the component is new", False)


def _component_changes(
    name: str,
    before: Component,
    after: Component,
    strays: Collection[str],
    removed: Collection[str],
    present: Mapping[str, Member],
) -> Iterator[Change]:
    if before.compression != after.compression:
        yield Change("compression", name, "", f"{before.compression} became {after.compression}", False)
    common = [path for path in before.members if path in after.members]
    if common != [path for path in after.members if path in before.members]:
        yield Change("reordered", name, "", "the kept members are in another order", False)
    directories = _emptied_directories(before.members, after.members, removed)
    for path, member in before.members.items():
        if path not in after.members:
            yield Change("removed", name, path, _size_of(member), path in strays or path in directories)
        else:
            yield from _member_changes(name, before, after, path, removed, present)
    for path in after.members:
        if path not in before.members:
            yield Change("added", name, path, _size_of(after.members[path]), False)


def _emptied_directories(
    before: Mapping[str, Member], after: Mapping[str, Member], removed: Collection[str]
) -> set[str]:
    """Return the removed directory members that contained removed files and are now empty."""
    had_removed = {parent for path in removed for parent in _parents(path)}
    not_empty = {parent for path in after for parent in _parents(path)}
    emptied = had_removed - not_empty
    return {path for path in emptied.intersection(removed) if path in before and before[path].kind == "directory"}


def _parents(path: str) -> Iterator[str]:
    while (at := path.rfind("/")) > 0:
        path = path[:at]
        yield path


def _member_changes(
    name: str,
    before: Component,
    after: Component,
    path: str,
    removed: Collection[str],
    present: Mapping[str, Member],
) -> Iterator[Change]:
    old, new = before.members[path], after.members[path]
    if old == new:
        return
    if path in before.listings and path in after.listings:
        if path == PATHS_JSON:
            yield from _paths_json_changes(name, before.listings[path], after.listings[path], removed, present)
        elif before.listings[path] != after.listings[path]:
            yield _line_changes(name, path, before.listings[path], after.listings[path], removed)
        if old.attributes != new.attributes:
            yield Change("header", name, path, "its tar header differs in more than the size", False)
        if old.kind != new.kind or old.link != new.link:
            yield Change("header", name, path, f"{old.kind} became {new.kind}", False)
        return
    if old.kind == "hard link" and _normalized(old.link) in removed:
        # If a file with several names (hard links) is dropped, the first name that is kept becomes the regular file,
        # and the others become links to it.
        target = before.members.get(_normalized(old.link))
        promoted = (
            new.kind == "file" and target is not None and (target.size, target.content) == (new.size, new.content)
        )
        relinked = new.kind == "hard link" and _content(after.members, new) == _content(before.members, old)
        detail = f"its file {old.link} was removed; it now {'has the content' if promoted else f'links to {new.link}'}"
        unchanged = old.attributes == new.attributes
        yield Change("promoted", name, path, detail, (promoted or relinked) and unchanged)
        return
    if old.content != new.content or old.size != new.size:
        yield _content_change(name, path, old, new)
    elif old.kind != new.kind or old.link != new.link:
        yield Change("header", name, path, f"{old.kind} {old.link} became {new.kind} {new.link}", False)
    elif old.header != new.header:
        yield Change("header", name, path, "the bytes of its tar header differ", False)


def _content_change(name: str, path: str, old: Member, new: Member) -> Change:
    if path.endswith(".pyc") and old.size == new.size and old.tail == new.tail and old.header == new.header:
        return Change("re-stamped", name, path, "another source time or size is recorded", True)
    same_size = f"other content of the same size, {_size_of(new)}"
    detail = same_size if old.size == new.size else f"{_size_of(old)} became {_size_of(new)}"
    return Change("changed", name, path, detail, False)


def _content(members: Mapping[str, Member], member: Member) -> tuple[int, bytes] | None:
    """Return the size and the digest of the content that a hard link leads to, or None if its target is missing."""
    for _ in range(40):
        if member.kind != "hard link":
            return member.size, member.content
        target = members.get(_normalized(member.link))
        if target is None:
            return None
        member = target
    return None


def _line_changes(name: str, path: str, old: bytes, new: bytes, removed: Collection[str]) -> Change:
    kept = list(new.splitlines(keepends=True))
    position = removed_lines = unexpected = 0
    for line in old.splitlines(keepends=True):
        if position < len(kept) and (kept[position] == line or _same_record(line, kept[position])):
            position += 1
        else:
            removed_lines += 1
            unexpected += not _names_removed(path, line, removed)
    detail = f"{removed_lines} of its lines removed"
    if extra := len(kept) - position:
        detail += f", {extra} added"
    if unexpected:
        detail += f", {unexpected} of them not about a removed file"
    return Change("listing", name, path, detail, not extra and not unexpected)


def _same_record(old: bytes, new: bytes) -> bool:
    """Return whether two RECORD lines name the same file. The digest in them differs for a listing that was edited."""
    old_fields, new_fields = old.rsplit(b",", 2), new.rsplit(b",", 2)
    return len(old_fields) == 3 and len(new_fields) == 3 and old_fields[0] == new_fields[0]


def _names_removed(path: str, line: bytes, removed: Collection[str]) -> bool:
    """Return whether a line of a listing names a removed file, relative to the package's root or to the listing."""
    text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if path.endswith("/RECORD"):
        # A name with a comma or a quote is quoted, and its quotes are doubled (RFC 4180).
        text = text[1:].split('",')[0].replace('""', '"') if text.startswith('"') else text.split(",")[0]
        base = os.path.dirname(os.path.dirname(path))
    elif path.endswith("/installed-files.txt"):
        base = os.path.dirname(path)
    else:
        words = text.split()
        return any(candidate.strip("\"'").removeprefix("./") in removed for candidate in (text, *words[-1:]))
    text = text.replace("\\", "/")
    relative = os.path.normpath(os.path.join(base, text)).replace(os.sep, "/")
    # An absolute name starts with the build prefix, which is not known here.
    return relative in removed or (text.startswith("/") and any(text.endswith("/" + name) for name in removed))


def _paths_json_changes(
    name: str, old: bytes, new: bytes, removed: Collection[str], present: Mapping[str, Member]
) -> Iterator[Change]:
    try:
        before, after = json.loads(old), json.loads(new)
        old_entries = {entry["_path"]: entry for entry in before["paths"]}
        new_entries = {entry["_path"]: entry for entry in after["paths"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield Change("listing", name, PATHS_JSON, f"it cannot be read: {error}", False)
        return
    rest_before = {key: value for key, value in before.items() if key != "paths"}
    if rest_before != {key: value for key, value in after.items() if key != "paths"} or list(before) != list(after):
        yield Change("listing", name, PATHS_JSON, "keys other than the list of paths differ", False)
    dropped = [path for path in old_entries if path not in new_entries]
    if dropped:
        # An entry is also dropped if its file was never in the package (stale-listing).
        unlisted = [path for path in dropped if path in present]
        detail = f"{len(dropped)} entries removed"
        if unlisted:
            detail += f", but {unlisted[0]} is in the package"
        yield Change("listing", name, PATHS_JSON, detail, not unlisted)
    for path, entry in new_entries.items():
        if path not in old_entries:
            yield Change("listing", name, PATHS_JSON, f"{path} added", _is_true(entry, present.get(path)))
        elif old_entries[path] != entry:
            was = old_entries[path]
            keys = sorted(key for key in was.keys() | entry.keys() if was.get(key) != entry.get(key))
            expected = set(keys) <= {"sha256", "size_in_bytes", "inode_paths"}
            if "inode_paths" in keys:
                names, left = was.get("inode_paths"), entry.get("inode_paths")
                expected &= isinstance(names, list) and left == [item for item in names if item not in removed]
            expected &= _is_true(entry, present.get(path))
            yield Change("listing", name, PATHS_JSON, f"the {', '.join(keys)} of {path}", expected)
    if [path for path in old_entries if path in new_entries] != [path for path in new_entries if path in old_entries]:
        yield Change("listing", name, PATHS_JSON, "its entries are in another order", False)


def _is_true(entry: Mapping[str, Any], member: Member | None) -> bool:
    """Return whether an entry states the true size and SHA-256 of its file. Other kinds of members have neither."""
    if member is None:
        return False
    if member.kind != "file":
        return True
    return entry.get("size_in_bytes") == member.size and entry.get("sha256") == member.content.hex()


def _normalized(link: str) -> str:
    return os.path.normpath(link).replace(os.sep, "/")


def _size_of(member: Member) -> str:
    return f"{member.size} bytes" if member.kind == "file" else member.kind
