"""What a free-threaded Python imports from `lib/pythonX.Y/site-packages`: all that its own directory does not shadow.

conda-forge's and Anaconda's free-threaded python puts that directory on `sys.path`, after its own `lib/pythonX.Yt/
site-packages`, through `conda-site.pth` (python-feedstock, recipe/build_base.sh), because older installers and build
tools (rattler-build before #2700, conda-build #5563) put packages there. So only what importlib finds first in the own
directory keeps a module there from being imported.
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
    """The modules of a free-threaded package that shadow those of the other directory, looked for when needed."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        threaded = (tree for tree in variant.trees or () if tree.startswith("python") and tree.endswith("t"))
        self._own = next(threaded, "")
        self._other = self._own[:-1] if self._own[:-1] not in (variant.trees or ()) else ""

    def is_importable(self, path: str) -> bool:
        """Return whether a file is in the other directory, and nothing in the own one shadows its module."""
        match = _SITE.match(path) if self._other else None
        return match is not None and match[1] == self._other and not self._is_shadowed(path[match.end() :])

    def _is_shadowed(self, path: str) -> bool:
        """Return whether importlib finds another module first, for a path below site-packages."""
        *around, name = path.split("/")
        if around and around[-1] == "__pycache__":
            around.pop()
        here = ""
        for directory in around:
            here += directory
            if here in self._modules or f"{here}/__init__" in self._modules:
                return True
            if here not in self._directories:
                return False
            if directory.endswith(_METADATA):
                return True  # importlib.metadata takes the first of a name, too.
            if here in self._packages:
                return False  # A regular package goes before the portion of a namespace that was found first.
            here += "/"
        module = here + name.partition(".")[0]
        return module in self._modules or f"{module}/__init__" in self._modules

    @cached_property
    def _modules(self) -> frozenset[str]:
        """The module files of the own directory, without their endings: `p/__init__`, `p/m`."""
        return frozenset(_modules(self._below(self._own)))

    @cached_property
    def _directories(self) -> frozenset[str]:
        return frozenset(directories(self._below(self._own)))

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The regular packages of the other directory."""
        modules = _modules(self._below(self._other))
        return frozenset(path.removesuffix("/__init__") for path in modules if path.endswith("/__init__"))

    def _below(self, tree: str) -> Iterator[str]:
        """Yield what is below the site-packages of a tree, as paths from there."""
        for path in self._contents.files:
            match = _SITE.match(path)
            if match and match[1] == tree:
                yield path[match.end() :]


def _modules(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        directory, slash, name = path.rpartition("/")
        if name.rpartition(".")[2] in _MODULES and not directory.endswith("__pycache__"):
            yield f"{directory}{slash}{name.partition('.')[0]}"
