"""Finds files in other Pythons' trees at the package's root, such as `lib/python3.10` in a package for Python 3.11.

The package's own Python does not import from there, with three exceptions, and files that it can reach are kept: a
symbolic link or a `.pth` file may lead there, and a free-threaded Python also searches `lib/pythonX.Y/site-packages`.

Most packages have no such tree, and most of the time of a check is spent on imports. So the modules that judge a tree
are imported only if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import FileKind, Variant
from .contents import Contents
from .locations import foreign_tree_of


def outside_own_trees(contents: Contents, variant: Variant, paths: Iterable[str]) -> list[str]:
    """Return the paths that may be in another Python's tree: a quick test that most paths fail."""
    if variant.kind != "exact" or variant.trees is None:
        return []
    own = tuple(f"{lib}/{tree}/" for lib in ("lib", "lib64") for tree in variant.trees)
    start = "" if contents.is_windows else "lib"
    return [path for path in paths if path.startswith(start) and not path.startswith(own)]


def below_foreign_trees(
    contents: Contents, variant: Variant, candidates: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, bool]]:
    """Yield each path in another Python's tree, that tree, and whether a free-threaded Python imports the file anyway.

    `candidates` are paths with their cache tags, which may be empty. Left out are files of an interpreter in the
    package, and files that a symbolic link or a `.pth` file makes reachable.
    """
    if variant.kind != "exact" or variant.trees is None:
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
