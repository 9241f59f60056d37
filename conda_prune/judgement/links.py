"""Resolves the links of a package: hard links by name, symbolic links as the operating system would after unpacking.

The time grows with the total length of the targets, since a package may hold thousands of links, each with a target of
thousands of parts. For that, every link is followed only once and its result remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..errors import Unsupported
from ..model import File, FileKind

_MOST_LINKS = 40
"""How many links are followed in a row. For symbolic links, this is Linux's limit (path_resolution(7)). No known writer
chains hard links; without a limit, following a chain of thousands from each of its links would take hours.
"""
_LEADING_DOTS = re.compile(r"(?:\./)*")
_PART = re.compile(r"[^/]+")


def regular_file(files: Mapping[str, File], file: File) -> File:
    """Return the file that a hard link leads to, or the file itself if it is not a hard link.

    Raises Unsupported if a link leads to nothing or to a directory.
    """
    return hard_link_chain(files, file)[-1]


def hard_link_chain(files: Mapping[str, File], file: File) -> list[File]:
    """Return a file, followed by each hard link on the way, followed by the file that they lead to.

    A file that is not a hard link is returned alone. Raises Unsupported if a link leads to nothing or to a directory.
    """
    chain = [file]
    seen = set()
    while file.kind is FileKind.HARDLINK:
        name = _LEADING_DOTS.sub("", file.link, count=1)
        if name in seen or name not in files:
            raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which does not exist")
        seen.add(name)
        file = files[name]
        chain.append(file)
        if len(chain) > _MOST_LINKS:
            raise Unsupported(f"the hard link {chain[0].path!r} leads to {_MOST_LINKS} others, one after another")
    if len(chain) > 1 and file.kind is FileKind.DIRECTORY:
        raise Unsupported(f"the hard link {chain[0].path!r} points to {file.path!r}, which is a directory")
    return chain


class _Directory:
    """A directory that a package has files in.

    `entries` maps names to what the directory holds: another directory, or the path of a symbolic link.
    """

    __slots__ = ("entries", "parent", "path")

    def __init__(self, path: str, parent: _Directory | None) -> None:
        self.path = path
        self.parent = parent
        self.entries: dict[str, _Directory | str] = {}


class _Walk:
    """A path that is being resolved, part by part: the links passed so far, and the place reached so far.

    That place is the directory `at`, or `beyond` levels below it where the package has no more directories; `name` is
    then the first part of the rest. So for `lib/a/b`, if the package has files only directly in `lib`, `at` is `lib`,
    `beyond` is 2 and `name` is `a`. `at` is None once the path leaves the package or goes in a circle.
    """

    __slots__ = ("at", "beyond", "link", "name", "parts", "passed")

    def __init__(self, at: _Directory | None, text: str, link: str = "") -> None:
        self.at = at
        self.beyond = 0
        self.name = ""
        self.link = link
        self.passed = [link] if link else []
        self.parts = _PART.finditer(text)

    def continue_from(self, followed: _Walk) -> None:
        """Continue from the place that a link leads to. The link was followed before."""
        self.passed += followed.passed
        self.at, self.beyond, self.name = followed.at, followed.beyond, followed.name
        if len(self.passed) > _MOST_LINKS:
            self.at = None
            del self.passed[_MOST_LINKS + 1 :]

    @property
    def end(self) -> str:
        """The path that was reached; empty if the package has no directory that could hold it."""
        if self.at is None or self.beyond > 1:
            return ""
        if not self.beyond:
            return self.at.path
        return f"{self.at.path}/{self.name}" if self.at.path else self.name


class SymlinkResolver:
    """Resolves the symbolic links among `paths`.

    Each part of a target is looked up in the directory reached so far. Joining and normalizing the path again at every
    part took 78 s for a thousand targets of two thousand parts each. Following a link again from every link that leads
    to it would multiply that by up to 40.
    """

    def __init__(self, paths: Iterable[str], links: Mapping[str, File]) -> None:
        self._links = links
        self._followed: dict[str, _Walk] = {}
        self._directories: dict[str, _Directory] = {}
        self._root = _Directory("", None)
        if not links:
            return
        known = {"": self._root}
        for path in paths:
            if (parent := path.rpartition("/")[0]) not in known:
                _add_directory(known, parent)
        for path in links:
            parent, _, name = path.rpartition("/")
            self._directories[path] = known[parent]
            known[parent].entries[name] = path

    def resolve_chain(self, path: str) -> list[str]:
        """Return every symbolic link that is passed when a path is opened, followed by the path that they lead to.

        That path need not exist; it is empty if the package has no directory that could hold it. If the path leaves the
        package or goes in a circle, the list ends with a link. `path` starts at the package's root and has no `.` or
        `..`.
        """
        if not self._links:
            return [path]
        walk = self._finish(_Walk(self._root, path))
        return walk.passed if walk.at is None and walk.passed else [*walk.passed, walk.end]

    def _finish(self, walk: _Walk) -> _Walk:
        """Resolve a path to its end, and each link on the way before it.

        The walks that wait for a link are on a stack of our own: thousands of links in a row would exceed Python's
        limit on recursion.
        """
        stack, active = [walk], {walk.link}
        while True:
            link = self._advance(stack[-1])
            if link is None:
                finished = stack.pop()
                if not stack:
                    return finished
                active.remove(finished.link)
                self._followed[finished.link] = finished
                stack[-1].continue_from(finished)
            elif link in active:  # It leads back to itself.
                stack[-1].passed.append(link)
                stack[-1].at = None
            else:
                active.add(link)
                stack.append(self._start(link))

    def _start(self, link: str) -> _Walk:
        target = self._links[link].link
        inside = target and not target.startswith("/")
        return _Walk(self._directories[link] if inside else None, target, link)

    def _advance(self, walk: _Walk) -> str | None:
        """Take the parts up to the next link that was not followed yet. Return that link, or None at the end."""
        while walk.at is not None and (match := next(walk.parts, None)):
            part = match[0]
            if part == ".":
                continue
            if part == "..":
                if walk.beyond:
                    walk.beyond -= 1
                else:
                    walk.at = walk.at.parent
            elif walk.beyond:
                walk.beyond += 1
            elif isinstance(entry := walk.at.entries.get(part), str):
                if entry not in self._followed:
                    return entry
                walk.continue_from(self._followed[entry])
            elif entry is None:
                walk.beyond, walk.name = 1, part
            else:
                walk.at = entry
        return None


def _add_directory(known: dict[str, _Directory], path: str) -> None:
    """Add a directory and its parents to those that are known."""
    missing = []
    while path not in known:
        missing.append(path)
        path = path.rpartition("/")[0]
    directory = known[path]
    for path in reversed(missing):
        inner = known[path] = _Directory(path, directory)
        directory.entries[path.rpartition("/")[2]] = inner
        directory = inner


def opened_file(files: Mapping[str, File], path: str, symlinks: SymlinkResolver) -> File | None:
    """Return the regular file that is read when a path is opened, through all links, or None if there is none.

    Raises Unsupported if a hard link leads to nothing.
    """
    file = files.get(path)
    if file is not None and file.kind is FileKind.SYMLINK:
        file = files.get(symlinks.resolve_chain(path)[-1])
    if file is None or file.kind is FileKind.SYMLINK:
        return None
    file = regular_file(files, file)
    return file if file.kind is FileKind.FILE else None


def content_of(files: Mapping[str, File], path: str) -> File | None:
    """Return the regular file with the content of a file or hard link, or None for any other kind of member.

    Raises Unsupported if a hard link leads to nothing.
    """
    file = regular_file(files, files[path])
    return file if file.kind is FileKind.FILE else None


def parents(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, innermost first, without the root."""
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        yield path


def directories(paths: Iterable[str]) -> set[str]:
    """Return every directory that one of the paths is in, without the root."""
    return set(each_directory(paths))


def each_directory(paths: Iterable[str]) -> Iterator[str]:
    """Yield every directory that one of the paths is in once, without the root."""
    seen: set[str] = set()
    for path in paths:
        for parent in parents(path):
            if parent in seen:
                break
            seen.add(parent)
            yield parent
