"""`--select`, `--extend-select` and `--ignore`: which kinds are repaired, and which are always shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..corpus.bytecode import cached, pyc
from ..corpus.packages import File, PackageSpec, write_package
from ..executable import run
from ..judgement.packages import with_listing
from ..seed import STRAY

TREE, OLD_TREE = "lib/python3.11/site-packages", "lib/python3.10/site-packages"
FOREIGN_PATH = cached(f"{OLD_TREE}/m.py", "cpython-310")
FOREIGN_TREE = f"{OLD_TREE}/m.py"
FOREIGN_TAG = cached(f"{TREE}/m.py", "cpython-310")
ORPHAN = cached(f"{TREE}/gone.py", "cpython-311")
KINDS = {FOREIGN_PATH: "foreign-path", FOREIGN_TREE: "foreign-tree", FOREIGN_TAG: "foreign-tag", ORPHAN: "orphan"}
DEFAULT = {"foreign-path", "foreign-tag"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one file of each kind."""
    files = {
        FOREIGN_PATH: File(pyc("cpython-310")),
        FOREIGN_TREE: File(b"m = 1\n"),
        FOREIGN_TAG: File(pyc("cpython-310")),
        ORPHAN: File(pyc("cpython-311")),
        f"{TREE}/m.py": File(b"m = 1\n"),
    }
    depends = ("python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311")
    return write_package(PackageSpec("p", "1", "py311_0", subdir="linux-64", depends=depends, files=files), tmp_path)


def found(package: Path, *arguments: str) -> set[str]:
    """Return the kinds that would be repaired, and assert that `fix` repairs the same ones."""
    done = run("check", package, *arguments, "--format", "json")
    (checked,) = json.loads(done.stdout)
    (fixed,) = json.loads(run("fix", package, "--dry-run", *arguments, "--format", "json").stdout)
    assert checked["findings"] == fixed["findings"]
    for finding in checked["findings"]:
        assert finding["kind"] == KINDS[finding["path"]]
    return {finding["kind"] for finding in checked["findings"] if finding["action"] != "report"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], DEFAULT, id="defaults"),
        pytest.param(["--select", "foreign-tree"], {"foreign-tree"}, id="exactly one"),
        pytest.param(["--select", "orphan,foreign-path"], {"orphan", "foreign-path"}, id="exactly two"),
        pytest.param(["--select", "orphan", "--select", "foreign-tag"], {"orphan", "foreign-tag"}, id="repeated"),
        pytest.param(["--extend-select", "orphan"], DEFAULT | {"orphan"}, id="in addition"),
        pytest.param(["--select", "orphan", "--extend-select", "foreign-tree"], {"orphan", "foreign-tree"}, id="both"),
        pytest.param(["--select", "all"], set(KINDS.values()), id="all"),
        pytest.param(["--extend-select", "all"], set(KINDS.values()), id="all in addition"),
        pytest.param(["--ignore", "foreign-tag"], {"foreign-path"}, id="ignored"),
        pytest.param(["--select", "orphan", "--ignore", "orphan"], set(), id="ignored wins"),
        pytest.param(["--select", "all", "--ignore", "orphan,foreign-tree"], DEFAULT, id="all but some"),
    ],
)
def test_kinds_are_chosen(package: Path, arguments: list[str], expected: set[str]) -> None:
    assert found(package, *arguments) == expected


def test_notes_are_shown_regardless_of_the_selection(package: Path) -> None:
    for arguments in ([], ["--select", "orphan"], ["--ignore", "orphan"]):
        done = run("check", package, *arguments)
        assert "1 file of another Python's tree remains (6 B): use --extend-select foreign-tree" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--select", "orphan"], ["--ignore", "unknown-variant"]])
def test_undecided_packages_are_shown_regardless_of_the_selection(tmp_path: Path, arguments: list[str]) -> None:
    files = {f"{TREE}/m.py": File(b"m = 1\n"), cached(f"{TREE}/m.py", "cpython-311"): File(pyc("cpython-311"))}
    spec = PackageSpec("p", "1", "0", subdir="linux-64", depends=("python >=3.8",), files=files)
    done = run("check", write_package(spec, tmp_path), *arguments)
    assert done.returncode == 0
    assert "unknown-variant" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "corrected"), [([], 1), (["--select", "orphan"], 1), (["--ignore", "stale-listing"], 0)]
)
def test_listings_are_corrected_unless_ignored(tmp_path: Path, arguments: list[str], corrected: int) -> None:
    wrong = with_listing(lambda by, all_: by["share/x"].update(size_in_bytes=9))
    spec = PackageSpec("p", "1", "0", subdir="linux-64", files={"share/x": File(b"x")}, paths_json=wrong)
    path = write_package(spec, tmp_path)
    (result,) = json.loads(run("fix", "--in-place", path, *arguments, "--format", "json").stdout)
    assert result["summary"]["corrected"] == corrected


def test_the_proposed_command_has_the_same_selection() -> None:
    done = run("check", STRAY[0].path, "--extend-select", "foreign-tree", "--ignore", "orphan")
    assert "--in-place --extend-select foreign-tree --ignore orphan" in done.stdout
