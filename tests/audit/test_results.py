"""The results file of an audit: continued if it is one, and never written over if it is something else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..executable import EXECUTABLE, run
from ..seed import CLEAN, SEEDS
from .conftest import audit, results

PACKAGES = Path(SEEDS[0].path).parent
COMPACT = '{"info":{"subdir":"linux-64"},"packages":{},"packages.conda":{},"repodata_version":1}'


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines that an audit of the seed writes."""
    output = tmp_path_factory.mktemp("lines") / "out.jsonl"
    assert audit(output, PACKAGES).returncode == 0
    return output.read_bytes().splitlines(keepends=True)


def refused(output: Path, reason: str, *arguments: object) -> None:
    """Assert that an audit does not touch the file, and says why in one line."""
    before = output.read_bytes() if output.is_file() else None
    done = audit(output, *(arguments or (PACKAGES, "--resume")))
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (output.read_bytes() if output.is_file() else None) == before


@pytest.mark.parametrize(
    "content",
    [
        COMPACT.encode(),
        f"{COMPACT}\n".encode(),
        f"{COMPACT}\r\n".encode(),
        b"notes",
        b"notes\r",
        b"\n",
        b"[]",
        b"null",
        b"5\n",
        b"{}",
        b'{"schema_version": 2',
        b'\xef\xbb\xbf{"schema_version": 1',
        b"\0" * 100,
        b"[" * 100_000,
        b'{"status": [], "channel": "", "subdir": "", "file_name": "", "sha256": "", "judged_from": null}\n',
        b'{"status": "clean", "channel": 5, "subdir": "", "file_name": "", "sha256": "", "judged_from": null}\n',
        '{"schema_version": 1, "path": "'.encode("utf-16"),
    ],
)
def test_a_file_that_is_not_of_an_audit_is_not_continued(content: bytes, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    output.write_bytes(content)
    refused(output, "line 1 is not a result of an audit; name another file")


def test_results_of_a_check_are_not_continued(tmp_path: Path) -> None:
    output = tmp_path / "check.jsonl"
    output.write_text(run("check", CLEAN[0].path, "--format", "jsonl").stdout)
    refused(output, "line 1 is not a result of an audit")
    output.write_bytes(output.read_bytes().rstrip(b"\n"))
    refused(output, "line 1 is not a result of an audit")


def test_what_follows_results_is_not_cut_off(lines: list[bytes], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    for text in (b"notes", b"{}", COMPACT.encode(), b"notes\n"):
        output.write_bytes(b"".join(lines) + text)
        refused(output, f"line {len(lines) + 1} is not a result of an audit")


@pytest.mark.parametrize("length", [0, 1, 10, 40, -20, -1])
@pytest.mark.parametrize("before", [0, 2])
def test_a_partial_line_of_an_audit_is_written_again(
    length: int, before: int, lines: list[bytes], tmp_path: Path
) -> None:
    """Also if the run was killed while it wrote the first line. If only the line's end is missing, it is kept."""
    output = tmp_path / "out.jsonl"
    output.write_bytes(b"".join(lines[:before]) + lines[before][:length])
    done = audit(output, PACKAGES, "--resume")
    assert done.returncode == 0
    kept = before + (length == -1)
    assert output.read_bytes().startswith(b"".join(lines[:kept]))
    assert len(results(output)) == len(lines)
    were = "was" if kept == 1 else "were"
    assert (f"({kept} {were} already" in done.stdout) == (kept > 0)


def test_zeros_after_results_are_cut_off(lines: list[bytes], tmp_path: Path) -> None:
    """A system that crashes may leave them."""
    output = tmp_path / "out.jsonl"
    for rest in (bytes(4096), lines[1][:100] + bytes(4096)):
        output.write_bytes(lines[0] + rest)
        assert audit(output, PACKAGES, "--resume").returncode == 0
        assert len(results(output)) == len(lines)


def test_results_with_windows_line_ends_are_continued(lines: list[bytes], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes(b"".join(lines[:2]).replace(b"\n", b"\r\n") + lines[2][:30])
    assert audit(output, PACKAGES, "--resume").returncode == 0
    assert len(results(output)) == len(lines)


@pytest.mark.parametrize("resume", [(), ("--resume",)])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("new.conda", "it has the name of a package"),
        ("new.tar.bz2", "it has the name of a package"),
        ("current_repodata.json", "it has the name of a channel's index"),
        ("repodata.json.zst", "it has the name of a channel's index"),
        ("conda-meta/history", "it is in the conda-meta directory of an environment"),
    ],
)
def test_names_of_packages_and_indexes_are_refused(
    name: str, reason: str, resume: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "conda-meta").mkdir()
    refused(tmp_path / name, f"{reason}; write the results to another file", PACKAGES, *resume)
    (tmp_path / name).touch()
    refused(tmp_path / name, reason, PACKAGES, *resume)


def test_what_the_audit_reads_is_refused(lines: list[bytes], tmp_path: Path) -> None:
    urls = tmp_path / "urls.txt"
    urls.touch()
    refused(urls, "the command reads it", urls)
    refused(urls, "the command reads it", "conda-forge/linux-64", "--paths-db", urls, "--resume")


def test_standard_output_is_refused(tmp_path: Path) -> None:
    command = [EXECUTABLE, "audit", str(PACKAGES), "-o"]
    done = subprocess.run([*command, "-"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot go to standard output; name a file" in done.stderr
    with (tmp_path / "out").open("w") as file:
        done = subprocess.run([*command, "out"], stdout=file, stderr=-1, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "standard output is redirected to it" in done.stderr
    assert os.listdir(tmp_path) == ["out"]


def test_a_directory_or_a_pipe_is_refused(tmp_path: Path) -> None:
    for resume in ((), ("--resume",)):
        refused(tmp_path, "it is a directory, not a regular file; write the results to another file", PACKAGES, *resume)
        if hasattr(os, "mkfifo"):
            pipe = tmp_path / f"pipe{len(resume)}"
            os.mkfifo(pipe)
            refused(pipe, "it is a named pipe (FIFO), not a regular file", PACKAGES, *resume)


def test_results_that_exist_are_not_written_over(lines: list[bytes], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes(b"".join(lines))
    refused(output, "exists; continue it with --resume, or name another file", PACKAGES)


def test_a_failed_run_leaves_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out.jsonl"
    for arguments, code in (
        (("conda-forge/linux-64", "--paths-db", tmp_path / "missing"), 3),
        ((tmp_path / "empty",), 2),
        ((tmp_path / "empty", "--resume"), 2),
    ):
        assert audit(output, *arguments).returncode == code
        assert not output.exists()


def test_an_empty_file_does_not_block(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="without locks, another run may have created it")
    output = tmp_path / "out.jsonl"
    output.touch()
    (tmp_path / "empty").mkdir()
    assert audit(output, tmp_path / "empty").returncode == 2
    assert output.read_bytes() == b""
    assert audit(output, PACKAGES).returncode == 0
    assert len(results(output)) > 1


def test_two_runs_do_not_write_to_an_empty_file(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="Windows has no flock")
    output = tmp_path / "out.jsonl"
    with output.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = audit(output, PACKAGES)
    assert done.returncode == 3
    assert "another run writes to" in done.stderr
    assert output.read_bytes() == b""


def test_a_file_that_another_run_removes_is_created_again(
    lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without results removes its file, which another one may have opened just before."""
    pytest.importorskip("fcntl", reason="Windows cannot remove an open file")
    from conda_prune.audit import results as module
    from conda_prune.system import is_locked_elsewhere

    output = tmp_path / "out.jsonl"
    output.touch()

    def remove_once(descriptor: int) -> bool | None:
        monkeypatch.setattr(module, "is_locked_elsewhere", is_locked_elsewhere)
        output.unlink()
        return is_locked_elsewhere(descriptor)

    monkeypatch.setattr(module, "is_locked_elsewhere", remove_once)
    with module.Results(str(output), resume=False):
        assert output.exists()
    assert not output.exists()


def test_without_locks_an_empty_file_may_be_another_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conda_prune.audit import results as module
    from conda_prune.errors import UsageError

    monkeypatch.setattr(module, "is_locked_elsewhere", lambda descriptor: None)
    output = tmp_path / "out.jsonl"
    with module.Results(str(output), resume=False):
        with pytest.raises(UsageError, match="exists; continue it with --resume"):
            module.Results(str(output), resume=False)
        assert output.exists()
    assert not output.exists()
    output.touch()
    with module.Results(str(output), resume=True):
        pass
    assert output.exists()
