"""Bytecode of an interpreter that the package contains is reported quietly and never dropped."""

from __future__ import annotations

import pytest

from conda_prune.model import Action

from ..builders import SITE, contents_with, findings_of, in_cache


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_only_bytecode_of_an_interpreter_inside_is_reported_quietly(python: str) -> None:
    inside = in_cache("opt/app/lib/python3.9", "os.cpython-39.pyc")
    contents = contents_with(inside, in_cache(SITE, "a.cpython-311.pyc"), in_cache(SITE, "a.cpython-310.pyc"))
    (finding,) = findings_of("embedded", python, contents)
    assert (finding.path, finding.action, finding.quiet) == (inside, Action.REPORT, True)
