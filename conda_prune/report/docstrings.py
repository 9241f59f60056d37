"""Reads the docstrings that users see, even when Python has stripped them (`python -OO`, PYTHONOPTIMIZE=2).

The meaning of a kind and the help of a command are written once, as the docstring of a function. If Python stripped it,
it is read from the source file. Only an installation without source files has neither.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def docstring_of(function: Callable[..., Any]) -> str:
    """Return the docstring of a module-level function, without its indentation; empty if it has none."""
    text = function.__doc__ or _docstrings_in_source(function.__module__).get(function.__name__, "")
    return inspect.cleandoc(text)


@cache
def _docstrings_in_source(module: str) -> dict[str, str]:
    """Return the docstrings in a module's source file, by function name."""
    get_source = getattr(getattr(sys.modules[module].__spec__, "loader", None), "get_source", None)
    source = get_source(module) if get_source is not None else None
    functions = [node for node in ast.parse(source or "").body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions}
