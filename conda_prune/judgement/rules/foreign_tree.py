"""foreign-tree: files other than bytecode in another Python's tree."""

from __future__ import annotations

from collections.abc import Callable

from ...model import Variant
from ...quantities import plural, size_text
from ..contents import Contents
from ..foreign_trees import below_foreign_trees
from .rule import Findings, Rule, drop


def foreign_tree(contents: Contents, variant: Variant) -> Findings:
    """Files other than bytecode under another Python's tree: sources, data, extension modules and `.dist-info`.

    Causes: those of foreign-path. These files are what remains when the bytecode is dropped.

    Fix: on request, the rest of the tree is dropped.

    Safe: the package's Python never imports from that tree. A program may still read files there by name, which is why
    this is not a default.

    Prevention: as for foreign-path.
    """
    bytecode = {parsed.path for parsed in contents.bytecode}
    others = ((path, "") for path in contents.files if path not in bytecode)
    for path, tree, is_imported in below_foreign_trees(contents, variant, others):
        if not is_imported:
            yield drop("foreign-tree", contents, path, tree)


def remaining_note(contents: Contents, variant: Variant, keeps: Callable[[str], bool]) -> str:
    """Return how much of other Pythons' trees remains, in words; empty if nothing does."""
    left = [finding for finding in foreign_tree(contents, variant) if not keeps(finding.path)]
    if not left:
        return ""
    files, verb = plural(len(left), "file"), "remains" if len(left) == 1 else "remain"
    size = size_text(sum(finding.size for finding in left))
    return f"{files} of another Python's tree {verb} ({size}): --extend-select foreign-tree"


RULE = Rule("foreign-tree", foreign_tree, default=False, needs_pth=True, note=remaining_note, place="under")
