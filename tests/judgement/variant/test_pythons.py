"""The tables of Pythons agree with the interpreters themselves: cache tags, trees, suffixes and magic numbers."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import sys
import tarfile
from itertools import pairwise

import pytest

from conda_prune.judgement.bytecode import parse_header
from conda_prune.judgement.variant.pythons import (
    MAGIC_NUMBERS,
    VERSIONS,
    Python,
    extension_python,
    is_tag,
    magic_python,
    parse_python,
    tag_python,
    tags_of,
    trees_of,
    version_of,
    versioned_tree,
)

from ...corpus.bytecode import MAGIC_NUMBERS as WRITTEN
from ...corpus.tars import read_tar_members
from ...seed import SEEDS, Seed

CP311 = Python("cpython", 3, 11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", None, id="nothing"),
        pytest.param("3", None, id="no-minor-version"),
        pytest.param("3.99.99", None, id="conda's-own-test-package-python-3.99.99"),
        pytest.param("3.110", None, id="three-digits"),
        pytest.param("4.0", None, id="no-such-major-version"),
        pytest.param("٣.11", None, id="digits-of-another-script"),
        pytest.param("x3.11", None, id="after-other-text"),
        pytest.param("3.11", (3, 11), id="minor-version"),
        pytest.param("3.11.9", (3, 11), id="patch-version"),
        pytest.param("3.14.0rc3", (3, 14), id="pre-release"),
        pytest.param("2.7.18", (2, 7), id="python-2"),
        pytest.param("2.6.9", (2, 6), id="the-oldest-that-conda-had"),
    ],
)
def test_only_versions_that_can_exist_are_parsed(text: str, expected: tuple[int, int] | None) -> None:
    assert version_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("3.99", None, id="no-such-python"),
        pytest.param("python", None, id="no-version"),
        pytest.param("3.12t", None, id="before-free-threading"),
        pytest.param("pypy3.13t", None, id="pypy-has-no-free-threading"),
        pytest.param("3.11.4", None, id="patch-version"),
        pytest.param("3.11", CP311, id="plain"),
        pytest.param(" python3.11 ", CP311, id="with-name-and-spaces"),
        pytest.param("cpython-3.11", CP311, id="as-in-a-tag"),
        pytest.param("3.13", Python("cpython", 3, 13, False), id="with-the-gil"),
        pytest.param("3.13t", Python("cpython", 3, 13, True), id="free-threaded"),
        pytest.param("pypy3.9", Python("pypy", 3, 9), id="pypy"),
        pytest.param("graalpy3.10", Python("graalpy", 3, 10), id="graalpy"),
    ],
)
def test_pythons_that_users_name(text: str, expected: Python | None) -> None:
    assert parse_python(text) == expected
    if expected is not None:
        assert parse_python(str(expected)) == expected, "a printed Python can be parsed again"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        pytest.param("cpython", None, id="no-version"),
        pytest.param("cpython-3", None, id="major-version-only"),
        pytest.param("cpython-3110", None, id="too-many-digits"),
        pytest.param("opt-1", None, id="an-optimization-level"),
        pytest.param("cpython-313t", None, id="free-threading-has-no-tag"),
        pytest.param("cpython-\u0663\u0661", None, id="digits-of-another-script"),
        pytest.param("mypy39", None, id="a-module-that-ends-like-pypy"),
        pytest.param("cpython-27", Python("cpython", 2, 7), id="python-2"),
        pytest.param("cpython-39", Python("cpython", 3, 9), id="one-digit"),
        pytest.param("cpython-311", CP311, id="two-digits"),
        pytest.param("pypy39", Python("pypy", 3, 9), id="pypy-since-7.3"),
        pytest.param("graalpy-38", Python("graalpy", 3, 8), id="graalpy-22.3"),
        pytest.param("graalpy230-310", Python("graalpy", 3, 10), id="graalpy-23.0"),
        pytest.param("graalpy241-311", Python("graalpy", 3, 11), id="graalpy-24.1"),
        pytest.param("graalpy253-312-dev", Python("graalpy", 3, 12), id="graalpy-development"),
    ],
)
def test_tags_that_name_a_version(tag: str, expected: Python | None) -> None:
    assert tag_python(tag) == expected
    assert is_tag(tag) == (expected is not None)


@pytest.mark.parametrize(
    "tag", ["pypy3-72", "pypy-41", "pypy3-510", "graalpython", "rustpython-01", "jython-27", "cinder-310-dev"]
)
def test_tags_without_a_version_of_the_language(tag: str) -> None:
    assert is_tag(tag)
    assert tag_python(tag) is None


@pytest.mark.parametrize(
    ("python", "tags", "trees"),
    [
        (Python("cpython", 2, 7), ("cpython-27",), ("python2.7",)),
        (Python("cpython", 3, 9), ("cpython-39",), ("python3.9",)),
        (CP311, ("cpython-311",), ("python3.11", "python3.1")),
        (Python("cpython", 3, 13, False), ("cpython-313",), ("python3.13", "python3.1")),
        (Python("cpython", 3, 13, True), ("cpython-313",), ("python3.13t", "python3.1")),
        (Python("cpython", 3, 13), ("cpython-313",), ("python3.13", "python3.13t", "python3.1")),
        (Python("pypy", 3, 6), ("pypy36", "pypy3-*"), ("python3.6", "pypy3.6")),
        (Python("pypy", 2, 7), ("pypy27", "pypy-*"), ("python2.7", "pypy2.7")),
        (Python("pypy", 3, 9), ("pypy39",), ("python3.9", "pypy3.9")),
        (Python("graalpy", 3, 10), ("graalpy*-310", "graalpy*-310-dev"), ("python3.10", "python3.1")),
        (
            Python("graalpy", 3, 10, release="231"),
            ("graalpy231-310", "graalpy231-310-dev"),
            ("python3.10", "python3.1"),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Python) else "",
)
def test_what_a_python_imports(python: Python, tags: tuple[str, ...], trees: tuple[str, ...]) -> None:
    assert (tags_of(python), trees_of(python)) == (tags, trees)


@pytest.mark.parametrize(
    ("path", "tree"),
    [
        pytest.param("lib/python3/site-packages/m.py", None, id="no-minor-version"),
        pytest.param("lib/python/site-packages/m.py", None, id="CFEP-27"),
        pytest.param("Lib/site-packages/m.py", None, id="windows"),
        pytest.param("Lib/python3.10/m.py", None, id="a-directory-of-windows's-standard-library"),
        pytest.param("opt/lib/python3.10/m.py", None, id="not-at-the-root"),
        pytest.param("lib/python3.10", None, id="the-directory-itself"),
        pytest.param("lib/python3.10-config/m.py", None, id="a-longer-name"),
        pytest.param("lib/python3.100/m.py", None, id="too-many-digits"),
        pytest.param("lib/python3.1٣/m.py", None, id="digits-of-another-script"),
        pytest.param("lib/graalpy23.0/m.py", None, id="graalpy's-own"),
        pytest.param("lib/python3.10/m.py", "python3.10", id="cpython"),
        pytest.param("lib64/python3.10/m.py", "python3.10", id="lib64"),
        pytest.param("lib/python3.13t/m.py", "python3.13t", id="free-threaded"),
        pytest.param("lib/pypy3.9/m.py", "pypy3.9", id="pypy"),
    ],
)
def test_versioned_trees_are_at_the_root(path: str, tree: str | None) -> None:
    assert versioned_tree(path) == tree


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("m.so", None, id="no-suffix"),
        pytest.param("m.abi3.so", None, id="stable-abi"),
        pytest.param("m.cpython-311-x86_64-linux-gnu.a", None, id="no-extension-module"),
        pytest.param("cp311-win_amd64.pyd", None, id="no-module"),
        pytest.param("libm.so.3.11", None, id="a-shared-library"),
        pytest.param("m.cpython-311-x86_64-linux-gnu.so", CP311, id="linux"),
        pytest.param("m.cpython-311-darwin.so", CP311, id="macos"),
        pytest.param("m.cp311-win_amd64.pyd", CP311, id="windows"),
        pytest.param("m.cpython-37m-x86_64-linux-gnu.so", Python("cpython", 3, 7), id="abi-flag-m"),
        pytest.param("m.cpython-313-x86_64-linux-gnu.so", Python("cpython", 3, 13, False), id="gil"),
        pytest.param("m.cpython-313t-x86_64-linux-gnu.so", Python("cpython", 3, 13, True), id="free-threaded"),
        pytest.param("m.cpython-314td-darwin.so", Python("cpython", 3, 14, True), id="free-threaded-debug"),
        pytest.param("m.pypy39-pp73-x86_64-linux-gnu.so", Python("pypy", 3, 9), id="pypy"),
        pytest.param("m.graalpy230-310-native-x86_64-linux.so", Python("graalpy", 3, 10), id="graalpy"),
    ],
)
def test_suffixes_of_extension_modules(name: str, expected: Python | None) -> None:
    assert extension_python(f"lib/python3.11/site-packages/{name}") == expected


def test_the_running_interpreter_is_known() -> None:
    own = Python(sys.implementation.name, *sys.version_info[:2])
    tag = sys.implementation.cache_tag
    assert tag is not None
    assert tag_python(tag) == own
    row = magic_python(int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little"))
    assert row is not None
    assert (row.implementation, row.version) == (own.implementation, own.version)
    named = [extension_python(f"m{suffix}") for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    assert {python[:3] for python in named if python is not None} == {own[:3]}


def test_magic_numbers_are_sorted_and_do_not_overlap() -> None:
    for row in MAGIC_NUMBERS:
        assert 0 <= row.first <= row.last < 1 << 16
        assert row.header in (8, 12, 16)
        assert row.version in VERSIONS or row.version < (3, 3)
    for low, high in pairwise(MAGIC_NUMBERS):
        assert low.last < high.first


def test_no_version_of_cpython_3_lacks_a_magic_number() -> None:
    rows = [row for row in MAGIC_NUMBERS if row.implementation == "cpython" and row.major == 3]
    assert sorted({row.minor for row in rows}) == list(range(max(row.minor for row in rows) + 1))
    newer = [row for row in rows if row.minor >= 11]
    for low, high in pairwise(newer):
        assert low.last + 1 == high.first, "from 3.11 on, there is no gap between two versions"


@pytest.mark.parametrize(
    ("number", "implementation", "version", "header"),
    [
        # The last released numbers, and the first ones with each length of header.
        (62171, "cpython", (2, 7), 8),
        (62211, "cpython", (2, 7), 8),
        (3131, "cpython", (3, 0), 8),
        (3180, "cpython", (3, 2), 8),
        (3190, "cpython", (3, 3), 12),
        (3230, "cpython", (3, 3), 12),
        (3310, "cpython", (3, 4), 12),
        (3350, "cpython", (3, 5), 12),
        (3351, "cpython", (3, 5), 12),
        (3379, "cpython", (3, 6), 12),
        (3391, "cpython", (3, 7), 12),
        (3392, "cpython", (3, 7), 16),
        (3394, "cpython", (3, 7), 16),
        (3413, "cpython", (3, 8), 16),
        (3425, "cpython", (3, 9), 16),
        (3439, "cpython", (3, 10), 16),
        (3495, "cpython", (3, 11), 16),
        (3531, "cpython", (3, 12), 16),
        (3571, "cpython", (3, 13), 16),
        (3627, "cpython", (3, 14), 16),
        (3666, "cpython", (3, 15), 16),
        (3705, "cpython", (3, 16), 16),
        (62218, "pypy", (2, 7), 8),
        (64, "pypy", (3, 3), 12),
        (112, "pypy", (3, 5), 12),
        (160, "pypy", (3, 6), 12),
        (192, "pypy", (3, 6), 12),
        (224, "pypy", (3, 7), 16),
        (240, "pypy", (3, 7), 16),
        (256, "pypy", (3, 8), 16),
        (320, "pypy", (3, 9), 16),
        (336, "pypy", (3, 9), 16),
        (384, "pypy", (3, 10), 16),
        (400, "pypy", (3, 11), 16),
        (416, "pypy", (3, 11), 16),
        (432, "pypy", (3, 11), 16),
        (21270, "graalpy", (3, 10), 16),
    ],
)
def test_released_magic_numbers(number: int, implementation: str, version: tuple[int, int], header: int) -> None:
    row = magic_python(number)
    assert row is not None
    assert (row.implementation, row.version, row.header) == (implementation, version, header)


BETWEEN = (
    *(0, 1, 63, 65, 111, 113, 159, 193, 223, 241, 255, 257, 300, 319, 337, 383, 385, 399, 433),
    *(2999, 3132, 3140, 3152, 3159, 3181, 3189, 3231, 3249, 3311, 3319, 3352, 3359, 3380, 3389),
    *(3395, 3399, 3414, 3419, 3426, 3429, 3440, 3449, 21269, 21271, 21290, 59999, 62170, 62212, 62217, 62219, 65535),
)
"""Numbers that no Python was released with, including those next to released ones."""


@pytest.mark.parametrize("number", BETWEEN)
def test_other_numbers_are_unknown(number: int) -> None:
    assert magic_python(number) is None


def test_the_corpus_writes_what_the_table_reads() -> None:
    for tag, number in WRITTEN.items():
        named, row = tag_python(tag), magic_python(number)
        assert named is not None
        assert row is not None
        assert (row.implementation, row.version) == (named.implementation, named.version)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.id)
def test_real_bytecode_has_the_magic_number_of_its_tag(seed: Seed) -> None:
    count = 0
    for members in read_tar_members(seed.path).values():
        for name, raw in members:
            if name.endswith(".pyc"):
                header = parse_header(head_of(raw))
                named = tag_python(name.split(".")[-2])
                assert header is not None
                assert header.python is not None
                assert named is not None
                assert (header.python.implementation, header.python.version) == (named.implementation, named.version)
                count += 1
    assert count == seed.facts["bytecode"]["total"]


def head_of(member: bytes) -> bytes:
    """Return the first bytes of a tar member's content."""
    with tarfile.open(fileobj=io.BytesIO(member + bytes(1024)), mode="r:") as archive:
        (info,) = archive.getmembers()
        stream = archive.extractfile(info)
        assert stream is not None
        return stream.read(16)
