"""Report files: no input, package or index is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ..executable import EXECUTABLE, run
from ..seed import CLEAN, SEEDS, STRAY

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege to make links")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output directory with packages and an index."""
    directory = tmp_path / "output" / "linux-64"
    directory.mkdir(parents=True)
    for seed in SEEDS:
        seed.copy(directory)
    (directory / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    return tmp_path / "output"


def state(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below a directory, with its modification time."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def refused(directory: Path, *arguments: object, reason: str) -> None:
    """Assert that each command is wrong usage for the given reason, and writes nothing."""
    for command in (["check"], ["fix", "--in-place"]):
        before = state(directory)
        done = run(*command, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in " ".join(done.stderr.split())
        assert state(directory) == before


@pytest.mark.parametrize("format_", ["json", "jsonl", "text", "github", "sarif"])
def test_package_is_never_overwritten(tmp_path: Path, output: Path, format_: str) -> None:
    package = output / "linux-64" / STRAY[0].path.name
    refused(tmp_path, package, "--format", f"{format_}={package}", reason="it has the name of a package")
    refused(tmp_path, output, "--format", f"{format_}={package}", reason="it has the name of a package")


@pytest.mark.parametrize("name", ["new.conda", "new.tar.bz2", "new.CONDA", "New.Tar.Bz2"])
def test_new_file_with_a_packages_name_is_refused(tmp_path: Path, output: Path, name: str) -> None:
    refused(tmp_path, output, "--format", f"json={tmp_path / name}", reason="it has the name of a package")


@needs_links
def test_links_to_packages_are_refused(tmp_path: Path, output: Path) -> None:
    package = output / "linux-64" / STRAY[0].path.name
    (tmp_path / "elsewhere-1.0-0.conda").write_bytes(CLEAN[0].path.read_bytes())
    (tmp_path / "chain").symlink_to("symbolic.json")
    (tmp_path / "symbolic.json").symlink_to(package)
    (tmp_path / "other.json").symlink_to("elsewhere-1.0-0.conda")
    (tmp_path / "dangling.json").symlink_to("absent-1.0-0.conda")
    for name in ("chain", "symbolic.json", "other.json", "dangling.json"):
        refused(tmp_path, output, "--format", f"json={tmp_path / name}", reason="it has the name of a package")
    os.link(package, tmp_path / "hard.json")
    refused(tmp_path, output, "--format", f"json={tmp_path / 'hard.json'}", reason="the command reads it")


def test_other_inputs_are_refused(tmp_path: Path, output: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"{output}\n")
    refused(tmp_path, "--files-from", listed, "--format", f"json={listed}", reason="the command reads it")
    config = tmp_path / "settings.toml"
    config.write_text("[tool.conda-prune]\n")
    refused(tmp_path, output, "--config", config, "--format", f"json={config}", reason="the command reads it")


@pytest.mark.parametrize(
    "name",
    [
        *("repodata.json", "current_repodata.json", "repodata_from_packages.json", "repodata.json.zst"),
        *("repodata.json.bz2", "repodata_shards.msgpack.zst", "channeldata.json", "run_exports.json"),
        "conda-meta/python-3.13.0-0.json",
    ],
)  # fmt: skip
def test_indexes_and_records_are_refused(tmp_path: Path, output: Path, name: str) -> None:
    target = (tmp_path / "env" if "/" in name else output / "linux-64") / name
    target.parent.mkdir(parents=True, exist_ok=True)
    reason = "the conda-meta directory of an environment" if "/" in name else "the name of a channel's index"
    refused(tmp_path, output, "--format", f"json={target}", reason=reason)


@needs_links
def test_two_formats_in_one_file_are_refused(tmp_path: Path, output: Path) -> None:
    one, other = tmp_path / "results.json", tmp_path / "a" / ".." / "results.json"
    (tmp_path / "a").mkdir()
    twice = ("--format", f"json={one}", "--format", f"sarif={other}")
    refused(tmp_path, output, *twice, reason="two formats cannot be written to one file")
    assert not one.exists()
    one.write_text("{}")
    os.link(one, tmp_path / "results.sarif")
    twice = ("--format", f"json={one}", "--format", f"sarif={tmp_path / 'results.sarif'}")
    done = run("check", output, *twice)
    assert (done.returncode, one.read_text()) == (2, "")
    assert "two formats cannot be written to one file" in done.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_file_of_a_standard_stream_is_refused(tmp_path: Path, output: Path, stream: str) -> None:
    with (tmp_path / "results").open("w") as file:
        command = [EXECUTABLE, "check", output, "--format", f"json={tmp_path / 'results'}"]
        others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: file}
        done = subprocess.run(command, **others, check=False)  # type: ignore[call-overload]
    assert done.returncode == 2
    printed = done.stderr.decode() if stream == "stdout" else (tmp_path / "results").read_text()
    assert f"standard {'output' if stream == 'stdout' else 'error'} is redirected to it" in " ".join(printed.split())


def test_file_is_replaced_by_the_report(tmp_path: Path, output: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("x" * 1_000_000)
    assert run("check", output, "--format", f"json={results}").returncode == 1
    assert len(json.loads(results.read_text("utf-8"))) == len(SEEDS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in directories")
def test_report_may_go_to_a_pipe_or_a_device(output: Path) -> None:
    command = f"{EXECUTABLE} check {output} --format json=/dev/null --format jsonl=>(cat >&2)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count('"schema_version"') == len(SEEDS)


def test_a_file_without_a_name_is_refused(output: Path) -> None:
    for arguments, environment, origin in (
        (("--format", "json="), {}, "--format json="),
        ((), {"CONDA_PRUNE_FORMAT": "text json="}, "CONDA_PRUNE_FORMAT json="),
    ):
        done = run("check", output, *arguments, check=False, **environment)
        assert (done.returncode, done.stdout) == (2, "")
        expected = f"error: {origin}: the name of the file is missing; use json=FILE, or json=- to print\n"
        assert done.stderr == expected


def test_dash_is_standard_output(output: Path) -> None:
    command = [EXECUTABLE, "check", str(output), "--format", "json=-"]
    done = subprocess.run(command, capture_output=True, cwd=output, check=False)
    assert len(json.loads(done.stdout)) == len(SEEDS)
    assert not (output / "-").exists()
    assert run("check", output, "--format", "json=-", "--format", "jsonl").returncode == 2
