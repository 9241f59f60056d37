"""no-variant: bytecode in a package that has nothing to do with Python."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import (
    fits,
    in_python_tree,
    ships_several_pythons,
    without_source,
)
from ..variant.evidence import index_names_python
from .rule import (
    Findings,
    Rule,
    drop,
    report,
)


def no_variant(contents: Contents, variant: Variant) -> Findings:
    """Cached bytecode in a Python's tree, without its source, in a package whose index names no Python.

    Causes: a Python that ran during the build wrote its cache into the host prefix, and the files were packed although
    the package has nothing to do with Python (conda-forge/gdal-feedstock #1199, prefix-dev/rattler-build #2481).

    Fix: the files are dropped. Outside of a Python's tree, they are reported and kept. Packages that contain the
    sources, or files for several Pythons, keep their bytecode.

    Safe: Python imports cached bytecode only if it finds the source. The package with the source has its own bytecode.

    Prevention: keep Python from writing bytecode during the build.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    # If only info/hash_input.json names a Python, the package was built with one but does not depend on it.
    is_named = variant.kind != "none" and ("version" not in variant.inferred or index_names_python(contents.index))
    if is_named:
        return
    sourceless = list(without_source((file for file in contents.bytecode if file.tag), contents))
    if not sourceless or ships_several_pythons(contents):
        return
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for bytecode in sourceless:
        if not interpreters.imports(bytecode):
            path, tag = bytecode.path, bytecode.tag
            if in_python_tree(path, contents):
                yield drop("no-variant", contents, path, tag)
            elif variant.kind == "none" or fits(tag, variant):  # Otherwise, it is an unknown-variant finding.
                yield report("no-variant", contents, path, tag)


RULE = Rule("no-variant", no_variant, default=True)
