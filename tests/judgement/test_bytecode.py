"""Names are parsed from the right, headers of all Pythons are parsed, and no input raises an error."""

from __future__ import annotations

import importlib.util
import os
import posixpath
import py_compile
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.judgement.bytecode import Header, parse_bytecode, parse_header
from conda_prune.judgement.variant.pythons import MAGIC_NUMBERS, Magic

from ..clock import cpu_time

SITE = "lib/python3.11/site-packages/p"
CACHE = f"{SITE}/__pycache__"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="nothing"),
        pytest.param(f"{SITE}/m.py", id="source"),
        pytest.param(f"{SITE}/m.pyd", id="windows-extension"),
        pytest.param(f"{SITE}/m.pyc/data", id="directory-of-that-name"),
        pytest.param(f"{SITE}/.pyc", id="ending-alone"),
        pytest.param(f"{SITE}/m.pycache", id="longer-ending"),
        pytest.param(f"{SITE}/m.PYC", id="capitals-which-importlib-does-not-look-for"),
        pytest.param(f"{SITE}/m.pyc.bak", id="a-backup-copy"),
        pytest.param(f"{SITE}/m.pyc2", id="renamed-to-escape-filters"),
        pytest.param(f"{SITE}/m.pyc.12x", id="no-digits"),
        pytest.param(f"{SITE}/m.pyc.\u0661\u0662", id="digits-of-another-script"),
        pytest.param(f"{CACHE}/m.f-12.py311.nbi", id="numba-index"),
        pytest.param(f"{CACHE}/m.f-12.py311.1.nbc", id="numba-code"),
        pytest.param(f"{SITE}/m$py.class", id="jython"),
        pytest.param(f"{SITE}/m.mpy", id="micropython"),
    ],
)
def test_other_names_are_not_bytecode(path: str) -> None:
    assert parse_bytecode(path) is None


@pytest.mark.parametrize(
    ("path", "module", "tag", "optimized", "leftover", "pytest_wrote"),
    [
        pytest.param(f"{SITE}/m.pyc", "m", "", "", False, False, id="legacy"),
        pytest.param(f"{SITE}/m.pyo", "m", "", "pyo", False, False, id="legacy-optimized"),
        pytest.param(f"{SITE}/m.pyc.123", "m", "", "", True, False, id="legacy-leftover"),
        pytest.param("m.pyc", "m", "", "", False, False, id="at-the-root"),
        pytest.param(f"{SITE}/a.cpython-310.pyc", "a.cpython-310", "", "", False, False, id="tag-outside-cache"),
        pytest.param(
            f"{SITE}/x__pycache__/a.cpython-310.pyc", "a.cpython-310", "", "", False, False, id="like-a-cache"
        ),
        pytest.param(f"{CACHE}/d/a.cpython-310.pyc", "a.cpython-310", "", "", False, False, id="below-a-cache"),
        pytest.param(f"{CACHE}/m.pyc", "m", "", "", False, False, id="cached-without-tag"),
        pytest.param(f"{CACHE}/m.foo.pyc", "m.foo", "", "", False, False, id="cached-with-an-unknown-tag"),
        pytest.param(f"{CACHE}/.cpython-311.pyc", ".cpython-311", "", "", False, False, id="tag-without-module"),
        pytest.param(f"{CACHE}/m.opt-1.pyc", "m", "", "1", False, False, id="level-without-tag"),
        pytest.param(f"{CACHE}/m.cpython-311.opt-.pyc", "m.cpython-311.opt-", "", "", False, False, id="empty-level"),
        pytest.param(f"{CACHE}/m.cpython-311.pyc", "m", "cpython-311", "", False, False, id="cached"),
        pytest.param("__pycache__/m.cpython-311.pyc", "m", "cpython-311", "", False, False, id="cached-at-the-root"),
        pytest.param(f"{CACHE}/m.cpython-311.opt-2.pyc", "m", "cpython-311", "2", False, False, id="opt-2"),
        pytest.param(f"{CACHE}/m.cpython-311.opt-foo1.pyc", "m", "cpython-311", "foo1", False, False, id="PEP-488"),
        pytest.param(f"{CACHE}/m.cpython-34.pyo", "m", "cpython-34", "pyo", False, False, id="pyo-before-3.5"),
        pytest.param(f"{CACHE}/m.cpython-311.pyc.140234567890", "m", "cpython-311", "", True, False, id="leftover"),
        pytest.param(f"{CACHE}/m.cpython-311.opt-1.pyc.9", "m", "cpython-311", "1", True, False, id="opt-leftover"),
        pytest.param(f"{CACHE}/t.cpython-311-pytest-8.0.0.pyc", "t", "cpython-311", "", False, True, id="pytest"),
        pytest.param(f"{CACHE}/t.cpython-311-pytest-8.3.0.dev1.pyo", "t", "cpython-311", "pyo", False, True, id="-O"),
        pytest.param(f"{CACHE}/t.cpython-36-PYTEST.pyc", "t", "cpython-36", "", False, True, id="pytest-3"),
        pytest.param(f"{CACHE}/t.cpython-27-PYTEST.pyo", "t", "cpython-27", "pyo", False, True, id="pytest-3-O"),
        pytest.param(f"{CACHE}/t.foo-PYTEST.pyc", "t.foo-PYTEST", "", "", False, False, id="pytest-3-unknown-tag"),
        pytest.param(f"{CACHE}/t.cpython-36-pytest.pyc", "t.cpython-36-pytest", "", "", False, False, id="no-version"),
        pytest.param(f"{CACHE}/t.pypy39-pytest-7.4.4.pyc.77", "t", "pypy39", "", True, True, id="pytest-leftover"),
        pytest.param(f"{CACHE}/a.b.cpython-311.pyc", "a.b", "cpython-311", "", False, False, id="dotted-module"),
        pytest.param(
            f"{CACHE}/cpython-310.cpython-311.pyc",
            "cpython-310",
            "cpython-311",
            "",
            False,
            False,
            id="module-like-a-tag",
        ),
        pytest.param(
            f"{CACHE}/a.cpython-310-pytest-8.cpython-311.pyc",
            "a.cpython-310-pytest-8",
            "cpython-311",
            "",
            False,
            False,
            id="module-like-pytest's",
        ),
        pytest.param(f"{CACHE}/a.pyc.cpython-311.pyc", "a.pyc", "cpython-311", "", False, False, id="module-in-pyc"),
        pytest.param(f"{CACHE}/m\n\x1b.cpython-311.pyc", "m\n\x1b", "cpython-311", "", False, False, id="controls"),
        pytest.param(f"{CACHE}/m.pypy39.pyc", "m", "pypy39", "", False, False, id="pypy"),
        pytest.param(f"{CACHE}/m.graalpy230-310.pyc", "m", "graalpy230-310", "", False, False, id="graalpy"),
        pytest.param(f"{CACHE}/m.rustpython-01.pyc", "m", "rustpython-01", "", False, False, id="rustpython"),
    ],
)
def test_names_are_read_from_the_right(
    path: str, module: str, tag: str, optimized: str, leftover: bool, pytest_wrote: bool
) -> None:
    parsed = parse_bytecode(path)
    assert parsed is not None
    assert (parsed.module, parsed.tag, parsed.optimized) == (module, tag, optimized)
    assert (parsed.leftover, parsed.pytest) == (leftover, pytest_wrote)
    assert parsed.path == path
    cached = posixpath.basename(posixpath.dirname(path)) == "__pycache__"
    assert parsed.cached is cached
    directory = posixpath.dirname(posixpath.dirname(path)) if cached else posixpath.dirname(path)
    assert parsed.source == posixpath.join(directory, f"{module}.py")


