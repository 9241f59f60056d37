"""Where the links of a package lead: hard links to the file they stand for, symbolic ones along all they pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..errors import Unsupported
from ..model import File, FileKind

_LONGEST = 40
"""Symbolic links that are followed one after another, as many as Linux follows (path_resolution(7)); and hard
ones, which no writer makes to others: following thousands from each would take hours."""


def regular_file(files: Mapping[str, File], file: File) -> File:
    """Return the file that a hard link stands for, or a file of another kind itself; raise Unsupported where it is
    missing.
    """
    return names_passed(files, file)[-1]


def names_passed(files: Mapping[str, File], file: File) -> list[File]:
    """Return a file, the hard links that it stands for one after another, and at last what is none; raise Unsupported
    where one is missing, or that is a directory.
    """
    passed = [file]
    seen = set()
    while file.kind is FileKind.HARDLINK:
        name = file.link
        while name.startswith("./"):
            name = name[2:]
        if name in seen or name not in files:
            raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which is not there")
        seen.add(name)
        file = files[name]
        passed.append(file)
        if len(passed) > _LONGEST:
            raise Unsupported(f"the hard link {passed[0].path!r} leads to {_LONGEST} others, one after another")
    if len(passed) > 1 and file.kind is FileKind.DIRECTORY:
        raise Unsupported(f"the hard link {passed[0].path!r} points to {file.path!r}, which is a directory")
    return passed


def trail(files: Mapping[str, File], path: str) -> Iterator[str]:
    """Yield what is passed when a path is opened: every symbolic link, and at last what they lead to.

    The last need not exist. A trail that leaves the package, or turns in a circle, ends with a link.
    """
    ahead = path.split("/")[::-1]
    done: list[str] = []
    links = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                return
            done.pop()
            continue
        done.append(part)
        here = "/".join(done)
        file = files.get(here)
        if file is not None and file.kind is FileKind.SYMLINK:
            yield here
            links += 1
            if links > _LONGEST or file.link.startswith("/"):
                return
            ahead += file.link.split("/")[::-1]
            done.pop()
    yield "/".join(done)


def opened_file(files: Mapping[str, File], path: str) -> File | None:
    """Return the regular file that opening a path reads, through links; None where there is none in the package."""
    file = files.get(path)
    if file is not None and file.kind is FileKind.SYMLINK:
        *_, end = trail(files, path)
        file = files.get(end)
    if file is None:
        return None
    file = regular_file(files, file)
    return file if file.kind is FileKind.FILE else None


def content_of(files: Mapping[str, File], path: str) -> File | None:
    """Return the regular file whose content a name that is no symbolic link has, or None."""
    file = regular_file(files, files[path])
    return file if file.kind is FileKind.FILE else None


def parents(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, the nearest first, without the root."""
    while (at := path.rfind("/")) > 0:
        path = path[:at]
        yield path


def directories(paths: Iterable[str]) -> set[str]:
    """Return every directory that one of the paths is in, without the root."""
    found: set[str] = set()
    for path in paths:
        for parent in parents(path):
            if parent in found:
                break
            found.add(parent)
    return found
