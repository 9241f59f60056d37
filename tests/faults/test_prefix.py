"""`prefix --fix` with faults: everything is done or nothing, and the next run undoes or finishes a killed one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.bytecode import modules, record
from tests.environment.test_prefix import tree, unpack, write_record

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

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

SITE_PACKAGES = "lib/python3.11/site-packages"
OWN = modules(f"{SITE_PACKAGES}/own", "__init__", "m", tags=("cpython-311",))
OLD_TREE = modules("lib/python3.10/site-packages/own", "__init__", tags=("cpython-310",))
OLD_TAG = modules(f"{SITE_PACKAGES}/own", "m", tags=("cpython-310",), sources=False)
LISTING = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
NAMES = (".conda-prune-prefix.tmp", ".conda-prune-prefix.undo", ".conda-prune-prefix.done")

Tree = dict[str, Any]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with Harness(tmp_path_factory.mktemp("harness")) as running:
        yield running


@dataclass(frozen=True)
class Case:
    """A prefix with stray files: its content before, and its content after a run without faults."""

    harness: Harness
    original: Path
    prefix: Path
    before: Tree
    fixed: Tree
    environment: dict[str, str]

    def run(self, *options: str, again: bool = False, **fault: Any) -> Outcome:
        """Run the hook with a fault, in a new copy of the prefix or, with `again`, in the present one."""
        if not again:
            shutil.rmtree(self.prefix, ignore_errors=True)
            copy(self.original, self.prefix)
        command = ["prefix", "--fix", str(self.prefix), "--python", "3.11", *options]
        return self.harness.run(command, self.prefix, environment=self.environment, **fault)

    def now(self) -> tuple[Tree, Tree]:
        """Return what would be packaged now, and what is left of our own files and directories."""
        found = tree(self.prefix)
        ours = {path for path in found if path.startswith(tuple(f"conda-meta/{name}" for name in NAMES))}
        if "conda-meta" in found and "conda-meta" not in self.before:
            # If the build has no such directory, it is not packaged.
            del found["conda-meta"]
        return {path: found[path] for path in found.keys() - ours}, {path: found[path] for path in ours}


def copy(source: Path, target: Path) -> None:
    """Copy a directory, and keep its symbolic links and hard links."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@pytest.fixture(params=["records", pytest.param("no-conda-meta", marks=pytest.mark.long)])
def one(request: pytest.FixtureRequest, harness: Harness, tmp_path: Path) -> Case:
    content = {**OWN, **OLD_TREE, **OLD_TAG, LISTING: record(SITE_PACKAGES, {**OWN, **OLD_TAG}, LISTING)}
    original, prefix = unpack(tmp_path / "original", content), tmp_path / "prefix"
    environment = {"CONDA_BUILD": "", "PREFIX": ""}
    if request.param == "records":
        write_record(original, "python", ["lib/python3.11/os.py"], version="3.11.9")
    else:
        (original / "conda-meta").rmdir()
        environment = {"CONDA_BUILD": "1", "PREFIX": str(prefix)}
    case = Case(harness, original, prefix, tree(original), {}, environment)
    outcome = case.run()
    assert (outcome.code, outcome.stderr) == (0, "")
    fixed = tree(prefix)
    assert fixed != case.before
    assert not any("conda-prune" in path for path in fixed)
    return Case(harness, original, prefix, case.before, fixed, environment)


def every_failure(one: Case, action: int, error: int, *, reads: bool = False) -> int:
    point = 0
    while True:
        point += 1
        outcome = one.run(action=action, point=point, error=error, reads=reads)
        assert "Traceback" not in outcome.stderr
        found, ours = one.now()
        if outcome.code == 0:
            # Removing empty directories and our own files may fail. Then the next run removes them.
            assert found.keys() <= one.before.keys()
            if not reads:
                files = {path: content for path, content in found.items() if content is not None}
                assert files == {path: content for path, content in one.fixed.items() if content is not None}
        else:
            assert outcome.code == 3
            (line,) = outcome.stderr.splitlines()
            assert line.startswith(f"error: {one.prefix}")
            assert "internal error" not in line
            if action == FAIL:
                assert found == one.before, line
            elif found != one.before:
                assert ours, "files that cannot be moved back are kept"
        if outcome.code == 3 or ours:
            assert one.run(again=True).code == 0
            assert one.now() == (one.fixed, {})
        assert outcome.calls is not None
        if outcome.calls < point:
            return point - 1


@pytest.mark.parametrize(
    "error", ["EIO", *(pytest.param(name, marks=pytest.mark.long) for name in ERRORS if name != "EIO")]
)
def test_a_failing_call_changes_nothing(one: Case, error: str) -> None:
    assert every_failure(one, FAIL, ERRORS[error]) >= 20


@pytest.mark.long
def test_long_a_failing_read_changes_nothing(one: Case) -> None:
    assert every_failure(one, FAIL, ERRORS["EIO"], reads=True) >= 10


def test_a_disk_that_keeps_failing_loses_nothing(one: Case) -> None:
    assert every_failure(one, FAIL_FROM, ERRORS["EIO"]) >= 20


@pytest.mark.parametrize("action", [KILL_BEFORE, KILL_AFTER], ids=["before", "after"])
def test_a_killed_run_is_undone_or_finished(one: Case, action: int) -> None:
    point = 0
    while True:
        point += 1
        outcome = one.run(action=action, point=point)
        if outcome.code == 0:
            break
        assert outcome.code == -9
        found, _ = one.now()
        for path, content in found.items():
            assert content == one.before[path] or (path == LISTING and content == one.fixed[path])
        left = one.prefix.with_name("left")
        copy(one.prefix, left)
        assert one.run(again=True).code == 0
        assert one.now() == (one.fixed, {}), "the same command completes the fix"
        shutil.rmtree(one.prefix)
        os.rename(left, one.prefix)
        assert one.run("--keep", "*", again=True).code == 0
        found, ours = one.now()
        assert not ours
        assert found in (one.before, one.fixed), "another command undoes an incomplete fix, and keeps a complete one"
    assert point > 20
