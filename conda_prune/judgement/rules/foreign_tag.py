"""foreign-tag: bytecode of another interpreter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model import Variant
from ..bytecode import Bytecode, Header
from ..contents import Contents
from ..locations import (
    can_judge,
    foreign_tags,
    header_of,
    is_legacy,
    own_python,
)
from ..variant.pythons import Magic, Python
from .rule import Findings, Rule, drop


def foreign_tag(contents: Contents, variant: Variant) -> Findings:
    """Bytecode of another interpreter: `__pycache__/m.cpython-310.pyc` in a package for Python 3.11.

    An untagged `m.pyc` counts if it is next to `m.py` and its magic number belongs to another Python.

    Causes: the Python of the build environment compiled modules that the host environment's Python imports; a source
    archive or wheel contained a `__pycache__`; or an earlier variant's files were left in the tree.

    Fix: the files are dropped. Bytecode of an interpreter that the package contains (`embedded`) and test data are
    kept.

    Safe: a Python imports from `__pycache__` only files with its own tag (PEP 3147). Python 3 ignores an `m.pyc` next
    to its source, and Python 2 ignores one with another magic number.

    Prevention: compile with the host environment's Python, and keep `__pycache__` out of source archives.

        rattler-build   build: {files: {exclude: ["**/*.cpython-310.pyc"]}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     list python in requirements/host only; build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    own = own_python(variant)
    if own is None:
        return
    judged = contents.bytecode
    if variant.inferred:
        judged = tuple(bytecode for bytecode in judged if can_judge(variant, bytecode.path))
    foreign = foreign_tags(contents, variant)
    tagged = [bytecode for bytecode in judged if bytecode.tag in foreign] if foreign else []
    legacy = list(_foreign_legacy((bytecode for bytecode in judged if not bytecode.tag), contents, own))
    if not (tagged or legacy):
        return
    from ..interpreters import Interpreters

    interpreters = Interpreters(contents, variant)
    for bytecode in tagged:
        if not (interpreters.imports(bytecode) or interpreters.is_nested_tree_of(bytecode)):
            yield drop("foreign-tag", contents, bytecode.path, bytecode.tag)
    for bytecode, header, writer in legacy:
        if not interpreters.is_around(bytecode.path, writer.version):
            detail = f"magic number {header.magic} of {writer.implementation} {writer.major}.{writer.minor}"
            yield drop("foreign-tag", contents, bytecode.path, detail)


def _foreign_legacy(
    untagged: Iterable[Bytecode], contents: Contents, own: Python
) -> Iterator[tuple[Bytecode, Header, Magic]]:
    """Yield the bytecode next to its source that another Python wrote, with its header and that Python."""
    for bytecode in untagged:
        if is_legacy(bytecode, contents) and (known := header_of(bytecode, contents)) is not None:
            header, writer = known
            if (writer.implementation, writer.version) != (own.implementation, own.version):
                yield bytecode, header, writer


RULE = Rule("foreign-tag", foreign_tag, default=True, needs_headers=True)
