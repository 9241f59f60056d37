"""What else must change when files are dropped: links to them, and directories that held nothing else.

No symbolic link is left dangling: if the link is bytecode itself, it is dropped with its target; otherwise the target
is kept. Hard links to a dropped file keep its content: the first one becomes a regular file, and the others link to
it. So a package never holds the content twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ..model import (
    Action,
    Drop,
    Edit,
    File,
    FileKind,
    Finding,
    Relink,
    Rewrite,
)
from .bytecode import parse_bytecode
from .contents import Contents
from .links import directories, hard_link_chain, parents


@dataclass(slots=True)
class Closure:
    """The findings after links were considered, and the edits that follow from them.

    `removed` are all paths that are removed from the package, dropped files and emptied directories. `needed` are the
    files whose whole content must be read before the edits can be made.
    """

    findings: list[Finding]
    edits: dict[str, Edit] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    needed: frozenset[str] = frozenset()


def close_over_drops(contents: Contents, findings: Collection[Finding], is_kept: Callable[[str], bool]) -> Closure:
    """Return the findings after links were considered, and the edits that follow from them.

    `is_kept` returns whether the user keeps a file. Raises Unsupported if a hard link leads to nothing.
    """
    drops = {finding.path: finding for finding in findings if finding.action is Action.DROP}
    kept: dict[str, str] = {}
    if drops:
        kept = dict(_needed_by_symlinks(contents, drops, is_kept))
    kept |= _needed_by_hard_links(contents, drops.keys() - kept.keys())
    for path in kept:
        del drops[path]
    closure = Closure([_as_report(finding, kept) for finding in findings])
    closure.notes = [f"{path} is kept: {reason}" for path, reason in kept.items()]
    for link, target in list(_links_to_drops(contents, drops)):
        drops[link] = drops[target]._replace(path=link, size=0, detail=f"links to {target}")
        closure.findings.append(drops[link])
    closure.edits = {path: Drop() for path in drops}
    needed = set()
    for link, file, names in _hard_links(contents):
        if link in drops or drops.keys().isdisjoint(names):
            continue
        if file.path not in drops:
            closure.edits[link] = Relink(file.path)  # Only a link on the way to the file is dropped.
        else:
            closure.edits[link] = Rewrite(file.whole or b"", file.sha256 or "")
            if file.whole is None:
                needed.add(file.path)
    closure.needed = frozenset(needed)
    emptied = frozenset(_emptied(contents, drops)) - _linked_directories(contents, drops).keys()
    closure.edits |= {path: Drop() for path in emptied if path in contents.files}
    closure.removed = emptied.union(drops)
    return closure


def restore_hard_links(contents: Contents, edits: Mapping[str, Edit]) -> dict[str, Edit]:
    """Return edits that make hard links again of the names of one file that would all get the same content.

    The first one in the archive keeps the content, since a hard link may only lead to an earlier member. `edits` must
    be the final ones: re-stamping may give one name another content than the others.
    """
    first: dict[tuple[str, str], str] = {}
    relinks: dict[str, Edit] = {}
    for link, file, _ in _hard_links(contents):
        edit = edits.get(link)
        if isinstance(edit, Rewrite):
            target = first.setdefault((file.path, edit.sha256), link)
            if target != link:
                relinks[link] = Relink(target)
    return relinks


def _as_report(finding: Finding, kept: Mapping[str, str]) -> Finding:
    if finding.action is Action.DROP and finding.path in kept:
        return finding._replace(action=Action.REPORT, detail=f"kept: {kept[finding.path]}")
    return finding


def _needed_by_symlinks(
    contents: Contents, drops: Collection[str], is_kept: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield the drops that a symbolic link needs, each with the reason why it is kept."""
    needed: set[str] = set()
    for link in every_link(contents):
        # A link that is bytecode is dropped with its target, unless the user keeps the link.
        is_dropped = link in contents.links and parse_bytecode(link) is not None and not is_kept(link)
        if link in drops or is_dropped:
            continue
        for path in contents.member_symlinks.resolve_chain(link):
            if path in drops and path not in needed:
                needed.add(path)
                yield path, f"{link} links to it"
    linked = _linked_directories(contents, drops)
    if not linked:
        return
    # A directory that is not a member exists only as long as a file is in it.
    remaining = directories(_paths_kept(contents, set(drops) - needed))
    for path in drops:
        for directory in parents(path):
            disappears = directory not in remaining and directory not in contents.files
            if directory in linked and disappears and path not in needed:
                needed.add(path)
                yield path, f"{linked[directory]} links to its directory"


def every_link(contents: Contents) -> Iterator[str]:
    """Yield the path of every symbolic link, also below `info/`: in a .tar.bz2, such a link may lead to the payload."""
    yield from contents.links
    for path, file in contents.members.items():
        if file.kind is FileKind.SYMLINK and path not in contents.links:
            yield path


def _linked_directories(contents: Contents, drops: Collection[str]) -> dict[str, str]:
    """Return the directories that symbolic links lead to, each with the first such link."""
    linked: dict[str, str] = {}
    for link in every_link(contents):
        if link not in drops:
            end = contents.member_symlinks.resolve_chain(link)[-1]
            file = contents.members.get(end)
            if end and (file is None or file.kind is FileKind.DIRECTORY):
                linked.setdefault(end, link)
    return linked


def _links_to_drops(contents: Contents, drops: Mapping[str, Finding]) -> Iterator[tuple[str, str]]:
    """Yield the symbolic links that would be left dangling, each with the first dropped path on its way."""
    for link in contents.links:
        if link not in drops:
            for target in (path for path in contents.symlinks.resolve_chain(link) if path in drops):
                yield link, target
                break


def _hard_links(contents: Contents) -> Iterator[tuple[str, File, list[str]]]:
    """Yield every hard link, the file that it leads to, and the paths that it passes, including that file's.

    Links below `info/` are among them, since they may lead to the payload.
    """
    for path, file in contents.members.items():
        if file.kind is FileKind.HARDLINK:
            chain = hard_link_chain(contents.members, file)
            yield path, chain[-1], [passed.path for passed in chain[1:]]


def _needed_by_hard_links(contents: Contents, drops: Collection[str]) -> dict[str, str]:
    """Return the drops on the way of a hard link to something other than a regular file, each with the reason.

    Such a link cannot take over the content of what it leads to.
    """
    return {
        name: f"{link} is a hard link to it"
        for link, file, names in _hard_links(contents)
        if file.kind is not FileKind.FILE and link not in drops
        for name in names
        if name in drops
    }


def _paths_kept(contents: Contents, drops: Collection[str]) -> Iterator[str]:
    """Yield the paths that are not dropped, without directories."""
    return (path for path, file in contents.files.items() if path not in drops and file.kind is not FileKind.DIRECTORY)


def _emptied(contents: Contents, drops: Collection[str]) -> Iterator[str]:
    """Yield the directories that held nothing but dropped files, whether they are members or only listed."""
    listed = contents.listing.rows.items() if contents.listing is not None else ()
    candidates = {path for path, row in listed if row.get("path_type") == "directory"}
    candidates |= {path for path, file in contents.files.items() if file.kind is FileKind.DIRECTORY}
    candidates -= set(drops)
    if not candidates or not drops:
        return
    around_drops, remaining = directories(drops), directories(_paths_kept(contents, drops))
    # Longer paths first: a directory that is kept keeps those around it.
    for path in sorted(candidates, key=len, reverse=True):
        if path in around_drops and path not in remaining:
            yield path
        else:
            remaining |= directories([path])
