"""embedded: bytecode of an interpreter that the package contains."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import foreign_tags
from .rule import Findings, Rule, report


def embedded(contents: Contents, variant: Variant) -> Findings:
    """Bytecode of an interpreter that the package contains, as in blender or a bundled application.

    Causes: the package ships a Python of its own. It is recognized by the files that CPython itself looks for (`os.py`
    next to `encodings/`, `pyvenv.cfg`, `python3*.dll`, `python*._pth`), or by a directory's name.

    Fix: nothing. The files are never dropped, since that interpreter imports them.

    Prevention: there is nothing to prevent.
    """
    if variant.kind not in ("exact", "any", "none"):
        return
    foreign = foreign_tags(contents, variant)
    if candidates := [file for file in contents.bytecode if file.tag in foreign] if foreign else []:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        for bytecode in candidates:
            if interpreters.imports(bytecode):
                yield report("embedded", contents, bytecode.path, bytecode.tag, quiet=True)


RULE = Rule("embedded", embedded, default=True)
