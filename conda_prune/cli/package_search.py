"""Finds packages: turns the files, directories and globs of a command line into a list of them.

A directory search skips what belongs to other tools and follows every linked directory once. What a user names is never
skipped: excludes apply only below a directory that is searched.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from ..model import Format

_TEMPORARY = ".conda-prune-"
_ENDINGS = tuple(format_.value for format_ in Format)

EXCLUDED_NAMES = frozenset(
    (
        # version control, environments
        *(".git", ".hg", ".svn", ".pixi", ".venv", ".tox", ".nox", "node_modules"),
        # rattler-build and conda-build: sources, build directories, packages that failed their tests
        *("src_cache", "git_cache", "hg_cache", "svn_cache", "build_cache", "bld", "work", "test_tmp", "broken"),
    )
)
EXCLUDED_PREFIXES = (
    *("_h_env", "_build_env", "_t_env", "_test_env", "host_env_placehold", "work_moved_"),
    "artifacts-v",  # pixi's
)
"""Names of directories that hold other tools' state, and what such names start with."""

MARKERS = frozenset({"conda-meta", "urls.txt", ".cache.lock"})
"""What tells an environment (`conda-meta`) and conda's and rattler's package caches, whatever their names are."""


class Target(NamedTuple):
    """A package to work on.

    `below` is its path below the directory that was searched, for `--output-dir`. `searched`: nobody named this file,
    so a `.tar.bz2` may also be a source archive.
    """

    path: str
    below: str
    searched: bool = False


class Found(NamedTuple):
    """What paths stand for, and what was left out: `excluded` entries of searched directories, `unmatched` globs."""

    targets: tuple[Target, ...]
    excluded: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


def find_packages(paths: Iterable[str], *, exclude: Sequence[str] = (), default_excludes: bool = True) -> Found:
    """Return the packages that paths stand for, each file once, in the order of the paths and sorted within each.

    Directories are searched to any depth. Globs are expanded here too, for shells that do not expand them. A file that
    does not exist and a directory that cannot be read are returned as they are: whoever opens them reports the error.

    An `exclude` pattern without a slash is compared with the name of everything below a searched directory, one with a
    slash with the path below it. `default_excludes` leaves out what EXCLUDED_NAMES, EXCLUDED_PREFIXES and MARKERS tell.
    """
    search = _Search(exclude, default_excludes)
    for path in paths:
        search.add(path)
    return search.found()


