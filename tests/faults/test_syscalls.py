"""A failing system call leaves the package and its directory unchanged; a killed run leaves the old or new package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.crafted import BASE
from tests.corpus.packages import FORMATS, Format, write_package

from .harness import (
    ERRORS,
    FAIL,
    FAIL_FROM,
    KILL_AFTER,
    KILL_BEFORE,
    Harness,
    Outcome,
    why_not,
)
from .large import ONE_PASS, package_for_one_pass
from .replay import recorded

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

SEED = Path(__file__).parent.parent.parent / "testdata" / "seed"
REAL: dict[Format, str] = {
    ".conda": "pyproject_hooks-1.3.3-py311h48b7412_0.conda",
    ".tar.bz2": "pyproject_hooks-1.3.3-py313hf70daa8_0.tar.bz2",
}
MODES = {"in-place": ["--in-place"], "backup": ["--in-place", "--backup", ".orig"], "output": ["-o", "{}/out/deep"]}


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with Harness(tmp_path_factory.mktemp("harness")) as running:
        yield running


@dataclass(frozen=True)
class Case:
    """One package, how it is fixed, and the result without faults."""

    harness: Harness
    directory: Path
    original: bytes
    name: str
    argv: list[str]
    fixed: dict[str, bytes]
    constants: dict[str, int]

    def run(self, **fault: Any) -> Outcome:
        """Restore the original package, and run the command line with a fault."""
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        (self.directory / self.name).write_bytes(self.original)
        return self.again(**fault)

    def again(self, **fault: Any) -> Outcome:
        return self.harness.run(self.argv, self.directory, constants=self.constants, **fault)

    def files(self) -> dict[str, bytes]:
        """Every file below the directory with its content, and every directory (with a final slash)."""
        found = {}
        for path in self.directory.rglob("*"):
            name = str(path.relative_to(self.directory))
            found.update({f"{name}/": b""} if path.is_dir() else {name: path.read_bytes()})
        return found

    @property
    def untouched(self) -> dict[str, bytes]:
        return {self.name: self.original}


def case(harness: Harness, directory: Path, package: Path, mode: str, constants: dict[str, int] | None = None) -> Case:
    directory.mkdir()
    argv = ["fix", str(directory / package.name), *(option.format(directory) for option in MODES[mode])]
    made = Case(harness, directory, package.read_bytes(), package.name, argv, {}, constants or {})
    assert made.run().code == 0
    fixed = made.files()
    assert fixed != made.untouched
    assert made.run(most=1).code == 0
    assert made.files() == fixed, "short reads and writes change nothing"
    return replace(made, fixed=fixed)


def crafted(harness: Harness, directory: Path, format_: Format, mode: str) -> Case:
    return case(harness, directory / "work", write_package(BASE, directory, format=format_), mode)


def real(harness: Harness, directory: Path, format_: Format, mode: str) -> Case:
    return case(harness, directory / "work", SEED / REAL[format_], mode)


def in_one_pass(harness: Harness, directory: Path, mode: str) -> Case:
    return case(harness, directory / "work", package_for_one_pass(directory), mode, ONE_PASS)


def fails_cleanly(one: Case, outcome: Outcome, *, leftover: bool = False) -> None:
    """Check the state after a failure: everything is unchanged, or everything is done."""
    assert "Traceback" not in outcome.stderr
    found = one.files()
    if leftover:
        found = {name: data for name, data in found.items() if not name.endswith((".tmp", ".orig"))}
        if outcome.code == 0:
            found[one.name + ".orig"] = one.original
    if outcome.code == 0:
        assert found == one.fixed
    else:
        assert outcome.code == 3
        assert found == one.untouched
        (line,) = outcome.stderr.splitlines()
        assert line.startswith(f"error: {one.directory / one.name}: ")
        assert "internal error" not in line


def every_failure(one: Case, action: int, error: int, *, reads: bool = False, most: int = 0, step: int = 1) -> int:
    """Make each call fail (or each `step`th), one per run, until a run completes; return the number of calls."""
    point = 1 - step
    while True:
        point += step
        outcome = one.run(action=action, point=point, error=error, reads=reads, most=most)
        # If all later calls fail as well, the temporary file and the backup cannot be deleted.
        fails_cleanly(one, outcome, leftover=action == FAIL_FROM)
        assert outcome.calls is not None
        if outcome.calls < point:
            return outcome.calls


def every_death(one: Case, action: int, most: int) -> int:
    """Kill a run at each writing call, one per run, until a run survives; return how many were killed."""
    point = 0
    while True:
        point += 1
        outcome = one.run(action=action, point=point, most=most)
        if outcome.code == 0:
            return point - 1
        assert outcome.code == -9
        found = one.files()
        assert found[one.name] in (one.original, one.fixed[one.name]), "it is the old or the new package"
        for name, data in found.items():
            assert name.endswith(".tmp") or data in (one.original, one.fixed.get(name)), name
        assert sum(name.endswith(".tmp") for name in found) <= 1
        after = one.again()
        assert after.code == 0, after.stderr
        assert one.files() == one.fixed, "the next run cleans up and completes"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("error", ERRORS)
def test_a_failing_writing_call_changes_nothing(harness: Harness, tmp_path: Path, format_: Format, error: str) -> None:
    one = crafted(harness, tmp_path, format_, "backup")
    assert every_failure(one, FAIL, ERRORS[error]) >= 10


@pytest.mark.parametrize("format_", FORMATS)
def test_a_disk_that_keeps_failing_changes_nothing(harness: Harness, tmp_path: Path, format_: Format) -> None:
    assert every_failure(crafted(harness, tmp_path, format_, "backup"), FAIL_FROM, ERRORS["EIO"]) >= 10


@pytest.mark.parametrize("format_", FORMATS)
def test_a_failing_read_changes_nothing(harness: Harness, tmp_path: Path, format_: Format) -> None:
    assert every_failure(crafted(harness, tmp_path, format_, "in-place"), FAIL, ERRORS["EIO"], reads=True) >= 3


@pytest.mark.parametrize("format_", FORMATS)
def test_a_failing_call_leaves_no_output(harness: Harness, tmp_path: Path, format_: Format) -> None:
    assert every_failure(crafted(harness, tmp_path, format_, "output"), FAIL, ERRORS["ENOSPC"]) >= 10


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("action", [KILL_BEFORE, KILL_AFTER], ids=["before", "after"])
def test_a_killed_run_leaves_the_old_or_new_file(
    harness: Harness, tmp_path: Path, format_: Format, action: int
) -> None:
    one = crafted(harness, tmp_path, format_, "backup")
    assert every_death(one, action, most=1024) >= 10


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_failing_call_in_one_pass_changes_nothing(harness: Harness, tmp_path: Path, error: str) -> None:
    assert every_failure(in_one_pass(harness, tmp_path, "backup"), FAIL, ERRORS[error]) >= 10


def test_a_failing_read_in_one_pass_changes_nothing(harness: Harness, tmp_path: Path) -> None:
    assert every_failure(in_one_pass(harness, tmp_path, "in-place"), FAIL, ERRORS["EIO"], reads=True, step=5) >= 100


@pytest.mark.parametrize("action", [KILL_BEFORE, KILL_AFTER], ids=["before", "after"])
def test_a_run_killed_in_one_pass_leaves_the_old_or_new_file(harness: Harness, tmp_path: Path, action: int) -> None:
    assert every_death(in_one_pass(harness, tmp_path, "backup"), action, most=1024) >= 10


def test_a_full_disk_is_reported_with_the_bytes_needed(harness: Harness, tmp_path: Path) -> None:
    one = crafted(harness, tmp_path, ".conda", "in-place")
    outcome = one.run(action=FAIL_FROM, point=3, error=ERRORS["ENOSPC"])
    assert "No space left on device" in outcome.stderr
    assert "bytes are needed" in outcome.stderr


@pytest.mark.long
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("most", [0, 512])
def test_long_every_call_of_a_real_package(
    harness: Harness, tmp_path: Path, format_: Format, mode: str, most: int
) -> None:
    one = real(harness, tmp_path, format_, mode)
    killed = sum(every_death(one, action, most) for action in (KILL_BEFORE, KILL_AFTER))
    failed = sum(every_failure(one, FAIL, error, most=most) for error in ERRORS.values())
    read = every_failure(one, FAIL, ERRORS["EIO"], reads=True, most=0)
    print(f"{format_} {mode} at most {most}: {killed} kill points, {failed} failing writes, {read} failing reads")


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_but_the_result_is_written(harness: Harness, tmp_path: Path, format_: Format) -> None:
    """All writing calls below the temporary directory are for one file, which is renamed at the end."""
    one = crafted(harness, tmp_path, format_, "in-place")
    log = tmp_path / "log"
    one.run(log=log)
    events = recorded(log)
    changed = {event.path for event in events if event.call in ("create", "write", "rename", "link", "unlink", "mkdir")}
    assert {os.path.basename(path) for path in changed if not path.endswith(".tmp")} == {one.name}
    assert sum(event.call == "create" for event in events) == 1
    assert sum(event.call == "rename" for event in events) == 1
