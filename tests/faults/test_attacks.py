"""A user who may write to a directory cannot make another user's run, such as root's, change files elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ..attack import AT_ANY_TIME, ONCE_IT_WRITES
from ..corpus.bytecode import modules, record
from ..corpus.crafted import BASE
from ..corpus.packages import Format, write_package
from ..environment.test_prefix import unpack

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the attacks watch calls of Linux, and make links without a privilege"
)


def attacked(directory: Path, attack: str, *command: object, step: int = 1) -> dict[str, Any]:
    """Run a command line with an attack at every `step`-th point; return the summary."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack", str(directory), attack, str(step), *map(str, command)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert isinstance(summary, dict)
    return summary


def make_victim(directory: Path, *names: str) -> None:
    """Make another user's files: a single one, and the given names in a tree, at the top and one level below."""
    for parent in (directory / "tree", directory / "top", directory / "top" / "sub"):
        parent.mkdir(parents=True, exist_ok=True)
        for name in names:
            (parent / name).parent.mkdir(parents=True, exist_ok=True)
            (parent / name).write_bytes(b"precious")
    (directory / "file").write_bytes(b"precious")
    for path in directory.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def outcomes(summary: dict[str, Any]) -> set[int]:
    return {int(code) for code in summary["codes"]}


def a_package(directory: Path, format_: Format) -> tuple[Path, str]:
    """Make a package in `original`, and the victim's files; return the path that it will have in `work`."""
    sub = directory / "original" / "top" / "sub"
    sub.mkdir(parents=True)
    package = write_package(BASE, sub, format=format_)
    package.chmod(0o666)
    try:
        os.setxattr(package, "user.origin", b"theirs")
    except OSError:
        pass  # Then the attack only concerns modes.
    make_victim(directory / "victim", package.name, package.name + ".orig")
    return directory / "work" / "top" / "sub" / package.name, package.name


def attacks(names: Iterable[str], always: tuple[str, ...]) -> list[Any]:
    """Return attacks as parameters. Each takes one run for every point, so only some are part of the short tests."""
    return [pytest.param(name, marks=() if name.startswith(always) else pytest.mark.long) for name in names]


FORMAT = [pytest.param(".conda"), pytest.param(".tar.bz2", marks=pytest.mark.long)]


@pytest.mark.parametrize("format_", FORMAT)
@pytest.mark.parametrize("attack", attacks(AT_ANY_TIME, ("temporary_becomes_link", "directories")))
def test_a_fix_in_place_changes_nothing_outside(tmp_path: Path, attack: str, format_: Format) -> None:
    named, _ = a_package(tmp_path, format_)
    summary = attacked(tmp_path, attack, "fix", named, "--in-place", "--backup", ".orig")
    assert summary["points"] >= 8
    assert summary["changed"] == {}
    assert outcomes(summary) <= {0, 3}


@pytest.mark.parametrize("format_", FORMAT)
@pytest.mark.parametrize("attack", attacks(ONCE_IT_WRITES, ("temporary_becomes_link", "directories")))
def test_a_fix_elsewhere_changes_nothing_outside(tmp_path: Path, attack: str, format_: Format) -> None:
    _, name = a_package(tmp_path, format_)
    shutil.copytree(tmp_path / "original" / "top", tmp_path / "original" / "input")
    output = tmp_path / "work" / "top" / "sub"
    summary = attacked(tmp_path, attack, "fix", tmp_path / "work" / "input" / "sub" / name, "-o", output)
    assert summary["points"] >= 8
    assert summary["changed"] == {}
    assert outcomes(summary) <= {0, 3}


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 7])
@pytest.mark.parametrize("attack", ONCE_IT_WRITES)
def test_the_hook_changes_nothing_outside(tmp_path: Path, attack: str, step: int) -> None:
    """The prefix itself, each of its deepest directories, and every file are swapped."""
    listing = "lib/python3.11/site-packages/own-1.0.dist-info/RECORD"
    own = modules("lib/python3.11/site-packages/own", "m", tags=("cpython-311", "cpython-310"))
    content = {**own, listing: record("lib/python3.11/site-packages", own, listing)}
    prefix = unpack(tmp_path / "original" / "top", content)
    for path in prefix.rglob("*"):
        path.chmod(0o777)
    make_victim(tmp_path / "victim", *own, listing, *(os.path.basename(path) for path in own), "RECORD")
    (tmp_path / "victim" / "top" / "conda-meta").mkdir()
    summary = attacked(tmp_path, attack, "prefix", "--fix", tmp_path / "work" / "top", "--python", "3.11", step=step)
    assert summary["points"] >= 20
    assert summary["changed"] == {}
    assert outcomes(summary) <= {0, 3}
