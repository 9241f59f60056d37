"""Bytecode is judged as importlib judges it, and re-stamping writes the time of the packed source."""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import io
import json
import os
import py_compile
import struct
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune import Result, check, fix
from conda_prune.judgement.source_hash import siphash, source_hash
from conda_prune.judgement.variant.pythons import magic_python

from ...corpus.bytecode import (
    MAGIC_NUMBERS,
    cached,
    modules,
    pyc,
)
from ...corpus.entries import BUILD_TIME, AnyEntry
from ...corpus.packages import (
    FORMATS,
    PAX,
    File,
    Hardlink,
    PackageSpec,
    Symlink,
    write_package,
)
from ...corpus.scenario import conda_forge, for_311
from ...corpus.tars import read_components, split_members

SITE = "lib/python3.11/site-packages"
SOURCE = f"{SITE}/m.py"
BYTECODE = cached(SOURCE, "cpython-311")
TEXT = b"x = 1\n"
LATER = BUILD_TIME + 2
MAGIC = MAGIC_NUMBERS["cpython-311"]


def header(*, flags: int = 0, mtime: int = BUILD_TIME, size: int = len(TEXT), magic: int = MAGIC) -> bytes:
    """The header of Python 3.7 and later with a time stamp (PEP 552)."""
    return struct.pack("<H2sIII", magic, b"\r\n", flags, mtime % 2**32, size % 2**32)


def hashed(digest: bytes, *, flags: int, magic: int = MAGIC) -> bytes:
    """The header of Python 3.7 and later with a source hash (PEP 552)."""
    return struct.pack("<H2sI", magic, b"\r\n", flags) + digest


CODE = b"\xe3" + bytes(range(200))
TRUE_HASH = bytes.fromhex("4c0372aa93f75252")
"""Of TEXT, as CPython 3.11.7 computes it."""


def package(directory: Path, files: dict[str, AnyEntry], **options: Any) -> Path:
    return write_package(for_311("stamped", files), directory, **options)


def stamps(result: Result) -> dict[str, str]:
    return {finding.path: finding.action.value for finding in result.findings if finding.kind == "stale-stamp"}


HEADERS = [
    pytest.param(header(), None, id="the source's time and size"),
    pytest.param(hashed(TRUE_HASH, flags=3), None, id="checked hash"),
    pytest.param(hashed(TRUE_HASH, flags=1), None, id="unchecked hash"),
    pytest.param(header(magic=59999, mtime=LATER), None, id="magic number of no Python"),
    pytest.param(header(magic=MAGIC_NUMBERS["cpython-310"], mtime=LATER), None, id="misnamed: ignored anyway"),
    pytest.param(header(mtime=LATER)[:15], None, id="shorter than a header"),
    pytest.param(b"", None, id="empty"),
    pytest.param(header(mtime=LATER), "restamp", id="two seconds too late"),
    pytest.param(header(mtime=BUILD_TIME - 1), "restamp", id="one second too early"),
    pytest.param(
        header(flags=2, mtime=LATER), "restamp", id="checked bit without hash bit: a time stamp, to importlib"
    ),
    pytest.param(header(size=7), "report", id="another source's size"),
    pytest.param(header(flags=4), "report", id="flags that importlib refuses"),
    pytest.param(hashed(bytes(8), flags=3), "report", id="checked hash of another source"),
    pytest.param(hashed(bytes(8), flags=1), "report", id="unchecked hash of another source"),
]


@pytest.mark.parametrize(("head", "action"), HEADERS)
def test_headers_are_judged_like_importlib(head: bytes, action: str | None, tmp_path: Path) -> None:
    path = package(tmp_path, {SOURCE: TEXT, BYTECODE: head + CODE if len(head) == 16 else head})
    actions = stamps(check(path, extend_select=["stale-stamp"]))
    assert actions == ({BYTECODE: action} if action else {})


OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
OWN_SOURCE = f"lib/python{OWN_VERSION}/site-packages/m.py"
OWN_BYTECODE = cached(OWN_SOURCE, sys.implementation.cache_tag)


