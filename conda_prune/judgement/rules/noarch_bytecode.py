"""noarch-bytecode: bytecode in a package that works with any Python."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, drop


def noarch_bytecode(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode in a package that works with any Python (noarch python, or the stable ABI), next to its source.

    Causes: the package was not made by conda-build or rattler-build, which leave bytecode out, or it was repacked from
    a package for one platform.

    Fix: the files are dropped. Bytecode without its source is kept, since it may be the only copy of the module.

    Safe: installers compile the sources of such a package for the Python of the environment (CEP 20). That Python
    ignores files with another tag.

    Prevention: leave compiling to the installer.

        rattler-build   build: {noarch: python} or {python: {version_independent: true}} leaves bytecode out
        pixi            [package.build.config] noarch = true, or abi3 = true
        conda-build     build: {noarch: python} leaves bytecode out
    """
    if variant.kind != "any":
        return
    if cached := [file for file in contents.bytecode if file.tag and has_source(file, contents)]:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        for bytecode in cached:
            if not interpreters.imports(bytecode):
                yield drop("noarch-bytecode", contents, bytecode.path, bytecode.tag)


RULE = Rule("noarch-bytecode", noarch_bytecode, default=True)
