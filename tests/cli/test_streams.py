"""Standard streams that are closed or full, and closed pipes: the work is finished, and the exit code is right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..channels import SUBDIR, assert_true
from ..channels import index_with_rattler as index
from ..corpus.bytecode import modules
from ..environment.test_prefix import unpack
from ..executable import EXECUTABLE
from ..seed import CLEAN, STRAY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full")

STREAMS = {
    "normal": "",
    "stdin closed": "<&-",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "stdout left": ">&0 </dev/null",
    "stderr left": "2>&0 </dev/null",
    "both left": ">&0 2>&0 </dev/null",
}
"""Redirections of the streams by a shell. Standard input is the writing end of a pipe that nobody reads."""

LOST = "error: results cannot be written to standard output: "


@dataclass(frozen=True)
class Case:
    """A command, its exit code if the streams work, and what it needs."""

    arguments: tuple[str, ...]
    code: int = 0
    package: bool | None = None
    """True: it gets packages with stray files; False: clean ones; None: none."""


CASES = {
    "check clean": Case(("check",), package=False),
    "check stray": Case(("check",), 1, package=True),
    "check json": Case(("check", "--format", "json"), 1, package=True),
    "check with workers": Case(("check", "-j", "2"), 1, package=True),
    "check absent": Case(("check", "absent.conda"), 3),
    "fix": Case(("fix", "--in-place"), package=True),
    "fix with workers": Case(("fix", "--in-place", "-j", "2"), package=True),
    "dry run": Case(("fix", "--in-place", "--dry-run"), 1, package=True),
    "show": Case(("show", str(STRAY[0].path))),
    "explain": Case(("explain", "--all")),
    "prefix": Case(("prefix", "--python", "3.11", "prefix"), 1),
    "prefix fix": Case(("prefix", "--python", "3.11", "--fix", "prefix")),
    "report": Case(("report", "results.jsonl")),
    "schema": Case(("schema",)),
    "completion": Case(("completion", "bash")),
    "help": Case(("--help",)),
    "version": Case(("--version",)),
    "wrong usage": Case(("fix", str(STRAY[0].path)), 2),
    "unknown command": Case(("chekc",), 2),
}


@dataclass
class Completed:
    code: int
    stdout: str
    stderr: str
    directory: Path = field(default_factory=Path)


def start(directory: Path, redirections: str, *arguments: str) -> Completed:
    """Run the command in a directory, with redirected streams."""
    reader, left = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirections}', "sh", EXECUTABLE, *arguments],
            cwd=directory, stdin=left, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
    finally:
        os.close(left)
    return Completed(done.returncode, done.stdout, done.stderr)


def prepare(directory: Path, case: Case) -> list[str]:
    """Create what a case needs, and return its arguments."""
    if "prefix" in case.arguments:
        unpack(directory / "prefix", modules("lib/python3.10/site-packages/own", "__init__", tags=("cpython-310",)))
    if "results.jsonl" in case.arguments:
        done = subprocess.run(
            [EXECUTABLE, "check", "--format", "jsonl", str(STRAY[0].path)], capture_output=True, check=False
        )
        (directory / "results.jsonl").write_bytes(done.stdout)
    if case.package is None:
        return [*case.arguments]
    packages = directory / "channel" / SUBDIR
    packages.mkdir(parents=True)
    for seed in (STRAY if case.package else CLEAN)[:2]:
        seed.copy(packages)
    if "--in-place" in case.arguments:
        index(directory / "channel")
    return [*case.arguments, "channel"]


@pytest.mark.parametrize("name", CASES)
def test_failing_streams_change_neither_the_work_nor_the_exit_code(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found = {}
    for streams, redirections in STREAMS.items():
        directory = tmp_path / streams.replace(" ", "-")
        directory.mkdir()
        arguments = prepare(directory, case)
        found[streams] = start(directory, redirections, *arguments)
        found[streams].directory = directory
    normal = found["normal"]
    assert normal.code == case.code, normal.stderr
    for streams, completed in found.items():
        expected = case.code
        if normal.stdout and case.code in (0, 1):
            lost = "stdout" in streams or streams in ("all closed", "both left")
            if lost:
                expected = 141 if "left" in streams else 3
        assert completed.code == expected, (streams, completed)
        assert "Traceback" not in completed.stderr
        if streams == "stdout left":
            assert completed.stderr == normal.stderr
        elif streams.startswith("stdout") and normal.stdout:
            *rest, last = completed.stderr.splitlines()
            assert last == LOST + ("it is closed" if streams == "stdout closed" else "No space left on device")
            assert rest == normal.stderr.splitlines()
        elif "stderr" in streams and "report" not in name:
            assert without_times(completed.stdout) == without_times(normal.stdout), streams
        if "prefix fix" in name:
            assert not list(completed.directory.rglob("*.pyc")), streams
        if case.arguments[:2] == ("fix", "--in-place") and "--dry-run" not in case.arguments:
            packages = completed.directory / "channel" / SUBDIR
            assert_true(packages)
            for package in packages.glob("*.conda"):
                assert start(tmp_path, "", "check", str(package)).code == 0, (streams, package)


def without_times(text: str) -> str:
    """Return the text without times, which differ between two runs."""
    return re.sub(r"\d+\.\d+( s\b|,$)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code"), [(("check", "-"), 2), (("check", "--files-from", "-"), 2), (("report", "-"), 3)]
)
def test_reading_a_closed_standard_input_is_an_error(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    completed = start(tmp_path, "<&-", *arguments)
    assert (completed.code, completed.stdout) == (code, "")
    assert "Bad file descriptor" in completed.stderr


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "sarif", "github"])
def test_result_file_on_a_full_disk_fails_after_the_work(tmp_path: Path, format_: str) -> None:
    case = CASES["fix"]
    arguments = prepare(tmp_path, case)
    completed = start(tmp_path, "", *arguments, "--format", f"{format_}=/dev/full", "--format", "json=results.json")
    assert (completed.code, completed.stderr) == (3, "error: /dev/full: No space left on device\n")
    assert_true(tmp_path / "channel" / SUBDIR)
    assert {one["status"] for one in json.loads((tmp_path / "results.json").read_text())} == {"fixed", "indexed"}


def test_lost_standard_output_does_not_shorten_result_files(tmp_path: Path) -> None:
    arguments = prepare(tmp_path, CASES["check stray"])
    completed = start(tmp_path, STREAMS["stdout left"], *arguments, "--format", "text", "--format", "json=results.json")
    assert (completed.code, completed.stderr) == (141, "")
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2


def test_check_stops_when_its_pipe_is_closed(tmp_path: Path) -> None:
    prepare(tmp_path, CASES["check stray"])
    missing = [f"missing-{number}.conda" for number in range(2000)]
    listed = tmp_path / "listed"
    listed.write_text("\n".join([str(tmp_path / "channel"), *missing]))
    completed = start(tmp_path, STREAMS["stdout left"], "check", "--files-from", str(listed))
    # It stopped after the first package, whose result could not be printed.
    assert (completed.code, completed.stderr) == (141, "")


def test_results_reach_a_slow_reader_of_a_non_blocking_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    import fcntl

    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([EXECUTABLE, "schema"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    received = b""
    while piece := os.read(reader, 1000):
        received += piece
    os.close(reader)
    assert process.stderr is not None
    assert (process.wait(), process.stderr.read()) == (0, b"")
    process.stderr.close()
    json.loads(received)
