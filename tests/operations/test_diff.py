"""Two packages are compared by readers that share no code with `fix`."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from conda_prune import Action, check, fix
from conda_prune.errors import PruneError
from conda_prune.operations.diff import Difference, compare

from ..corpus.packages import PackageSpec, write_package
from ..seed import (
    CLEAN,
    SEEDS,
    STRAY,
    Seed,
)


def strays(package: Path) -> set[str]:
    return {finding.path for finding in check(package, deep=True).findings if finding.action is Action.DROP}


def repaired(seed: Seed, tmp_path: Path) -> Difference:
    fix(seed.path, output_dir=tmp_path)
    return compare(str(seed.path), str(tmp_path / seed.path.name), strays(seed.path))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.path.name)
def test_a_package_does_not_differ_from_itself(seed: Seed) -> None:
    assert compare(str(seed.path), str(seed.path), set()).changes == ()


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.path.name)
def test_a_repair_is_explained_by_the_strays(seed: Seed, tmp_path: Path) -> None:
    difference = repaired(seed, tmp_path)
    assert difference.unexpected == ()
    assert {change.path for change in difference.changes if change.what == "removed"} == strays(seed.path)
    assert {change.what for change in difference.changes} == {"removed", "listing"}


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.path.name)
def test_a_drop_that_is_not_stray_is_unexpected(seed: Seed, tmp_path: Path) -> None:
    fix(seed.path, output_dir=tmp_path)
    kept, *others = sorted(strays(seed.path))
    difference = compare(str(seed.path), str(tmp_path / seed.path.name), others)
    assert [(change.what, change.path) for change in difference.unexpected] == [("removed", kept)]


def test_a_package_rewritten_by_tarfile_is_unexpected(tmp_path: Path) -> None:
    old = next(seed.path for seed in CLEAN if seed.path.name.endswith(".tar.bz2"))
    new = tmp_path / old.name
    with tarfile.open(old) as read, tarfile.open(new, "w:bz2", format=tarfile.PAX_FORMAT) as written:
        for member in read:
            member.mtime += 1
            written.addfile(member, read.extractfile(member) if member.isreg() else None)
    difference = compare(str(old), str(new), set())
    assert difference.unexpected
    assert {change.what for change in difference.changes} == {"header"}


def test_packages_of_two_formats_and_changed_content_are_described(tmp_path: Path) -> None:
    spec = PackageSpec("a", files={"share/a": b"one"})
    old = write_package(spec, tmp_path)
    bz2 = write_package(spec, tmp_path, format=".tar.bz2")
    assert "a .conda became a .tar.bz2" in {change.detail for change in compare(str(old), str(bz2), set()).changes}
    assert "a .tar.bz2 became a .conda" in {change.detail for change in compare(str(bz2), str(old), set()).changes}
    (tmp_path / "new").mkdir()
    new = write_package(replace(spec, files={"share/a": b"two"}), tmp_path / "new")
    details = {change.path: change.detail for change in compare(str(old), str(new), set()).changes}
    assert details["share/a"] == "other content of the same size, 3 bytes"


def test_a_truncated_package_is_an_error(tmp_path: Path) -> None:
    for seed in CLEAN:
        cut = tmp_path / seed.path.name
        shutil.copy(seed.path, cut)
        cut.write_bytes(cut.read_bytes()[:-100])
        with pytest.raises(PruneError, match=r"cannot be read|cannot be decompressed|is cut off"):
            compare(str(seed.path), str(cut), set())
