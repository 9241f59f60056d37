"""optimized: bytecode compiled with -O."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, drop


def optimized(contents: Contents, variant: Variant) -> Findings:
    """Bytecode compiled with -O: `.opt-1`, `.opt-2` and the `.pyo` files of old Pythons.

    Causes: all levels were compiled (`python -m compileall -o 0 -o 1 -o 2`), or PYTHONOPTIMIZE was set.

    Fix: on request, the files are dropped. A `.pyo` without its source is kept, and so are the files of an interpreter
    that the package contains.

    Safe: only `python -O` imports them, and it can compile the source again. If it cannot write the result, this takes
    time at every start, so they are not dropped by default.

    Prevention: compile only level 0, as conda-build and rattler-build do.

        rattler-build   build: {files: {exclude: ["**/*.opt-*.pyc"]}}
        pixi            [package.build.config] env = { PYTHONOPTIMIZE = "" }
        conda-build     nothing to do: it leaves them out
    """
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for bytecode in contents.bytecode:
        if bytecode.optimized and not bytecode.leftover and not interpreters.imports(bytecode):
            if bytecode.cached or has_source(bytecode, contents):
                yield drop("optimized", contents, bytecode.path, bytecode.optimized)


RULE = Rule("optimized", optimized, default=False)