def importlib_ignores(bytecode: bytes) -> bool:
    """Return what importlib's own functions decide, given the source's time, size and text (SourceLoader.get_code)."""
    external: Any = importlib._bootstrap_external
    try:
        flags = external._classify_pyc(bytecode, "m", {})
        if not flags & 1:
            external._validate_timestamp_pyc(bytecode, BUILD_TIME, len(TEXT), "m", {})
        elif flags & 2:
            external._validate_hash_pyc(bytecode, importlib.util.source_hash(TEXT), "m", {})
    except (ImportError, EOFError):
        return True
    return False


@settings(deadline=None)
@given(
    flags=st.sampled_from([0, 1, 2, 3, 4, 7, 2**31]),
    mtime=st.sampled_from([0, 1, BUILD_TIME - 1, BUILD_TIME, BUILD_TIME + 1, 2**32 - 1]),
    size=st.sampled_from([0, len(TEXT) - 1, len(TEXT), 2**32 - 1]),
    digest=st.sampled_from([None, bytes(8), importlib.util.source_hash(TEXT)]),
)
def test_the_verdict_is_that_of_importlib(flags: int, mtime: int, size: int, digest: bytes | None) -> None:
    rest = struct.pack("<II", mtime, size) if digest is None else digest
    bytecode = importlib.util.MAGIC_NUMBER + struct.pack("<I", flags) + rest + CODE
    spec = PackageSpec("own", depends=conda_forge(OWN_VERSION), files={OWN_SOURCE: TEXT, OWN_BYTECODE: bytecode})
    with tempfile.TemporaryDirectory() as directory:
        result = check(write_package(spec, Path(directory), level=1), extend_select=["stale-stamp"])
    reported = [finding for finding in result.findings if "unchecked" not in finding.detail]
    assert bool(reported) == importlib_ignores(bytecode)


def test_bytecode_loaded_unchecked_is_not_called_ignored(tmp_path: Path) -> None:
    path = package(tmp_path, {SOURCE: TEXT, BYTECODE: hashed(bytes(8), flags=1) + CODE})
    (finding,) = check(path, extend_select=["stale-stamp"]).findings
    assert "unchecked" in finding.detail
    path = package(tmp_path, {SOURCE: TEXT, BYTECODE: hashed(bytes(8), flags=3) + CODE})
    (finding,) = check(path, extend_select=["stale-stamp"]).findings
    assert "unchecked" not in finding.detail


LATE = header(mtime=LATER) + CODE

FILES = [
    pytest.param({SOURCE: TEXT, f"{SITE}/m.pyc": LATE}, {}, id="legacy place, which 3.11 never reads"),
    pytest.param({BYTECODE: LATE}, {}, id="no source"),
    pytest.param({SOURCE: TEXT, f"{BYTECODE}.123": LATE}, {}, id="leftover"),
    pytest.param({SOURCE: Symlink("../../../../elsewhere.py"), BYTECODE: LATE}, {},
                 id="the source's link leads out"),
    pytest.param({SOURCE: Symlink("m.py"), BYTECODE: LATE}, {}, id="the source's link is a circle"),
    pytest.param({SOURCE: File(TEXT, mtime=LATER), BYTECODE: LATE}, {}, id="the source's own time"),
    pytest.param({SOURCE: File(TEXT, mtime=0), BYTECODE: LATE}, {BYTECODE: "report"},
                 id="source from 1970: rattler makes it 1980, conda does not"),
    pytest.param({SOURCE: File(TEXT, mtime=0), BYTECODE: header(mtime=315_532_800) + CODE}, {},
                 id="source from 1970, bytecode for rattler's 1980"),
    pytest.param({SOURCE: File(TEXT, mtime=0), BYTECODE: header(mtime=0) + CODE}, {},
                 id="source from 1970, bytecode for conda's 1970"),
    pytest.param({SOURCE: b"", BYTECODE: header(size=0) + CODE}, {}, id="an empty source"),
    pytest.param({SOURCE: File(TEXT, mtime=2**31 + 5), BYTECODE: header(mtime=2**31 + 5) + CODE}, {}, id="after 2038"),
    pytest.param({SOURCE: File(TEXT, mtime=2**32 + 5), BYTECODE: header(mtime=5) + CODE}, {},
                 id="after 2106: modulo 2**32"),
    pytest.param({SOURCE: File(b"p = '/placehold'\n", prefix_placeholder="/placehold"),
                  BYTECODE: header(mtime=LATER, size=17) + CODE}, {BYTECODE: "report"},
                 id="installers change the source"),
    pytest.param({f"{SITE}/real.py": TEXT, SOURCE: Symlink("real.py"), BYTECODE: LATE},
                 {BYTECODE: "restamp"}, id="the source is a link: Python looks through it"),
    pytest.param({SOURCE: TEXT, BYTECODE.replace(".pyc", ".opt-1.pyc"): LATE},
                 {BYTECODE.replace(".pyc", ".opt-1.pyc"): "restamp"}, id="optimized"),
    pytest.param({SOURCE: TEXT, BYTECODE: LATE, cached(SOURCE, "cpython-310"): b""},
                 {BYTECODE: "restamp"}, id="only what is kept is judged"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), FILES)
