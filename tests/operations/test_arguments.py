"""The Python API rejects invalid arguments at once, and later errors have the path of the package."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conda_prune import (
    Limits,
    PruneError,
    check,
    fix,
)

from ..executable import run
from ..seed import CLEAN, STRAY

TAR_BZ2 = next(seed for seed in STRAY if seed.path.name.endswith(".tar.bz2"))

JUDGING: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"select": "foreign-tree"},
        TypeError,
        r"select must be a list of kinds of findings, not a string; write \['foreign",
    ),
    ({"extend_select": "foreign-tree"}, TypeError, "extend_select must be a list"),
    ({"ignore": b"foreign-tree"}, TypeError, "ignore must be a list"),
    ({"keep": "share/**"}, TypeError, r"keep must be a list of globs, not a string; write \['share/\*\*'\]"),
    ({"select": ["foreign-tre"]}, ValueError, "select: there is no kind 'foreign-tre'; did you mean `foreign-tree`?"),
    ({"extend_select": {"dust"}}, ValueError, "there is no kind 'dust'; choose from foreign-path, "),
    ({"ignore": ["all"]}, ValueError, "there is no kind 'all'"),
    ({"ignore": [""]}, ValueError, "empty string"),
    ({"select": 3}, TypeError, "select must be a list of kinds of findings, not int"),
    ({"select": [3]}, TypeError, "each of select must be a string, not 3"),
    ({"keep": [Path("a")]}, TypeError, "each of keep must be a string"),
    ({"keep": None}, TypeError, "keep must be a list"),
    ({"python": 3.11}, TypeError, "python must be a string such as '3.13', not 3.11"),
    ({"python": "3.99"}, ValueError, "python=3.99: no such Python"),
    ({"python": ""}, ValueError, "python="),
    ({"limits": 3}, TypeError, "limits must be"),
    ({"limits": Limits(unpacked=-1)}, ValueError, "limits.unpacked=-1 is not positive"),
    ({"limits": Limits(members=0)}, ValueError, "limits.members=0 is not positive"),
    ({"limits": Limits(text="1M")}, TypeError, "limits.text must be a number"),  # type: ignore[arg-type]
]
CHECKING: list[tuple[dict[str, Any], type[Exception], str]] = [({"deep": "no"}, TypeError, "deep must be True or Fal")]
FIXING: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"in_place": False}, ValueError, "fix needs in_place=True or an output_dir"),
    ({"in_place": "no"}, TypeError, "in_place must be True or False, not 'no'"),
    ({"dry_run": 1}, TypeError, "dry_run must be True or False"),
    ({"output_dir": "out"}, ValueError, "in_place and output_dir cannot be combined"),
    ({"in_place": False, "output_dir": ""}, ValueError, "output_dir is empty"),
    ({"in_place": False, "output_dir": b"out"}, TypeError, "output_dir must be a string or os.PathLike"),
    ({"in_place": False, "output_dir": 3}, TypeError, "os.PathLike"),
    ({"in_place": False, "output_dir": "out", "backup": ".orig"}, ValueError, "backup requires in_place=True"),
    ({"level": "19"}, TypeError, "level must be a number or None, not '19'"),
    ({"level": 1.5}, TypeError, "level must be"),
    ({"level": True}, TypeError, "level must be"),
    ({"level": 23}, ValueError, "level=23: .conda has the levels -7 to 22"),
    ({"level": -8}, ValueError, "level=-8"),
    ({"backup": ""}, ValueError, "the backup suffix"),
    ({"backup": "/../../x"}, ValueError, "the backup suffix"),
    ({"backup": "\\x"}, ValueError, "the backup suffix"),
    ({"backup": ":stream"}, ValueError, "the backup suffix"),
    ({"backup": ".orig\0"}, ValueError, "the backup suffix"),
    ({"backup": "."}, ValueError, "the backup suffix"),
    ({"backup": " "}, ValueError, "the backup suffix"),
    ({"backup": ".orig.conda"}, ValueError, "the backup would be taken for a package"),
    ({"backup": ".TAR.BZ2"}, ValueError, "the backup would be taken for a package"),
    ({"backup": Path(".orig")}, TypeError, "backup must be a suffix such as '.orig'"),
    ({"threads": -1}, ValueError, "threads=-1"),
    ({"reindex": "yes"}, ValueError, "reindex='yes': choose auto, always or never"),
    ({"reindex": None}, TypeError, "reindex must be a string"),
    ({"threads": "2"}, TypeError, "threads must be a number"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), JUDGING + CHECKING, ids=repr)
def test_check_rejects_invalid_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    # Arguments are checked first: the package does not even exist.
    with pytest.raises(error, match=message):
        check(tmp_path / "absent.conda", **arguments)


@pytest.mark.parametrize(("arguments", "error", "message"), JUDGING + FIXING, ids=repr)
def test_fix_rejects_invalid_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    package = STRAY[0].copy(tmp_path)
    with pytest.raises(error, match=message):
        fix(package, **({"in_place": True} | arguments))
    assert [path.name for path in tmp_path.iterdir()] == [package.name]
    assert package.read_bytes() == STRAY[0].path.read_bytes()


def test_level_must_exist_in_the_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"level=15: \.tar\.bz2 has the levels 1 to 9"):
        fix(TAR_BZ2.copy(tmp_path), in_place=True, level=15)


@pytest.mark.parametrize("path", [b"x.conda", 3, None])
def test_path_must_be_a_path(path: Any) -> None:
    for work in (check, fix):
        with pytest.raises(TypeError):
            work(path)


def test_fix_without_in_place_replaces_nothing(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    with pytest.raises(ValueError, match="in_place=True"):
        fix(package)
    assert fix(package, dry_run=True).status == "findings"
    assert package.read_bytes() == STRAY[0].path.read_bytes()
    assert fix(package, in_place=True).status == "fixed"


def test_collections_of_strings_are_accepted() -> None:
    for kinds in (["foreign-tree"], ("foreign-tree",), {"foreign-tree"}, {"foreign-tree": 1}):
        result = check(STRAY[0].path, extend_select=kinds, keep=[])
        assert {finding.kind for finding in result.findings} == {"foreign-path", "foreign-tree"}
    assert check(STRAY[0].path, select=(), limits=Limits()).status == "findings"


def test_error_has_the_path_and_a_hint(tmp_path: Path) -> None:
    package = tmp_path / "x-1-0.conda"
    package.write_bytes(b"")
    for work in (partial(check, package), partial(fix, package, in_place=True)):
        with pytest.raises(PruneError) as caught:
            work()
        error = pickle.loads(pickle.dumps(caught.value))
        assert (error.path, error.reason) == (str(package), "the file is empty")
        assert error.hint == "download or build it again"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backup", ":x"], "--backup: the backup suffix ':x' contains ':'"),
        (["--backup", ".conda"], "the backup would be taken for a package"),
        (["--select", ""], "--select: no kind is given"),
        (["--extend-select", "foreign-tre"], "there is no kind 'foreign-tre'; did you mean `foreign-tree`?"),
        (["--python", "3.99"], "--python=3.99: no such Python"),
        (["--ignore", "dust,orphan"], "--ignore: there is no kind 'dust'; choose from foreign-path, "),
    ],
)  # fmt: skip
def test_command_line_rejects_the_same(arguments: list[str], message: str, tmp_path: Path) -> None:
    package = CLEAN[0].copy(tmp_path)
    done = run("fix", "--in-place", package, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
