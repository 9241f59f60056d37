"""misnamed: bytecode whose magic number contradicts its name."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import header_of
from ..variant.pythons import tag_python
from .rule import Findings, Rule, report


def misnamed(contents: Contents, variant: Variant) -> Findings:
    """Bytecode whose magic number belongs to another Python than its name says.

    Causes: bytecode was renamed or overwritten, or the Python was patched to write another tag.

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
                yield report("misnamed", contents, bytecode.path, detail)


RULE = Rule("misnamed", misnamed, default=True)
