"""nested-path: bytecode in another Python's tree inside another install prefix."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import foreign_tree_of, nested_tree_of, tree_version
from .rule import Findings, Rule, drop


def nested_path(contents: Contents, variant: Variant) -> Findings:
    """Bytecode under another Python's tree in another install prefix: `opt/ros/humble/lib/python3.10/**` in a package
    for Python 3.11, with no interpreter there.

    Causes: the same as for foreign-path, in a package that installs into a directory of its own, or into `Library` on
    Windows. Or the tree is meant for a program that uses a Python from elsewhere.

    Fix: the files are reported, and dropped on request. Trees that hold a whole interpreter are `embedded`.

    Safe: Python 3.11 imports from there only if a program adds the directory to `sys.path`, and even then it ignores
    files with another tag. A program with another Python may import them, so they are not dropped by default.

    Prevention: the same as for foreign-path.
    """
    if variant.kind != "exact":
        return
    nested = [
        (bytecode, tree)
        for bytecode in contents.bytecode
        if (tree := nested_tree_of(bytecode.path, contents, variant)) is not None
        and foreign_tree_of(bytecode.path, contents, variant) is None
    ]
    if not nested:
        return
    from ..interpreters import Interpreters
    from ..reachability import Reachability

    interpreters, reachability = Interpreters(contents, variant), Reachability(contents, variant)
    for bytecode, tree in nested:
        path = bytecode.path
        if interpreters.contains(path, bytecode.tag) or interpreters.is_named(path, tree_version(tree)):
            continue
        if not reachability.reaches(path, tree):
            yield drop("nested-path", contents, path, tree)


RULE = Rule("nested-path", nested_path, default=True, on_request=True, needs_pth=True, preposition="under")
