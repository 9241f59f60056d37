"""`config` shows every setting with its value and where it comes from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from conda_prune.cli import cli
from conda_prune.cli.config_file import KEYS
from conda_prune.cli.configurable_command import ConfigurableCommand

from ..executable import EXECUTABLE, run
from ..seed import STRAY


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


COMMANDS = ["check", "fix", "show", "diff", "prefix", "audit"]


def test_every_command_that_reads_a_configuration_is_accepted() -> None:
    with click.Context(cli) as context:
        commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    assert [name for name, command in commands.items() if isinstance(command, ConfigurableCommand)] == [
        *COMMANDS,
        "config",
    ]


def test_the_file_is_the_one_that_the_command_reads(project: Path) -> None:
    (project / "other.toml").write_text("[tool.conda-prune]\njobs = 7\n")
    variables = {"CONDA_PRUNE_CHECK_CONFIG": "other.toml", "CONDA_PRUNE_FIX_NO_CONFIG": "1"}
    assert settings(project, "check", **variables)["jobs"] == {"value": 7, "origin": "other.toml"}
    assert settings(project, "fix", **variables)["jobs"] == {"value": 1, "origin": "default"}
    assert settings(project, "prefix", **variables)["jobs"]["value"] == 2
    assert settings(project, "prefix", CONDA_PRUNE_CONFIG="other.toml")["jobs"]["value"] == 7


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("fix", "in-place", True), ("fix", "dry-run", True), ("fix", "output-dir", "1"), ("audit", "output", "1")],
)
def test_an_option_that_only_a_variable_sets_is_shown(tmp_path: Path, command: str, name: str, value: object) -> None:
    variable = f"CONDA_PRUNE_{name.replace('-', '_').upper()}"
    assert settings(tmp_path, command, **{variable: "1"})[name] == {"value": value, "origin": variable}
    assert name not in settings(tmp_path, command)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "99"),
        ("select", "foo"),
        ("ignore", "all"),
        ("python", "3"),
        ("backup", "/"),
        ("format", "foo"),
        ("format", "json="),
        ("format", "json text"),
        ("reindex", "some"),
    ],
)
def test_a_value_that_the_command_refuses_is_refused(tmp_path: Path, name: str, value: str) -> None:
    variable = f"CONDA_PRUNE_FIX_{name.upper()}"
    done = config(tmp_path, "fix", **{variable: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert variable in done.stderr
    refused = subprocess.run(
        [EXECUTABLE, "fix", "--in-place", STRAY[0].copy(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, variable: value},
    )
    assert (refused.returncode, refused.stderr) == (2, done.stderr)
    (tmp_path / "pixi.toml").write_text(f"[tool.conda-prune]\n{name} = {json.dumps(value.split())}\n")
    if name in {"select", "ignore", "format"}:
        done = config(tmp_path, "fix")
        assert (done.returncode, done.stdout) == (2, "")
        assert str(tmp_path / "pixi.toml") in done.stderr


def test_a_wrong_python_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text('[tool.conda-prune]\npython = "3"\n')
    done = config(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'pixi.toml'}: python=3: no such Python")


@pytest.mark.parametrize("command", COMMANDS)
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
