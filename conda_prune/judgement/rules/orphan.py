"""orphan: cached bytecode whose source is not in the package."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import decides, fits, without_source
from .rule import Findings, Rule, drop


def orphan(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode with the right tag whose source is not in the package.

    Causes: bytecode of a dependency was compiled during the build, and packed with the package (conda/conda-build
    #718).

    Fix: on request, the files are dropped.

    Safe: Python never imports cached bytecode without its source. If another package has that source, this file is its
    cache, which is why this is not a default.

    Prevention: keep Python from writing bytecode while the build runs other packages' code.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    if variant.kind == "exact":
        own = (found for found in contents.bytecode if found.tag and fits(found.tag, variant))
        for bytecode in without_source((found for found in own if decides(variant, found.path)), contents):
            yield drop("orphan", contents, bytecode.path, f"no {bytecode.source}")


RULE = Rule("orphan", orphan, default=False)
