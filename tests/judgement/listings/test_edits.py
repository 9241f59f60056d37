"""Dropped files are removed from listings, however their names are written."""

from __future__ import annotations

from pathlib import Path

from conda_prune import check, fix

from ...corpus.packages import (
    File,
)
from ..packages import (
    CONTENT,
    OWN,
    STRAY,
    TREE,
    actions_of,
    fix_and_recheck,
    read_files,
    write,
)


def test_names_with_backslashes_are_removed(tmp_path: Path) -> None:
    names = "".join(name.replace("/", "\\") + "\r\n" for name in [*OWN, STRAY])
    path = write(tmp_path, {STRAY: CONTENT}, paths_json=None, info={"info/files": names.encode()})
    assert actions_of(fix(path, in_place=True)) == {STRAY: "drop"}
    assert read_files(path)["info/files"].decode().split() == [name.replace("/", "\\") for name in OWN]
    assert check(path, deep=True).status == "clean"


def test_absolute_names_in_record_are_removed(tmp_path: Path) -> None:
    prefix = "/home/build/_h_env_placehold"
    record = f"m/a.py,,\n{prefix}/{STRAY},,\nm-1.dist-info/RECORD,,\n"
    name = f"{TREE}/m-1.dist-info/RECORD"
    path = write(tmp_path, {STRAY: CONTENT, name: File(record.encode(), prefix_placeholder=prefix)})
    fix_and_recheck(path)
    assert read_files(path)[name] == b"m/a.py,,\nm-1.dist-info/RECORD,,\n"