class _Search:
    def __init__(self, exclude: Sequence[str], default_excludes: bool) -> None:
        self.targets: list[Target] = []
        self.excluded: list[str] = []
        self.unmatched: list[str] = []
        self._exclude = [pattern.replace(os.sep, "/").removeprefix("./") for pattern in exclude]
        self._default_excludes = default_excludes
        self._files: set[tuple[str, str]] = set()
        self._named: set[str] = set()
        self._real: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Add what a path of the command line stands for."""
        if os.path.isdir(path):
            self._named.add(os.path.realpath(path))
            self._walk(path)
        elif os.path.lexists(path) or not is_glob(path):
            # Shells expand output/*/*.tar.bz2 to the sources in output/src_cache, too.
            in_cache = os.path.basename(os.path.dirname(os.path.abspath(path))) == "src_cache"
            self._add_file(path, os.path.basename(path), searched=in_cache)
        else:
            self._add_matches(path)

    def found(self) -> Found:
        """Return everything that was added."""
        excluded = (path for path in dict.fromkeys(self.excluded) if os.path.realpath(path) not in self._named)
        return Found(tuple(self.targets), tuple(excluded), tuple(self.unmatched))

    def _add_matches(self, pattern: str) -> None:
        """Add what a glob matches: packages, and what directories hold."""
        parts = pattern.replace(os.sep, "/").split("/")
        if "**" in parts:
            # glob.glob would follow links that lead back: with two of them in one directory, 2**40 times.
            fixed = next(number for number, part in enumerate(parts) if is_glob(part))
            directory = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
            wanted = _Glob([part for part in parts[fixed:] if part])
            matched = os.path.isdir(directory) and self._walk(directory, wanted)
        else:
            import glob

            found = [path for path in sorted(glob.glob(pattern)) if os.path.isdir(path) or path.endswith(_ENDINGS)]
            for path in found:
                self.add(path)
            matched = bool(found)
        if not matched:
            self.unmatched.append(pattern)

    def _walk(self, root: str, wanted: _Glob | None = None) -> bool:
        """Search a directory; return whether it holds a package that the glob matches, any without one.

        Linked directories come last, so that a package is found under its own path rather than under a link's.
        """
        found = False
        visited: set[object] = set()
        links: list[tuple[str, str]] = []
        pending = [(root, "")]
        while pending or links:
            directory, below = pending.pop() if pending else links.pop(0)
            identity = _identity(directory)
            if identity in visited:
                continue
            visited.add(identity)
            try:
                with os.scandir(directory) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                self._add_file(directory, below or os.path.basename(directory), searched=True)
                found = True
                continue
            if below and self._default_excludes and not MARKERS.isdisjoint(entry.name for entry in listed):
                self.excluded.append(directory)
                continue
            directories: list[tuple[str, str]] = []
            for entry in listed:
                path, inside = os.path.join(directory, entry.name), f"{below}/{entry.name}".lstrip("/")
                is_directory = _is_directory(entry)
                if not _is_wanted(entry.name, inside, wanted, is_directory=is_directory):
                    continue
                linked = is_directory and entry.is_symlink()
                if self._is_excluded(root, path, inside, directory=is_directory) or (
                    linked and self._leads_back(root, path)
                ):
                    self.excluded.append(path)
                elif is_directory:
                    (links if linked else directories).append((path, inside))
                else:
                    self._add_file(path, inside, searched=True)
                    found = True
            pending += reversed(directories)
        return found

    def _add_file(self, path: str, below: str, *, searched: bool) -> None:
        directory, name = os.path.split(path)
        key = self._real_path(directory), name
        if key not in self._files:
            self._files.add(key)
            self.targets.append(Target(path, os.path.normpath(below), searched))

    def _is_excluded(self, root: str, path: str, below: str, *, directory: bool) -> bool:
        """Return whether an entry of a searched directory is left out."""
        names = {os.path.basename(path)}
        if directory and os.path.islink(path):
            names.update(self._real_names(root, path))
        if directory and self._default_excludes:
            if not names.isdisjoint(EXCLUDED_NAMES) or any(name.startswith(EXCLUDED_PREFIXES) for name in names):
                return True
        for pattern in self._exclude:
            if pattern.endswith("/") and not directory:
                continue
            pattern = pattern.rstrip("/")
            if "/" not in pattern:
                if any(fnmatch(name, pattern) for name in names):
                    return True
                continue
            # As seen from the current directory, and below any directory.
            start = os.path.join(os.path.normpath(root), "").replace(os.sep, "/")
            alike = {pattern, pattern.removeprefix("**/"), pattern.removeprefix(start)}
            if any(fnmatch(below, pattern) for pattern in alike):
                return True
        return False

    def _real_names(self, root: str, link: str) -> list[str]:
        """Return the names of the directory that a link leads to, and of those it is in below the searched one."""
        real, start = os.path.realpath(link), os.path.join(self._real_path(root), "")
        return real[len(start) :].split(os.sep) if real.startswith(start) else [os.path.basename(real)]

    def _leads_back(self, root: str, link: str) -> bool:
        """Return whether a link leads to a directory that it is in, below the searched one or above it."""
        real = os.path.join(os.path.realpath(link), "")
        return any(
            os.path.join(self._real_path(inside), "").startswith(real) for inside in (root, os.path.dirname(link))
        )

    def _real_path(self, directory: str) -> str:
        if directory not in self._real:
            self._real[directory] = os.path.realpath(directory or os.curdir)
        return self._real[directory]


def _is_wanted(name: str, below: str, wanted: _Glob | None, *, is_directory: bool) -> bool:
    """Return whether a search goes into a directory, or takes a file, of this name and path below the searched one."""
    if is_directory:
        # What a killed run left. The packages in it have their own names elsewhere.
        return not name.startswith(_TEMPORARY) and (wanted is None or wanted.may_match_below(below.split("/")))
    return name.endswith(_ENDINGS) and (wanted is None or wanted.matches(below.split("/")))


def _identity(directory: str) -> object:
    """Return what a directory has in common with itself under another path."""
    try:
        status = os.stat(directory)
    except OSError:
        return directory
    # Some file systems of Windows have no file numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(directory)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno != errno.ELOOP  # a link that leads to itself; the others are reported when they are opened


def is_glob(path: str) -> bool:
    """Return whether a path, or a part of one, has a sign that matches other characters."""
    return any(sign in path for sign in "*?[")


class _Glob:
    """A glob in which `**` stands for any number of directories, also none.

    It is followed like a finite automaton: a set of positions in the pattern says how far the names so far may have
    come. So the time grows with the pattern times the names, however many `**` there are.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = parts

    def matches(self, names: Sequence[str]) -> bool:
        """Return whether a path, given by its names, or a directory that it is in matches the glob."""
        return len(self._parts) in self._positions(names)

    def may_match_below(self, names: Sequence[str]) -> bool:
        """Return whether something below a directory may match: the search goes nowhere else."""
        return bool(self._positions(names))

    def _positions(self, names: Sequence[str]) -> set[int]:
        positions = self._with_skipped({0})
        for name in names:
            after = {
                # All that is below a directory that matches is wanted; `**` stays for the next name.
                at if at == len(self._parts) or self._parts[at] == "**" else at + 1
                for at in positions
                if at == len(self._parts) or self._parts[at] == "**" or fnmatch(name, self._parts[at])
            }
            positions = self._with_skipped(after)
        return positions

    def _with_skipped(self, positions: set[int]) -> set[int]:
        """Return the positions, and those behind each `**` that may stand for no directory at all."""
        reached = set(positions)
        for at, part in enumerate(self._parts):
            if at in reached and part == "**":
                reached.add(at + 1)
        return reached
