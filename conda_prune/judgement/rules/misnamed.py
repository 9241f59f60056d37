"""misnamed: bytecode whose magic number contradicts its name."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import header_of
from ..variant.pythons import tag_python
from .rule import Findings, Rule, report


def misnamed(contents: Contents, variant: Variant) -> Findings:
    """Bytecode whose magic number and cache tag belong to different Pythons.

    Causes: the file was renamed or overwritten, or the Python was patched to use another tag.

    Fix: nothing. Python ignores the file and compiles the source again.

    Prevention: compile with the Python that will import the files.
    """
    for bytecode in contents.bytecode if contents.complete else ():
        known = header_of(bytecode, contents) if bytecode.tag and not bytecode.leftover else None
        named = tag_python(bytecode.tag) if known is not None else None
        if named is not None and known is not None:
            header, writer = known
            if (writer.implementation, writer.version) != (named.implementation, named.version):
                detail = f"its magic number {header.magic} is {writer.implementation} {writer.major}.{writer.minor}'s"
                yield report("misnamed", contents, bytecode.path, detail)


RULE = Rule("misnamed", misnamed, default=True)
