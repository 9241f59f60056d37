"""Turns what stands on the command line into packages: files, directories, globs and lists of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .model import Format

_TEMPORARY = ".conda-prune-"
_ENDINGS = tuple(format_.value for format_ in Format)


@dataclass(frozen=True, slots=True)
class Target:
    """A package to work on: its path, and its path below the directory that was named, for `--output-dir`."""

    path: str
    below: str


def find_packages(paths: Iterable[str]) -> Iterator[Target]:
    """Yield the packages that the paths name, sorted within each path, each file once.

    Directories are searched to any depth. A glob is expanded here too, for shells that do not; a path that names
    nothing, or a directory that cannot be read, is yielded as it is, to be reported by whoever opens it.
    """
    seen: set[str] = set()
    for path in paths:
        for target in _expand(path):
            if target.path not in seen:
                seen.add(target.path)
                yield target


def _expand(path: str) -> Iterator[Target]:
    if os.path.isdir(path):
        yield from _walk(path)
    elif not os.path.lexists(path) and any(sign in path for sign in "*?["):
        import glob

        matches = sorted(glob.glob(path, recursive=True))
        for match in matches:
            yield from _expand(match)
        if not matches:
            yield Target(path, os.path.basename(path))
    else:
        yield Target(path, os.path.basename(path))


def _walk(directory: str) -> Iterator[Target]:
    unreadable: list[str] = []
    for parent, directories, names in os.walk(directory, onerror=lambda error: unreadable.append(error.filename)):
        # Where a killed run was at work, the packages have their own names elsewhere.
        directories[:] = sorted(name for name in directories if not name.startswith(_TEMPORARY))
        for name in sorted(names):
            if name.endswith(_ENDINGS):
                path = os.path.join(parent, name)
                yield Target(path, os.path.relpath(path, directory))
    for path in unreadable:
        yield Target(path, os.path.relpath(path, directory))
