"""Of several hard links to a dropped file, the first keeps the content and the others link to it."""

from __future__ import annotations

import io
import json
import os
import posixpath
import random
import tarfile
from pathlib import Path

import pytest
from conda_package_handling import api as conda_package_handling
from hypothesis import given
from hypothesis import strategies as st

from conda_prune import PruneError, check, fix
from conda_prune.archive.tar import TarReader
from conda_prune.archive.tar_header import BLOCK, with_link
from conda_prune.model import Component, FileKind, Limits
from conda_prune.rewrite import verify
from conda_prune.rewrite.libarchive import has_libarchive

from ..corpus.bytecode import modules, pyc
from ..corpus.crafted import from_tar, tar_of
from ..corpus.entries import (
    BUILD_TIME,
    AnyEntry,
    File,
    Hardlink,
)
from ..corpus.packages import FORMATS, Format, write_package
from ..corpus.scenario import for_311
from ..corpus.tars import (
    GNU,
    PAX,
    USTAR,
    Dialect,
    read_components,
    tar_member,
)
from ..laws.test_readers import (
    by_conda_package_handling,
    by_conda_package_streaming,
    by_libarchive,
    by_rattler,
    link_of,
)
from ..wine import IS_WINE

SITE = "lib/python3.11/site-packages"
OWN = modules(SITE, "m/a", tags=("cpython-311",))
STRAY = "lib/python3.10/site-packages/m/__pycache__/a.cpython-310.pyc"
CONTENT = pyc("cpython-310", "stray") + random.Random(1).randbytes(1 << 18)

DIALECTS = pytest.mark.parametrize("dialect", [USTAR, GNU, PAX], ids=["ustar", "gnu", "pax"])

PATHS_BY_LENGTH: dict[str, str] = {
    "short": "share/{}",
    "hundred": "share/" + "d" * 92 + "/{}",
    "hundred-and-one": "share/" + "d" * 93 + "/{}",
    "long": "share/" + "/".join(["d" * 40] * 6) + "/{}",
    "not-ascii": "share/ñandú-{}",
    "not-ascii-and-long": "share/" + "/".join(["ñandú" * 7] * 3) + "/{}",
}
"""Templates for paths. With a name of one character, a path has the length that the key says."""
NAMES = [name for place in PATHS_BY_LENGTH.values() for name in [place.format("x")]]
assert [len(PATHS_BY_LENGTH[key].format("x")) for key in ("hundred", "hundred-and-one")] == [100, 101]


def is_possible(dialect: Dialect, name: str) -> bool:
    """Return whether a dialect can store a name. ustar has two fields of 100 and 155 bytes, split at a slash."""
    try:
        tar_member(name, dialect=dialect)
    except ValueError:
        return False
    return True


def package_with_links(directory: Path, format_: Format, dialect: Dialect, links: dict[str, str]) -> Path:
    """Write a package with the stray file and these hard links, which lead to it or to each other."""
    linked = [
        tar_member(STRAY, CONTENT, dialect=dialect),
        *(tar_member(name, type=tarfile.LNKTYPE, linkname=to, dialect=dialect) for name, to in links.items()),
    ]
    return package_with_members(directory, format_, linked)


def package_with_members(directory: Path, format_: Format, more: list[bytes]) -> Path:
    """Write a package with these additional members at the end."""
    spec = for_311("linked", OWN, paths_json=None)
    package = from_tar(lambda members: tar_of([*members, *more]), format_, spec)(directory)
    return package.replace(directory / f"{spec.stem}{format_}")  # Some readers want inner names to match.


def members(package: Path) -> dict[str, tarfile.TarInfo]:
    """Return the members of all components by their names, as Python reads them."""
    found: dict[str, tarfile.TarInfo] = {}
    for tar in read_components(package).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:", errors="surrogateescape") as archive:
            found |= {member.name: member for member in archive}
    return found


def unpacked(package: Path) -> int:
    return sum(map(len, read_components(package).values()))


def keepers(package: Path, names: list[str]) -> list[str]:
    """Return the names that are regular files. Assert that the others are hard links to the first of these."""
    found = members(package)
    regular = [name for name in names if found[name].isreg()]
    for name in names:
        if name not in regular:
            assert (found[name].type, found[name].linkname) == (tarfile.LNKTYPE, regular[0]), name
    return regular


