"""noarch-bytecode: bytecode in a package that works with any Python."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, drop


def noarch_bytecode(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode in a package that works with any Python (noarch python, or the stable ABI), next to its source.

    Causes: the package was made by another tool than conda-build and rattler-build, which leave bytecode out, or it was
    repacked from a package for one platform.

    Fix: the files are dropped. Bytecode without its source is kept: it may be the module.

    Safe: installers compile the sources of such packages for the Python of the environment (CEP 20), which would ignore
    all tags but its own.

    Prevention: leave compiling to the installer.

        rattler-build   build: {noarch: python} or {python: {version_independent: true}} drops bytecode by itself
        pixi            [package.build.config] noarch = true, or abi3 = true
        conda-build     build: {noarch: python} drops bytecode by itself
    """
    if variant.kind != "any":
        return
    if cached := [found for found in contents.bytecode if found.tag and has_source(found, contents)]:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        for bytecode in cached:
            if not interpreters.imports(bytecode):
                yield drop("noarch-bytecode", contents, bytecode.path, bytecode.tag)


RULE = Rule("noarch-bytecode", noarch_bytecode, default=True)
