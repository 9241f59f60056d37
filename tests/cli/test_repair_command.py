"""The command that `check` prints repairs exactly what `check` reported, wherever the options came from."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from ..executable import EXECUTABLE
from ..seed import STRAY

HEAD = "[tool.conda-prune]\n"
KEEP = HEAD + 'keep = ["*_impl*"]\n'


def run_in(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CONDA_PRUNE", "GITHUB_"))}
    return subprocess.run(
        [EXECUTABLE, *arguments],
        cwd=directory,
        env={**clean, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def project(directory: Path, file: str) -> Path:
    """Return a directory with a package, the nearest configuration file, and k.toml, which is only used if named."""
    STRAY[0].copy(directory)
    if file:
        (directory / "pyproject.toml").write_text(file, "utf-8")
    (directory / "k.toml").write_text(KEEP, "utf-8")
    return directory


def words_of(command: str) -> list[str]:
    return shlex.split(command.replace("\\", "\\\\") if os.name == "nt" else command)


def printed_command(directory: Path, arguments: list[str], environment: dict[str, str]) -> list[str]:
    """Return the words after `conda-prune` of the command that `check` prints; none if it prints none."""
    done = run_in(directory, "check", *arguments, ".", **environment)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("To repair:")]
    return words_of(lines[0].removeprefix("To repair:"))[1:] if lines else []


def annotated_command(directory: Path, arguments: list[str], environment: dict[str, str]) -> list[str]:
    """Return the words after `conda-prune` of the command in the annotation for GitHub; none if it has none."""
    done = run_in(directory, "check", "--format", "github", *arguments, STRAY[0].path.name, **environment)
    assert done.returncode == 1, done.stderr
    message = unquote(done.stdout.strip().rpartition("::")[2])
    match = re.search(r"^to fix  conda-prune (.*)  \(", message, re.MULTILINE)
    return words_of(match[1]) if match else []


def found(directory: Path, arguments: list[str], environment: dict[str, str]) -> list[str]:
    done = run_in(directory, *arguments, "--format", "json", **environment)
    assert done.returncode in (0, 1), done.stderr
    (result,) = json.loads(done.stdout)
    return sorted(f"{finding['kind']} {finding['path']}" for finding in result["findings"])


CASES = [
    pytest.param([], "", {}, [], id="defaults"),
    pytest.param([], KEEP, {}, [], id="the-nearest-file"),
    pytest.param([], "", {"CONDA_PRUNE_KEEP": "*_impl*"}, [], id="a-variable-for-every-command"),
    pytest.param(["--config", "k.toml"], "", {}, ["--config", "k.toml"], id="a-named-file"),
    pytest.param(["--no-config"], KEEP, {}, ["--no-config"], id="no-file"),
    pytest.param([], "", {"CONDA_PRUNE_CONFIG": "k.toml"}, [], id="a-file-for-every-command"),
    pytest.param([], "", {"CONDA_PRUNE_CHECK_CONFIG": "k.toml"}, ["--config", "k.toml"], id="a-file-for-check"),
    pytest.param([], KEEP, {"CONDA_PRUNE_CHECK_NO_CONFIG": "1"}, ["--no-config"], id="no-file-for-check"),
    pytest.param([], "", {"CONDA_PRUNE_FIX_CONFIG": "k.toml"}, ["--no-config"], id="a-file-for-fix"),
    pytest.param([], "", {"CONDA_PRUNE_CHECK_PYTHON": "3.10"}, ["--python", "3.10"], id="python-for-check"),
    pytest.param(
        [], KEEP, {"CONDA_PRUNE_CHECK_KEEP": "*/_in* *.txt"}, ["--keep", "*/_in*", "--keep", "*.txt"], id="two-globs"
    ),
    pytest.param(
        [],
        "",
        {"CONDA_PRUNE_CHECK_EXTEND_SELECT": "foreign-tree", "CONDA_PRUNE_EXTEND_SELECT": "optimized"},
        ["--extend-select", "foreign-tree"],
        id="kinds-for-check",
    ),
    pytest.param([], "", {"CONDA_PRUNE_CHECK_MAX_TEXT": "1G"}, ["--max-text", "1G"], id="a-limit-for-check"),
    pytest.param(["--max-members", "5000"], "", {}, ["--max-members", "5000"], id="a-limit"),
    pytest.param(["--no-default-excludes"], "", {}, ["--no-default-excludes"], id="a-flag"),
    pytest.param(
        ["--keep", "*_impl*"], "", {"CONDA_PRUNE_FIX_KEEP": "*"}, ["--keep", "*_impl*"], id="a-variable-for-fix"
    ),
    pytest.param(
        [], "", {"CONDA_PRUNE_FIX_MAX_TEXT": "1K"}, ["--max-text", "512M"], id="the-default-instead-of-a-limit-for-fix"
    ),
]


@pytest.mark.parametrize(("arguments", "file", "environment", "expected"), CASES)
def test_the_command_repairs_what_was_reported(
    tmp_path: Path, arguments: list[str], file: str, environment: dict[str, str], expected: list[str]
) -> None:
    directory = project(tmp_path, file)
    reported = found(directory, ["check", *arguments, "."], environment)
    for command, path in (
        (printed_command(directory, arguments, environment), "."),
        (annotated_command(directory, arguments, environment), STRAY[0].path.name),
    ):
        assert command == ["fix", "--in-place", *expected, path]
        assert found(directory, [*command, "--dry-run"], environment) == reported
        # The test would prove nothing if the options did not change what is reported.
        if "--keep" in expected or "--extend-select" in expected or "--python" in expected:
            assert found(directory, ["fix", "--dry-run", "."], environment) != reported


def test_no_command_is_printed_if_none_repairs_what_was_reported(tmp_path: Path) -> None:
    directory = project(tmp_path, "")
    variables = {"CONDA_PRUNE_FIX_EXTEND_SELECT": "foreign-tree"}  # No option takes back what a variable adds.
    assert printed_command(directory, [], variables) == []
    assert annotated_command(directory, [], variables) == []
    assert printed_command(directory, ["--keep", "a\nb"], {}) == []


def test_a_prefix_is_repaired_with_its_own_variables(tmp_path: Path) -> None:
    cache = tmp_path / "lib" / "python3.11" / "site-packages" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "m.cpython-310.pyc").write_bytes(b"")
    (tmp_path / "conda-meta").mkdir()
    variables = {"CONDA_PRUNE_PREFIX_PYTHON": "3.11", "CONDA_PRUNE_CHECK_PYTHON": "3.10"}
    done = run_in(tmp_path, "prefix", ".", "--keep", "x", **variables)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("To repair:")]
    assert words_of(line)[2:] == ["conda-prune", "prefix", "--fix", "--keep", "x", "."]
