"""How the package's own Python reaches a directory that is not on its path: by symbolic links and `.pth` files.

`site` reads the `.pth` files of every site-packages directory when Python starts, and puts each line's directory on
`sys.path` (`site.addpackage`). What such a line leads to is importable, no matter in which tree it is. Lines that start
with `import` are code, and are never run.
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
_MANY = 100
"""Links to one directory that are tried for each file in it."""
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
    """What leads into other Pythons' trees. It is searched for when the first question is asked."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        self._variant = variant
        self._around: dict[tuple[str, str], bool] = {}

    def reaches(self, path: str, tree: str) -> bool:
        """Return whether a symbolic link or a `.pth` file makes a file in a foreign tree reachable from outside.

        If a `.pth` file of the payload is too large to be read, every file is.
        """
        return self._is_linked(path, tree) or self._is_on_path(path, tree)

    def _is_linked(self, path: str, tree: str) -> bool:
        """Return whether a link leads to a directory around a path, so that the path has a name outside of such trees.

        Behind `lib64 -> lib`, another Python's tree is still one. If thousands of links lead to a directory, they are
        not tried for each of its files, which would be quadratic. Outside the tree, the name behind the link depends
        only on the end of the tree's name. Inside the tree, many links count as reaching the file, so it is kept.
        """
        for parent in parents(path) if self._links else ():
            links = self._links.get(parent, ())
            if len(parent) < len(tree):
                if links and self._is_linked_around(parent, tree):
                    return True
            elif len(links) > _MANY or any(self._is_outside(link + path[len(parent) :], tree) for link in links):
                return True
        return False

    def _is_linked_around(self, parent: str, tree: str) -> bool:
        """Return whether a link to a directory around a tree gives the tree a name that is not another Python's."""
        end = "/".join(tree[len(parent) + 1 :].split("/")[-2:])  # `python3.10`, or `lib/python3.10`
        is_linked = self._around.get((parent, end))
        if is_linked is None:
            is_linked = any(self._is_outside(f"{link}/{end}/", tree) for link in self._links[parent])
            self._around[parent, end] = is_linked
        return is_linked

    def _is_outside(self, path: str, tree: str) -> bool:
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
        """The paths that symbolic links outside other Pythons' trees lead to, each with these links."""
        leading: dict[str, list[str]] = {}
        for path, file in self._contents.links.items():
            if file.link and foreign_tree_of(path, self._contents, self._variant) is None:
                for passed in self._contents.symlinks.resolve_chain(path):
                    if passed != path:
                        leading.setdefault(passed, []).append(path)
        return leading

    @cached_property
    def _entries(self) -> frozenset[str] | None:
        """The directories that `.pth` files put on the path; None if the content of one was not kept."""
        entries: set[str] = set()
        for path in pth_files(self._contents, self._variant):
            if self._contents.complete:
                contents = self._contents
                if contents.members:
                    file = opened_file(contents.members, path, contents.member_symlinks)
                else:
                    file = opened_file(contents.files, path, contents.symlinks)
                if file is None or file.whole is None:
                    return None
                entries |= set(self._lines(path, file.whole))
        return frozenset(entries)

    def _lines(self, path: str, raw: bytes) -> Iterator[str]:
        """Yield the directories that one `.pth` file names, as paths in the package."""
        for line in raw.decode("utf-8-sig", "surrogateescape").splitlines():
            line = line.rstrip()
            if not line or line.startswith(("#", "import ", "import\t")):
                continue
            target = self._in_package(path, line)
            if target is not None:
                target = self._contents.symlinks.resolve_chain(target)[-1]
                yield target.lower() if self._contents.is_windows else target

    def _in_package(self, path: str, line: str) -> str | None:
        """Return the directory that a line names, as a path in the package, or None if it is outside."""
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
            same = line[: len(prefix)].lower() == prefix.lower()
        else:
            same = line.startswith(prefix)
        rest = line[len(prefix) :]
        return _normalized(rest) if same and (rest[:1] in ("", "/") or prefix.endswith("/")) else None


def _normalized(path: str) -> str | None:
    """Normalize a path as os.path.abspath does, from the package's root. Return None if it is above the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
