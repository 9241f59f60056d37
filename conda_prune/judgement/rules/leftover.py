"""leftover: temporary files of interrupted bytecode writes."""

from __future__ import annotations

from ...model import Variant
from ..contents import Contents
from ..locations import has_source
from .rule import Findings, Rule, drop


def leftover(contents: Contents, variant: Variant) -> Findings:
    """The temporary file of an interrupted bytecode write: `m.cpython-311.pyc.140234567890`.

    Causes: Python was killed while it wrote bytecode, or several processes wrote the same file (pybind11 #5838).

    Fix: on request, the files are dropped.

    Safe: no Python reads a file with such a name. Other tools may number their files like this, so they are not dropped
    by default.

    Prevention: compile once, after everything is installed; the build tools do this by themselves. Set
    PYTHONDONTWRITEBYTECODE=1 for tests that run during the build.
    """
    for bytecode in contents.bytecode:
        if bytecode.leftover and (bytecode.cached or has_source(bytecode, contents)):
            yield drop("leftover", contents, bytecode.path, "interrupted write")


RULE = Rule("leftover", leftover, default=False)
