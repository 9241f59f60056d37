"""Bytecode in another Python's tree is dropped, unless the package's own Python can reach it."""

from __future__ import annotations

import pytest

from conda_prune.judgement.contents import Contents
from conda_prune.model import File

from ..builders import SITE, SITE310, Case, case, check_case, contents_with, findings_of, in_cache


@pytest.mark.parametrize(
    "case",
    [
        case("nothing", "3.11"),
        case("own-tree-with-any-tag", "3.11", keeps=[in_cache(SITE, "a.cpython-310.pyc"), f"{SITE}/a.pyc"]),
        case(
            "unversioned-trees",
            "3.11",
            keeps=[
                in_cache("Lib/site-packages", "a.cpython-310.pyc"),
                in_cache("lib/python/site-packages", "a.cpython-310.pyc"),
                in_cache("lib/python3/site-packages", "a.cpython-310.pyc"),
                in_cache("site-packages", "a.cpython-310.pyc"),
            ],
        ),
        case(
            "trees-that-are-not-at-the-root",
            "3.11",
            keeps=[
                in_cache("opt/lib/python3.10", "a.cpython-310.pyc"),
                in_cache("share/lib/python3.10", "a.cpython-310.pyc"),
            ],
        ),
        case(
            "other-files-of-the-foreign-tree", "3.11", keeps=[f"{SITE310}/a.py", f"{SITE310}/a.so", f"{SITE310}/RECORD"]
        ),
        case(
            "the-directory-of-old-installers",
            "3.11",
            keeps=[in_cache("lib/python3.1/site-packages", "a.cpython-311.pyc")],
        ),
        case(
            "pypy-in-both-its-trees",
            "pypy3.9",
            keeps=[in_cache("lib/python3.9/site-packages", "a.pypy39.pyc"), in_cache("lib/pypy3.9", "os.pypy39.pyc")],
        ),
        case("any-python", "any", keeps=[in_cache(SITE310, "a.cpython-310.pyc")]),
        case("no-python", "none", keeps=[in_cache(SITE310, "a.cpython-310.pyc")]),
        case(
            "a-link-from-the-own-tree",
            "3.11",
            keeps=[in_cache(SITE310, "a.cpython-311.pyc"), f"{SITE310}/a.py"],
            links={"lib/python3.11/site-packages/p": "../../python3.10/site-packages/p"},
        ),
        case(
            "a-link-to-the-whole-tree",
            "3.11",
            keeps=[in_cache(SITE310, "a.cpython-311.pyc")],
            links={"lib/python3.11": "python3.10"},
        ),
        case("right-tag-in-the-wrong-tree", "3.11", drops=[in_cache(SITE310, "a.cpython-311.pyc")]),
        case(
            "bytecode-of-any-name",
            "3.11",
            drops=[
                in_cache(SITE310, "a.cpython-310.pyc"),
                in_cache(SITE310, "a.cpython-310.opt-1.pyc"),
                in_cache(SITE310, "a.pyc"),
                in_cache(SITE310, "a.cpython-311.pyc.123"),
                in_cache(SITE310, "t.cpython-310-pytest-8.0.0.pyc"),
                f"{SITE310}/only.pyc",
                "lib/python2.7/site-packages/a.pyo",
            ],
        ),
        case("lib64", "3.11", drops=["lib64/python3.10/site-packages/a.pyc"]),
        case(
            "free-threaded-in-the-gil's-tree",
            "3.13t",
            keeps=[in_cache("lib/python3.13t", "a.cpython-313.pyc")],
            drops=[in_cache("lib/python3.13", "a.cpython-313.pyc")],
        ),
        case(
            "gil-in-the-free-threaded-tree",
            "3.13",
            keeps=[in_cache("lib/python3.13", "a.cpython-313.pyc")],
            drops=[in_cache("lib/python3.13t", "a.cpython-313.pyc")],
        ),
        case(
            "pypy's-tree-in-a-cpython-package",
            "3.9",
            keeps=[in_cache("lib/python3.9", "a.cpython-39.pyc")],
            drops=[in_cache("lib/pypy3.9", "a.pypy39.pyc")],
        ),
        case(
            "a-link-around-the-trees",
            "3.11",
            drops=[in_cache(SITE310, "a.cpython-311.pyc")],
            links={"lib64": "lib"},
        ),
        case(
            "a-link-from-another-prefix-around-the-trees",
            "3.11",
            keeps=[in_cache(SITE310, "a.cpython-311.pyc")],
            links={"opt/app/lib": "../../lib"},
        ),
        case(
            "a-link-within-the-foreign-tree",
            "3.11",
            drops=[in_cache(SITE310, "a.cpython-310.pyc")],
            links={"lib/python3.10/q": "site-packages/p"},
        ),
    ],
)
def test_only_bytecode_in_other_pythons_trees_is_dropped(case: Case) -> None:
    check_case("foreign-path", case)


def test_a_file_of_unknown_size_counts_as_zero_bytes() -> None:
    path = in_cache(SITE310, "a.cpython-310.pyc")
    unknown = Contents({path: File(path)}, {}, {}, None, complete=False)
    assert [finding.size for finding in findings_of("foreign-path", "3.11", unknown)] == [0]
    link = contents_with(links={path: "b.pyc"})
    assert [finding.size for finding in findings_of("foreign-path", "3.11", link)] == [0]
