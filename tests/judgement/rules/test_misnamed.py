"""Bytecode whose magic number contradicts its cache tag is reported."""

from __future__ import annotations

import pytest

from conda_prune.model import Action

from ..builders import MAGIC_310, MAGIC_311, SITE, UNKNOWN_MAGIC, contents_with, findings_of, in_cache, pyc_head


@pytest.mark.parametrize(
    ("name", "raw", "reported"),
    [
        pytest.param("a.cpython-311.pyc", pyc_head(MAGIC_311), False, id="agreement"),
        pytest.param("a.cpython-311.pyc", pyc_head(UNKNOWN_MAGIC), False, id="unknown-number"),
        pytest.param("a.cpython-311.pyc", b"", False, id="empty"),
        pytest.param("a.cpython-311.pyc.123", pyc_head(MAGIC_310), False, id="leftover"),
        pytest.param("a.pyc", pyc_head(MAGIC_310), False, id="no-tag"),
        pytest.param("a.rustpython-01.pyc", pyc_head(MAGIC_310), False, id="no-version"),
        pytest.param("a.graalpy241-311.pyc", pyc_head(21290), False, id="graalpy"),
        pytest.param("a.cpython-311.pyc", pyc_head(MAGIC_310), True, id="another-minor-version"),
        pytest.param("a.cpython-39.pyc", pyc_head(336), True, id="another-implementation"),
        pytest.param("a.cpython-311.opt-1.pyc", pyc_head(MAGIC_310), True, id="optimized"),
    ],
)
def test_only_a_known_other_magic_number_is_reported(name: str, raw: bytes, reported: bool) -> None:
    path = in_cache(SITE, name)
    findings = findings_of("misnamed", "3.11", contents_with(f"{SITE}/a.py", heads={path: raw}))
    assert [finding.path for finding in findings] == ([path] if reported else [])
    assert all(finding.action is Action.REPORT for finding in findings)
