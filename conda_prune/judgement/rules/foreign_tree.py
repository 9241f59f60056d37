"""foreign-tree: files other than bytecode in another Python's tree."""

from __future__ import annotations

from collections.abc import Callable

from ...model import Remainder, Variant
from ...quantities import plural, size_text
from ..contents import Contents
from ..foreign_trees import below_foreign_trees, outside_own_trees
from .rule import Findings, Rule, drop


def foreign_tree(contents: Contents, variant: Variant) -> Findings:
    """Files other than bytecode under another Python's tree: sources, data, extension modules and `.dist-info`.

    Causes: the same as for foreign-path. These are the files that remain after the bytecode was dropped.

    Fix: on request, they are dropped.

    Safe: the package's Python never imports from that tree. A program may still open files there by their paths, so
    they are not dropped by default.

    Prevention: the same as for foreign-path.
    """
    outside = outside_own_trees(contents, variant, contents.files)
    if not outside:
        return
    bytecode = {parsed.path for parsed in contents.bytecode}
    others = ((path, "") for path in outside if path not in bytecode)
    for path, tree, is_imported in below_foreign_trees(contents, variant, others):
        if not is_imported:
            yield drop("foreign-tree", contents, path, tree)


def remainder(contents: Contents, variant: Variant, keeps: Callable[[str], bool]) -> Remainder | None:
    """Return how much of other Pythons' trees remains in a package, or None if nothing does."""
    remaining = [finding for finding in foreign_tree(contents, variant) if not keeps(finding.path)]
    if not remaining:
        return None
    files, size = len(remaining), sum(finding.size for finding in remaining)
    return Remainder("foreign-tree", files, size, f"{_remains(files, size)}: --extend-select foreign-tree")


def remains(files: int, size: int) -> str:
    """Return a sentence on how much of other Pythons' trees remains in all packages of a run."""
    return f"{_remains(files, size)}: use --extend-select foreign-tree to drop {'it' if files == 1 else 'them'}"


def _remains(files: int, size: int) -> str:
    verb = "remains" if files == 1 else "remain"
    return f"{plural(files, 'file')} of another Python's tree {verb} ({size_text(size)})"


RULE = Rule(
    "foreign-tree",
    foreign_tree,
    default=False,
    needs_pth=True,
    remainder=remainder,
    remains=remains,
    preposition="under",
)
