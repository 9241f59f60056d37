"""Finds the interpreters that a package contains, other than the Python that it is for. Their bytecode is kept.

A whole interpreter is recognized by its landmarks, and nothing below it is foreign. If there is only a directory whose
name contains a Python's version (`cv2/python-3.10`), bytecode whose tag agrees with the name is kept. A tree with the
bytecode of several Pythons does not count: builds of several variants in one directory leave such trees behind.

When in doubt, a directory is taken for an interpreter's. Then a stray file may be kept, but no file is lost.
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
"""The version of a name without one: `python_embeded`."""


class Name(NamedTuple):
    """A directory `root` that is named after an interpreter.

    `version` is None for a number that no Python has. `is_tree`: the directory is `PREFIX/lib/pythonX.Y`. An earlier
    variant may have left such a tree in any install prefix, so the name alone proves little. `is_certain`: it is not
    such a tree, or PREFIX is also named after an interpreter.
    """

    root: str
    version: Version | None
    is_tree: bool
    is_certain: bool


class Interpreters:
    """The interpreters in one package. They are searched for on first use."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        self._variant = variant
        own = own_python(variant)
        self._own = own[:3] if own is not None else None
        self._around: dict[str, tuple[str, ...]] = {}

    def contains(self, path: str, tag: str = "") -> bool:
        """Return whether a file is below a whole interpreter.

        If the bytecode of several Pythons is below it, the tag must agree with a version in its landmarks.
        """
        if not self._roots:
            return False
        python = tag_python(tag) if tag else None
        for root in self._roots_around(path[: path.rfind("/") + 1]):
            if self._has_one_python(root) or (python is not None and python.version in self._stated_versions(root)):
                return True
        return False

    def imports(self, bytecode: Bytecode) -> bool:
        """Return whether an interpreter in the package imports the file.

        Either it is below a whole interpreter, or a directory around it is named after the Python in its tag.
        """
        if self.contains(bytecode.path, bytecode.tag):
            return True
        if not bytecode.tag:
            return False
        python = tag_python(bytecode.tag)
        return self._is_named(bytecode.directory, python.version if python is not None else None)

    def is_nested_tree_of(self, bytecode: Bytecode) -> bool:
        """Return whether the file is below `PREFIX/lib/pythonX.Y` of another install prefix and its tag agrees."""
        python = tag_python(bytecode.tag)
        names = self._all_names(bytecode.directory)
        return any(name.is_tree and (python is None or name.version == python.version) for name in names)

    def is_around(self, path: str, version: Version) -> bool:
        """Return whether a file is below a whole interpreter or a directory named after one of this version.

        Unlike in `is_named`, that directory may hold the bytecode of several Pythons.
        """
        directory = path[: path.rfind("/") + 1]
        names = self._all_names(directory)
        return self.contains(path) or any(name.version in (version, _ANY) for name in names)

    def is_named(self, path: str, version: Version | None) -> bool:
        """Return whether a directory around a file is named after an interpreter of this version.

        It must hold the bytecode of one Python at most. In a package for one Python, `lib/pythonX.Y` is not such a
        name.
        """
        return self._is_named(path[: path.rfind("/") + 1], version)

    def _is_named(self, directory: str, version: Version | None) -> bool:
        return any(
            len(self._pythons.get(name.root, ())) <= 1
            for name in self._names(directory)
            if version is None or name.version in (version, _ANY)
        )

    def _names(self, directory: str) -> Iterator[Name]:
        """Yield the directories around a file whose names prove enough in a package of this variant."""
        is_exact = self._variant.kind == "exact"
        return (name for name in self._all_names(directory) if name.is_certain or not is_exact)

    def _all_names(self, directory: str) -> tuple[Name, ...]:
        return names_around(directory, root_tree(directory, self._contents) is not None)

    def _has_one_python(self, root: str) -> bool:
        """Return whether the bytecode of one Python at most is below an interpreter's root.

        The package's own Python does not count, since build tools compile every source that they find for it. It does
        count in `PREFIX/lib/pythonX.Y`: that may be a tree that an earlier variant left. Its files then become
        nested-path findings, which are not dropped by default either.
        """
        pythons = self._pythons.get(root, set())
        return len(pythons if self._is_nested(root) else pythons - {self._own}) <= 1

    def _stated_versions(self, root: str) -> frozenset[Version]:
        """Return the versions that a root's landmarks state. The name `lib/pythonX.Y` alone states nothing."""
        return frozenset() if self._is_nested(root) else self._roots[root]

    def _is_nested(self, root: str) -> bool:
        return nested_tree_of(f"{root}/", self._contents, self._variant) == root

    @cached_property
    def _roots(self) -> Mapping[str, frozenset[Version]]:
        """The directories that hold an interpreter, without those of the package's own Python."""
        roots = self._contents.interpreters
        return {root: versions for root, versions in roots.items() if not self._is_own(root)}

    def _is_own(self, root: str) -> bool:
        """Return whether the package's own Python imports from below a directory."""
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
        """Return the interpreters' roots among a directory and its parents. The directory ends with `/`."""
        around = self._around.get(directory)
        if around is None:
            around = tuple(parent for parent in parents(directory) if parent in self._roots)
            self._around[directory] = around
        return around

    @cached_property
    def _pythons(self) -> Mapping[str, set[object]]:
        """The Pythons that have bytecode below each root and below each directory named after an interpreter.

        A Python is given by its implementation and version, or by its tag if that has no version.
        """
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
    """Return which of a directory and its parents are named after an interpreter. The directory ends with `/`.

    Of several with the same version, only the outermost is returned. `is_below_tree`: the directory is below a
    Python's tree at the package's root, such as `lib/python3.11`; that tree's own name does not count.
    """
    parts = directory.split("/")
    names: dict[tuple[Version | None, bool, bool], Name] = {}
    end = 0
    for index, part in enumerate(parts[:-1]):
        end += len(part) + 1
        if index < 2 and is_below_tree:
            continue
        match = _NAMED.fullmatch(part)
        if match:
            version = known_version(match[1], match[2])
        elif _EMBEDDED.fullmatch(part):
            version = _ANY
        else:
            continue
        is_tree = index >= 2 and parts[index - 1].lower() in ("lib", "lib64") and _TREE.fullmatch(part) is not None
        is_certain = not is_tree or _PREFIX.fullmatch(parts[index - 2]) is not None
        if (version, is_tree, is_certain) not in names:
            names[version, is_tree, is_certain] = Name(directory[: end - 1], version, is_tree, is_certain)
    return tuple(names.values())
