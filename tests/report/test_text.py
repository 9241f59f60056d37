"""Text output: sorted, measured, and on the right stream; and the blocks of lines that annotations consist of."""

from __future__ import annotations

import errno
import os
import re
import select
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conda_prune import check, fix
from conda_prune.model import (
    Action,
    Finding,
    Format,
    IndexRecord,
    Result,
    Size,
)
from conda_prune.quantities import size_text
from conda_prune.report import text
from conda_prune.report.output import FORMATS, Output, Style

from ..executable import EXECUTABLE, run
from ..seed import (
    CLEAN,
    SEED,
    SEEDS,
    STRAY,
    Seed,
)


def test_a_clean_package_is_only_counted() -> None:
    done = run("check", CLEAN[0].path)
    assert done.stdout == "1 package: nothing to repair.\n"
    assert CLEAN[0].path.name in run("check", "-v", CLEAN[0].path).stdout


def test_fix_reports_a_clean_package_as_unchanged(tmp_path: Path) -> None:
    done = run("fix", CLEAN[0].path, "-o", tmp_path)
    assert re.search(r"[−-]0|0 B|0 files", done.stdout) is None


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.id)
def test_a_block_has_findings_location_and_command(seed: Seed) -> None:
    result = check(seed.path)
    head, kind, fix_line, *notes = text.check_lines(result)
    assert head.startswith(f"{seed.path.name}   Python {seed.facts['python']} (python_abi ")
    assert re.fullmatch(r"  foreign-path +\d+ files +[\d.]+ KiB   under lib/python3\.\d+(, lib/python3\.\d+)*", kind)
    assert f" {len(seed.stray)} files" in kind
    assert fix_line.startswith(f"  to fix           conda-prune fix --in-place {seed.path}   (")
    assert all(line.startswith("  note ") for line in notes)


def test_only_measured_numbers_are_printed() -> None:
    for line in text.check_lines(check(STRAY[0].path)):
        assert "→" not in line
        assert "would shrink" not in line


@pytest.mark.parametrize(
    "extra", [(), ("--extend-select", "foreign-tree"), ("--keep", "a b*", "--ignore", "foreign-tag")]
)
def test_the_proposed_command_repairs_what_was_found(extra: tuple[str, ...], tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    done = run("check", package, *extra)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("To repair:")]
    words = split(line.removeprefix("To repair:"))
    assert words[0] == "conda-prune"
    assert run(*words[1:]).returncode == 0
    assert run("check", package, *extra).returncode == 0


def split(line: str) -> list[str]:
    """Return the words of a command, as a shell of this system reads it."""
    return shlex.split(line.replace("\\", "\\\\") if os.name == "nt" else line)


@pytest.mark.parametrize("name", ["a b.conda", "it's.conda", "$HOME.conda", "ü.conda"])
def test_a_path_can_be_pasted(name: str) -> None:
    result = Result(name, "findings", Format.CONDA, before=Size(1, ""))
    (line,) = [line for line in text.check_lines(result) if "to fix" in line]
    assert split(line.split("   (")[0])[-1] == name


@pytest.mark.parametrize("name", ["a\nb.conda", "-rf.conda", "\033.conda"])
def test_a_path_that_cannot_be_pasted_is_not_proposed(name: str) -> None:
    result = Result(name, "findings", Format.CONDA, before=Size(1, ""))
    assert not any("to fix" in line for line in text.check_lines(result))


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        pytest.param("/opt/env", "conda-prune prefix --fix /opt/env", id="prefix"),
        pytest.param("/opt/env/conda-meta/a-1-0.json", None, id="installed"),
    ],
)
def test_a_prefix_gets_its_own_advice(path: str, advice: str | None) -> None:
    found = [line for line in text.check_lines(Result(path, "findings")) if "to fix" in line]
    assert [line.split(maxsplit=2)[2] for line in found] == ([advice] if advice else [])


def test_columns_are_aligned() -> None:
    findings = [
        Finding(kind, f"{kind}/{number}", size, "", Action.DROP)
        for kind, count, size in (("foreign-extension", 1, 5), ("foreign-path", 2610, 1 << 20), ("orphan", 1, 0))
        for number in range(count)
    ]
    lines = list(text.kind_lines(findings))
    assert [line.split()[0] for line in lines] == ["foreign-extension", "foreign-path", "orphan"]
    assert len({re.search(r"files?\b", line).start() for line in lines}) == 1  # type: ignore[union-attr]
    assert len({line.index("/") - len(line.split()[0]) for line in lines if "file " in line}) == 1
    assert " 0 B" not in lines[2]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1048575, "1.0 MiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 41, "2048.0 GiB"),
    ],
)
def test_sizes(size: int, expected: str) -> None:
    assert size_text(size) == expected


def test_the_output_is_sorted_and_reproducible() -> None:
    first = run("check", SEED).stdout
    assert run("check", SEED).stdout == first
    heads = [line.split()[0] for line in first.splitlines() if line.startswith("pyproject")]
    assert heads == sorted(seed.path.name for seed in STRAY)


