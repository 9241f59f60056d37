"""The rules that only report: what they find is nothing's fault, or nothing that could be repaired here.

They stand apart from those that act, so that a reader sees at once what can never change a package.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Action, Finding, Variant
from ..bytecode import Bytecode
from ..contents import Contents
from ..locations import (
    decides,
    fits,
    has_source,
    header_of,
    interpreters_in,
)
from ..variant.pythons import tag_python

Rows = Iterator[Finding]


def unknown_variant(contents: Contents, variant: Variant) -> Rows:
    """There is bytecode, but which Python imports it is not known.

    Causes: the dependencies allow several Pythons. If the record of the build names one (info/hash_input.json, the
    recipe, the build string), files in versioned trees such as `lib/python3.11` are judged by it. Others are not: the
    package may be installed with another Python, which imports them.

    Fix: nothing is done. `--python 3.11` says what the package is for.

    Prevention: depend on one Python, as the run exports of conda-forge's python do for packages that are not noarch.

        rattler-build   requirements: {host: [python], run: [python]}, without ignore_run_exports for python
        pixi            [package.host-dependencies] python = "3.11.*"
        conda-build     requirements: {host: [python], run: [python]}, without ignore_run_exports for python
    """
    undecided = contents.bytecode if variant.kind == "unknown" else list(_undecided(contents, variant))
    for bytecode in undecided:
        yield _report("unknown-variant", contents, bytecode.path, bytecode.tag)


def _undecided(contents: Contents, variant: Variant) -> Iterator[Bytecode]:
    """Yield what another Python than the inferred one may import."""
    foreign = [file for file in contents.bytecode if file.tag and not decides(variant, file.path)]
    foreign = [file for file in foreign if not fits(file.tag, variant)]
    if foreign:
        interpreters = interpreters_in(contents, variant)
        yield from (file for file in foreign if not interpreters.imports(file))


def misnamed(contents: Contents, variant: Variant) -> Rows:
    """The header's magic number belongs to another Python than the name says.

    Causes: bytecode was renamed or copied over, or the Python was patched to write another tag.

    Fix: nothing is done: Python ignores the file and compiles the source again.

    Prevention: let the Python that will import the files write them.
    """
    for bytecode in contents.bytecode:
        said = header_of(bytecode, contents) if bytecode.tag and not bytecode.leftover else None
        named = tag_python(bytecode.tag) if said is not None else None
        if named is not None and said is not None:
            header, row = said
            if (row.implementation, row.version) != (named.implementation, named.version):
                detail = f"its magic number {header.magic} is {row.implementation} {row.major}.{row.minor}'s"
                yield _report("misnamed", contents, bytecode.path, detail)


def sourceless(contents: Contents, variant: Variant) -> Rows:
    """A module without its source: `m.pyc` and no `m.py` beside it.

    Causes: the package ships compiled code only, often on purpose (prefix-dev/rattler-build #1191).

    Fix: it is never dropped outside another Python's tree: it is the only copy of the module, and Python imports it.

    Prevention: none needed.
    """
    for bytecode in contents.bytecode:
        if not bytecode.cached and not bytecode.leftover and not has_source(bytecode, contents):
            yield _report("sourceless", contents, bytecode.path, quiet=True)


def embedded(contents: Contents, variant: Variant) -> Rows:
    """Bytecode of an interpreter inside the package, as blender or a bundled application has one.

    Causes: the package brings its own Python: a directory holds the files by which CPython recognizes an installation
    (`os.py` next to `encodings/`, `pyvenv.cfg`, `python3*.dll`, `python*._pth`), or its name says so.

    Fix: it is never dropped: that interpreter imports it.

    Prevention: none needed.
    """
    if variant.kind not in ("exact", "any", "none"):
        return
    if foreign := [found for found in contents.bytecode if found.tag and not fits(found.tag, variant)]:
        interpreters = interpreters_in(contents, variant)
        for bytecode in foreign:
            if interpreters.imports(bytecode):
                yield _report("embedded", contents, bytecode.path, bytecode.tag, quiet=True)


def _report(kind: str, contents: Contents, path: str, detail: str = "", *, quiet: bool = False) -> Finding:
    return Finding(kind, path, contents.size(path), detail, Action.REPORT, quiet)
