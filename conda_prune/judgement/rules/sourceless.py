"""sourceless: modules that consist of bytecode only."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, report


def sourceless(contents: Contents, variant: Variant) -> Findings:
    """A module without its source: `m.pyc` with no `m.py` next to it.

    Causes: the package ships only compiled code, often on purpose (prefix-dev/rattler-build #1191).

    Fix: nothing. Outside of other Pythons' trees, such a file is never dropped: it is the only copy of the module, and
    Python imports it.

    Prevention: there is nothing to prevent.
    """
    for bytecode in contents.bytecode:
        if not bytecode.cached and not bytecode.leftover and not has_source(bytecode, contents):
            yield report("sourceless", contents, bytecode.path, quiet=True)


RULE = Rule("sourceless", sourceless, default=True)
