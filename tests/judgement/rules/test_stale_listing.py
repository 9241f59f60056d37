"""Entries that disagree with the payload are corrected, and no others."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any

import pytest

from conda_prune import check, fix

from ...corpus.entries import AnyEntry
from ...corpus.packages import (
    Directory,
    Symlink,
    component_tars,
)
from ...corpus.scenario import for_311
from ...corpus.tars import END, tar_member
from ..packages import (
    CONTENT,
    OWN,
    STRAY,
    TREE,
    actions_of,
    fix_and_recheck,
    read_entries,
    read_files,
    with_listing,
    write,
)

STALE = [
    pytest.param(lambda by, all_: None, {}, id="nothing"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256=by["share/x"]["sha256"].upper()), {}, id="upper case"),
    pytest.param(lambda by, all_: by["share/x"].pop("sha256"), {}, id="no hash stated"),
    pytest.param(lambda by, all_: by["share/l"].update(sha256="1" * 64, size_in_bytes=7), {}, id="softlink, wrong"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/d", "path_type": "directory"}), {}, id="a directory"),
    pytest.param(lambda by, all_: all_.append({"_path": "info/x"}), {"info/x": "correct"}, id="absent below info"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256="1" * 64), {"share/x": "correct"}, id="wrong hash"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256=None), {"share/x": "correct"}, id="null hash"),
    pytest.param(lambda by, all_: by["share/x"].update(size_in_bytes=9), {"share/x": "correct"}, id="wrong size"),
    pytest.param(lambda by, all_: by["share/x"].update(size_in_bytes="1"), {"share/x": "correct"}, id="size as text"),
    pytest.param(lambda by, all_: (by["share/x"].pop("size_in_bytes"), by["share/x"].update(sha256="1" * 64)),
                 {"share/x": "correct"}, id="wrong hash, no size stated"),
    pytest.param(lambda by, all_: all_.remove(by["share/x"]), {"share/x": "correct"}, id="no entry"),
    pytest.param(lambda by, all_: all_.remove(by["share/l"]), {"share/l": "correct"}, id="no entry of a softlink"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/y"}), {"share/y": "correct"}, id="no file"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/y", "path_type": "softlink"}), {"share/y": "correct"},
                 id="no softlink"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), STALE)
def test_a_listing_that_disagrees_is_corrected(change: Any, expected: dict[str, str], tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = {"share/x": b"x", "share/l": Symlink("x")}
    path = write(tmp_path, files, paths_json=with_listing(change))
    before = read_entries(path)
    assert check(path).findings == (), "without the payload, nothing is found"
    assert actions_of(fix_and_recheck(path)) == expected
    after = read_entries(path)
    for name in before.keys() | after.keys() - expected.keys():
        if name not in expected:
            assert after[name] == before[name]
    (tmp_path / "true").mkdir()
    true = read_entries(write(tmp_path / "true", files))
    for name in expected.keys() & true.keys():
        stated = after[name].keys()
        assert after[name] == {key: value for key, value in true[name].items() if key in stated} | (
            {"size_in_bytes": 1} if name == "share/l" else {}
        ), "all values are right (CEP 34: those of a softlink are its target's)"
    assert expected.keys() - true.keys() == expected.keys() - after.keys()


def test_an_ignored_entry_is_not_corrected(tmp_path: Path) -> None:
    wrong = with_listing(lambda by, all_: by["share/x"].update(size_in_bytes=9))
    record = f"{TREE}/m-1.dist-info/RECORD"
    names = f"m/a.py,,\nm/__pycache__/{STRAY.rpartition('/')[2]},,\n"
    path = write(tmp_path, {"share/x": b"x", STRAY: CONTENT, record: names.encode()}, paths_json=wrong)
    assert actions_of(fix(path, in_place=True, ignore=["stale-listing"])) == {STRAY: "drop"}
    assert read_entries(path)["share/x"]["size_in_bytes"] == 9
    assert read_files(path)[record] == b"m/a.py,,\n", "entries of files that change are still updated"
    assert read_entries(path)[record]["size_in_bytes"] == len(b"m/a.py,,\n")


def test_a_new_entry_of_a_link_describes_its_target(tmp_path: Path) -> None:
    """CEP 34: the size and hash of a softlink are those of its target."""
    unlisted = with_listing(lambda by, all_: (all_.remove(by["share/l"]), all_.remove(by["share/n"])))
    path = write(tmp_path, {"share/x": b"xyz", "share/l": Symlink("x"), "share/n": Symlink("no")}, paths_json=unlisted)
    fix_and_recheck(path)
    listed = read_entries(path)
    assert listed["share/l"] == {**listed["share/x"], "_path": "share/l", "path_type": "softlink"}
    assert listed["share/n"]["size_in_bytes"] == 0


def test_a_name_that_json_cannot_hold_is_only_reported(tmp_path: Path) -> None:
    spec = for_311("planned", OWN)
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*info, *pkg, tar_member("share/\udce9", b"x"), END])))
    result = fix(path, in_place=True)
    assert result.status == "clean"
    assert actions_of(result) == {"share/\udce9": "report"}


def test_the_older_lists_are_also_corrected(tmp_path: Path) -> None:
    lists: dict[str, bytes | None] = {
        "info/files": "".join(f"{name}\n" for name in [*OWN, "share/gone"]).encode(),
        "info/has_prefix": b"/opt/p text share/gone\n/opt/p text share/x\n",
        "info/no_link": b"share/gone\n",
    }
    path = write(tmp_path, {"share/x": b"x"}, paths_json=None, info=lists)
    result = fix(path, in_place=True)
    assert actions_of(result) == {"share/gone": "correct", "share/x": "correct"}
    found = read_files(path)
    assert found["info/files"].decode().splitlines() == [*OWN, "share/x"]
    assert found["info/has_prefix"] == b"/opt/p text share/x\n"
    assert found["info/no_link"] == b""
    assert check(path, deep=True).status == "clean"


def test_a_list_may_name_directories(tmp_path: Path) -> None:
    names = "".join(f"{name}\n" for name in [*OWN, "share/d", "lib/python3.11"]).encode()
    path = write(tmp_path, {"share/d": Directory()}, paths_json=None, info={"info/files": names})
    assert fix(path, in_place=True).status == "clean"