@pytest.mark.parametrize("format_", FORMATS)
def test_only_caches_of_sources_in_the_package_are_judged(
    files: dict[str, AnyEntry], expected: dict[str, str], format_: str, tmp_path: Path
) -> None:
    path = package(tmp_path, files, format=format_)
    assert stamps(check(path, extend_select=["stale-stamp"])) == expected


def test_fractions_of_a_second_are_cut_off(tmp_path: Path) -> None:
    source = File(TEXT, mtime=BUILD_TIME + 0.75)
    path = package(tmp_path, {SOURCE: source, BYTECODE: header() + CODE}, writer="conda-build", dialect=PAX)
    assert stamps(check(path, extend_select=["stale-stamp"])) == {}
    assert int(BUILD_TIME + 0.75) == BUILD_TIME


def test_kept_files_keep_their_stamps(tmp_path: Path) -> None:
    path = package(tmp_path, {SOURCE: TEXT, BYTECODE: LATE})
    assert check(path, extend_select=["stale-stamp"], keep=["*/__pycache__/*"]).status == "clean"


PYTHONS = [
    pytest.param("3.6", "cpython-36", struct.pack("<II", LATER, len(TEXT)), {"restamp"}, id="3.6: 12 bytes"),
    pytest.param("3.8", "cpython-38", struct.pack("<III", 0, LATER, len(TEXT)), {"restamp"}, id="3.8: 16 bytes"),
]


@pytest.mark.parametrize(("python", "tag", "rest", "actions"), PYTHONS)
def test_headers_of_older_pythons(python: str, tag: str, rest: bytes, actions: set[str], tmp_path: Path) -> None:
    source = f"lib/python{python}/site-packages/m.py"
    head = struct.pack("<H2s", MAGIC_NUMBERS[tag], b"\r\n")
    files: dict[str, AnyEntry] = {source: TEXT, cached(source, tag): head + rest + CODE}
    path = write_package(PackageSpec("old", depends=conda_forge(python), files=files), tmp_path)
    assert set(stamps(fix(path, in_place=True, extend_select=["stale-stamp"])).values()) == actions
    assert check(path, extend_select=["stale-stamp"]).status == "clean"
    assert (
        contents(path)[cached(source, tag)]
        == head + rest.replace(struct.pack("<I", LATER), struct.pack("<I", BUILD_TIME)) + CODE
    )


def test_python_2_bytecode_without_a_size_is_only_reported(tmp_path: Path) -> None:
    source = "lib/python2.7/site-packages/m.py"
    head = struct.pack("<H2sI", MAGIC_NUMBERS["cpython-27"], b"\r\n", LATER)
    spec = PackageSpec("old", depends=("python >=2.7,<2.8.0a0",), files={source: TEXT, source + "c": head + CODE})
    assert stamps(check(write_package(spec, tmp_path), extend_select=["stale-stamp"])) == {source + "c": "report"}


def contents(path: Path) -> dict[str, bytes]:
    """Return the content of every regular member, read by tarfile."""
    found = {}
    for tar in read_components(path).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if file := archive.extractfile(member):
                    found[member.name] = file.read()
    return found


