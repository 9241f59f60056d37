"""orphan: cached bytecode whose source is not in the package."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import can_judge, fits, without_source
from .rule import Findings, Rule, drop


def orphan(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode with the right tag whose source is not in the package.

    Causes: a dependency's module was compiled during the build, and its bytecode was packed (conda/conda-build #718).

    Fix: on request, the files are dropped.

    Safe: Python never imports cached bytecode without its source. But the source may be in another package, so the
    files are not dropped by default.

    Prevention: keep Python from writing bytecode while the build runs code of other packages.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    if variant.kind == "exact":
        own = (file for file in contents.bytecode if file.tag and fits(file.tag, variant))
        for bytecode in without_source((file for file in own if can_judge(variant, file.path)), contents):
            yield drop("orphan", contents, bytecode.path, f"no {bytecode.source}")


RULE = Rule("orphan", orphan, default=False)
