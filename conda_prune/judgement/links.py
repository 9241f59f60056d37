"""Where the links of a package lead: hard links to a file, symbolic links along everything that they pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..errors import Unsupported
from ..model import File, FileKind

_LONGEST = 40
"""How many symbolic links are followed in a row: as many as Linux follows (path_resolution(7)). Also how many hard
links, which no writer links to each other: following thousands from each one would take hours.
"""
_HERE = re.compile(r"(?:\./)*")
_PART = re.compile(r"[^/]+")


def regular_file(files: Mapping[str, File], file: File) -> File:
    """Return the file that a hard link leads to, or the file itself if it is not one. Raises Unsupported if it is
    missing.
    """
    return names_passed(files, file)[-1]


def names_passed(files: Mapping[str, File], file: File) -> list[File]:
    """Return a file, each hard link on the way, and finally what they lead to. Raises Unsupported if a link leads to
    nothing or to a directory.
    """
    passed = [file]
    seen = set()
    while file.kind is FileKind.HARDLINK:
        name = _HERE.sub("", file.link, count=1)
        if name in seen or name not in files:
            raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which does not exist")
        seen.add(name)
        file = files[name]
        passed.append(file)
        if len(passed) > _LONGEST:
            raise Unsupported(f"the hard link {passed[0].path!r} leads to {_LONGEST} others, one after another")
    if len(passed) > 1 and file.kind is FileKind.DIRECTORY:
        raise Unsupported(f"the hard link {passed[0].path!r} points to {file.path!r}, which is a directory")
    return passed


class _Directory:
    """A directory that a package has files in; `entries` are its directories and, by path, its symbolic links."""

    __slots__ = ("entries", "parent", "path")

    def __init__(self, path: str, parent: _Directory | None) -> None:
        self.path = path
        self.parent = parent
        self.entries: dict[str, _Directory | str] = {}


class _Walk:
    """A path that is being opened: the links passed so far, and where it is now.

    That is `beyond` levels below the directory `at`, where the package has no directories; `name` is the name of the
    first of these levels. `at` is None as soon as the path leads out of the package or in a circle.
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
        """Continue where a link leads that was followed before."""
        self.passed += followed.passed
        self.at, self.beyond, self.name = followed.at, followed.beyond, followed.name
        if len(self.passed) > _LONGEST:
            self.at = None
            del self.passed[_LONGEST + 1 :]

    @property
    def end(self) -> str:
        """The path that was reached; empty if the package has no such directory."""
        if self.at is None or self.beyond > 1:
            return ""
        return (f"{self.at.path}/{self.name}" if self.at.path else self.name) if self.beyond else self.at.path


class SymlinkResolver:
    """Where the symbolic links among `paths` lead.

    Every link is followed once, and each part of its target is looked up in its directory, so the time grows with the
    total length of the targets. Joining the path again at every part took 78 s for a thousand targets of two thousand
    parts each; following links again from every link that leads to them multiplies that by up to 40.
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
        """Return what is passed when a path is opened: every symbolic link, and finally what they lead to.

        The latter need not exist, and is empty if the package has no such directory. A chain that leaves the package or
        goes in a circle ends with a link. `path` starts at the package's root and has no `.` or `..`.
        """
        if not self._links:
            return [path]
        walk = self._walked(_Walk(self._root, path))
        return walk.passed if walk.at is None and walk.passed else [*walk.passed, walk.end]

    def _walked(self, walk: _Walk) -> _Walk:
        """Take a walk to its end, following each link on the way first. A stack, since links may be chained by
        thousands.
        """
        stack, active = [walk], {walk.link}
        while True:
            link = self._advance(stack[-1])
            if link is None:
                done = stack.pop()
                if not stack:
                    return done
                active.remove(done.link)
                self._followed[done.link] = done
                stack[-1].continue_from(done)
            elif link in active:  # a circle
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
        """Walk on to the next link that was not followed yet, and return it; None at the end."""
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
    """Return the regular file that opening a path reads, through links, or None if the package has none."""
    file = files.get(path)
    if file is not None and file.kind is FileKind.SYMLINK:
        file = files.get(symlinks.resolve_chain(path)[-1])
    if file is None or file.kind is FileKind.SYMLINK:
        return None
    file = regular_file(files, file)
    return file if file.kind is FileKind.FILE else None


def content_of(files: Mapping[str, File], path: str) -> File | None:
    """Return the regular file that a name other than a symbolic link stands for, or None."""
    file = regular_file(files, files[path])
    return file if file.kind is FileKind.FILE else None


def parents(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, the nearest first, without the root."""
    while (at := path.rfind("/")) > 0:
        path = path[:at]
        yield path


def directories(paths: Iterable[str]) -> set[str]:
    """Return every directory that one of the paths is in, without the root."""
    return set(each_directory(paths))


def each_directory(paths: Iterable[str]) -> Iterator[str]:
    """Yield every directory that one of the paths is in once, without the root."""
    found: set[str] = set()
    for path in paths:
        for parent in parents(path):
            if parent in found:
                break
            found.add(parent)
            yield parent