def read_by_all_clients(package: Path, directory: Path) -> dict[str, str]:
    """Return the hashes of all files. Assert that all clients read the same."""
    if IS_WINE and max(len(str(directory / "by_conda_package_handling" / name)) for name in members(package)) > 259:
        pytest.skip("GetFinalPathNameByHandle of Wine takes no path longer than MAX_PATH, which rattler calls")
    trees = []
    for reader in (by_rattler, by_conda_package_handling, by_conda_package_streaming, by_libarchive):
        (directory / reader.__name__).mkdir(parents=True)
        trees.append(reader(package, directory / reader.__name__))
    linked = {name for name, member in members(package).items() if not member.isreg()}
    # Readers of streams return links as links. Only unpacked files have a content for every name.
    assert {name: digest for name, digest in trees[0].items() if name not in linked} == trees[2] == trees[3]
    assert trees[0] == trees[1]
    return trees[0]


@DIALECTS
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("place", PATHS_BY_LENGTH)
def test_the_first_link_keeps_the_content(tmp_path: Path, place: str, format_: Format, dialect: Dialect) -> None:
    names = [PATHS_BY_LENGTH[place].format(letter) for letter in "abcd"]
    if not all(is_possible(dialect, name) for name in names):
        pytest.skip("this dialect has no such names")
    package = package_with_links(tmp_path, format_, dialect, dict.fromkeys(names, STRAY))
    before, size, content = read_by_all_clients(package, tmp_path / "before"), package.stat().st_size, unpacked(package)
    assert fix(package, in_place=True).status == "fixed"
    after = read_by_all_clients(package, tmp_path / "after")
    assert after == {path: digest for path, digest in before.items() if path != STRAY}
    assert keepers(package, names) == names[:1]
    assert unpacked(package) <= content + 3 * 3 * BLOCK, "only extension headers were added"
    assert package.stat().st_size <= size + 1024
    for reader in ("by_rattler", "by_conda_package_handling"):
        extracted = [(tmp_path / "after" / reader / name).stat().st_ino for name in names]
        assert len(set(extracted)) == 1, f"{reader} makes hard links of them"
    fixed = package.read_bytes()
    assert check(package, deep=True).status == "clean"
    assert fix(package, in_place=True).status == "clean"
    assert package.read_bytes() == fixed


def test_the_result_is_also_verified_without_libarchive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "has_libarchive", lambda: False)
    for place in PATHS_BY_LENGTH.values():
        names = [place.format(letter) for letter in "abcd"]
        package = package_with_links(tmp_path, ".conda", PAX, dict.fromkeys(names, STRAY))
        fix(package, in_place=True)
        assert keepers(package, names) == names[:1]


CHAINS = {
    "each to the one before": {"a": STRAY, "b": "a", "c": "b"},
    "the first to the second": {"a": STRAY, "b": STRAY, "c": "b"},
    "through another dropped name": {STRAY + "-2.pyc": STRAY, "a": STRAY + "-2.pyc", "b": STRAY + "-2.pyc"},
    "from the root": {"a": f"./{STRAY}", "b": f"././{STRAY}"},
}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("links", CHAINS.values(), ids=CHAINS)
def test_chained_links_keep_one_copy_of_the_content(tmp_path: Path, links: dict[str, str], format_: Format) -> None:
    package = package_with_links(tmp_path, format_, GNU, links)
    kept = [name for name in links if not name.startswith("lib/")]
    size = unpacked(package)
    fix(package, in_place=True)
    hashes = read_by_all_clients(package, tmp_path / "after")
    assert len({hashes[name] for name in kept}) == 1
    assert STRAY not in hashes
    assert keepers(package, kept) == kept[:1]
    assert unpacked(package) < size


