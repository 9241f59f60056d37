"""embedded: bytecode of an interpreter inside the package."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import fits
from .rule import Findings, Rule, report


def embedded(contents: Contents, variant: Variant) -> Findings:
    """Bytecode of an interpreter inside the package, such as blender or a bundled application has.

    Causes: the package brings its own Python: a directory holds the files by which CPython recognizes an installation
    (`os.py` next to `encodings/`, `pyvenv.cfg`, `python3*.dll`, `python*._pth`), or its name says so.

    Fix: it is never dropped: that interpreter imports it.

    Prevention: none needed.
    """
    if variant.kind not in ("exact", "any", "none"):
        return
    if foreign := [found for found in contents.bytecode if found.tag and not fits(found.tag, variant)]:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        for bytecode in foreign:
            if interpreters.imports(bytecode):
                yield report("embedded", contents, bytecode.path, bytecode.tag, quiet=True)


RULE = Rule("embedded", embedded, default=True)
