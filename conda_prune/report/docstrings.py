"""Reads docstrings that users see, also where Python has none: `python -OO` and PYTHONOPTIMIZE=2 strip them.

What a kind means and what a command does is written once, as the docstring of its function. Without docstrings, it is
read from the source. Only an installation without sources has neither.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def docstring_of(function: Callable[..., Any]) -> str:
    """Return the docstring of a module's function, without its indentation; empty where there is none."""
    text = function.__doc__ or _written(function.__module__).get(function.__name__, "")
    return inspect.cleandoc(text)


@cache
def _written(module: str) -> dict[str, str]:
    """Return the docstrings in a module's source, by function."""
    read = getattr(getattr(sys.modules[module].__spec__, "loader", None), "get_source", None)
    source = read(module) if read is not None else None
    functions = [node for node in ast.parse(source or "").body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions}
