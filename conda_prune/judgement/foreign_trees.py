"""The trees of other Pythons at the package's root: `lib/python3.10` in a package for Python 3.11.

The package's own Python never looks there, unless a symbolic link, a `.pth` file or a free-threaded Python's second
site-packages leads there: files that are reachable are kept.

Most packages have no such tree. The modules that judge one are imported when one is found, since most of the time of a
check is spent on starting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import FileKind, Variant
from .contents import Contents
from .locations import foreign_tree_of


def below_foreign_trees(
    contents: Contents, variant: Variant, candidates: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, bool]]:
    """Yield each path in another Python's tree, that tree, and whether a free-threaded Python imports the file anyway.

    Trees that belong to an interpreter in the package, or that a link or a `.pth` file leads to, are left out. The
    candidates are paths with their cache tags.
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