@pytest.mark.parametrize("optimization", ["", 1, 2, "foo"])
@pytest.mark.parametrize("tag", ["cpython-27", "cpython-311", "pypy39", "graalpy230-310"])
@given(
    module=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True),
    directory=st.sampled_from(["", "a/", "a/b.c/"]),
)
def test_names_made_by_importlib_are_parsed_back(tag: str, optimization: object, module: str, directory: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.implementation, "cache_tag", tag)
        source = f"{directory}{module}.py"
        path = importlib.util.cache_from_source(source, optimization=optimization)
        parsed = parse_bytecode(path.replace(os.sep, "/"))
    assert parsed is not None
    assert (parsed.source, parsed.tag, parsed.optimized) == (source, tag, str(optimization))


@given(st.text(alphabet="ab.py/co_-0123456789ohn\n\x1b", max_size=60))
def test_any_name_is_parsed_or_rejected(name: str) -> None:
    for path in (name, f"{name}.pyc", f"__pycache__/{name}.pyc", f"{CACHE}/{name}.cpython-311.pyc"):
        parsed = parse_bytecode(path)
        if parsed is not None:
            assert parsed.path == path
            assert path.startswith(parsed.directory)
            assert parsed.cached or not parsed.tag


LONG = {
    "letters": "a",
    "dots": ".",
    "endings": ".pyc",
    "numbered-endings": ".pyc.1",
    "levels": ".opt-1",
    "tags": ".cpython-311",
    "pytest": "-pytest-8",
    "pytest-tags": ".cpython-311-pytest-8",
    "pytest-3": "-PYTEST",
    "digits": "1",
    "tag-like-digits": ".a1",
    "caches": "__pycache__/",
    "jythons": ".jython-27",
}