@pytest.mark.parametrize("format_", FORMATS)
def test_only_time_and_size_change(format_: str, tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = {SOURCE: TEXT, BYTECODE: LATE, "share/x": b"x"}
    path = package(tmp_path, files, format=format_, writer="conda-build" if format_ == ".tar.bz2" else "rattler")
    before = {name: split_members(tar) for name, tar in read_components(path).items()}
    result = fix(path, in_place=True, extend_select=["stale-stamp"])
    assert result.status == "fixed"
    after = {name: split_members(tar) for name, tar in read_components(path).items()}
    changed = {
        name
        for component in before
        for (name, old), (same, new) in zip(before[component], after[component], strict=True)
        if (name, old) != (same, new)
    }
    assert changed == {BYTECODE, "info/paths.json"}
    found = contents(path)
    written = struct.unpack("<I", found[BYTECODE][8:12])[0]
    assert written == BUILD_TIME
    assert found[BYTECODE] == header() + CODE
    (entry,) = (row for row in json.loads(found["info/paths.json"])["paths"] if row["_path"] == BYTECODE)
    assert entry["sha256"] == hashlib.sha256(header() + CODE).hexdigest()
    assert check(path, deep=True, extend_select=["stale-stamp"]).status == "clean"
    assert fix(path, in_place=True, extend_select=["stale-stamp"]).status == "clean"


def test_the_digest_in_record_is_updated(tmp_path: Path) -> None:
    def digest(data: bytes) -> str:
        return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")

    name = BYTECODE.removeprefix(f"{SITE}/")
    record = f"m.py,,\n{name},{digest(LATE)},{16 + len(CODE)}\nm.dist-info/RECORD,,\n"
    files: dict[str, AnyEntry] = {
        SOURCE: TEXT, BYTECODE: LATE, f"{SITE}/m.dist-info/RECORD": record,
    }  # fmt: skip
    path = package(tmp_path, files)
    fix(path, in_place=True, extend_select=["stale-stamp"])
    found = contents(path)[f"{SITE}/m.dist-info/RECORD"].decode()
    assert found == record.replace(digest(LATE), digest(header() + CODE))
    assert check(path, deep=True).status == "clean"


def test_two_names_of_one_file_are_stamped_once(tmp_path: Path) -> None:
    optimized = BYTECODE.replace(".pyc", ".opt-1.pyc")
    files: dict[str, AnyEntry] = {SOURCE: TEXT, BYTECODE: LATE, optimized: Hardlink(BYTECODE)}
    path = package(tmp_path, files, writer="conda-build")
    # conda-build's times have fractions, which are cut off for both bytecode and source.
    assert set(stamps(fix(path, in_place=True, extend_select=["stale-stamp"])).values()) == {"restamp"}
    assert contents(path)[BYTECODE] == contents(path)[optimized] == header() + CODE
    assert check(path, deep=True, extend_select=["stale-stamp"]).status == "clean"


def test_one_file_for_two_sources_is_only_reported(tmp_path: Path) -> None:
    other = cached(f"{SITE}/n.py", "cpython-311")
    files: dict[str, AnyEntry] = {
        SOURCE: File(TEXT, mtime=BUILD_TIME), f"{SITE}/n.py": File(TEXT, mtime=BUILD_TIME + 100),
        BYTECODE: LATE, other: Hardlink(BYTECODE),
    }  # fmt: skip
    path = package(tmp_path, files, writer="conda-build")
    assert sorted(stamps(fix(path, in_place=True, extend_select=["stale-stamp"])).values()) == ["report", "report"]
    assert check(path, deep=True, extend_select=["stale-stamp"]).status == "clean"


def test_a_link_that_takes_over_content_is_stamped(tmp_path: Path) -> None:
    foreign = BYTECODE.replace("3.11", "3.10")
    files: dict[str, AnyEntry] = {SOURCE: TEXT, foreign: LATE, BYTECODE: Hardlink(foreign)}
    path = package(tmp_path, files, writer="conda-build")
    result = fix(path, in_place=True, extend_select=["stale-stamp"])
    assert {f.path: f.action.value for f in result.findings} == {foreign: "drop", BYTECODE: "restamp"}
    assert contents(path)[BYTECODE] == header() + CODE
    assert foreign not in contents(path)
    assert check(path, deep=True, extend_select=["stale-stamp"]).status == "clean"


def test_the_note_counts_ignored_files_and_names_the_option(tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = modules(SITE, "fresh", tags=("cpython-311",))
    files |= {SOURCE: TEXT, BYTECODE: LATE}
    path = package(tmp_path, files)
    note = "1 of 2 kept bytecode files will be ignored by Python: --extend-select stale-stamp"
    assert check(path).notes == (), "without the payload, there is no note"
    assert check(path, deep=True).notes == (note,)
    assert check(path, deep=True, ignore=["stale-stamp"]).notes == ()
    assert check(path, extend_select=["stale-stamp"]).notes == ()
    assert fix(path, in_place=True).notes == (note,)


@pytest.mark.parametrize(
    ("source", "head"),
    [
        pytest.param(File(TEXT, mtime=0), header(mtime=LATER), id="a source that installers date"),
        pytest.param(File(TEXT), header(size=7), id="a source of another size"),
        pytest.param(File(TEXT), header(flags=4), id="flags of no Python"),
    ],
)
def test_the_note_names_no_option_if_nothing_is_repairable(source: File, head: bytes, tmp_path: Path) -> None:
    path = package(tmp_path, {SOURCE: source, BYTECODE: head + CODE})
    assert check(path, deep=True).notes == ("1 of 1 kept bytecode files will be ignored by Python",)


@pytest.mark.parametrize(
    ("magic", "of_nothing", "of_text", "of_lines"),
    [
        pytest.param(3394, "85ee0caabd83b6a7", "20329d810db227ea", "6e2152d10297897c", id="3.7.16"),
        pytest.param(3413, "81e4881b3643e8e9", "1506f08f32bf3ff3", "7849d648a41d56ef", id="3.8.18"),
        pytest.param(3425, "ac0bb7c83e5b1c5f", "f1d665a9e50fdffa", "974afd7421bf93e0", id="3.9.18"),
        pytest.param(3439, "8cc0cd2525e7fd27", "d94aade28c8cbebf", "de7710c6f96c1e93", id="3.10.13"),
        pytest.param(3495, "738d9cd5d5e87f73", "4c0372aa93f75252", "8ca2a4f1691977d1", id="3.11.7"),
        pytest.param(3531, "baf18eedc9387a25", "1522561917f5df08", "a67044626ed7acf0", id="3.12.1"),
        pytest.param(3571, "27ec6d312f93b814", "e786e2893651120e", "835903386538bdb5", id="3.13.0"),
    ],
)
def test_the_hash_is_that_of_each_python(magic: int, of_nothing: str, of_text: str, of_lines: str) -> None:
    """Recorded from `importlib.util.source_hash` of these CPythons, each with its own magic number as key."""
    python = magic_python(magic)
    assert python is not None
    lines = b"".join(b"line %d\n" % number for number in range(40))
    hashes = [source_hash(magic, python, source) for source in (b"", TEXT, lines)]
    assert [digest.hex() if digest else None for digest in hashes] == [of_nothing, of_text, of_lines]


@given(st.binary(max_size=100))
def test_siphash_is_that_of_the_running_python(source: bytes) -> None:
    key = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
    assert importlib.util.source_hash(source) in (siphash(key, source, 1, 3), siphash(key, source, 2, 4))


def test_the_hash_of_another_implementation_is_not_known() -> None:
    python = magic_python(336)
    assert python is not None
    assert python.implementation == "pypy"
    assert source_hash(336, python, b"") is None


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode), ids=lambda mode: mode.name.lower())
def test_bytecode_compiled_by_this_python_is_valid(mode: py_compile.PycInvalidationMode, tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_bytes(TEXT)
    os.utime(file, (BUILD_TIME, BUILD_TIME))
    compiled = py_compile.compile(str(file), str(tmp_path / "m.pyc"), doraise=True, invalidation_mode=mode)
    files: dict[str, AnyEntry] = {OWN_SOURCE: TEXT, OWN_BYTECODE: Path(str(compiled)).read_bytes()}
    for name, changed, valid in (("same", TEXT, True), ("other", b"x = 2\n", mode.name == "TIMESTAMP")):
        directory = tmp_path / name
        directory.mkdir()
        spec = PackageSpec("own", depends=conda_forge(OWN_VERSION), files=files | {OWN_SOURCE: changed})
        actions = stamps(check(write_package(spec, directory), extend_select=["stale-stamp"]))
        assert actions == ({} if valid else {OWN_BYTECODE: "report"})


def test_other_bytecode_of_the_corpus_is_not_changed(tmp_path: Path) -> None:
    path = package(tmp_path, {SOURCE: TEXT, BYTECODE: pyc("cpython-311", "x", source=TEXT)})
    assert fix(path, in_place=True, extend_select=["stale-stamp"]).status == "clean"
