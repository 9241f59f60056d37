"""foreign-path: bytecode in another Python's tree at the package's root."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..foreign_trees import below_foreign_trees
from ..locations import own_python
from .rule import Findings, Rule, drop, report


def foreign_path(contents: Contents, variant: Variant) -> Findings:
    """Bytecode under another Python's tree: `lib/python3.10/**` in a package for Python 3.11, whatever its tag.

    Causes: one build directory or host prefix was used for several variants, and what the earlier ones installed was
    packed with the later ones (prefix-dev/pixi #4878).

    Fix: the files are dropped. Sources and other files of that tree are kept, unless `--extend-select foreign-tree` is
    given. A free-threaded Python also imports from `lib/python3.13/site-packages`: what its own directory does not
    shadow is reported and kept.

    Safe: Python 3.11 never looks below `lib/python3.10`. A tree that a symbolic link or a `.pth` file of the package
    leads to is kept, and so is one that holds a whole interpreter.

    Prevention: build every variant in a directory of its own, leave the other trees out by name, or end the build's
    script with `conda-prune prefix --fix`.

        rattler-build   build: {files: {exclude: ["lib/python3.10/**"]}}
        pixi            pixi 0.60 or later does so by itself; after an older one, run once: pixi publish --clean
        conda-build     build: {script: [..., conda-prune prefix --fix]}
    """
    for path, tree, is_imported in below_foreign_trees(
        contents, variant, ((file.path, file.tag) for file in contents.bytecode)
    ):
        if is_imported:
            detail = f"{tree}/site-packages, which Python {own_python(variant)} also searches"
            yield report("foreign-path", contents, path, detail)
        else:
            yield drop("foreign-path", contents, path, tree)


RULE = Rule("foreign-path", foreign_path, default=True, needs_pth=True, place="under")
