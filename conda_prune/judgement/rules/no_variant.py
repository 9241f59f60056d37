"""no-variant: bytecode in a package that has nothing to do with Python."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import fits, in_python_tree, ships_several, without_source
from ..variant.evidence import index_names_python
from .rule import Findings, Rule, drop, report


def no_variant(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode in a Python's tree, in a package whose index names no Python and that does not ship the source.

    Causes: a Python that ran during the build of a package that has nothing to do with Python wrote its cache into the
    prefix that was packed (conda-forge/gdal-feedstock #1199, prefix-dev/rattler-build #2481).

    Fix: the files are dropped. Outside of a Python's tree, they are reported and kept. Packages that ship the sources,
    or files for several Pythons, keep their bytecode.

    Safe: Python imports cached bytecode only by way of its source. The package that owns the module brings its own.

    Prevention: keep Python from writing bytecode while the package is built.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    # A Python that only info/hash_input.json names took part in the build; the package does not ask for one.
    unnamed = variant.kind == "none" or ("version" in variant.inferred and not index_names_python(contents.index))
    if not unnamed or ships_several(contents):
        return
    lonely = list(without_source((found for found in contents.bytecode if found.tag), contents))
    if not lonely:
        return
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for bytecode in lonely:
        if not interpreters.imports(bytecode):
            path, tag = bytecode.path, bytecode.tag
            if in_python_tree(path, contents):
                yield drop("no-variant", contents, path, tag)
            elif variant.kind == "none" or fits(tag, variant):  # Otherwise it is an unknown-variant.
                yield report("no-variant", contents, path, tag)


RULE = Rule("no-variant", no_variant, default=True)
