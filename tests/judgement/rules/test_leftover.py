"""Temporary files of interrupted bytecode writes are dropped on request."""

from __future__ import annotations

import pytest

from ..builders import SITE, Case, check_case, in_cache


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_only_numbered_copies_of_bytecode_are_dropped(python: str) -> None:
    keeps = [in_cache(SITE, "a.cpython-311.pyc"), f"{SITE}/data.pyc.2024", f"{SITE}/a.pyc.bak", f"{SITE}/b.py"]
    drops = [in_cache(SITE, "a.cpython-311.pyc.140234567890"), in_cache(SITE, "a.pyc.1"), f"{SITE}/b.pyc.12"]
    check_case("leftover", Case(python, keeps, drops))
