"""`config` shows every setting with its value and where it comes from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conda_prune.cli.config_file import KEYS

from ..executable import EXECUTABLE, run


def config(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [EXECUTABLE, "config", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=variables)


def settings(directory: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    done = config(directory, "--format", "json", *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout)["settings"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pixi.toml").write_text('[tool.conda-prune]\njobs = 2\nkeep = ["share/**"]\n')
    return tmp_path


def test_every_key_of_a_file_is_shown(tmp_path: Path) -> None:
    shown = {name for command in ("check", "fix") for name in settings(tmp_path, command)}
    assert shown == set(KEYS)


def test_defaults_are_marked_as_defaults(tmp_path: Path) -> None:
    assert {setting["origin"] for setting in settings(tmp_path).values()} == {"default"}
    assert config(tmp_path).stdout.startswith("configuration file: none\n")


@pytest.mark.parametrize(
    ("value", "shown"), [("512MiB", "512M"), ("1536k", "1536K"), ("1000", "1000"), ("2048G", "2T")]
)
def test_sizes_are_shown_as_they_are_written_and_are_bytes_in_json(tmp_path: Path, value: str, shown: str) -> None:
    text = config(tmp_path, CONDA_PRUNE_MAX_TEXT=value).stdout
    assert ["max-text", shown, "CONDA_PRUNE_MAX_TEXT"] in [line.split() for line in text.splitlines()]
    found = settings(tmp_path, CONDA_PRUNE_MAX_TEXT=shown)["max-text"]["value"]
    assert found == settings(tmp_path, CONDA_PRUNE_MAX_TEXT=value)["max-text"]["value"] >= 1000


def test_a_value_from_a_file_names_the_file(project: Path) -> None:
    found = settings(project)
    assert found["jobs"] == {"value": 2, "origin": str(project / "pixi.toml")}
    assert found["keep"] == {"value": ["share/**"], "origin": str(project / "pixi.toml")}
    assert str(project / "pixi.toml") in config(project).stdout.splitlines()[0]
    assert settings(project, "--no-config")["jobs"] == {"value": 1, "origin": "default"}


def test_variables_override_the_file(project: Path) -> None:
    found = settings(project, CONDA_PRUNE_JOBS="3")
    assert found["jobs"] == {"value": 3, "origin": "CONDA_PRUNE_JOBS"}


def test_a_variable_for_one_command_wins(project: Path) -> None:
    variables = {"CONDA_PRUNE_JOBS": "3", "CONDA_PRUNE_CHECK_JOBS": "4"}
    assert settings(project, "check", **variables)["jobs"] == {"value": 4, "origin": "CONDA_PRUNE_CHECK_JOBS"}
    assert settings(project, "fix", **variables)["jobs"] == {"value": 3, "origin": "CONDA_PRUNE_JOBS"}


def test_a_file_can_be_named(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[tool.conda-prune]\njobs = 7\n")
    assert settings(project, "--config", str(other))["jobs"] == {"value": 7, "origin": str(other)}


@pytest.mark.parametrize("command", ["check", "fix", "show", "prefix"])
def test_text_has_a_line_per_setting(project: Path, command: str) -> None:
    lines = config(project, command).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(settings(project, command))


def test_a_wrong_value_is_a_usage_error(project: Path) -> None:
    done = config(project, CONDA_PRUNE_JOBS="many")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'many'" in done.stderr
    (project / "pixi.toml").write_text("[tool.conda-prune]\nunknown = 1\n")
    done = config(project)
    assert done.returncode == 2
    assert "unknown key 'unknown'" in done.stderr


def test_another_command_is_a_usage_error() -> None:
    assert run("config", "explain").returncode == 2
