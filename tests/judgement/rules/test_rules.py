"""Each rule: what it must leave, then what it finds. Everything else stays, and says so where somebody might ask."""

from __future__ import annotations

import inspect
import struct
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from conda_prune.judgement.contents import Contents
from conda_prune.judgement.options import rule_of
from conda_prune.judgement.rules import RULES
from conda_prune.judgement.variant.detect import override_variant
from conda_prune.model import (
    Action,
    File,
    FileKind,
    Finding,
    Variant,
)
from conda_prune.report.documentation import HEADINGS, explain

SITE = "lib/python3.11/site-packages/p"
SITE310 = "lib/python3.10/site-packages/p"

DROPPING = (
    "foreign-path",
    "foreign-tag",
    "noarch-bytecode",
    "no-variant",
    "nested-path",
    "foreign-tree",
    "foreign-extension",
    "leftover",
    "optimized",
    "orphan",
)
DEFAULT = ("foreign-path", "foreign-tag", "noarch-bytecode", "no-variant")


def head(magic: int, length: int = 16) -> bytes:
    """Return the first bytes of bytecode with this magic number."""
    return struct.pack("<H2s3I", magic, b"\r\n", 0, 1_704_067_200, 9)[:length]


MAGIC_27, MAGIC_310, MAGIC_311, UNKNOWN = 62211, 3439, 3495, 59999


def contents_with(
    *paths: str,
    heads: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    subdir: str = "linux-64",
) -> Contents:
    """Return a package that holds these files; `heads` gives contents, `links` the targets of symbolic links."""
    files = {path: File(path, size=9) for path in paths}
    files |= {path: File(path, size=len(raw), content=raw) for path, raw in (heads or {}).items()}
    files |= {path: File(path, FileKind.SYMLINK, link=target) for path, target in (links or {}).items()}
    return Contents(files, {"subdir": subdir}, {}, None, complete=True)


def found(kind: str, python: str, contents: Contents) -> list[Finding]:
    return list(rule_of(kind).find(contents, override_variant(python)))


def paths_found(kind: str, python: str, contents: Contents) -> set[str]:
    return {finding.path for finding in found(kind, python, contents)}


def cached(directory: str, name: str) -> str:
    return f"{directory}/__pycache__/{name}"


def case(id: str, python: str, stays: Collection[str] = (), goes: Collection[str] = (), **rest: Any) -> Any:
    """Return a row: for this Python, of these files, the ones that the rule must leave and the ones that it drops."""
    return pytest.param(python, stays, goes, rest, id=id)


