"""How the package's own Python gets into a directory that is not on its path: symbolic links."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from ..model import Variant
from .contents import Contents
from .links import parents, trail
from .places import foreign_tree_of, nested_tree_of, root_tree


class Roads:
    """The roads into other Pythons' trees, looked for when the first file is asked about."""

    def __init__(self, contents: Contents, variant: Variant) -> None:
        self._contents = contents
        self._variant = variant

    def lead_to(self, path: str, tree: str) -> bool:
        """Return whether a link leads to a directory around a path, so that the path has a name outside of the foreign
        tree that it is in. Behind `lib64 -> lib`, another Python's tree is still one.
        """
        return bool(self._links) and any(
            self._is_outside(link + path[len(parent) :], tree)
            for parent in parents(path)
            for link in self._links.get(parent, ())
        )

    def _is_outside(self, path: str, tree: str) -> bool:
        if foreign_tree_of(path, self._contents, self._variant) is not None:
            return False
        is_root = root_tree(f"{tree}/", self._contents) is not None
        return is_root or nested_tree_of(path, self._contents, self._variant) is None

    @cached_property
    def _links(self) -> Mapping[str, list[str]]:
        """What symbolic links outside other Pythons' trees lead to, each with the links, as paths in the package."""
        leading: dict[str, list[str]] = {}
        for path, file in self._contents.links.items():
            if file.link and foreign_tree_of(path, self._contents, self._variant) is None:
                for passed in trail(self._contents.files, path):
                    if passed != path:
                        leading.setdefault(passed, []).append(path)
        return leading