def test_a_link_between_two_kept_names_is_dropped(tmp_path: Path) -> None:
    own = f"{SITE}/m/__pycache__/a.cpython-311.pyc"
    links = {f"{STRAY}-2.pyc": own, "share/a": f"{STRAY}-2.pyc"}
    linked = [tar_member(name, type=tarfile.LNKTYPE, linkname=to) for name, to in links.items()]
    package = package_with_members(tmp_path, ".conda", linked)
    before = read_by_all_clients(package, tmp_path / "before")
    fix(package, in_place=True)
    assert (members(package)["share/a"].type, members(package)["share/a"].linkname) == (tarfile.LNKTYPE, own)
    after = read_by_all_clients(package, tmp_path / "after")
    assert after == {path: digest for path, digest in before.items() if path != f"{STRAY}-2.pyc"}


def test_names_that_start_with_a_dot_keep_it(tmp_path: Path) -> None:
    """Some writers start every name with `./`, including the targets of links."""
    package = package_with_links(tmp_path, ".tar.bz2", GNU, {"./share/a": f"./{STRAY}", "./share/b": f"./{STRAY}"})
    fix(package, in_place=True)
    assert members(package)["./share/b"].linkname == "./share/a"
    for reader in (by_rattler, by_conda_package_handling):
        (tmp_path / reader.__name__).mkdir()
        found = reader(package, tmp_path / reader.__name__)
        assert found["share/a"] == found["share/b"]


def test_the_listing_describes_every_link(tmp_path: Path) -> None:
    names = ["share/a", "share/b", "share/c"]
    files: dict[str, AnyEntry] = {STRAY: CONTENT, **{name: Hardlink(STRAY) for name in names}}
    package = write_package(for_311("linked", OWN | files), tmp_path, writer="conda-build")
    fix(package, in_place=True)
    hashes = read_by_all_clients(package, tmp_path / "after")
    text = (tmp_path / "after" / "by_rattler" / "info" / "paths.json").read_text()
    rows = {row["_path"]: row for row in json.loads(text)["paths"]}
    for name in names:
        assert (rows[name]["sha256"], rows[name]["size_in_bytes"]) == (hashes[name], len(CONTENT))
        assert rows[name]["inode_paths"] == names


def test_a_new_stamp_is_written_once_for_all_names(tmp_path: Path) -> None:
    cache = f"{SITE}/m/__pycache__"
    stale = pyc("cpython-311", "shared")
    kept = [f"{cache}/b.cpython-311.opt-1.pyc", f"{cache}/b.cpython-311.pyc"]
    files: dict[str, AnyEntry] = {STRAY: stale, **{name: Hardlink(STRAY) for name in kept}}
    files[f"{SITE}/m/b.py"] = File(b"", mtime=BUILD_TIME + 5)
    package = write_package(for_311("linked", OWN | files), tmp_path, writer="conda-build")
    first = next(name for name in members(package) if name in kept)
    result = fix(package, extend_select=["stale-stamp"], in_place=True)
    assert {finding.path for finding in result.findings if finding.action.value == "restamp"} == set(kept)
    assert keepers(package, kept) == [first]
    assert check(package, deep=True, extend_select=["stale-stamp"]).status == "clean"
    hashes = read_by_all_clients(package, tmp_path / "after")
    assert len({hashes[name] for name in kept}) == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_a_package_of_conda_package_handling_does_not_grow(tmp_path: Path, format_: Format) -> None:
    """The package is made by conda-build's own library, from files that are hard links on disk."""
    prefix = tmp_path / "prefix"
    names = ["share/one.pyc", "share/two.pyc", "share/three.pyc", "share/four.pyc"]
    for path, data in {
        "info/index.json": json.dumps(
            {"name": "p", "version": "1", "build": "py311_0", "build_number": 0, "depends": ["python 3.11.*"]}
        ).encode(),
        "info/files": "\n".join([STRAY, *names]).encode(),
        STRAY: CONTENT,
    }.items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_bytes(data)
        # With other times in the headers, the result as bz2 may be two bytes larger.
        os.utime(prefix / path, (BUILD_TIME, BUILD_TIME))
    (prefix / "share").mkdir()
    for name in names:
        os.link(prefix / STRAY, prefix / name)
    files = ["info/files", "info/index.json", STRAY, *names]
    conda_package_handling.create(str(prefix), files, f"p-1-py311_0{format_}", str(tmp_path))
    package = tmp_path / f"p-1-py311_0{format_}"
    regular = [name for name, member in members(package).items() if member.isreg() and member.size == len(CONTENT)]
    if regular != [STRAY]:
        pytest.skip(f"another name came first here: {regular}")
    before, size = read_by_all_clients(package, tmp_path / "before"), package.stat().st_size
    assert fix(package, in_place=True).status == "fixed"
    after = read_by_all_clients(package, tmp_path / "after")
    assert {name: before[name] for name in names} == {name: after[name] for name in names}
    assert len(keepers(package, names)) == 1
    assert package.stat().st_size <= size