def test_a_dry_run_lists_drops_without_new_sizes(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    done = run("fix", "-n", package)
    assert done.returncode == 1
    assert done.stdout.startswith(f"would    {package.name}   {len(STRAY[0].stray)} stray files, ")
    assert "→" not in done.stdout


def test_a_fix_prints_the_real_sizes(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    before = package.stat().st_size
    (line, *_) = run("fix", "--in-place", package).stdout.splitlines()
    assert f"   {size_text(before)} → {size_text(package.stat().st_size)}, −" in line


def test_the_summary_adds_up(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    results = [fix(seed.copy(tmp_path / "in"), output_dir=tmp_path / "out") for seed in STRAY]
    results += [check(seed.path) for seed in CLEAN]
    line = text.summary_line([*results, Result("x", "error"), Result("y", "indexed")])
    before, after = (sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in ("in", "out"))
    assert line == (
        f"{len(SEEDS) + 1} packages: {len(STRAY)} fixed, {len(CLEAN)} clean, 1 failed"
        f"   −{sum(len(seed.stray) for seed in STRAY)} files   {size_text(before)} → {size_text(after)}"
    )


def test_an_index_line_has_the_old_and_new_hash() -> None:
    record = IndexRecord("a-1-0.conda", "0" * 64, "f" * 64)
    lines = text.fix_lines(Result("output/linux-64/repodata.json", "indexed", records=(record,)))
    assert lines[0] == "index    output/linux-64/repodata.json   1 record refreshed"
    assert "000000000000… → ffffffffffff…   a-1-0.conda" in lines[1]


def test_results_go_to_stdout_and_failures_to_stderr(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conda"
    broken.write_bytes(b"PK")
    for format_ in FORMATS:
        done = run("check", STRAY[0].path, broken, "--format", format_)
        assert done.returncode == 3
        assert done.stderr.startswith(f"error: {broken}: ")
        assert len(done.stderr.splitlines()) == 1
        assert STRAY[0].path.name in done.stdout


def test_text_is_printed_if_all_formats_go_to_files(tmp_path: Path) -> None:
    arguments = [word for format_ in FORMATS for word in ("--format", f"{format_}={tmp_path / format_}")]
    done = run("check", STRAY[0].path, *arguments)
    assert done.stdout == run("check", STRAY[0].path).stdout == (tmp_path / "text").read_text("utf-8")
    assert all((tmp_path / format_).stat().st_size for format_ in FORMATS)


@pytest.mark.parametrize(
    "formats",
    [
        pytest.param(("json", "text"), id="two-on-stdout"),
        pytest.param(("json", "json"), id="one-twice"),
        pytest.param(("yaml",), id="unknown"),
        pytest.param(("json=/there/is/no/such/directory/x",), id="cannot-be-written"),
        pytest.param(("text", "json=\0"), id="no-file-name"),
        pytest.param(("json=/dev/null", "sarif=/dev/../dev/null"), id="two-to-one-file"),
    ],
)
def test_conflicting_formats_are_refused(formats: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="--format"):
        Output(Style("check"), formats)


def test_a_wrong_format_does_not_touch_the_other_files(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("[]", "utf-8")
    assert run("check", STRAY[0].path, "--format", f"json={path}", "--format", "yaml").returncode == 2
    assert path.read_text("utf-8") == "[]"


def test_text_and_annotations_can_share_stdout() -> None:
    done = run("check", STRAY[0].path, "--format", "text", "--format", "github", GITHUB_STEP_SUMMARY="")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(STRAY[0].path.name)
    assert any(line.startswith("::error ") for line in lines)


def test_a_full_device_is_a_failure() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [EXECUTABLE, "check", str(CLEAN[0].path)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
    assert done.stderr


def test_a_closed_pipe_is_a_failure_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([EXECUTABLE, "check", str(SEED)], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def on_terminal(script: str, **environment: str) -> bytes:
    """Return what a script writes to standard error if that is a terminal."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudoterminals with a file descriptor")
    parent, child = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=child,
        stdout=subprocess.DEVNULL,
        stderr=child,
        env={**clean, **environment},
    )
    os.close(child)
    printed = b""
    while True:
        try:
            if not select.select([parent], [], [], 60)[0]:
                break
            piece = os.read(parent, 4096)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            break
        if not piece:
            break
        printed += piece
    os.close(parent)
    assert process.wait() == 0, printed
    return printed


@pytest.mark.parametrize(
    ("environment", "colors"),
    [
        pytest.param({}, True, id="terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="no-color"),
        pytest.param({"NO_COLOR": ""}, True, id="empty-no-color"),
        pytest.param({"TERM": "dumb"}, False, id="dumb"),
    ],
)
def test_errors_are_colored_on_a_terminal(environment: dict[str, str], colors: bool) -> None:
    script = """
import sys
from conda_prune.cli import run
sys.argv[1:] = ["check", "absent.conda"]
run()
"""
    printed = on_terminal(script, **{"TERM": "xterm", "FORCE_COLOR": "", **environment})
    assert b"error:" in printed
    assert (b"\033[31m" in printed) is colors
