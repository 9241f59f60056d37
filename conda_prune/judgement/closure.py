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
    FileKind,
    Finding,
)
from .bytecode import parse_bytecode
from .contents import Contents
from .hard_links import keep_content, needed_by_hard_links
from .links import directories, parents


@dataclass
class Closure:
    """The findings after links were considered, and the edits that follow from them.

    `removed` are all paths that are removed from the package, dropped files and emptied directories. `needed` are the
    files that must be read whole before the edits can be made: for their content, or for the headers of hard links.
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
    kept |= needed_by_hard_links(contents, drops.keys() - kept.keys())
    for path in kept:
        del drops[path]
    closure = Closure([_as_report(finding, kept) for finding in findings])
    closure.notes = [f"{path} is kept: {reason}" for path, reason in kept.items()]
    for link, target in list(_links_to_drops(contents, drops)):
        drops[link] = drops[target]._replace(path=link, size=0, detail=f"links to {target}")
        closure.findings.append(drops[link])
    closure.edits = {path: Drop() for path in drops}
    links, closure.needed = keep_content(contents, drops)
    closure.edits |= links
    emptied = frozenset(_emptied(contents, drops)) - _linked_directories(contents, drops).keys()
    closure.edits |= {path: Drop() for path in emptied if path in contents.files}
    closure.removed = emptied.union(drops)
    return closure


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
