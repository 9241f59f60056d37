"""A package for any Python loses cached bytecode whose source it contains."""

from __future__ import annotations

import pytest

from ..builders import Case, case, check_case, in_cache


@pytest.mark.parametrize(
    "case",
    [
        case("another-package", "3.11", keeps=["site-packages/a.py", in_cache("site-packages", "a.cpython-311.pyc")]),
        case("no-python", "none", keeps=["site-packages/a.py", in_cache("site-packages", "a.cpython-311.pyc")]),
        case("without-its-source", "any", keeps=[in_cache("site-packages", "a.cpython-311.pyc"), "site-packages/b.py"]),
        case("sourceless-modules", "any", keeps=["site-packages/a.pyc"]),
        case("untagged-next-to-its-source", "any", keeps=["site-packages/a.py", "site-packages/a.pyc"]),
        case("untagged", "any", keeps=["site-packages/a.py", in_cache("site-packages", "a.pyc")]),
        case(
            "an-interpreter-inside-the-package",
            "any",
            keeps=["site-packages/python3.9/os.py", in_cache("site-packages/python3.9", "os.cpython-39.pyc")],
        ),
        case(
            "any-tag-next-to-its-source",
            "any",
            keeps=["site-packages/a.py"],
            drops=[
                in_cache("site-packages", "a.cpython-311.pyc"),
                in_cache("site-packages", "a.pypy39.pyc"),
                in_cache("site-packages", "a.cpython-312.opt-1.pyc"),
                in_cache("site-packages", "a.cpython-312-pytest-8.0.0.pyc"),
            ],
        ),
        case(
            "outside-site-packages",
            "any",
            keeps=["python-scripts/a.py"],
            drops=[in_cache("python-scripts", "a.cpython-311.pyc")],
        ),
        case(
            "next-to-a-source-of-another-language",
            "any",
            keeps=["site-packages/a.hy", in_cache("site-packages", "a.cpython-311.pyc")],
        ),
        case(
            "next-to-a-pyw",
            "any",
            keeps=["site-packages/a.pyw"],
            drops=[in_cache("site-packages", "a.cpython-311.pyc")],
        ),
    ],
)
def test_only_cached_bytecode_with_its_source_is_dropped(case: Case) -> None:
    check_case("noarch-bytecode", case)