def check(kind: str, python: str, stays: Collection[str], goes: Collection[str], rest: Mapping[str, Any]) -> None:
    contents = contents_with(*stays, *goes, **rest)
    findings = found(kind, python, contents)
    assert {finding.path for finding in findings} == set(goes)
    assert all(finding.kind == kind for finding in findings)
    assert len(findings) == len(goes), "each is found once"
    for finding in findings:
        assert finding.action is (Action.DROP if kind in DROPPING else Action.REPORT)
        assert finding.detail or kind in ("unknown-variant", "sourceless")


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("nothing", "3.11"),
        case("own-tree-whatever-the-tag", "3.11", [cached(SITE, "a.cpython-310.pyc"), f"{SITE}/a.pyc"]),
        case("unversioned-trees", "3.11", [
            cached("Lib/site-packages", "a.cpython-310.pyc"),
            cached("lib/python/site-packages", "a.cpython-310.pyc"),
            cached("lib/python3/site-packages", "a.cpython-310.pyc"),
            cached("site-packages", "a.cpython-310.pyc"),
        ]),
        case("trees-that-are-not-at-the-root", "3.11", [
            cached("opt/lib/python3.10", "a.cpython-310.pyc"), cached("share/lib/python3.10", "a.cpython-310.pyc")
        ]),
        case("other-files-of-the-foreign-tree", "3.11", [f"{SITE310}/a.py", f"{SITE310}/a.so", f"{SITE310}/RECORD"]),
        case("the-wrong-directory-of-old-installers", "3.11", [cached("lib/python3.1/site-packages",
             "a.cpython-311.pyc")]),
        case("pypy-in-both-its-trees", "pypy3.9", [
            cached("lib/python3.9/site-packages", "a.pypy39.pyc"), cached("lib/pypy3.9", "os.pypy39.pyc")
        ]),
        case("any-python", "any", [cached(SITE310, "a.cpython-310.pyc")]),
        case("no-python", "none", [cached(SITE310, "a.cpython-310.pyc")]),
        case("a-directory-that-the-own-tree-links-to", "3.11", [cached(SITE310, "a.cpython-311.pyc"),
             f"{SITE310}/a.py"],
             links={"lib/python3.11/site-packages/p": "../../python3.10/site-packages/p"}),
        case("a-tree-that-is-linked-as-a-whole", "3.11", [cached(SITE310, "a.cpython-311.pyc")],
             links={"lib/python3.11": "python3.10"}),
        case("right-tag-in-the-wrong-tree", "3.11", [], [cached(SITE310, "a.cpython-311.pyc")]),
        case("bytecode-of-any-name", "3.11", [], [
            cached(SITE310, "a.cpython-310.pyc"),
            cached(SITE310, "a.cpython-310.opt-1.pyc"),
            cached(SITE310, "a.pyc"),
            cached(SITE310, "a.cpython-311.pyc.123"),
            cached(SITE310, "t.cpython-310-pytest-8.0.0.pyc"),
            f"{SITE310}/only.pyc",
            "lib/python2.7/site-packages/a.pyo",
        ]),
        case("lib64", "3.11", [], ["lib64/python3.10/site-packages/a.pyc"]),
        case("free-threaded-in-the-gil's-tree", "3.13t", [cached("lib/python3.13t", "a.cpython-313.pyc")],
             [cached("lib/python3.13", "a.cpython-313.pyc")]),
        case("gil-in-the-free-threaded-tree", "3.13", [cached("lib/python3.13", "a.cpython-313.pyc")],
             [cached("lib/python3.13t", "a.cpython-313.pyc")]),
        case("pypy's-tree-in-a-cpython-package", "3.9", [cached("lib/python3.9", "a.cpython-39.pyc")],
             [cached("lib/pypy3.9", "a.pypy39.pyc")]),
        case("a-link-that-leads-past-all-trees", "3.11", [], [cached(SITE310, "a.cpython-311.pyc")],
             links={"lib64": "lib"}),
        case("a-link-from-elsewhere-to-all-trees", "3.11", [cached(SITE310, "a.cpython-311.pyc")],
             links={"opt/app/lib": "../../lib"}),
        case("a-link-within-the-foreign-tree", "3.11", [], [cached(SITE310, "a.cpython-310.pyc")],
             links={"lib/python3.10/q": "site-packages/p"}),
    ],
)  # fmt: skip
def test_foreign_path(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("foreign-path", python, stays, goes, rest)


def test_what_has_no_size_takes_no_bytes() -> None:
    path = cached(SITE310, "a.cpython-310.pyc")
    unknown = Contents({path: File(path)}, {}, {}, None, complete=False)
    assert [finding.size for finding in found("foreign-path", "3.11", unknown)] == [0]
    link = contents_with(links={path: "b.pyc"})
    assert [finding.size for finding in found("foreign-path", "3.11", link)] == [0]


def test_a_link_to_bytecode_is_bytecode_itself() -> None:
    contents = contents_with(
        links={f"{SITE310}/b.pyc": "a.pyc", cached(SITE, "b.cpython-310.pyc"): "a.cpython-311.pyc"}
    )
    assert paths_found("foreign-path", "3.11", contents) == {f"{SITE310}/b.pyc"}
    assert paths_found("foreign-tag", "3.11", contents) == {cached(SITE, "b.cpython-310.pyc")}


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("own-tag-anywhere", "3.11", [
            cached(SITE, "a.cpython-311.pyc"), cached("bin", "a.cpython-311.pyc"), cached("Lib", "a.cpython-311.pyc"),
            cached(SITE, "a.cpython-311.opt-2.pyc"), cached(SITE, "t.cpython-311-pytest-8.0.0.pyc"),
        ]),
        case("free-threading-has-no-tag-of-its-own", "3.13t", [cached("lib/python3.13t", "a.cpython-313.pyc")]),
        case("pypy", "pypy3.9", [cached("lib/python3.9/site-packages", "a.pypy39.pyc")]),
        case("old-pypy-names-its-own-version", "pypy3.6", [cached("lib/pypy3.6", "a.pypy3-72.pyc")]),
        case("graalpy-of-any-release", "graalpy3.10", [
            cached("lib/python3.10", "a.graalpy230-310.pyc"), cached("lib/python3.10", "a.graalpy241-310-dev.pyc"),
        ]),
        case("tags-outside-__pycache__", "3.11", [
            f"{SITE}/a.cpython-310.pyc", cached(SITE, "d/a.cpython-310.pyc"), f"{SITE}/x__pycache__/a.cpython-310.pyc"
        ]),
        case("no-tag", "3.11", [cached(SITE, "a.pyc"), cached(SITE, "a.foo.pyc"), cached(SITE, "a.f-1.py310.nbi")]),
        case("interpreters-inside-the-package", "3.11", [
            cached("share/blender/4.2/python/lib/python3.10", "os.cpython-310.pyc"),
            cached("opt/app/lib/python3.9", "os.cpython-39.pyc"),
            cached("opt/pypy3.9/lib-python", "os.pypy39.pyc"),
            cached("opt/pypy3.6/lib-python", "os.pypy3-72.pyc"),
            cached("Library/app/Python39/Lib", "os.cpython-39.pyc"),
            cached("pkgs/python-3.9.18-h1234567_0_cpython/lib", "os.cpython-39.pyc"),
            cached(f"{SITE}/cv2/python-3.10", "loader.cpython-310.pyc"),
        ]),
        case("any-python", "any", [cached(SITE, "a.cpython-310.pyc")]),
        case("no-python", "none", [cached(SITE, "a.cpython-310.pyc")]),
        case("another-minor-version", "3.11", [], [
            cached(SITE, "a.cpython-310.pyc"), cached(SITE, "a.cpython-39.opt-1.pyc"), cached(SITE,
            "a.cpython-310.pyc.7"),
            cached(SITE, "a.b.cpython-312.pyc"), cached(SITE, "t.cpython-310-pytest-8.0.0.pyc"),
        ]),
        case("another-implementation", "3.9", [], [
            cached("lib/python3.9", "a.pypy39.pyc"), cached("lib/python3.9", "a.graalpy230-39.pyc"),
            cached("lib/python3.9", "a.rustpython-01.pyc"), cached("lib/python3.9", "a.pypy3-72.pyc"),
        ]),
        case("cpython's-tag-for-pypy", "pypy3.9", [], [cached("lib/python3.9", "a.cpython-39.pyc")]),
        case("anywhere-in-the-package", "3.11", [], [
            cached("bin", "a.cpython-310.pyc"), cached("Scripts", "a.cpython-310.pyc"), cached("share/x",
            "a.cpython-310.pyc"),
            "__pycache__/a.cpython-310.pyc", cached("lib/python/site-packages", "a.cpython-310.pyc"),
        ]),
        case("an-interpreter's-directory-of-another-version", "3.11", [],
             [cached("opt/app/lib/python3.9", "os.cpython-310.pyc")]),
        case("the-own-tree's-name-is-no-embedded-interpreter", "3.11", [], [cached("lib/python3.10",
             "a.cpython-310.pyc")]),
    ],
)  # fmt: skip
def test_foreign_tag(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("foreign-tag", python, stays, goes, rest)


@pytest.mark.parametrize(
    ("python", "directory", "raw", "goes"),
    [
        pytest.param("3.11", SITE, head(MAGIC_311), False, id="own-magic-number"),
        pytest.param("3.11", SITE, head(UNKNOWN), False, id="unknown-magic-number"),
        pytest.param("3.11", SITE, b"", False, id="empty"),
        pytest.param("3.11", SITE, head(MAGIC_310, 3), False, id="three-bytes"),
        pytest.param("3.11", SITE, bytes(16), False, id="zeros"),
        pytest.param("2.7", "lib/python2.7/site-packages", head(MAGIC_27, 8), False, id="python-2-caches-there"),
        pytest.param("graalpy3.10", "lib/python3.10/site-packages", head(21290), False, id="graalpy's-later-numbers"),
        pytest.param("3.11", f"{SITE}/test/bytecode_3.10", head(MAGIC_310), False, id="test-data"),
        *(
            pytest.param("3.11", f"{SITE}/{name}/deeper", head(MAGIC_310), False, id=f"below-{name}")
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
            pytest.param("3.11", f"{SITE}/{name}", head(MAGIC_310), True, id=f"in-{name}")
            for name in ("contest", "database", "sampler", "corpuscle", "testing_ground")
        ),
        pytest.param("3.11", "app/python/Lib", head(MAGIC_310), True, id="a-directory-like-an-interpreter's"),
        pytest.param("3.11", f"{SITE}/bytecode_3.10", head(MAGIC_310), False, id="test-data-by-version"),
        pytest.param("3.11", f"{SITE}/Tests", head(MAGIC_310), False, id="test-data-by-directory"),
        pytest.param("3.11", "lib/python3.11/test", head(MAGIC_310), False, id="test-data-of-the-standard-library"),
        pytest.param("3.11", "opt/app/lib/python3.10", head(MAGIC_310), False, id="embedded"),
        pytest.param("3.11", SITE, head(MAGIC_310, 4), True, id="four-bytes-are-enough"),
        pytest.param("3.11", SITE, head(MAGIC_310), True, id="another-minor-version"),
        pytest.param("3.11", "lib/python3.10", head(MAGIC_310), True, id="directly-in-another-tree"),
        pytest.param("3.11", SITE, head(MAGIC_27, 8), True, id="python-2"),
        pytest.param("3.9", "lib/python3.9/site-packages", head(336), True, id="pypy's"),
        pytest.param("pypy3.9", "lib/python3.9/site-packages", head(3425), True, id="cpython's"),
        pytest.param("any", SITE, head(MAGIC_310), False, id="any-python"),
        pytest.param("none", SITE, head(MAGIC_310), False, id="no-python"),
    ],
)
def test_legacy_bytecode_is_judged_by_its_magic_number(python: str, directory: str, raw: bytes, goes: bool) -> None:
    path = f"{directory}/m.pyc"
    next_to_source = contents_with(f"{directory}/m.py", heads={path: raw})
    assert paths_found("foreign-tag", python, next_to_source) == ({path} if goes else set())
    windows = contents_with(f"{directory}/m.pyw", heads={path: raw})
    assert paths_found("foreign-tag", python, windows) == ({path} if goes else set())
    alone = contents_with(heads={path: raw})
    assert not paths_found("foreign-tag", python, alone), "the only copy of a module stays"
    unread = contents_with(f"{directory}/m.py", path)
    assert not paths_found("foreign-tag", python, unread), "nothing is said about what was not read"


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("another-package", "3.11", ["site-packages/a.py", cached("site-packages", "a.cpython-311.pyc")]),
        case("no-python", "none", ["site-packages/a.py", cached("site-packages", "a.cpython-311.pyc")]),
        case("without-its-source", "any", [cached("site-packages", "a.cpython-311.pyc"), "site-packages/b.py"]),
        case("sourceless-modules", "any", ["site-packages/a.pyc"]),
        case("legacy-beside-its-source", "any", ["site-packages/a.py", "site-packages/a.pyc"]),
        case("untagged", "any", ["site-packages/a.py", cached("site-packages", "a.pyc")]),
        case("an-interpreter-inside-the-package", "any",
             ["site-packages/python3.9/os.py", cached("site-packages/python3.9", "os.cpython-39.pyc")]),
        case("any-tag-beside-its-source", "any", ["site-packages/a.py"], [
            cached("site-packages", "a.cpython-311.pyc"), cached("site-packages", "a.pypy39.pyc"),
            cached("site-packages", "a.cpython-312.opt-1.pyc"), cached("site-packages",
            "a.cpython-312-pytest-8.0.0.pyc"),
        ]),
        case("outside-site-packages", "any", ["python-scripts/a.py"], [cached("python-scripts", "a.cpython-311.pyc")]),
        case("next-to-a-source-of-another-language", "any",
             ["site-packages/a.hy", cached("site-packages", "a.cpython-311.pyc")]),
        case("beside-a-pyw", "any", ["site-packages/a.pyw"], [cached("site-packages", "a.cpython-311.pyc")]),
    ],
)  # fmt: skip
def test_noarch_bytecode(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("noarch-bytecode", python, stays, goes, rest)


HACK = cached("lib/python3.14/site-packages/_distutils_hack", "__init__.cpython-314.pyc")


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("a-python-is-declared", "3.14", [HACK]),
        case("any-python", "any", [HACK]),
        case("its-source-is-shipped", "none", [HACK, "lib/python3.14/site-packages/_distutils_hack/__init__.py"]),
        case("several-pythons-on-purpose", "none", [
            f"{SITE}/a.py", cached(SITE, "a.cpython-311.pyc"), f"{SITE310}/a.py", cached(SITE310,
            "a.cpython-310.pyc"), HACK
        ]),
        case("sources-of-another-language", "none", [
            f"{SITE}/m.hy", cached(SITE, "m.cpython-311.pyc"), f"{SITE}/a.b.hy", cached(SITE, "a.b.cpython-311.pyc"),
            f"{SITE}/t.pyw", cached(SITE, "t.cpython-311.pyc"), f"{SITE}/c.x", cached(SITE, "c.cpython-311.opt-1.pyc"),
        ]),
        case("outside-the-trees-with-sources", "none", ["bin/gen.py", cached("bin", "gen.cpython-312.pyc")]),
        case("an-interpreter-at-the-root", "none", [
            "lib/python3.12/os.py", "lib/python3.12/encodings/__init__.py",
            cached("lib/python3.12/site-packages", "gone.cpython-312.pyc"),
        ]),
        case("next-to-what-is-no-source", "none", [
            f"{SITE}/a.so", f"{SITE}/b.pyi", f"{SITE}/c.pyc", f"{SITE}/dir.d/x", f"{SITE}/e.py/x",
        ], [cached(SITE, f"{name}.cpython-311.pyc") for name in ("a", "b", "c", "dir", "e")]),
        case("sourceless-modules", "none", ["lib/python3.14/site-packages/a.pyc"]),
        case("an-interpreter-inside-the-package", "none", [cached("opt/b/lib/python3.9", "os.cpython-39.pyc")]),
        case("gdal-feedstock-1199", "none", ["lib/libgdal.so"], [HACK]),
        case("beside-other-sources", "none", [f"{SITE}/a.py", cached(SITE, "a.cpython-311.pyc")], [HACK]),
        case("bytecode-alone-in-several-trees", "none", [], [HACK, cached("lib/python3.13/site-packages",
             "a.cpython-313.pyc")]),
        case("every-tree", "none", [], [
            cached("Lib/site-packages", "a.cpython-314.pyc"), cached("lib/python/site-packages", "a.cpython-315.pyc"),
            cached("site-packages", "a.cpython-314.pyc"), cached("lib/pypy3.9", "a.pypy39.pyc"),
        ]),
    ],
)  # fmt: skip
def test_no_variant(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("no-variant", python, stays, goes, rest)


@pytest.mark.parametrize("directory", ["bin", "share/gdb/python", "opt/app/lib"])
def test_bytecode_outside_the_trees_is_reported_and_stays(directory: str) -> None:
    lonely = cached(directory, "gen.cpython-312.pyc")
    (finding,) = found("no-variant", "none", contents_with(lonely, cached(directory, "a.pyc"), f"{directory}/m.pyc"))
    assert (finding.path, finding.action, finding.quiet) == (lonely, Action.REPORT, False)


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("own-tree", "3.11", [f"{SITE}/a.py", "lib/python3.1/a.py", "lib/libpython3.10.so", "bin/python3.10"]),
        case("bytecode-is-another-rule's", "3.11", [f"{SITE310}/a.pyc", cached(SITE310, "a.cpython-310.pyc")]),
        case("any-python", "any", [f"{SITE310}/a.py"]),
        case("no-python", "none", [f"{SITE310}/a.py"]),
        case("linked-from-the-own-tree", "3.11", [f"{SITE310}/a.py"], links={SITE: "../../python3.10/site-packages/p"}),
        case("everything-else", "3.11", [], [
            f"{SITE310}/a.py", f"{SITE310}/a.cpython-310-darwin.so",
            "lib/python3.10/site-packages/p-1.dist-info/RECORD",
            cached(SITE310, "a.f-1.py310.nbi"), "lib/pypy3.9/os.py",
        ]),
    ],
)  # fmt: skip
def test_foreign_tree(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("foreign-tree", python, stays, goes, rest)


def test_directories_go_by_themselves() -> None:
    files = {
        SITE310: File(SITE310, FileKind.DIRECTORY),
        f"{SITE310}/x.pyc": File(f"{SITE310}/x.pyc", FileKind.DIRECTORY),
    }
    contents = Contents(files, {}, {}, None, complete=True)
    for rule in RULES:
        if rule.phase != "remainder":
            assert not list(rule.find(contents, override_variant("3.11")))


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("own-suffix", "3.11", [f"{SITE}/a.cpython-311-x86_64-linux-gnu.so",
             "Lib/site-packages/a.cp311-win_amd64.pyd"]),
        case("stable-abi-and-none", "3.11", [f"{SITE}/a.abi3.so", f"{SITE}/a.so", f"{SITE}/a.pyd", "lib/libm.so.3.10"]),
        case("files-that-python-does-not-load", "3.11", [
            f"{SITE}/a.cpython-310-x86_64-linux-gnu.a", f"{SITE}/.cpython-310-x86_64-linux-gnu.so"
        ]),
        case("own-suffix-of-pypy", "pypy3.9", ["lib/python3.9/site-packages/a.pypy39-pp73-x86_64-linux-gnu.so"]),
        case("gil-or-free-threaded-of-the-same-version-for-old-pythons", "3.7", [f"{SITE}/a.cpython-37m-darwin.so"]),
        case("an-interpreter-inside-the-package", "3.11", ["opt/python3.10/lib-dynload/a.cpython-310-darwin.so"]),
        case("any-python", "any", [f"{SITE}/a.cpython-310-darwin.so"]),
        case("no-python", "none", [f"{SITE}/a.cpython-310-darwin.so"]),
        case("another-minor-version", "3.11", [], [
            f"{SITE}/a.cpython-310-x86_64-linux-gnu.so", f"{SITE}/a.cp310-win_amd64.pyd",
            f"{SITE}/a.cpython-37m-darwin.so",
        ]),
        case("directly-in-another-tree", "3.11", [], ["lib/python3.10/a.cpython-310-darwin.so"]),
        case("another-implementation", "3.9", [], [f"{SITE}/a.pypy39-pp73-darwin.so",
             f"{SITE}/a.graalpy230-39-native.so"]),
        case("free-threaded-for-the-gil", "3.13", [], [f"{SITE}/a.cpython-313t-darwin.so"]),
        case("the-gil's-for-free-threaded", "3.13t", [f"{SITE}/a.cpython-313t-darwin.so"],
             [f"{SITE}/a.cpython-313-darwin.so"]),
    ],
)  # fmt: skip
def test_foreign_extension(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("foreign-extension", python, stays, goes, rest)


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_leftover(python: str) -> None:
    stays = [cached(SITE, "a.cpython-311.pyc"), f"{SITE}/data.pyc.2024", f"{SITE}/a.pyc.bak", f"{SITE}/b.py"]
    goes = [cached(SITE, "a.cpython-311.pyc.140234567890"), cached(SITE, "a.pyc.1"), f"{SITE}/b.pyc.12"]
    check("leftover", python, stays, goes, {})


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_optimized(python: str) -> None:
    stays = [
        cached(SITE, "a.cpython-311.pyc"),
        "lib/python2.7/only.pyo",
        cached(SITE, "a.cpython-311.opt-1.pyc.7"),
        cached("opt/lib/python3.9", "os.cpython-39.opt-1.pyc"),
        "lib/python2.7/a.py",
    ]
    goes = [
        cached(SITE, "a.cpython-311.opt-1.pyc"),
        cached(SITE, "a.cpython-311.opt-2.pyc"),
        "lib/python2.7/a.pyo",
        cached(SITE, "a.cpython-34.pyo"),
    ]
    check("optimized", python, stays, goes, {})


@pytest.mark.parametrize(
    ("python", "stays", "goes", "rest"),
    [
        case("with-its-source", "3.11", [f"{SITE}/a.py", cached(SITE, "a.cpython-311.pyc")]),
        case("with-a-pyw", "3.11", ["Lib/a.pyw", cached("Lib", "a.cpython-311.pyc")]),
        case("with-a-source-of-another-language", "3.11", [f"{SITE}/m.hy", cached(SITE, "m.cpython-311.pyc")]),
        case("next-to-an-extension-module", "3.11", [f"{SITE}/m.so"], [cached(SITE, "m.cpython-311.pyc")]),
        case("another-tag-is-another-rule's", "3.11", [cached(SITE, "a.cpython-310.pyc")]),
        case("sourceless-modules", "3.11", [f"{SITE}/a.pyc"]),
        case("any-python", "any", [cached("site-packages", "a.cpython-311.pyc")]),
        case("no-python", "none", [cached(SITE, "a.cpython-311.pyc")]),
        case("conda-build-718", "3.11", [f"{SITE}/b.py"], [cached(SITE, "a.cpython-311.pyc"), cached("bin",
             "b.cpython-311.pyc")]),
    ],
)  # fmt: skip
def test_orphan(python: str, stays: Collection[str], goes: Collection[str], rest: dict[str, Any]) -> None:
    check("orphan", python, stays, goes, rest)


def test_unknown_variant_reports_all_bytecode_and_drops_none() -> None:
    unknown = Variant("unknown", "3.10 to 3.12")
    contents = contents_with(
        f"{SITE}/a.py", cached(SITE, "a.cpython-310.pyc"), f"{SITE310}/b.pyc", HACK, f"{SITE}/c.so"
    )
    for kind in DEFAULT:
        assert not list(rule_of(kind).find(contents, unknown))
    reported = list(rule_of("unknown-variant").find(contents, unknown))
    assert {finding.path for finding in reported} == {parsed.path for parsed in contents.bytecode}
    assert all(finding.action is Action.REPORT and not finding.quiet for finding in reported)
    for python in ("3.11", "any", "none"):
        assert not found("unknown-variant", python, contents)


OUTSIDE = (
    cached("share/tool", "run.cpython-310.pyc"),
    cached("Lib/site-packages", "w.cpython-310.pyc"),
    cached("site-packages", "s.cpython-310.pyc"),
    cached("lib/python/site-packages", "p.cpython-310.pyc"),
    cached("opt/ros/lib/python3.11/site-packages", "o.cpython-310.pyc"),
)


@pytest.mark.parametrize("fact", ["version", "implementation"])
def test_an_inferred_python_judges_versioned_trees_only(fact: Any) -> None:
    inferred = override_variant("3.11")._replace(inferred=(fact,))
    inside = [cached(SITE, "a.cpython-310.pyc"), cached("lib64/python3.11", "b.cpython-310.pyc")]
    contents = contents_with(*OUTSIDE, *inside)
    assert {finding.path for finding in rule_of("foreign-tag").find(contents, inferred)} == set(inside)
    reported = {finding.path for finding in rule_of("unknown-variant").find(contents, inferred)}
    assert reported == set(OUTSIDE)
    assert paths_found("foreign-tag", "3.11", contents) == {*OUTSIDE, *inside}, "what is known judges all of it"


def test_an_inferred_python_judges_no_legacy_bytecode_elsewhere() -> None:
    inferred = override_variant("3.11")._replace(inferred=("version",))
    heads = {f"{tree}/m.pyc": head(MAGIC_310) for tree in (SITE, "share/tool", "Lib/site-packages")}
    contents = contents_with(*(path.removesuffix("c") for path in heads), heads=heads)
    assert [finding.path for finding in rule_of("foreign-tag").find(contents, inferred)] == [f"{SITE}/m.pyc"]


def test_an_inferred_python_judges_no_orphans_elsewhere() -> None:
    inferred = override_variant("3.11")._replace(inferred=("version",))
    contents = contents_with(cached(SITE, "a.cpython-311.pyc"), cached("share/tool", "b.cpython-311.pyc"))
    assert [finding.path for finding in rule_of("orphan").find(contents, inferred)] == [
        cached(SITE, "a.cpython-311.pyc")
    ]


def test_an_inferred_python_judges_no_extensions_elsewhere() -> None:
    inferred = override_variant("3.11")._replace(inferred=("version",))
    contents = contents_with(f"{SITE}/a.cpython-310-darwin.so", "Lib/site-packages/a.cp310-win_amd64.pyd")
    found = [finding.path for finding in rule_of("foreign-extension").find(contents, inferred)]
    assert found == [f"{SITE}/a.cpython-310-darwin.so"]


def test_inferred_threading_judges_no_extensions_elsewhere() -> None:
    inferred = override_variant("3.13t")._replace(inferred=("threading",))
    tree = "lib/python3.13t/site-packages"
    contents = contents_with(
        f"{tree}/a.cpython-313-darwin.so", "Lib/site-packages/a.cp313-win_amd64.pyd", "Lib/a.cp312-win_amd64.pyd"
    )
    found = [finding.path for finding in rule_of("foreign-extension").find(contents, inferred)]
    assert found == [f"{tree}/a.cpython-313-darwin.so", "Lib/a.cp312-win_amd64.pyd"]
    bytecode = contents_with(cached("share/tool", "run.cpython-312.pyc"))
    assert list(rule_of("foreign-tag").find(bytecode, inferred)), "the version is known"


@pytest.mark.parametrize(
    ("index", "goes"),
    [
        pytest.param({"depends": ["zlib"]}, True, id="nothing"),
        pytest.param({"depends": ["python"]}, False, id="depends"),
        pytest.param({"constrains": ["python >=3.8"]}, False, id="constrains"),
        pytest.param({"build": "py311h1_0"}, False, id="build-string"),
    ],
)
def test_no_variant_asks_the_index_alone(index: dict[str, Any], goes: bool) -> None:
    inferred = override_variant("3.11")._replace(inferred=("version",))
    path = cached(SITE, "a.cpython-311.pyc")
    contents = replace(contents_with(path, cached("share", "b.cpython-311.pyc")), index=index)
    found = list(rule_of("no-variant").find(contents, inferred))
    assert [finding.path for finding in found if finding.action is Action.DROP] == [path] * goes
    assert [finding.path for finding in found if finding.action is Action.REPORT] == [
        cached("share", "b.cpython-311.pyc")
    ] * goes


@pytest.mark.parametrize(
    ("name", "raw", "reported"),
    [
        pytest.param("a.cpython-311.pyc", head(MAGIC_311), False, id="agreement"),
        pytest.param("a.cpython-311.pyc", head(UNKNOWN), False, id="unknown-number"),
        pytest.param("a.cpython-311.pyc", b"", False, id="empty"),
        pytest.param("a.cpython-311.pyc.123", head(MAGIC_310), False, id="leftover"),
        pytest.param("a.pyc", head(MAGIC_310), False, id="no-tag"),
        pytest.param("a.rustpython-01.pyc", head(MAGIC_310), False, id="no-version"),
        pytest.param("a.graalpy241-311.pyc", head(21290), False, id="graalpy"),
        pytest.param("a.cpython-311.pyc", head(MAGIC_310), True, id="another-minor-version"),
        pytest.param("a.cpython-39.pyc", head(336), True, id="another-implementation"),
        pytest.param("a.cpython-311.opt-1.pyc", head(MAGIC_310), True, id="optimized"),
    ],
)
def test_misnamed(name: str, raw: bytes, reported: bool) -> None:
    path = cached(SITE, name)
    findings = found("misnamed", "3.11", contents_with(f"{SITE}/a.py", heads={path: raw}))
    assert [finding.path for finding in findings] == ([path] if reported else [])
    assert all(finding.action is Action.REPORT for finding in findings)


def test_sourceless_is_said_quietly() -> None:
    contents = contents_with(f"{SITE}/a.pyc", f"{SITE}/b.py", f"{SITE}/b.pyc", cached(SITE, "c.cpython-311.pyc"))
    (finding,) = found("sourceless", "3.11", contents)
    assert (finding.path, finding.action, finding.quiet) == (f"{SITE}/a.pyc", Action.REPORT, True)


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_embedded_is_said_quietly(python: str) -> None:
    inside = cached("opt/app/lib/python3.9", "os.cpython-39.pyc")
    contents = contents_with(inside, cached(SITE, "a.cpython-311.pyc"), cached(SITE, "a.cpython-310.pyc"))
    (finding,) = found("embedded", python, contents)
    assert (finding.path, finding.action, finding.quiet) == (inside, Action.REPORT, True)


def test_the_rules_are_the_kinds_of_the_interface() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
    assert {rule.kind for rule in RULES if rule.default} - set(DEFAULT) == {
        "nested-path", "unknown-variant", "misnamed", "sourceless", "embedded", "stale-listing",
    }  # fmt: skip
    assert {rule.kind for rule in RULES if rule.on_request} == {"nested-path"}
    assert {rule.kind for rule in RULES if not rule.default} == {
        "foreign-tree", "foreign-extension", "leftover", "optimized", "orphan", "stale-stamp",
    }  # fmt: skip
    assert [rule.kind for rule in RULES][: len(DEFAULT)] == list(DEFAULT), "the others judge what these leave"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_each_rule_explains_itself(rule: Any) -> None:
    explained = explain(rule.kind)
    sections = dict(explained.sections)
    assert explained.meaning
    assert list(sections) == [heading for heading in HEADINGS.values() if heading in sections], "in this order"
    assert {HEADINGS["Causes"], HEADINGS["Fix"], HEADINGS["Prevention"]} <= set(sections)
    assert all(sections.values())
    if rule.kind in DROPPING:
        assert HEADINGS["Safe"] in sections
        assert (rule.default and not rule.on_request) or "on request" in sections[HEADINGS["Fix"]].lower()
    assert "TODO" not in inspect.getdoc(rule.find)  # type: ignore[operator]


def package_of(count: int) -> Contents:
    """Return a package of so many files as real ones are: sources, own and foreign bytecode, and embedded bytecode."""
    files = []
    for number in range(count // 6):
        package = f"{SITE}/sub{number % 97}"
        files += [f"{package}/m{number}.py", cached(package, f"m{number}.cpython-311.pyc")]
        files += [cached(package, f"m{number}.cpython-310.pyc"), cached(SITE310, f"m{number}.cpython-311.pyc")]
        files += [cached(f"opt/lib/python3.9/d{number % 97}", f"m{number}.cpython-39.pyc"), f"share/doc/f{number}.html"]
    return contents_with(*files)


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_judging_takes_time_in_proportion_to_the_files(python: str) -> None:
    variant = override_variant(python)

    def seconds(count: int) -> float:
        best = 9.0
        for _ in range(3):
            contents = package_of(count)
            started = time.process_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, time.process_time() - started)
        return best

    # Sixteen times the files: a quadratic rule takes 256 times as long.
    assert seconds(19_200) < 64 * max(seconds(1200), 1e-3)


@pytest.mark.parametrize("part", ["a/", "python3.9/", "1.", "test", ".cp310", ".cpython-310-a", "py", "é", "\x1b"])
def test_a_name_of_a_megabyte_is_judged_in_linear_time(part: str) -> None:
    variant = override_variant("3.11")

    def seconds(size: int) -> float:
        best = 9.0
        for _ in range(3):
            start = part * (size // len(part))
            names = [
                f"{start}/__pycache__/m.cpython-39.pyc",
                f"{start}.so",
                f"lib/python3.10/{start}.pyc",
                f"{start}/m.py",
            ]
            contents = contents_with(*names, heads={f"{start}/m.pyc": head(MAGIC_310)})
            started = time.process_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, time.process_time() - started)
        return best

    # Sixteen times the length: a quadratic rule takes 256 times as long. Below a few milliseconds the clock decides.
    assert seconds(1 << 20) < 80 * max(seconds(1 << 16), 3e-3)
