"""A package without Python loses cached bytecode that has no source, in a Python's tree only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conda_prune.model import Action

from ..builders import (
    DISTUTILS_HACK,
    SITE,
    SITE310,
    Case,
    case,
    check_case,
    contents_with,
    findings_of,
    in_cache,
    inferred_variant,
)


@pytest.mark.parametrize(
    "case",
    [
        case("a-python-is-named", "3.14", keeps=[DISTUTILS_HACK]),
        case("any-python", "any", keeps=[DISTUTILS_HACK]),
        case(
            "its-source-is-shipped",
            "none",
            keeps=[DISTUTILS_HACK, "lib/python3.14/site-packages/_distutils_hack/__init__.py"],
        ),
        case(
            "sources-for-several-pythons",
            "none",
            keeps=[
                f"{SITE}/a.py",
                in_cache(SITE, "a.cpython-311.pyc"),
                f"{SITE310}/a.py",
                in_cache(SITE310, "a.cpython-310.pyc"),
                DISTUTILS_HACK,
            ],
        ),
        case(
            "sources-of-another-language",
            "none",
            keeps=[
                f"{SITE}/m.hy",
                in_cache(SITE, "m.cpython-311.pyc"),
                f"{SITE}/a.b.hy",
                in_cache(SITE, "a.b.cpython-311.pyc"),
                f"{SITE}/t.pyw",
                in_cache(SITE, "t.cpython-311.pyc"),
                f"{SITE}/c.x",
                in_cache(SITE, "c.cpython-311.opt-1.pyc"),
            ],
        ),
        case("outside-the-trees-with-sources", "none", keeps=["bin/gen.py", in_cache("bin", "gen.cpython-312.pyc")]),
        case(
            "an-interpreter-at-the-root",
            "none",
            keeps=[
                "lib/python3.12/os.py",
                "lib/python3.12/encodings/__init__.py",
                in_cache("lib/python3.12/site-packages", "removed.cpython-312.pyc"),
            ],
        ),
        case(
            "next-to-files-that-are-not-sources",
            "none",
            keeps=[
                f"{SITE}/a.so",
                f"{SITE}/b.pyi",
                f"{SITE}/c.pyc",
                f"{SITE}/dir.d/x",
                f"{SITE}/e.py/x",
            ],
            drops=[in_cache(SITE, f"{name}.cpython-311.pyc") for name in ("a", "b", "c", "dir", "e")],
        ),
        case("sourceless-modules", "none", keeps=["lib/python3.14/site-packages/a.pyc"]),
        case("an-interpreter-inside-the-package", "none", keeps=[in_cache("opt/b/lib/python3.9", "os.cpython-39.pyc")]),
        case("gdal-feedstock-1199", "none", keeps=["lib/libgdal.so"], drops=[DISTUTILS_HACK]),
        case(
            "next-to-other-sources",
            "none",
            keeps=[f"{SITE}/a.py", in_cache(SITE, "a.cpython-311.pyc")],
            drops=[DISTUTILS_HACK],
        ),
        case(
            "bytecode-alone-in-several-trees",
            "none",
            drops=[DISTUTILS_HACK, in_cache("lib/python3.13/site-packages", "a.cpython-313.pyc")],
        ),
        case(
            "every-tree",
            "none",
            drops=[
                in_cache("Lib/site-packages", "a.cpython-314.pyc"),
                in_cache("lib/python/site-packages", "a.cpython-315.pyc"),
                in_cache("site-packages", "a.cpython-314.pyc"),
                in_cache("lib/pypy3.9", "a.pypy39.pyc"),
            ],
        ),
    ],
)
def test_only_bytecode_without_its_source_is_dropped(case: Case) -> None:
    check_case("no-variant", case)


@pytest.mark.parametrize("directory", ["bin", "share/gdb/python", "opt/app/lib"])
def test_bytecode_outside_of_pythons_trees_is_reported_and_kept(directory: str) -> None:
    sourceless = in_cache(directory, "gen.cpython-312.pyc")
    (finding,) = findings_of(
        "no-variant", "none", contents_with(sourceless, in_cache(directory, "a.pyc"), f"{directory}/m.pyc")
    )
    assert (finding.path, finding.action, finding.quiet) == (sourceless, Action.REPORT, False)


@pytest.mark.parametrize(
    ("index", "is_dropped"),
    [
        pytest.param({"depends": ["zlib"]}, True, id="nothing"),
        pytest.param({"depends": ["python"]}, False, id="depends"),
        pytest.param({"constrains": ["python >=3.8"]}, False, id="constrains"),
        pytest.param({"build": "py311h1_0"}, False, id="build-string"),
    ],
)
def test_the_index_decides_whether_a_python_is_named(index: dict[str, Any], is_dropped: bool) -> None:
    inferred = inferred_variant("3.11", "version")
    path = in_cache(SITE, "a.cpython-311.pyc")
    contents = replace(contents_with(path, in_cache("share", "b.cpython-311.pyc")), index=index)
    findings = findings_of("no-variant", inferred, contents)
    assert [finding.path for finding in findings if finding.action is Action.DROP] == [path] * is_dropped
    assert [finding.path for finding in findings if finding.action is Action.REPORT] == [
        in_cache("share", "b.cpython-311.pyc")
    ] * is_dropped
