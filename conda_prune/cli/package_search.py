"""Finds packages: turns the files, directories and globs of a command line into a list of packages.

A search skips directories that belong to other tools, and follows every linked directory once. A path that the user has
named is never skipped: exclusions apply only below a directory that is searched.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from ..model import Format
from ..system import long_path, name_key

_TEMPORARY_PREFIX = ".conda-prune-"
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
"""Names of directories that belong to other tools, and prefixes of such names."""

MARKERS = frozenset({"conda-meta", "urls.txt", ".cache.lock"})
"""Entries by which an environment (`conda-meta`) or a package cache of conda or rattler is recognized."""


class FoundPackage(NamedTuple):
    """A package to work on.

    `below` is its path relative to the directory that was searched, for `--output-dir`. `searched` means that a search
    found it. A `.tar.bz2` that was not named by the user may also be a source archive.
    """

    path: str
    below: str
    searched: bool = False


class SearchResult(NamedTuple):
    """The packages that were found, the entries of directories that were excluded, and the globs without a match."""

    packages: tuple[FoundPackage, ...]
    excluded: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


def find_packages(
    paths: Iterable[str], *, exclude: Sequence[str] = (), default_excludes: bool = True, output_dir: str | None = None
) -> SearchResult:
    """Return the packages that the paths refer to, each file once, in the order of the paths and sorted within each.

    Directories are searched recursively. Globs are expanded for shells that do not expand them. A file that does not
    exist, or a directory that cannot be read, is returned like a package: opening it will report the error.

    An `exclude` pattern without a slash is matched against the name of every entry below a searched directory; one with
    a slash, against the path relative to it. `default_excludes` skips the directories that EXCLUDED_NAMES,
    EXCLUDED_PREFIXES and MARKERS describe. `output_dir` gets the results, so a search does not look for packages there.
    """
    search = _Search(exclude, default_excludes, output_dir)
    for path in paths:
        search.add(path)
    return search.result()


class _Search:
    def __init__(self, exclude: Sequence[str], default_excludes: bool, output_dir: str | None) -> None:
        self.packages: list[FoundPackage] = []
        self.excluded: list[str] = []
        self.unmatched: list[str] = []
        self._exclude = [pattern.replace(os.sep, "/").removeprefix("./") for pattern in exclude]
        self._default_excludes = default_excludes
        self._output_dir = None if output_dir is None else os.path.realpath(output_dir)
        self._files: set[tuple[str, str]] = set()
        self._named: set[str] = set()
        self._real: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Add the packages that a path of the command line refers to."""
        if os.path.isdir(path):
            self._named.add(os.path.realpath(path))
            self._walk(path)
        elif os.path.lexists(path) or not is_glob(path):
            # A shell expands output/*/*.tar.bz2 to source archives in output/src_cache as well.
            in_cache = os.path.basename(os.path.dirname(os.path.abspath(path))) == "src_cache"
            self._add_file(path, os.path.basename(path), searched=in_cache)
        else:
            self._add_matches(path)

    def result(self) -> SearchResult:
        """Return everything that was added."""
        excluded = (path for path in dict.fromkeys(self.excluded) if os.path.realpath(path) not in self._named)
        return SearchResult(tuple(self.packages), tuple(excluded), tuple(self.unmatched))

    def _add_matches(self, pattern: str) -> None:
        """Add the packages that a glob matches, and those in the directories that it matches."""
        drive, rest = os.path.splitdrive(pattern)
        parts = rest.replace(os.sep, "/").split("/")
        if "**" in parts:
            # glob.glob follows links that lead back up. With two of them in a directory, that takes 2**40 steps.
            fixed = next(number for number, part in enumerate(parts) if is_glob(part))
            # With a separator at the end, since `C:` is not the root of a drive, but its current directory.
            directory = drive + "".join(f"{part}{os.sep}" for part in parts[:fixed]) or "."
            wanted = _Glob([part for part in parts[fixed:] if part])
            matched = os.path.isdir(directory) and self._walk(directory, wanted)
        else:
            import glob

            paths = [path for path in sorted(glob.glob(pattern)) if os.path.isdir(path) or path.endswith(_ENDINGS)]
            for path in paths:
                self.add(path)
            matched = bool(paths)
        if not matched:
            self.unmatched.append(pattern)

    def _walk(self, root: str, wanted: _Glob | None = None) -> bool:
        """Search a directory, and return whether it contains a package that `wanted` matches, or any without it.

        Linked directories are searched last, so that a package is found under its real path and not under the path of
        a link.
        """
        has_wanted = False
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
                with os.scandir(long_path(directory)) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                self._add_file(directory, below or os.path.basename(directory), searched=True)
                has_wanted = True
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
                    has_wanted = True
            pending += reversed(directories)
        return has_wanted

    def _add_file(self, path: str, below: str, *, searched: bool) -> None:
        directory, name = os.path.split(path)
        key = self._real_path(directory), name_key(name)
        if key not in self._files:
            self._files.add(key)
            self.packages.append(FoundPackage(path, os.path.normpath(below), searched))

    def _is_excluded(self, root: str, path: str, below: str, *, directory: bool) -> bool:
        """Return whether an entry of a searched directory is excluded."""
        if directory and self._output_dir is not None and os.path.realpath(path) == self._output_dir:
            return True
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
            # A pattern may be relative to the searched directory or to the current one, or start with `**/`.
            start = os.path.join(os.path.normpath(root), "").replace(os.sep, "/")
            spellings = {pattern, pattern.removeprefix("**/"), pattern.removeprefix(start)}
            if any(fnmatch(below, spelling) for spelling in spellings):
                return True
        return False

    def _real_names(self, root: str, link: str) -> list[str]:
        """Return the names on the path of a linked directory below `root`, or only its own name if it is elsewhere."""
        real, start = os.path.realpath(link), os.path.join(self._real_path(root), "")
        return real[len(start) :].split(os.sep) if real.startswith(start) else [os.path.basename(real)]

    def _leads_back(self, root: str, link: str) -> bool:
        """Return whether a link leads to a directory that contains the link."""
        real = os.path.join(os.path.realpath(link), "")
        return any(
            os.path.join(self._real_path(inside), "").startswith(real) for inside in (root, os.path.dirname(link))
        )

    def _real_path(self, directory: str) -> str:
        if directory not in self._real:
            self._real[directory] = os.path.realpath(directory or os.curdir)
        return self._real[directory]


