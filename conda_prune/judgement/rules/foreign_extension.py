"""foreign-extension: extension modules of another Python."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import can_judge, own_python
from ..variant.pythons import extension_python, versioned_tree
from .rule import Findings, Rule, drop


def foreign_extension(contents: Contents, variant: Variant) -> Findings:
    """Extension modules of another Python: `m.cpython-310-x86_64-linux-gnu.so` in a package for Python 3.11.

    Causes: a build directory was reused for another variant, or a wheel contains modules for several Pythons.

    Fix: on request, the files are dropped. Modules for the stable ABI (`.abi3.so`) and modules without a Python's
    suffix (`.so`) are kept.

    Safe: a Python imports an extension module only if its name ends with one of that Python's suffixes. Other programs
    may load it by its path, so it is not dropped by default.

    Prevention: build every variant in a clean source directory.

        rattler-build   build: {files: {exclude: ["**/*.cpython-310-*.so"]}}
        pixi            pixi publish --clean
        conda-build     remove the source's build/ directory in build/script before building
    """
    own = own_python(variant)
    if own is None:
        return
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for path in contents.files:
        python = extension_python(path)
        if python is not None and can_judge(variant, path):
            is_threading_known = "threading" not in variant.inferred or versioned_tree(path) is not None
            differs_in_threading = is_threading_known and {own.free_threaded, python.free_threaded} == {True, False}
            if python[:3] != own[:3] or differs_in_threading:
                if not interpreters.is_around(path, python.version):
                    yield drop("foreign-extension", contents, path, f"of {python}")


RULE = Rule("foreign-extension", foreign_extension, default=False)
