"""optimized: bytecode compiled with -O."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, drop


def optimized(contents: Contents, variant: Variant) -> Findings:
    """Bytecode compiled with -O: `.opt-1`, `.opt-2` and the `.pyo` files of old Pythons.

    Causes: something compiled all levels (`python -m compileall -o 0 -o 1 -o 2`), or ran with PYTHONOPTIMIZE.

    Fix: on request, the files are dropped. A `.pyo` without its source is kept, and so are those of embedded
    interpreters.

    Safe: only `python -O` imports them, and it compiles the source again. That takes time at every start if it
    cannot write, which is why this is not a default.

    Prevention: compile level 0 only, as conda-build and rattler-build do.

        rattler-build   build: {files: {exclude: ["**/*.opt-*.pyc"]}}
        pixi            [package.build.config] env = { PYTHONOPTIMIZE = "" }
        conda-build     nothing to do: it drops them by itself
    """
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for bytecode in contents.bytecode:
        if bytecode.optimized and not bytecode.leftover and not interpreters.imports(bytecode):
            if bytecode.cached or has_source(bytecode, contents):
                yield drop("optimized", contents, bytecode.path, bytecode.optimized)


RULE = Rule("optimized", optimized, default=False)
