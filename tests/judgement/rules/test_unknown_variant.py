"""Bytecode is reported if the package's Python is not known, or not certain enough to judge it."""

from __future__ import annotations

import pytest

from conda_prune.model import Action, Fact, Variant

from ..builders import (
    DEFAULT,
    DISTUTILS_HACK,
    SITE,
    SITE310,
    contents_with,
    findings_of,
    in_cache,
    inferred_variant,
    paths_found,
)


def test_all_bytecode_is_reported_and_none_dropped() -> None:
    unknown = Variant("unknown", "3.10 to 3.12")
    contents = contents_with(
        f"{SITE}/a.py", in_cache(SITE, "a.cpython-310.pyc"), f"{SITE310}/b.pyc", DISTUTILS_HACK, f"{SITE}/c.so"
    )
    for kind in DEFAULT:
        assert not findings_of(kind, unknown, contents)
    reported = findings_of("unknown-variant", unknown, contents)
    assert {finding.path for finding in reported} == {parsed.path for parsed in contents.bytecode}
    assert all(finding.action is Action.REPORT and not finding.quiet for finding in reported)
    for python in ("3.11", "any", "none"):
        assert not findings_of("unknown-variant", python, contents)


OUTSIDE = (
    in_cache("share/tool", "run.cpython-310.pyc"),
    in_cache("Lib/site-packages", "w.cpython-310.pyc"),
    in_cache("site-packages", "s.cpython-310.pyc"),
    in_cache("lib/python/site-packages", "p.cpython-310.pyc"),
    in_cache("opt/ros/lib/python3.11/site-packages", "o.cpython-310.pyc"),
)


@pytest.mark.parametrize("fact", ["version", "implementation"])
def test_an_inferred_python_judges_versioned_trees_only(fact: Fact) -> None:
    inferred = inferred_variant("3.11", fact)
    inside = [in_cache(SITE, "a.cpython-310.pyc"), in_cache("lib64/python3.11", "b.cpython-310.pyc")]
    contents = contents_with(*OUTSIDE, *inside)
    assert paths_found("foreign-tag", inferred, contents) == set(inside)
    assert paths_found("unknown-variant", inferred, contents) == set(OUTSIDE)
    assert paths_found("foreign-tag", "3.11", contents) == {*OUTSIDE, *inside}, (
        "a Python that is known judges all files"
    )