def _is_wanted(name: str, below: str, wanted: _Glob | None, *, is_directory: bool) -> bool:
    """Return whether to search a directory or to add a file, at the path `below` relative to the searched directory."""
    if is_directory:
        # A directory that a killed run left behind is skipped. Its packages still exist under their real names.
        return not name.startswith(_TEMPORARY_PREFIX) and (wanted is None or wanted.may_match_below(below.split("/")))
    return name.endswith(_ENDINGS) and (wanted is None or wanted.matches(below.split("/")))


def _identity(directory: str) -> object:
    """Return a value that is the same for every path of one directory."""
    try:
        status = os.stat(directory)
    except OSError:
        return directory
    # Some file systems on Windows have no inode numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(directory)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        # A link to itself is skipped. Any other error is reported when the entry is opened.
        return error.errno != errno.ELOOP


def is_glob(path: str) -> bool:
    """Return whether a path, or a part of one, has a wildcard."""
    return any(wildcard in path for wildcard in "*?[")


class _Glob:
    """A glob in which `**` matches any number of directories, including none.

    It is matched like a finite automaton: a set of positions in the pattern describes how much of it the names so far
    may have matched. So the time grows with the length of the pattern times the number of names, however many `**` it
    has.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = parts

    def matches(self, names: Sequence[str]) -> bool:
        """Return whether the glob matches a path, given as its parts, or a directory above it."""
        return len(self._parts) in self._positions(names)

    def may_match_below(self, names: Sequence[str]) -> bool:
        """Return whether the glob may match something below a directory. Other directories are not searched."""
        return bool(self._positions(names))

    def _positions(self, names: Sequence[str]) -> set[int]:
        positions = self._with_skipped({0})
        for name in names:
            next_positions = {
                # Everything below a matching directory is wanted, and `**` may also match the next name.
                at if at == len(self._parts) or self._parts[at] == "**" else at + 1
                for at in positions
                if at == len(self._parts) or self._parts[at] == "**" or fnmatch(name, self._parts[at])
            }
            positions = self._with_skipped(next_positions)
        return positions

    def _with_skipped(self, positions: set[int]) -> set[int]:
        """Return the positions, and those after each `**`, which may match no directory at all."""
        reached = set(positions)
        for at, part in enumerate(self._parts):
            if at in reached and part == "**":
                reached.add(at + 1)
        return reached
