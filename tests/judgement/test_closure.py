"""What follows from a drop: links keep their targets or are dropped with them, and so are empty directories."""

from __future__ import annotations

import bz2
import json
from pathlib import Path
from typing import Any

import pytest

from conda_prune import check, fix
from conda_prune.errors import Unsupported
from conda_prune.model import Action

from ..corpus.crafted import from_tar, tar_of
from ..corpus.entries import AnyEntry
from ..corpus.packages import (
    FORMATS,
    Directory,
    Hardlink,
    Symlink,
    component_tars,
)
from ..corpus.scenario import for_311
from ..corpus.tars import END, tar_member
from .packages import (
    CACHE,
    CONTENT,
    OPTIMIZED,
    OTHER_TREE,
    OWN,
    OWN_PYC,
    STRAY,
    TREE,
    actions_of,
    fix_and_recheck,
    member_names,
    read_entries,
    read_files,
    with_listing,
    write,
)

LINKS = [
    pytest.param({"share/a": Symlink(f"../{TREE}/m/a.py"), STRAY: CONTENT}, {STRAY}, id="to a kept file"),
    pytest.param({"share/a": Symlink("nowhere"), STRAY: CONTENT}, {STRAY}, id="to nothing, as before"),
    pytest.param({"share/a": Symlink("/etc/passwd"), STRAY: CONTENT}, {STRAY}, id="to an absolute path"),
    pytest.param({"share/a": Symlink("b"), "share/b": Symlink("a"), STRAY: CONTENT}, {STRAY}, id="in a circle"),
    pytest.param({"share/a": Symlink(f"../{STRAY}"), STRAY: CONTENT}, set(), id="not bytecode: its target is kept"),
    pytest.param({f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-311.pyc"}, id="bytecode: dropped with its target"),
    pytest.param({"share/a": Symlink(f"../{CACHE}/b.cpython-311.pyc"),
                  f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 set(), id="not bytecode, through bytecode: all are kept"),
    pytest.param({f"{CACHE}/c.cpython-311.pyc": Symlink("b.cpython-311.pyc"),
                  f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-311.pyc", f"{CACHE}/c.cpython-311.pyc"}, id="bytecode, through bytecode"),
    pytest.param({f"{CACHE}/c.cpython-311.pyc": Symlink("b.cpython-310.pyc"),
                  f"{CACHE}/b.cpython-310.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-310.pyc", f"{CACHE}/c.cpython-311.pyc"}, id="bytecode, through a stray"),
    pytest.param({"share/cache": Symlink(f"../{CACHE}"), "share/a": Symlink("cache/a.cpython-310.pyc"), STRAY: CONTENT},
                 set(), id="through a linked directory"),
    pytest.param({"share/other": Symlink("p/__pycache__"), "share/p/__pycache__/x.cpython-310.pyc": CONTENT}, set(),
                 id="to a directory that would disappear"),
    pytest.param({"share/cache": Symlink(f"../{CACHE}"), STRAY: CONTENT}, {STRAY}, id="to a kept directory"),
    pytest.param({f"{TREE}/e/__pycache__": Directory(), "share/e": Symlink(f"../{TREE}/e/__pycache__"),
                  f"{TREE}/e/__pycache__/x.cpython-310.pyc": CONTENT},
                 {f"{TREE}/e/__pycache__/x.cpython-310.pyc"}, id="to a directory entry, which is kept"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "dropped"), LINKS)
@pytest.mark.parametrize("format_", FORMATS)
def test_symbolic_links_keep_their_targets_or_go_with_them(
    files: dict[str, AnyEntry], dropped: set[str], format_: str, tmp_path: Path
) -> None:
    path = write(tmp_path, files, format=format_)
    before = member_names(path)
    assert check(path).status == ("findings" if dropped else "clean")
    result = fix_and_recheck(path)
    assert before - member_names(path) == dropped
    assert sorted(f.path for f in result.findings if f.action is Action.DROP) == sorted(dropped), (
        "each is reported once"
    )


@pytest.mark.parametrize("listed", [False, True], ids=["not listed", "listed as a file"])
@pytest.mark.parametrize(
    ("link", "target", "is_kept"),
    [("share/a", f"../{STRAY}", True), (f"{CACHE}/b.cpython-311.pyc", STRAY.rpartition("/")[2], False)],
    ids=["not bytecode", "bytecode"],
)
def test_a_link_is_a_link_whatever_the_listing_says(
    link: str, target: str, is_kept: bool, listed: bool, tmp_path: Path
) -> None:
    def misled(by: dict[str, Any], all_: list[Any]) -> None:
        by[link].update(path_type="hardlink")
        if not listed:
            all_.remove(by[link])

    path = write(tmp_path, {link: Symlink(target), STRAY: CONTENT}, paths_json=with_listing(misled))
    result = fix(path, in_place=True)
    assert {link, STRAY} & member_names(path) == ({link, STRAY} if is_kept else set())
    paths = [finding.path for finding in result.findings]
    assert len(paths) == len(set(paths)), "a dropped file is not also corrected"


def test_a_kept_target_is_reported_with_the_reason(tmp_path: Path) -> None:
    result = check(write(tmp_path, {"share/a": Symlink(f"../{STRAY}"), STRAY: CONTENT}))
    assert [(f.path, f.action.value, f.detail) for f in result.findings] == [
        (STRAY, "report", "kept: share/a links to it")
    ]
    assert f"{STRAY} is kept: share/a links to it" in result.notes


def test_keep_keeps_a_link_and_its_target(tmp_path: Path) -> None:
    link = f"{CACHE}/b.cpython-311.pyc"
    path = write(tmp_path, {link: Symlink("a.cpython-310.pyc"), STRAY: CONTENT})
    assert fix_and_recheck(path, keep=["*/b.*"]).status == "clean"
    assert {link, STRAY} <= member_names(path)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_kept_name_of_a_dropped_file_keeps_its_content(format_: str, tmp_path: Path) -> None:
    first = f"{CACHE}/a.cpython-310.opt-1.pyc"
    names = ["share/one", "share/two"]
    files: dict[str, AnyEntry] = {first: CONTENT, STRAY: Hardlink(first)}
    files |= {name: Hardlink(first) for name in names}
    path = write(tmp_path, files, format=format_, writer="conda-build")
    assert actions_of(fix_and_recheck(path)) == {first: "drop", STRAY: "drop"}
    files_after = read_files(path)
    assert [files_after[name] for name in names] == [CONTENT, CONTENT]
    listed = read_entries(path)
    assert all(listed[name]["inode_paths"] == names for name in names)
    assert not {first, STRAY} & files_after.keys()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("links", "dropped"),
    [
        pytest.param(
            {STRAY: OWN_PYC, "share/one": STRAY, "share/two": "share/one"}, {STRAY}, id="the second is dropped"
        ),
        pytest.param(
            {"share/one": OWN_PYC, STRAY: "share/one", "share/two": STRAY}, {STRAY}, id="the third is dropped"
        ),
        pytest.param(
            {STRAY: OWN_PYC, OPTIMIZED: STRAY, "share/one": OPTIMIZED}, {STRAY, OPTIMIZED}, id="two are dropped"
        ),
        pytest.param(
            {"share/one": OWN_PYC, "share/two": "share/one", STRAY: "share/two"}, {STRAY}, id="the last is dropped"
        ),
        pytest.param(
            {"share/s": None, STRAY: "share/s", "share/one": STRAY}, set(), id="to a symbolic link: all are kept"
        ),
    ],
)
def test_chained_hard_links_keep_their_content(
    links: dict[str, str | None], dropped: set[str], format_: Any, tmp_path: Path
) -> None:
    """No known writer chains hard links, but all clients read such packages."""
    linked = [
        tar_member(name, type=b"1" if target else b"2", linkname=target or f"../{OWN_PYC}")
        for name, target in links.items()
    ]
    spec = for_311("planned", OWN, paths_json=None)
    path = from_tar(lambda members: tar_of([*members, *linked]), format_, spec)(tmp_path)
    before = read_files(path)
    fix(path, in_place=True)
    after = read_files(path)
    assert after.keys() == before.keys() - dropped
    assert {name: before[name] for name in after} == after


def test_a_hard_link_below_info_keeps_its_content(tmp_path: Path) -> None:
    """conda-build may pack a license and its copy below info as hard links, if both are in one tar (.tar.bz2)."""
    license_ = f"{OTHER_TREE}/m-1.dist-info/LICENSE"
    spec = for_311("planned", OWN | {license_: b"Permission is granted\n"})
    info, pkg = component_tars(spec)
    link = tar_member("info/licenses/LICENSE", type=b"1", linkname=license_)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*pkg, *info, link, END])))
    assert actions_of(fix_and_recheck(path, extend_select=["foreign-tree"])) == {license_: "drop"}
    assert read_files(path)["info/licenses/LICENSE"] == b"Permission is granted\n"


