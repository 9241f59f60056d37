"""`diff`, run through its executable: the verdict, the list of differences, and the exit code."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import jsonschema
import pytest

import conda_prune
from conda_prune import PruneError, fix
from conda_prune.report.diff import schema_text

from ..executable import run
from ..seed import CLEAN, STRAY, Seed

PRINTED_BY_SEED = pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.path.name)


def repaired(seed: Seed, tmp_path: Path, **options: object) -> Path:
    fix(seed.path, output_dir=tmp_path, **options)  # type: ignore[arg-type]
    return tmp_path / seed.path.name


@PRINTED_BY_SEED
def test_a_repair_exits_0(seed: Seed, tmp_path: Path) -> None:
    done = run("diff", seed.path, repaired(seed, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the old package minus its stray files" in done.stdout
    assert "UNEXPECTED" not in done.stdout


def test_a_package_and_itself_do_not_differ() -> None:
    done = run("diff", STRAY[0].path, STRAY[0].path)
    assert done.returncode == 0
    assert "no difference" in done.stdout


def test_a_repair_with_other_options_is_unexpected(tmp_path: Path) -> None:
    seed = STRAY[-1]
    new = repaired(seed, tmp_path, extend_select=["foreign-tree"])
    done = run("diff", seed.path, new)
    assert done.returncode == 1
    assert "UNEXPECTED   removed: " in done.stdout
    assert run("diff", seed.path, new, "--extend-select", "foreign-tree").returncode == 0


def test_more_than_ten_differences_are_listed_only_if_verbose(tmp_path: Path) -> None:
    seed = STRAY[-1]
    new = repaired(seed, tmp_path)
    assert "more (use -v to list them)" in run("diff", seed.path, new).stdout
    removed = [finding.path for finding in conda_prune.check(seed.path, deep=True).findings]
    assert all(path in run("diff", "-v", seed.path, new).stdout for path in removed)


def test_a_member_that_was_changed_is_named(tmp_path: Path) -> None:
    old = next(seed.path for seed in CLEAN if seed.path.name.endswith(".tar.bz2"))
    new = tmp_path / old.name
    with tarfile.open(old) as read, tarfile.open(new, "w:bz2", format=tarfile.GNU_FORMAT) as written:
        for member in read:
            member.mode ^= 0o100
            written.addfile(member, read.extractfile(member) if member.isreg() else None)
    done = run("diff", old, new)
    assert done.returncode == 1
    assert "the bytes of its tar header differ" in done.stdout


def test_json_matches_its_schema(tmp_path: Path) -> None:
    assert json.loads(run("schema", "diff").stdout) == json.loads(schema_text())
    for seed in (*STRAY, *CLEAN):
        printed = json.loads(run("diff", "--format", "json", seed.path, repaired(seed, tmp_path)).stdout)
        jsonschema.Draft202012Validator(json.loads(schema_text())).validate(printed)
        assert printed["explained"]
        assert bool(printed["changes"]) is (seed in STRAY)


@pytest.mark.parametrize("which", ["old", "new"])
def test_an_unreadable_package_is_named_in_one_line(tmp_path: Path, which: str) -> None:
    cut = tmp_path / STRAY[0].path.name
    shutil.copy(STRAY[0].path, cut)
    cut.write_bytes(cut.read_bytes()[:-50])
    for bad in (cut, tmp_path / "missing.conda", tmp_path / "package.zip"):
        done = run("diff", *((bad, STRAY[0].path) if which == "old" else (STRAY[0].path, bad)))
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"error: {bad}"), done.stderr
        assert done.stderr.count("\n") == 1


def test_diff_works_from_python(tmp_path: Path) -> None:
    seed = STRAY[0]
    difference = conda_prune.diff(seed.path, repaired(seed, tmp_path))
    assert difference.changes
    assert difference.unexpected == ()
    with pytest.raises(ValueError, match="select"):
        conda_prune.diff(seed.path, seed.path, select=["no-such-kind"])
    with pytest.raises(PruneError) as raised:
        conda_prune.diff(seed.path, tmp_path / "missing.conda")
    assert raised.value.path == str(tmp_path / "missing.conda")
