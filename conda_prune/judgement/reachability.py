"""Finds the directories of other Pythons' trees that the package's own Python can still import from.

There are two ways. A symbolic link may give a directory another name. And when Python starts, `site` reads the `.pth`
files in site-packages and adds the directory on each line to `sys.path` (`site.addpackage`), no matter in which tree it
is. Lines that start with `import` are code: they are ignored here, and never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from ..model import Variant
from .contents import Contents
from .links import opened_file, parents
from .locations import foreign_tree_of, nested_tree_of, root_tree

_SITE = re.compile(r"(?:lib(?:64)?/[^/]+|Lib)/(?:site|dist)-packages/[^/]+\.pth", re.ASCII)
_SITE_WINDOWS = re.compile(_SITE.pattern, re.ASCII | re.IGNORECASE)
_MOST_LINKS = 100
"""How many links to one directory are tried for each file in it. If there are more, all of the files are kept."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/", re.ASCII)


def pth_files(contents: Contents, variant: Variant) -> list[str]:
    """Return the `.pth` files that the package's own Python reads when it starts."""
    pattern = _SITE_WINDOWS if contents.is_windows else _SITE
    return [
        path
        for path in contents.files
        if path.endswith(".pth")
        and pattern.fullmatch(path)
        and foreign_tree_of(path, contents, variant) is None
        and contents.files[path].size != 0
    ]


class Reachability:
    """The links and `.pth` files of one package that lead into other Pythons' trees. They are read on first use."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        self._variant = variant
        self._links_around: dict[tuple[str, str], bool] = {}

    def reaches(self, path: str, tree: str) -> bool:
        """Return whether a symbolic link or a `.pth` file makes a file in another Python's tree importable.

        If a `.pth` file of the payload was too large to be read, this is true for every file.
        """
        return self._is_linked(path, tree) or self._is_on_path(path, tree)

    def _is_linked(self, path: str, tree: str) -> bool:
        """Return whether a link to a directory around a file gives it a path that is in no other Python's tree.

        The link `lib64 -> lib` does not: `lib64/python3.10/m.py` is in another Python's tree as well.

        Thousands of links may lead to one directory. Trying all of them for each of its files would take quadratic
        time. For a directory around the tree, the answer is the same for all files and is remembered. For one inside
        the tree, more than _MOST_LINKS count as reaching the file, so it is kept.
        """
        for parent in parents(path) if self._links else ():
            links = self._links.get(parent, ())
            if len(parent) < len(tree):
                if links and self._is_tree_linked(parent, tree):
                    return True
            elif len(links) > _MOST_LINKS or any(self._is_outside(link + path[len(parent) :], tree) for link in links):
                return True
        return False

    def _is_tree_linked(self, parent: str, tree: str) -> bool:
        """Return whether a link to a directory around a tree gives it a path outside other Pythons' trees."""
        end = "/".join(tree[len(parent) + 1 :].split("/")[-2:])  # `python3.10` or `lib/python3.10`
        is_linked = self._links_around.get((parent, end))
        if is_linked is None:
            is_linked = any(self._is_outside(f"{link}/{end}/", tree) for link in self._links[parent])
            self._links_around[parent, end] = is_linked
        return is_linked

    def _is_outside(self, path: str, tree: str) -> bool:
        """Return whether a path that a link gives to a file of a tree is in no other Python's tree.

        If the tree is at the package's root, paths in another install prefix count as outside, since a program there
        may use them.
        """
        if foreign_tree_of(path, self._contents, self._variant) is not None:
            return False
        is_root = root_tree(f"{tree}/", self._contents) is not None
        return is_root or nested_tree_of(path, self._contents, self._variant) is None

    def _is_on_path(self, path: str, tree: str) -> bool:
        if self._entries is None:
            return True
        if not self._entries:
            return False
        if self._contents.is_windows:
            path = path.lower()
        return any(parent in self._entries for parent in parents(path) if len(parent) >= len(tree))

    @cached_property
    def _links(self) -> Mapping[str, list[str]]:
        """The paths that symbolic links lead to, each with these links. Links in other Pythons' trees do not count."""
        links: dict[str, list[str]] = {}
        for path, file in self._contents.links.items():
            if file.link and foreign_tree_of(path, self._contents, self._variant) is None:
                for passed in self._contents.symlinks.resolve_chain(path):
                    if passed != path:
                        links.setdefault(passed, []).append(path)
        return links

    @cached_property
    def _entries(self) -> frozenset[str] | None:
        """The directories that `.pth` files add to `sys.path`; None if the content of one was not kept.

        It is empty if only the metadata was read.
        """
        contents = self._contents
        if not contents.complete:
            return frozenset()
        entries: set[str] = set()
        for path in pth_files(contents, self._variant):
            if contents.members:
                file = opened_file(contents.members, path, contents.member_symlinks)
            else:
                file = opened_file(contents.files, path, contents.symlinks)
            if file is None or file.whole is None:
                return None
            entries |= set(self._lines(path, file.whole))
        return frozenset(entries)

    def _lines(self, path: str, raw: bytes) -> Iterator[str]:
        """Yield the directories that a `.pth` file names, as paths in the package, with links resolved."""
        for line in raw.decode("utf-8-sig", "surrogateescape").splitlines():
            line = line.rstrip()
            if not line or line.startswith(("#", "import ", "import\t")):
                continue
            target = self._in_package(path, line)
            if target is not None:
                target = self._contents.symlinks.resolve_chain(target)[-1]
                yield target.lower() if self._contents.is_windows else target

    def _in_package(self, path: str, line: str) -> str | None:
        """Return the directory that a line of the file `path` names, as a path in the package, or None if outside.

        Relative lines start at the file's directory. Absolute ones must be below the build prefix recorded for the
        file, or below the environment that the files are in.
        """
        windows = self._contents.is_windows
        if windows:
            line = line.replace("\\", "/")
        if not (_ABSOLUTE.match(line) if windows else line.startswith("/")):
            return _normalized(f"{path.rpartition('/')[0]}/{line}")
        prefix = self._contents.placeholder(path) or self._contents.prefix
        if not prefix:
            return None
        if windows:
            prefix = prefix.replace("\\", "/")
            is_below = line[: len(prefix)].lower() == prefix.lower()
        else:
            is_below = line.startswith(prefix)
        rest = line[len(prefix) :]
        return _normalized(rest) if is_below and (rest[:1] in ("", "/") or prefix.endswith("/")) else None


def _normalized(path: str) -> str | None:
    """Return a path from the package's root without `.`, `..` and repeated `/`; None if it leads above the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
