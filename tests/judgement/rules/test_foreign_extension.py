"""Extension modules with another Python's suffix are dropped on request."""

from __future__ import annotations

import pytest

from ..builders import SITE, Case, case, check_case, contents_with, findings_of, in_cache, inferred_variant


@pytest.mark.parametrize(
    "case",
    [
        case(
            "own-suffix",
            "3.11",
            keeps=[f"{SITE}/a.cpython-311-x86_64-linux-gnu.so", "Lib/site-packages/a.cp311-win_amd64.pyd"],
        ),
        case(
            "stable-abi-or-no-suffix",
            "3.11",
            keeps=[f"{SITE}/a.abi3.so", f"{SITE}/a.so", f"{SITE}/a.pyd", "lib/libm.so.3.10"],
        ),
        case(
            "files-that-python-does-not-load",
            "3.11",
            keeps=[f"{SITE}/a.cpython-310-x86_64-linux-gnu.a", f"{SITE}/.cpython-310-x86_64-linux-gnu.so"],
        ),
        case("own-suffix-of-pypy", "pypy3.9", keeps=["lib/python3.9/site-packages/a.pypy39-pp73-x86_64-linux-gnu.so"]),
        case("abi-flag-of-an-old-python", "3.7", keeps=[f"{SITE}/a.cpython-37m-darwin.so"]),
        case("an-interpreter-inside-the-package", "3.11", keeps=["opt/python3.10/lib-dynload/a.cpython-310-darwin.so"]),
        case("any-python", "any", keeps=[f"{SITE}/a.cpython-310-darwin.so"]),
        case("no-python", "none", keeps=[f"{SITE}/a.cpython-310-darwin.so"]),
        case(
            "another-minor-version",
            "3.11",
            drops=[
                f"{SITE}/a.cpython-310-x86_64-linux-gnu.so",
                f"{SITE}/a.cp310-win_amd64.pyd",
                f"{SITE}/a.cpython-37m-darwin.so",
            ],
        ),
        case("directly-in-another-tree", "3.11", drops=["lib/python3.10/a.cpython-310-darwin.so"]),
        case(
            "another-implementation",
            "3.9",
            drops=[f"{SITE}/a.pypy39-pp73-darwin.so", f"{SITE}/a.graalpy230-39-native.so"],
        ),
        case("free-threaded-for-the-gil", "3.13", drops=[f"{SITE}/a.cpython-313t-darwin.so"]),
        case(
            "the-gil's-for-free-threaded",
            "3.13t",
            keeps=[f"{SITE}/a.cpython-313t-darwin.so"],
            drops=[f"{SITE}/a.cpython-313-darwin.so"],
        ),
    ],
)
def test_only_modules_with_another_pythons_suffix_are_dropped(case: Case) -> None:
    check_case("foreign-extension", case)


def test_an_inferred_python_judges_modules_in_versioned_trees_only() -> None:
    inferred = inferred_variant("3.11", "version")
    contents = contents_with(f"{SITE}/a.cpython-310-darwin.so", "Lib/site-packages/a.cp310-win_amd64.pyd")
    paths = [finding.path for finding in findings_of("foreign-extension", inferred, contents)]
    assert paths == [f"{SITE}/a.cpython-310-darwin.so"]


def test_inferred_threading_judges_modules_in_versioned_trees_only() -> None:
    inferred = inferred_variant("3.13t", "threading")
    tree = "lib/python3.13t/site-packages"
    contents = contents_with(
        f"{tree}/a.cpython-313-darwin.so", "Lib/site-packages/a.cp313-win_amd64.pyd", "Lib/a.cp312-win_amd64.pyd"
    )
    paths = [finding.path for finding in findings_of("foreign-extension", inferred, contents)]
    assert paths == [f"{tree}/a.cpython-313-darwin.so", "Lib/a.cp312-win_amd64.pyd"]
    bytecode = contents_with(in_cache("share/tool", "run.cpython-312.pyc"))
    assert findings_of("foreign-tag", inferred, bytecode), "the version is known"