# Headers


def component(raw: bytes) -> Component:
    reader = TarReader(lambda path: Limits().text, Limits())
    reader.feed(tar_of([tar_member("t"), tar_member("t" * 90), *(tar_member(n) for n in TARGETS), raw]))
    return reader.finish("pkg")


TARGETS = [*NAMES, "share/a\nb", "share/" + "n" * 120 + "\nb"]


@DIALECTS
@pytest.mark.parametrize("old", ["t", "t" * 90, NAMES[3], NAMES[4], NAMES[5]], ids=lambda name: f"from-{len(name)}")
@pytest.mark.parametrize("new", TARGETS, ids=lambda name: f"to-{len(name)}")
@pytest.mark.parametrize("extra", [None, {"mtime": "12.5", "SCHILY.dev": "7"}], ids=["", "with-records"])
def test_every_reader_finds_the_new_target(
    dialect: Dialect, old: str, new: str, extra: dict[str, str] | None, tmp_path: Path
) -> None:
    try:
        raw = tar_member("link", type=b"1", linkname=old, mtime=12, mode=0o751, dialect=dialect, pax=extra)
    except ValueError:
        pytest.skip("this dialect has no such targets")
    headers = component(raw).headers["link"]
    made = with_link(headers, new)
    again = component(made)
    assert (again.files[-1].kind, again.files[-1].link) == (FileKind.HARDLINK, new)
    assert with_link(made, new) == made
    for tar in (tar_of([raw]), tar_of([made])):
        with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
            (info,) = archive.getmembers()
            assert (info.name, info.type, info.mode, int(info.mtime)) == ("link", tarfile.LNKTYPE, 0o751, 12)
    assert info.linkname == new
    assert "SCHILY.dev" in info.pax_headers or not extra or dialect != PAX
    if has_libarchive():
        import libarchive

        with libarchive.memory_reader(tar_of([made])) as entries:
            assert [link_of(entry) for entry in entries] == [new]


@DIALECTS
def test_the_same_target_changes_no_byte(dialect: Dialect) -> None:
    for old in NAMES:
        try:
            raw = tar_member("link", type=tarfile.LNKTYPE, linkname=old, dialect=dialect)
        except ValueError:
            continue
        headers = component(raw).headers["link"]
        assert with_link(headers, old) == headers == raw


PATHS = st.text(st.sampled_from("ab/ñ中\n é="), min_size=1, max_size=300).filter(
    lambda path: not path.startswith("/") and posixpath.normpath(path) == path
)


@given(dialect=st.sampled_from([USTAR, GNU, PAX]), old=PATHS, new=PATHS, own=PATHS, again=PATHS)
def test_any_target_can_replace_any_other(dialect: Dialect, old: str, new: str, own: str, again: str) -> None:
    if len({old, new, own, again}) < 4 or any(path.startswith(f"{other}/") for path in (old, new, own, again)
                                              for other in (old, new, own, again)):  # fmt: skip
        return
    try:
        raw = tar_member(own, type=tarfile.LNKTYPE, linkname=old, dialect=dialect)
        targets = [tar_member(path, dialect=GNU) for path in (old, new, again)]
    except ValueError:
        return
    reader = TarReader(lambda path: Limits().text, Limits())
    try:
        reader.feed(tar_of([*targets, raw]))
    except PruneError:
        return  # A line end in a PAX record is refused before anything is edited.
    headers = reader.finish("pkg").headers[own]
    for target in (new, again, old):
        headers = with_link(headers, target)
        tar = tar_of([*targets, headers])
        reader = TarReader(lambda path: Limits().text, Limits())
        reader.feed(tar)
        assert reader.finish("pkg").files[-1].link == target
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            info = archive.getmembers()[-1]
            assert (info.name, info.linkname) == (own, target)
