"""What becomes of hard links to dropped files: they keep the content.

The first link becomes a regular file, and the others link to it, so that a package never holds the content twice. Which
links there are is known when files are dropped; which of them get the same content only when all edits are known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..model import Edit, File, FileKind, Relink, Rewrite
from .contents import Contents
from .links import hard_link_chain


def keep_content(contents: Contents, drops: Collection[str]) -> tuple[dict[str, Edit], frozenset[str]]:
    """Return the edits by which hard links keep the content of dropped files, and the files to read for that."""
    edits: dict[str, Edit] = {}
    needed: set[str] = set()
    for link, file, names in _hard_links(contents):
        if link in drops or not any(name in drops for name in names):
            continue
        if file.path not in drops:
            edits[link] = Relink(file.path)  # Only a link on the way to the file is dropped.
        else:
            edits[link] = Rewrite(file.whole or b"", file.sha256 or "")
            if file.whole is None:
                needed |= {file.path, link}
    return edits, frozenset(needed)


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


def needed_by_hard_links(contents: Contents, drops: Collection[str]) -> dict[str, str]:
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


def _hard_links(contents: Contents) -> Iterator[tuple[str, File, list[str]]]:
    """Yield every hard link, the file that it leads to, and the paths that it passes, including that file's.

    Links below `info/` are among them, since they may lead to the payload.
    """
    for path, file in contents.members.items():
        if file.kind is FileKind.HARDLINK:
            chain = hard_link_chain(contents.members, file)
            yield path, chain[-1], [passed.path for passed in chain[1:]]
