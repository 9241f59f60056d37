"""What else must change when files are dropped: links to them, directories that held nothing else, and files that a
link needs and that are kept after all.

No symbolic link is left dangling. A link that is bytecode itself is dropped with its target; any other link keeps its
target. Hard links to a dropped file keep its content: the first one becomes a regular file, and the others link to it,
so that a package never holds the content more than once.
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
from .links import directories, names_passed, parents


@dataclass(slots=True)
class Closure:
    """The findings as they will be carried out, and everything that follows from them.

    `removed` are all paths that are taken out, `needed` the files that must be read whole for the edits: their content,
    and the headers of the hard links that get it.
    """

    findings: list[Finding]
    edits: dict[str, Edit] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    needed: frozenset[str] = frozenset()


def close_over_drops(contents: Contents, findings: Collection[Finding], is_kept: Callable[[str], bool]) -> Closure:
    """Return the findings as they will be carried out, and everything that follows from them.

    `is_kept` returns whether the user keeps a file. Raises Unsupported if a hard link leads to nothing.
    """
    drops = {finding.path: finding for finding in findings if finding.action is Action.DROP}
    stays: dict[str, str] = {}
    if drops:
        stays = dict(_held_by_links(contents, drops, is_kept))
    stays |= _held_by_odd_hard_links(contents, drops.keys() - stays.keys())
    for path in stays:
        del drops[path]
    done = Closure([_as_report(finding, stays) for finding in findings])
    done.notes = [f"{path} is kept: {why}" for path, why in stays.items()]
    for link, target in list(_links_without_target(contents, drops)):
        drops[link] = drops[target]._replace(path=link, size=0, detail=f"links to {target}")
        done.findings.append(drops[link])
    done.edits = {path: Drop() for path in drops}
    needed = set()
    for link, file, names in _hard_links(contents):
        if link in drops or drops.keys().isdisjoint(names):
            continue
        if file.path not in drops:
            done.edits[link] = Relink(file.path)  # Only a link between the two goes.
        else:
            done.edits[link] = Rewrite(file.whole or b"", file.sha256 or "")
            if file.whole is None:
                needed |= {file.path, link}
    done.needed = frozenset(needed)
    emptied = frozenset(_emptied(contents, drops)) - _linked_directories(contents, drops).keys()
    done.edits |= {path: Drop() for path in emptied if path in contents.files}
    done.removed = emptied.union(drops)
    return done


def relinked(contents: Contents, edits: Mapping[str, Edit]) -> dict[str, Edit]:
    """Return edits that turn names of one file back into hard links if they would all get the same content.

    The first one in the archive keeps the content, since a hard link may only lead to an earlier member. `edits` are
    the final ones: a name may get another content than the others when it is re-stamped.
    """
    first: dict[tuple[str, str], str] = {}
    made: dict[str, Edit] = {}
    for link, file, _ in _hard_links(contents):
        edit = edits.get(link)
        if isinstance(edit, Rewrite):
            keeper = first.setdefault((file.path, edit.sha256), link)
            if keeper != link:
                made[link] = Relink(keeper)
    return made


def _as_report(finding: Finding, stays: Mapping[str, str]) -> Finding:
    if finding.action is Action.DROP and finding.path in stays:
        return finding._replace(action=Action.REPORT, detail=f"kept: {stays[finding.path]}")
    return finding


def _held_by_links(
    contents: Contents, drops: Collection[str], is_kept: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield the drops that a symbolic link needs, and the reasons why they are kept."""
    held: set[str] = set()
    for link in every_link(contents):
        goes_too = link in contents.links and parse_bytecode(link) is not None and not is_kept(link)
        if link in drops or goes_too:
            continue
        for path in contents.member_symlinks.resolve_chain(link):
            if path in drops and path not in held:
                held.add(path)
                yield path, f"{link} links to it"
    linked = _linked_directories(contents, drops)
    if not linked:
        return
    living = directories(_others(contents, set(drops) - held))
    for path in drops:
        for directory in parents(path):
            vanishes = directory not in living and directory not in contents.files
            if directory in linked and vanishes and path not in held:
                held.add(path)
                yield path, f"{linked[directory]} links to its directory"


def every_link(contents: Contents) -> Iterator[str]:
    """Yield every symbolic link, also those below `info/`, which may lead out of it."""
    yield from contents.links
    for path, file in contents.members.items():
        if file.kind is FileKind.SYMLINK and path not in contents.links:
            yield path


def _linked_directories(contents: Contents, drops: Collection[str]) -> dict[str, str]:
    """Return the directories that symbolic links lead to, each with the first such link."""
    found: dict[str, str] = {}
    for link in every_link(contents):
        if link not in drops:
            end = contents.member_symlinks.resolve_chain(link)[-1]
            file = contents.members.get(end)
            if end and (file is None or file.kind is FileKind.DIRECTORY):
                found.setdefault(end, link)
    return found


def _links_without_target(contents: Contents, drops: Mapping[str, Finding]) -> Iterator[tuple[str, str]]:
    for link in contents.links:
        if link not in drops:
            for target in (path for path in contents.symlinks.resolve_chain(link) if path in drops):
                yield link, target
                break


def _hard_links(contents: Contents) -> Iterator[tuple[str, File, list[str]]]:
    """Yield every hard link, the file that it leads to, and the names on the way. Links below `info/` may lead out of
    it.
    """
    for path, file in contents.members.items():
        if file.kind is FileKind.HARDLINK:
            passed = names_passed(contents.members, file)
            yield path, passed[-1], [name.path for name in passed[1:]]


def _held_by_odd_hard_links(contents: Contents, drops: Collection[str]) -> dict[str, str]:
    """Return the drops that are not regular files but have a hard link, which could not take their place."""
    return {
        name: f"{link} is a hard link to it"
        for link, file, names in _hard_links(contents)
        if file.kind is not FileKind.FILE and link not in drops
        for name in names
        if name in drops
    }


def _others(contents: Contents, drops: Collection[str]) -> Iterator[str]:
    """Yield the paths that are kept, without directories."""
    return (p for p, file in contents.files.items() if p not in drops and file.kind is not FileKind.DIRECTORY)


def _emptied(contents: Contents, drops: Collection[str]) -> Iterator[str]:
    """Yield the directories, be they members or listed, that held nothing but dropped files."""
    listed = contents.listing.rows.items() if contents.listing is not None else ()
    candidates = {path for path, row in listed if row.get("path_type") == "directory"}
    candidates |= {path for path, file in contents.files.items() if file.kind is FileKind.DIRECTORY}
    candidates -= set(drops)
    if not candidates or not drops:
        return
    emptied, living = directories(drops), directories(_others(contents, drops))
    for path in sorted(candidates, key=len, reverse=True):
        if path in emptied and path not in living:
            yield path
        else:
            living |= directories([path])
