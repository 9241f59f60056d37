"""Bytecode of another interpreter is dropped, by its cache tag or else by its magic number."""

from __future__ import annotations

import pytest

from ..builders import (
    MAGIC_27,
    MAGIC_310,
    MAGIC_311,
    SITE,
    UNKNOWN_MAGIC,
    Case,
    case,
    check_case,
    contents_with,
    findings_of,
    in_cache,
    inferred_variant,
    paths_found,
    pyc_head,
)


@pytest.mark.parametrize(
    "case",
    [
        case(
            "own-tag-anywhere",
            "3.11",
            keeps=[
                in_cache(SITE, "a.cpython-311.pyc"),
                in_cache("bin", "a.cpython-311.pyc"),
                in_cache("Lib", "a.cpython-311.pyc"),
                in_cache(SITE, "a.cpython-311.opt-2.pyc"),
                in_cache(SITE, "t.cpython-311-pytest-8.0.0.pyc"),
            ],
        ),
        case(
            "free-threaded-builds-have-the-same-tag", "3.13t", keeps=[in_cache("lib/python3.13t", "a.cpython-313.pyc")]
        ),
        case("pypy", "pypy3.9", keeps=[in_cache("lib/python3.9/site-packages", "a.pypy39.pyc")]),
        case("old-pypy-names-its-own-version", "pypy3.6", keeps=[in_cache("lib/pypy3.6", "a.pypy3-72.pyc")]),
        case(
            "graalpy-of-any-release",
            "graalpy3.10",
            keeps=[
                in_cache("lib/python3.10", "a.graalpy230-310.pyc"),
                in_cache("lib/python3.10", "a.graalpy241-310-dev.pyc"),
            ],
        ),
        case(
            "tags-outside-__pycache__",
            "3.11",
            keeps=[
                f"{SITE}/a.cpython-310.pyc",
                in_cache(SITE, "d/a.cpython-310.pyc"),
                f"{SITE}/x__pycache__/a.cpython-310.pyc",
            ],
        ),
        case(
            "no-tag",
            "3.11",
            keeps=[in_cache(SITE, "a.pyc"), in_cache(SITE, "a.foo.pyc"), in_cache(SITE, "a.f-1.py310.nbi")],
        ),
        case(
            "interpreters-inside-the-package",
            "3.11",
            keeps=[
                in_cache("share/blender/4.2/python/lib/python3.10", "os.cpython-310.pyc"),
                in_cache("opt/app/lib/python3.9", "os.cpython-39.pyc"),
                in_cache("opt/pypy3.9/lib-python", "os.pypy39.pyc"),
                in_cache("opt/pypy3.6/lib-python", "os.pypy3-72.pyc"),
                in_cache("Library/app/Python39/Lib", "os.cpython-39.pyc"),
                in_cache("pkgs/python-3.9.18-h1234567_0_cpython/lib", "os.cpython-39.pyc"),
                in_cache(f"{SITE}/cv2/python-3.10", "loader.cpython-310.pyc"),
            ],
        ),
        case("any-python", "any", keeps=[in_cache(SITE, "a.cpython-310.pyc")]),
        case("no-python", "none", keeps=[in_cache(SITE, "a.cpython-310.pyc")]),
        case(
            "another-minor-version",
            "3.11",
            drops=[
                in_cache(SITE, "a.cpython-310.pyc"),
                in_cache(SITE, "a.cpython-39.opt-1.pyc"),
                in_cache(SITE, "a.cpython-310.pyc.7"),
                in_cache(SITE, "a.b.cpython-312.pyc"),
                in_cache(SITE, "t.cpython-310-pytest-8.0.0.pyc"),
            ],
        ),
        case(
            "another-implementation",
            "3.9",
            drops=[
                in_cache("lib/python3.9", "a.pypy39.pyc"),
                in_cache("lib/python3.9", "a.graalpy230-39.pyc"),
                in_cache("lib/python3.9", "a.rustpython-01.pyc"),
                in_cache("lib/python3.9", "a.pypy3-72.pyc"),
            ],
        ),
        case("cpython's-tag-for-pypy", "pypy3.9", drops=[in_cache("lib/python3.9", "a.cpython-39.pyc")]),
        case(
            "anywhere-in-the-package",
            "3.11",
            drops=[
                in_cache("bin", "a.cpython-310.pyc"),
                in_cache("Scripts", "a.cpython-310.pyc"),
                in_cache("share/x", "a.cpython-310.pyc"),
                "__pycache__/a.cpython-310.pyc",
                in_cache("lib/python/site-packages", "a.cpython-310.pyc"),
            ],
        ),
        case(
            "below-a-directory-of-another-version",
            "3.11",
            drops=[in_cache("opt/app/lib/python3.9", "os.cpython-310.pyc")],
        ),
        case(
            "another-tree-at-the-root",
            "3.11",
            drops=[in_cache("lib/python3.10", "a.cpython-310.pyc")],
        ),
    ],
)
def test_only_bytecode_with_another_tag_is_dropped(case: Case) -> None:
    check_case("foreign-tag", case)