@pytest.mark.parametrize("ending", [".pyc", ".cpython-311.pyc", ".opt-1.pyc", ".pyc.1", "-pytest-8.pyc", ".pyx"])
@pytest.mark.parametrize("part", LONG.values(), ids=LONG.keys())
def test_a_name_of_a_megabyte_takes_linear_time(part: str, ending: str) -> None:
    def seconds(size: int) -> float:
        path = f"__pycache__/m{part * (size // len(part))}{ending}"
        best = 9.0
        for _ in range(3):
            started = cpu_time()
            parse_bytecode(path)
            best = min(best, cpu_time() - started)
        return best

    # Sixteen times the length: quadratic time would be 256 times as long. Below a millisecond, the clock is too coarse.
    assert seconds(1 << 20) < 80 * max(seconds(1 << 16), 1e-3)


def head(row: Magic, *fields: int) -> bytes:
    return struct.pack(f"<H2s{len(fields)}I", row.last, b"\r\n", *fields)


def rows(header: int) -> list[Magic]:
    return [row for row in MAGIC_NUMBERS if row.header == header]


def by_python(row: Magic) -> str:
    return f"{row.implementation}-{row.major}.{row.minor}-{row.first}"


@pytest.mark.parametrize("row", rows(8), ids=by_python)
def test_headers_of_8_bytes_hold_the_time(row: Magic) -> None:
    assert parse_header(head(row, 1_704_067_200, 99, 99)) == Header(row.last, row, 0, 1_704_067_200)


@pytest.mark.parametrize("row", rows(12), ids=by_python)
def test_headers_of_12_bytes_hold_time_and_size(row: Magic) -> None:
    assert parse_header(head(row, 1_704_067_200, 12, 99)) == Header(row.last, row, 0, 1_704_067_200, 12)


@pytest.mark.parametrize("row", rows(16), ids=by_python)
def test_headers_of_16_bytes_hold_flags(row: Magic) -> None:
    """PEP 552."""
    assert parse_header(head(row, 0, 1_704_067_200, 12)) == Header(row.last, row, 0, 1_704_067_200, 12)
    assert parse_header(head(row, 2, 1_704_067_200, 12)) == Header(row.last, row, 2, 1_704_067_200, 12)
    for flags in (1, 3):
        digest = struct.pack("<II", 1_704_067_200, 12)
        assert parse_header(head(row, flags, 1_704_067_200, 12)) == Header(row.last, row, flags, digest=digest)
    for flags in (4, 5, 1 << 31):
        assert parse_header(head(row, flags, 1, 2)) == Header(row.last, row, flags), "flags that no Python writes"


@pytest.mark.parametrize("row", MAGIC_NUMBERS, ids=by_python)
def test_a_truncated_header_gives_only_its_python(row: Magic) -> None:
    whole = head(row, 0, 1, 2)
    for length in range(4):
        assert parse_header(whole[:length]) is None
    for length in range(4, row.header):
        assert parse_header(whole[:length]) == Header(row.last, row)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(None, None, id="not-read"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"\xa7\r\r\n"[:3], None, id="three-bytes"),
        pytest.param(bytes(16), None, id="zeros"),
        pytest.param(b"#!/usr/bin/python", None, id="text"),
        pytest.param(b"\xa7\r\n\r" + bytes(12), None, id="another-line-ending"),
        pytest.param(struct.pack("<H2s3I", 59999, b"\r\n", 0, 1, 2), Header(59999), id="unknown-number"),
        pytest.param(struct.pack("<H2s3I", 0, b"\r\n", 0, 1, 2), Header(0), id="number-0"),
    ],
)
def test_other_bytes_are_not_a_header(raw: bytes | None, expected: Header | None) -> None:
    assert parse_header(raw) == expected


@given(st.binary(max_size=20))
def test_any_bytes_are_parsed_or_rejected(raw: bytes) -> None:
    header = parse_header(raw)
    assert header is None or header.magic == int.from_bytes(raw[:2], "little")


@pytest.mark.parametrize("mode", py_compile.PycInvalidationMode)
def test_headers_of_the_running_python_are_parsed(mode: py_compile.PycInvalidationMode, tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_bytes(b"x = 1\n")
    os.utime(source, (1_704_067_200, 1_704_067_200))
    compiled = py_compile.compile(str(source), invalidation_mode=mode, doraise=True) or ""
    header = parse_header(Path(compiled).read_bytes()[:16])
    assert header is not None
    assert header.python is not None
    assert header.python.version == sys.version_info[:2]
    if mode is py_compile.PycInvalidationMode.TIMESTAMP:
        assert (header.flags, header.mtime, header.size, header.digest) == (0, 1_704_067_200, 6, None)
    else:
        assert (header.mtime, header.size) == (None, None)
        assert header.digest == importlib.util.source_hash(source.read_bytes())
        assert header.flags == (3 if mode is py_compile.PycInvalidationMode.CHECKED_HASH else 1)
