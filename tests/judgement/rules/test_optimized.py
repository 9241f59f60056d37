"""Bytecode compiled with -O is dropped on request."""

from __future__ import annotations

import pytest

from ..builders import SITE, Case, check_case, in_cache


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_only_optimized_bytecode_with_its_source_is_dropped(python: str) -> None:
    keeps = [
        in_cache(SITE, "a.cpython-311.pyc"),
        "lib/python2.7/only.pyo",
        in_cache(SITE, "a.cpython-311.opt-1.pyc.7"),
        in_cache("opt/lib/python3.9", "os.cpython-39.opt-1.pyc"),
        "lib/python2.7/a.py",
    ]
    drops = [
        in_cache(SITE, "a.cpython-311.opt-1.pyc"),
        in_cache(SITE, "a.cpython-311.opt-2.pyc"),
        "lib/python2.7/a.pyo",
        in_cache(SITE, "a.cpython-34.pyo"),
    ]
    check_case("optimized", Case(python, keeps, drops))
