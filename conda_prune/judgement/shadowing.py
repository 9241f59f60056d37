"""Decides what a free-threaded Python imports from `lib/pythonX.Y/site-packages`: all modules that are not shadowed.

The free-threaded python of conda-forge and Anaconda adds that directory to `sys.path`, after its own
`lib/pythonX.Yt/site-packages`, by `conda-site.pth` (python-feedstock, recipe/build_base.sh). It does so because older
installers and build tools (rattler-build before #2700, conda-build #5563) put packages there. So a module there is
imported unless importlib finds one of that name in the Python's own directory first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from ..model import Variant
from .contents import Contents
from .links import directories

_SITE = re.compile(r"lib(?:64)?/(python\d\.\d{1,2}t?)/site-packages/", re.ASCII)
_MODULES = frozenset({"py", "pyc", "pyw", "so", "pyd"})
_METADATA = (".dist-info", ".egg-info")


class Shadows:
    """The modules in a free-threaded Python's own directory that shadow modules in the other one.

    `_own` and `_other` are trees, such as `python3.13t` and `python3.13`; `_other` is empty if the package's Python is
    not a free-threaded one. The modules are searched for on first use.
    """

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        threaded = (tree for tree in variant.trees or () if tree.startswith("python") and tree.endswith("t"))
        self._own = next(threaded, "")
        self._other = self._own[:-1] if self._own[:-1] not in (variant.trees or ()) else ""

    def is_importable(self, path: str) -> bool:
        """Return whether a file is in the other directory and nothing in the Python's own one shadows its module."""
        match = _SITE.match(path) if self._other else None
        return match is not None and match[1] == self._other and not self._is_shadowed(path[match.end() :])

    def _is_shadowed(self, path: str) -> bool:
        """Return whether importlib finds another module first. The path starts at site-packages.

        importlib searches for each package on the way, from the outside in. A module or regular package (one with an
        `__init__`) of that name in the Python's own directory shadows everything below. A directory without `__init__`
        is a portion of a namespace package and shadows nothing (PEP 420), so the search goes on inside it.
        """
        *packages, name = path.split("/")
        if packages and packages[-1] == "__pycache__":
            packages.pop()
        prefix = ""
        for package in packages:
            parent = prefix + package
            if parent in self._modules or f"{parent}/__init__" in self._modules:
                return True
            if parent not in self._directories:
                return False
            if package.endswith(_METADATA):
                return True  # importlib.metadata also takes the first distribution of a name.
            if parent in self._packages:
                return False  # importlib prefers a regular package to a namespace package that comes earlier.
            prefix = f"{parent}/"
        module = prefix + name.partition(".")[0]
        return module in self._modules or f"{module}/__init__" in self._modules

    @cached_property
    def _modules(self) -> frozenset[str]:
        """The modules in the Python's own directory, as paths without extensions: `p/__init__`, `p/m`."""
        return frozenset(_modules(self._below(self._own)))

    @cached_property
    def _directories(self) -> frozenset[str]:
        """The directories in the Python's own directory."""
        return frozenset(directories(self._below(self._own)))

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The regular packages in the other directory."""
        modules = _modules(self._below(self._other))
        return frozenset(path.removesuffix("/__init__") for path in modules if path.endswith("/__init__"))

    def _below(self, tree: str) -> Iterator[str]:
        """Yield the files below a tree's site-packages, as paths that start there."""
        for path in self._contents.files:
            match = _SITE.match(path)
            if match and match[1] == tree:
                yield path[match.end() :]


def _modules(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        directory, slash, name = path.rpartition("/")
        if name.rpartition(".")[2] in _MODULES and not directory.endswith("__pycache__"):
            yield f"{directory}{slash}{name.partition('.')[0]}"
