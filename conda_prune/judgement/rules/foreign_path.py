"""foreign-path: bytecode in another Python's tree at the package's root."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..foreign_trees import below_foreign_trees, outside_own_trees
from ..locations import own_python
from .rule import (
    Findings,
    Rule,
    drop,
    report,
)


def foreign_path(contents: Contents, variant: Variant) -> Findings:
    """Bytecode under another Python's tree: `lib/python3.10/**` in a package for Python 3.11, with any cache tag.

    Causes: several variants were built in one build directory or host prefix, and the files that an earlier one
    installed were packed with a later one (prefix-dev/pixi #4878).

    Fix: the files are dropped. Sources and other files in that tree are kept, unless you use
    `--extend-select foreign-tree`. A free-threaded Python 3.13 also imports from `lib/python3.13/site-packages`: files
    there are reported and kept, unless its own directory has a module of that name.

    Safe: Python 3.11 never searches `lib/python3.10`. The tree is kept if a symbolic link or a `.pth` file in the
    package leads to it, or if it holds a whole interpreter.

    Prevention: build every variant in its own directory, exclude the other trees by name, or end the build script
    with `conda-prune prefix --fix`.

        rattler-build   build: {files: {exclude: ["lib/python3.10/**"]}}
        pixi            pixi 0.60 or later; when you upgrade, run pixi publish --clean
        conda-build     build: {script: [..., conda-prune prefix --fix]}
    """
    tags = {file.path: file.tag for file in contents.bytecode}
    outside = outside_own_trees(contents, variant, tags)
    for path, tree, is_imported in below_foreign_trees(contents, variant, ((path, tags[path]) for path in outside)):
        if is_imported:
            detail = f"{tree}/site-packages, which Python {own_python(variant)} also searches"
            yield report("foreign-path", contents, path, detail)
        else:
            yield drop("foreign-path", contents, path, tree)


RULE = Rule("foreign-path", foreign_path, default=True, needs_pth=True, preposition="under")
