"""The trees of other Pythons at the package's root: `lib/python3.10` in a package for Python 3.11.

The package's own Python never looks there, unless a symbolic link, a `.pth` file or a free-threaded Python's second
site-packages leads there: what is reachable stays.

Most packages have no such tree, so what decides about one is imported when it is met: a check of a small package is
hardly more than a start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import FileKind, Variant
from .contents import Contents
from .locations import foreign_tree_of


def below_foreign_trees(
    contents: Contents, variant: Variant, candidates: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, bool]]:
    """Yield each path that is in another Python's tree with that tree, unless the tree belongs to an interpreter in the
    package, or something leads there; and whether a free-threaded Python imports it all the same. The candidates are
    paths with their tags.
    """
    if variant.kind != "exact":
        return
    foreign = [
        (path, tag, tree)
        for path, tag in candidates
        if (tree := foreign_tree_of(path, contents, variant)) is not None
        and contents.files[path].kind is not FileKind.DIRECTORY
    ]
    if not foreign:
        return
    from .interpreters import Interpreters
    from .reachability import Reachability
    from .shadowing import Shadows

    interpreters, reachability = Interpreters(contents, variant), Reachability(contents, variant)
    shadows = Shadows(contents, variant)
    for path, tag, tree in foreign:
        if not interpreters.contains(path, tag) and not reachability.reaches(path, tree):
            yield path, tree, shadows.is_importable(path)
