"""Interpreters inside a package, other than the one that it is for: they import their own bytecode, so it is kept.

A whole interpreter is recognized by its landmarks, and nothing below it is foreign. If only the name of a directory
says which Python reads it (`cv2/python-3.10`), bytecode that agrees with the name is kept. A tree with the bytecode of
several Pythons is not an interpreter's: that is what builds of several variants leave in one directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple

from ..model import Variant
from .bytecode import Bytecode
from .contents import Contents
from .links import parents
from .locations import nested_tree_of, own_python, root_tree
from .variant.pythons import Version, known_version, tag_python

_NAMED = re.compile(
    r"(?:cpython|python|pypy|graalpy|py|cp)(?:[-_]core)?[-_]?(\d)\.?(\d{1,2})t?(?:[.-].*)?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_EMBEDDED = re.compile(r"python\d*[-_.]?embed[-\w]*", re.ASCII | re.IGNORECASE)
_TREE = re.compile(r"(?:python|pypy)\d\.\d{1,2}t?", re.ASCII | re.IGNORECASE)
_PREFIX = re.compile(r"(?:cpython|python|pypy|graalpy)\d?", re.ASCII | re.IGNORECASE)
_STANDARD_LIBRARIES = {"graalpy": "lib/graalpy", "pypy": "lib-python/"}
"""Where other implementations keep the standard library, apart from `lib/pypyX.Y`."""
_ANY = (0, 0)
"""The version of a name that states none: `python_embeded`."""


class Name(NamedTuple):
    """A directory whose name says which Python reads it.

    `version` is None for a number that no Python has. `is_tree`: the directory is `PREFIX/lib/pythonX.Y`.
    `is_certain`: it is not such a tree, which an earlier variant leaves in any install prefix; or PREFIX is named after
    an interpreter, too.
    """

    root: str
    version: Version | None
    is_tree: bool
    is_certain: bool


class Interpreters:
    """The interpreters inside one package. They are searched for when the first question is asked."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        self._variant = variant
        own = own_python(variant)
        self._own = own[:3] if own is not None else None
        self._around: dict[str, tuple[str, ...]] = {}

    def contains(self, path: str, tag: str = "") -> bool:
        """Return whether a file is below a whole interpreter.

        If the bytecode of several Pythons is there, only that counts whose tag agrees with the landmarks.
        """
        if not self._roots:
            return False
        python = tag_python(tag) if tag else None
        for root in self._roots_around(path[: path.rfind("/") + 1]):
            if self._is_single(root) or (python is not None and python.version in self._stated(root)):
                return True
        return False

    def imports(self, bytecode: Bytecode) -> bool:
        """Return whether an interpreter inside the package imports the file: it is below one, or in a directory whose
        name says the Python that its tag says.
        """
        if self.contains(bytecode.path, bytecode.tag):
            return True
        if not bytecode.tag:
            return False
        python = tag_python(bytecode.tag)
        return self._is_named(bytecode.directory, python.version if python is not None else None)

    def is_nested_tree_of(self, bytecode: Bytecode) -> bool:
        """Return whether the file is below a `lib/pythonX.Y` of another install prefix, and its tag agrees with it."""
        python = tag_python(bytecode.tag)
        names = self._all_names(bytecode.directory)
        return any(name.is_tree and (python is None or name.version == python.version) for name in names)

    def is_around(self, path: str, version: Version) -> bool:
        """Return whether a file is below a whole interpreter, or in a directory that is named after one of this
        version, no matter what else it holds.
        """
        directory = path[: path.rfind("/") + 1]
        names = self._all_names(directory)
        return self.contains(path) or any(name.version in (version, _ANY) for name in names)

    def is_named(self, path: str, version: Version | None) -> bool:
        """Return whether a directory around a file is named after an interpreter of this version, and holds the
        bytecode of only one Python. In a package for one Python, `lib/pythonX.Y` is not such a name.
        """
        return self._is_named(path[: path.rfind("/") + 1], version)

    def _is_named(self, directory: str, version: Version | None) -> bool:
        return any(
            len(self._pythons.get(name.root, ())) <= 1
            for name in self._names(directory)
            if version is None or name.version in (version, _ANY)
        )

    def _names(self, directory: str) -> Iterator[Name]:
        """Yield the surrounding directories whose names are evidence for this variant."""
        is_exact = self._variant.kind == "exact"
        return (name for name in self._all_names(directory) if name.is_certain or not is_exact)

    def _all_names(self, directory: str) -> tuple[Name, ...]:
        return names_around(directory, root_tree(directory, self._contents) is not None)

    def _is_single(self, root: str) -> bool:
        """Return whether one Python's bytecode at most is below an interpreter's root.

        Build tools compile every source they find for the package's own Python, which proves nothing. But its bytecode
        in `PREFIX/lib/pythonX.Y` is what earlier variants leave, and stays without being an interpreter's.
        """
        pythons = self._pythons.get(root, set())
        return len(pythons if self._is_nested(root) else pythons - {self._own}) <= 1

    def _stated(self, root: str) -> frozenset[Version]:
        """Return the versions that a root's landmarks state; `lib/pythonX.Y` by itself is no landmark."""
        return frozenset() if self._is_nested(root) else self._roots[root]

    def _is_nested(self, root: str) -> bool:
        return nested_tree_of(f"{root}/", self._contents, self._variant) == root

    @cached_property
    def _roots(self) -> Mapping[str, frozenset[Version]]:
        found = self._contents.interpreters
        return {root: versions for root, versions in found.items() if not self._is_own(root)}

    def _is_own(self, root: str) -> bool:
        """Return whether the package's own Python imports from below a directory: then it is not another one."""
        if self._variant.kind != "exact":
            return False
        trees = [f"lib/{tree}" for tree in (*(self._variant.trees or ()), "python")]
        own = ["Lib", *trees, *(tree.replace("lib/", "lib64/", 1) for tree in trees)]
        if self._own is not None and root.startswith(_STANDARD_LIBRARIES.get(self._own[0], "/")):
            return True
        if self._contents.is_windows:
            root, own = root.lower(), [path.lower() for path in own]
        return any(path == root or path.startswith(f"{root}/") for path in own)

    def _roots_around(self, directory: str) -> tuple[str, ...]:
        """Return the interpreters' roots that a directory, ending with `/`, is below or equal to."""
        around = self._around.get(directory)
        if around is None:
            around = tuple(parent for parent in parents(directory) if parent in self._roots)
            self._around[directory] = around
        return around

    @cached_property
    def _pythons(self) -> Mapping[str, set[object]]:
        """The Pythons whose tags are below each root, and below each directory with an interpreter's name."""
        below: dict[str, set[object]] = {}
        for bytecode in self._contents.bytecode:
            if bytecode.tag:
                python = tag_python(bytecode.tag)
                identity = python[:3] if python is not None else bytecode.tag
                names = self._all_names(bytecode.directory)
                roots = self._roots_around(bytecode.directory) if self._roots else ()
                for root in {*roots, *(name.root for name in names)}:
                    below.setdefault(root, set()).add(identity)
        return below


@lru_cache(maxsize=1024)
def names_around(directory: str, is_below_tree: bool) -> tuple[Name, ...]:
    """Return the directories on a path that ends with `/` which are named after an interpreter.

    Of several with one version, the outermost counts. `is_below_tree`: the directory is in a Python's tree at the
    package's root, which names no interpreter.
    """
    parts = directory.split("/")
    found: dict[tuple[Version | None, bool, bool], Name] = {}
    end = 0
    for at, part in enumerate(parts[:-1]):
        end += len(part) + 1
        if at < 2 and is_below_tree:
            continue
        match = _NAMED.fullmatch(part)
        if match:
            version = known_version(match[1], match[2])
        elif _EMBEDDED.fullmatch(part):
            version = _ANY
        else:
            continue
        is_tree = at >= 2 and parts[at - 1].lower() in ("lib", "lib64") and _TREE.fullmatch(part) is not None
        is_certain = not is_tree or _PREFIX.fullmatch(parts[at - 2]) is not None
        if (version, is_tree, is_certain) not in found:
            found[version, is_tree, is_certain] = Name(directory[: end - 1], version, is_tree, is_certain)
    return tuple(found.values())