@pytest.mark.parametrize("target", ["m-1.dist-info/LICENSE", "m-1.dist-info"], ids=["file", "directory"])
@pytest.mark.parametrize("link", ["info/licenses/LICENSE", "info/licenses/x.pyc"])
def test_the_target_of_a_symbolic_link_below_info_is_kept(link: str, target: str, tmp_path: Path) -> None:
    license_ = f"{OTHER_TREE}/m-1.dist-info/LICENSE"
    spec = for_311("planned", OWN | {license_: b"Permission is granted\n", STRAY: CONTENT})
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    member = tar_member(link, type=b"2", linkname=f"../../{OTHER_TREE}/{target}")
    path.write_bytes(bz2.compress(b"".join([*pkg, *info, member, END])))
    forecast = actions_of(check(path, extend_select=["foreign-tree"]))
    assert (
        actions_of(fix_and_recheck(path, extend_select=["foreign-tree"]))
        == forecast
        == {STRAY: "drop", license_: "report"}
    )
    assert read_files(path)[license_] == b"Permission is granted\n"


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    spec = for_311("planned", OWN)
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*info, *pkg, tar_member("share/x", type=b"1", linkname="missing"), END])))
    with pytest.raises(Unsupported, match="hard link 'share/x' points to 'missing'"):
        fix(path, in_place=True)


