"""The rules about other Pythons' trees: `lib/python3.10` in a package for Python 3.11, at its root or deeper.

At the root the package's own Python never looks there, unless a symbolic link, a `.pth` file or a free-threaded
Python's second site-packages leads there: what is reachable stays. Deeper down, another program may look there, so that
is reported.

Most packages have no such tree, so what decides about one is imported when it is met: a check of a small package takes
twice as long as `import click`, and may not take longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model import (
    Action,
    FileKind,
    Finding,
    Variant,
)
from ..contents import Contents
from ..locations import (
    foreign_tree_of,
    interpreters_in,
    nested_tree_of,
    own_python,
    tree_version,
)

Rows = Iterator[Finding]


def foreign_path(contents: Contents, variant: Variant) -> Rows:
    """Bytecode under another Python's tree: `lib/python3.10/**` in a package for Python 3.11, whatever its tag.

    Causes: one build directory or host prefix served several variants, and what the earlier ones installed was packed
    with the later ones (prefix-dev/pixi #4878).

    Fix: the files are dropped. Sources and other files of that tree stay; `--extend-select foreign-tree` drops them
    too. A free-threaded Python also imports from `lib/python3.13/site-packages`: what its own directory does not shadow
    is reported and stays.

    Safe: Python 3.11 never looks below `lib/python3.10`. A tree that a symbolic link or a `.pth` file of the package
    leads to is kept, and so is one that holds a whole interpreter.

    Prevention: build every variant in a directory of its own, leave the other trees out by name, or end the build's
    script with `conda-prune prefix --fix`.

        rattler-build   build: {files: {exclude: ["lib/python3.10/**"]}}
        pixi            use pixi 0.60 or later, which does so; after an older one, once: pixi publish --clean
        conda-build     build: {script: [..., conda-prune prefix --fix]}
    """
    for path, tree, is_imported in _below_foreign_trees(
        contents, variant, ((file.path, file.tag) for file in contents.bytecode)
    ):
        if is_imported:
            detail = f"{tree}/site-packages, which Python {own_python(variant)} also searches"
            yield Finding("foreign-path", path, contents.size(path), detail)
        else:
            yield Finding("foreign-path", path, contents.size(path), tree, Action.DROP)


def foreign_tree(contents: Contents, variant: Variant) -> Rows:
    """Files other than bytecode under another Python's tree: sources, data, extension modules and `.dist-info`.

    Causes: those of foreign-path; these files are what its bytecode leaves behind.

    Fix: on request, the rest of the tree is dropped.

    Safe: the package's Python never imports from that tree. A program may still read files there by name, which is why
    this is no default.

    Prevention: as for foreign-path.
    """
    bytecode = {parsed.path for parsed in contents.bytecode}
    others = ((path, "") for path in contents.files if path not in bytecode)
    for path, tree, is_imported in _below_foreign_trees(contents, variant, others):
        if not is_imported:
            yield Finding("foreign-tree", path, contents.size(path), tree, Action.DROP)


def nested_path(contents: Contents, variant: Variant) -> Rows:
    """Bytecode under another Python's tree in another install prefix: `opt/ros/humble/lib/python3.10/**` in a package
    for Python 3.11, with no interpreter there.

    Causes: those of foreign-path, in a package that installs below a directory of its own, or into `Library` on
    Windows; or the tree is meant for a program that brings its Python from elsewhere.

    Fix: it is reported; on request, the files are dropped. Trees that hold a whole interpreter are `embedded`.

    Safe: Python 3.11 imports nothing from there unless a program puts the directory on its path, and even then nothing
    with another tag. A program with a Python of its own may, which is why this is no default.

    Prevention: as for foreign-path.
    """
    nested = [
        (bytecode, tree)
        for bytecode in contents.bytecode
        if (tree := nested_tree_of(bytecode.path, contents, variant)) is not None
        and foreign_tree_of(bytecode.path, contents, variant) is None
    ]
    if not nested:
        return
    from ..reachability import Reachability

    interpreters, reachability = interpreters_in(contents, variant), Reachability(contents, variant)
    for bytecode, tree in nested:
        path = bytecode.path
        if interpreters.contains(path, bytecode.tag) or interpreters.is_named(path, tree_version(tree)):
            continue
        if not reachability.reaches(path, tree):
            yield Finding("nested-path", path, contents.size(path), tree, Action.DROP)


def _below_foreign_trees(
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
    from ..reachability import Reachability
    from ..shadowing import Shadows

    interpreters, reachability = interpreters_in(contents, variant), Reachability(contents, variant)
    shadows = Shadows(contents, variant)
    for path, tag, tree in foreign:
        if not interpreters.contains(path, tag) and not reachability.reaches(path, tree):
            yield path, tree, shadows.is_importable(path)