@pytest.mark.parametrize(
    ("python", "directory", "head", "is_dropped"),
    [
        pytest.param("3.11", SITE, pyc_head(MAGIC_311), False, id="own-magic-number"),
        pytest.param("3.11", SITE, pyc_head(UNKNOWN_MAGIC), False, id="unknown-magic-number"),
        pytest.param("3.11", SITE, b"", False, id="empty"),
        pytest.param("3.11", SITE, pyc_head(MAGIC_310, 3), False, id="three-bytes"),
        pytest.param("3.11", SITE, bytes(16), False, id="zeros"),
        pytest.param("2.7", "lib/python2.7/site-packages", pyc_head(MAGIC_27, 8), False, id="python-2-caches-there"),
        pytest.param(
            "graalpy3.10", "lib/python3.10/site-packages", pyc_head(21290), False, id="graalpy's-later-numbers"
        ),
        pytest.param("3.11", f"{SITE}/test/bytecode_3.10", pyc_head(MAGIC_310), False, id="test-data"),
        *(
            pytest.param("3.11", f"{SITE}/{name}/deeper", pyc_head(MAGIC_310), False, id=f"below-{name}")
            for name in (
                "test",
                "tests",
                "testdata",
                "test_data",
                "test-data",
                "samples",
                "fixtures",
                "examples",
                "data",
                "corpus",
                "Samples",
            )
        ),
        *(
            pytest.param("3.11", f"{SITE}/{name}", pyc_head(MAGIC_310), True, id=f"in-{name}")
            for name in ("contest", "database", "sampler", "corpuscle", "testing_ground")
        ),
        pytest.param("3.11", "app/python/Lib", pyc_head(MAGIC_310), True, id="a-directory-like-an-interpreter's"),
        pytest.param("3.11", f"{SITE}/bytecode_3.10", pyc_head(MAGIC_310), False, id="test-data-by-version"),
        pytest.param("3.11", f"{SITE}/Tests", pyc_head(MAGIC_310), False, id="test-data-by-directory"),
        pytest.param("3.11", "lib/python3.11/test", pyc_head(MAGIC_310), False, id="test-data-of-the-standard-library"),
        pytest.param("3.11", "opt/app/lib/python3.10", pyc_head(MAGIC_310), False, id="embedded"),
        pytest.param("3.11", SITE, pyc_head(MAGIC_310, 4), True, id="four-bytes-are-enough"),
        pytest.param("3.11", SITE, pyc_head(MAGIC_310), True, id="another-minor-version"),
        pytest.param("3.11", "lib/python3.10", pyc_head(MAGIC_310), True, id="directly-in-another-tree"),
        pytest.param("3.11", SITE, pyc_head(MAGIC_27, 8), True, id="python-2"),
        pytest.param("3.9", "lib/python3.9/site-packages", pyc_head(336), True, id="pypy's"),
        pytest.param("pypy3.9", "lib/python3.9/site-packages", pyc_head(3425), True, id="cpython's"),
        pytest.param("any", SITE, pyc_head(MAGIC_310), False, id="any-python"),
        pytest.param("none", SITE, pyc_head(MAGIC_310), False, id="no-python"),
    ],
)
def test_untagged_bytecode_is_judged_by_its_magic_number(
    python: str, directory: str, head: bytes, is_dropped: bool
) -> None:
    path = f"{directory}/m.pyc"
    next_to_source = contents_with(f"{directory}/m.py", heads={path: head})
    assert paths_found("foreign-tag", python, next_to_source) == ({path} if is_dropped else set())
    windows = contents_with(f"{directory}/m.pyw", heads={path: head})
    assert paths_found("foreign-tag", python, windows) == ({path} if is_dropped else set())
    alone = contents_with(heads={path: head})
    assert not paths_found("foreign-tag", python, alone), "the only copy of a module is kept"
    unread = contents_with(f"{directory}/m.py", path)
    assert not paths_found("foreign-tag", python, unread), "a header that was not read proves nothing"


def test_an_inferred_python_judges_untagged_bytecode_in_versioned_trees_only() -> None:
    inferred = inferred_variant("3.11", "version")
    heads = {f"{tree}/m.pyc": pyc_head(MAGIC_310) for tree in (SITE, "share/tool", "Lib/site-packages")}
    contents = contents_with(*(path.removesuffix("c") for path in heads), heads=heads)
    assert [finding.path for finding in findings_of("foreign-tag", inferred, contents)] == [f"{SITE}/m.pyc"]
