"""Cached bytecode of the package's own Python without its source is dropped on request."""

from __future__ import annotations

import pytest

from ..builders import SITE, Case, case, check_case, contents_with, findings_of, in_cache, inferred_variant


@pytest.mark.parametrize(
    "case",
    [
        case("with-its-source", "3.11", keeps=[f"{SITE}/a.py", in_cache(SITE, "a.cpython-311.pyc")]),
        case("with-a-pyw", "3.11", keeps=["Lib/a.pyw", in_cache("Lib", "a.cpython-311.pyc")]),
        case("with-a-source-of-another-language", "3.11", keeps=[f"{SITE}/m.hy", in_cache(SITE, "m.cpython-311.pyc")]),
        case(
            "next-to-an-extension-module", "3.11", keeps=[f"{SITE}/m.so"], drops=[in_cache(SITE, "m.cpython-311.pyc")]
        ),
        case("another-tag-belongs-to-foreign-tag", "3.11", keeps=[in_cache(SITE, "a.cpython-310.pyc")]),
        case("sourceless-modules", "3.11", keeps=[f"{SITE}/a.pyc"]),
        case("any-python", "any", keeps=[in_cache("site-packages", "a.cpython-311.pyc")]),
        case("no-python", "none", keeps=[in_cache(SITE, "a.cpython-311.pyc")]),
        case(
            "conda-build-718",
            "3.11",
            keeps=[f"{SITE}/b.py"],
            drops=[in_cache(SITE, "a.cpython-311.pyc"), in_cache("bin", "b.cpython-311.pyc")],
        ),
    ],
)
def test_only_own_bytecode_without_its_source_is_dropped(case: Case) -> None:
    check_case("orphan", case)


def test_an_inferred_python_judges_bytecode_in_versioned_trees_only() -> None:
    inferred = inferred_variant("3.11", "version")
    contents = contents_with(in_cache(SITE, "a.cpython-311.pyc"), in_cache("share/tool", "b.cpython-311.pyc"))
    assert [finding.path for finding in findings_of("orphan", inferred, contents)] == [
        in_cache(SITE, "a.cpython-311.pyc")
    ]