def test_a_directory_is_dropped_with_the_last_file_below_it(tmp_path: Path) -> None:
    cache = f"{OTHER_TREE}/m/__pycache__"
    files: dict[str, AnyEntry] = {
        OTHER_TREE: Directory(),
        f"{OTHER_TREE}/m": Directory(),
        f"{OTHER_TREE}/m/empty": Directory(),
        cache: Directory(),
        f"{cache}/a.cpython-310.pyc": CONTENT,
        "share/empty": Directory(),
    }
    path = write(tmp_path, files)
    fix_and_recheck(path)
    assert not {cache, f"{cache}/a.cpython-310.pyc"} & (member_names(path) | read_entries(path).keys())
    kept = {OTHER_TREE, f"{OTHER_TREE}/m", f"{OTHER_TREE}/m/empty", "share/empty"}
    assert kept <= member_names(path)
    assert kept <= read_entries(path).keys()


def test_an_emptied_directory_that_is_not_listed_is_dropped(tmp_path: Path) -> None:
    cache = f"{OTHER_TREE}/m/__pycache__"

    def unlisted(by: dict[str, Any], all_: list[Any]) -> None:
        all_[:] = [row for row in all_ if row["path_type"] != "directory"]

    files: dict[str, AnyEntry] = {cache: Directory(), f"{cache}/a.cpython-310.pyc": CONTENT, "share/empty": Directory()}
    path = write(tmp_path, files, paths_json=with_listing(unlisted))
    assert cache in member_names(path)
    fix_and_recheck(path)
    assert cache not in member_names(path)
    assert "share/empty" in member_names(path)


@pytest.mark.parametrize("kind", ["softlink", "hardlink"])
@pytest.mark.parametrize("format_", FORMATS)
def test_an_emptied_directory_listed_as_a_file_is_unlisted(kind: str, format_: str, tmp_path: Path) -> None:
    tree = "lib/python3.10"
    wrong = with_listing(lambda by, all_: all_.append({"_path": tree, "path_type": kind}))
    path = write(tmp_path, {f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc": CONTENT}, format=format_, paths_json=wrong)
    assert actions_of(fix_and_recheck(path)) == {
        f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc": "drop",
        tree: "correct",
    }
    assert tree not in read_entries(path)


def test_an_emptied_directory_that_is_only_listed_is_unlisted(tmp_path: Path) -> None:
    def with_directories(listing: bytes) -> bytes:
        document = json.loads(listing)
        document["paths"] += [{"_path": path, "path_type": "directory"} for path in (f"{OTHER_TREE}/m", "share/empty")]
        return json.dumps(document, indent=2).encode()

    files: dict[str, AnyEntry] = {f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc": CONTENT}
    path = write(tmp_path, files, paths_json=with_directories)
    fix_and_recheck(path)
    assert f"{OTHER_TREE}/m" not in read_entries(path)
    assert "share/empty" in read_entries(path)
