"""`[tool.conda-prune]`: which file counts, what may stand in it, and what wins over it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from conda_prune.config import KEYS, find_settings
from conda_prune.errors import UsageError

from .seed import STRAY
from .test_cli import EXECUTABLE

HEAD = "[tool.conda-prune]\n"


def run_in(directory: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONDA_PRUNE")}
    return subprocess.run(
        [EXECUTABLE, *map(str, arguments)],
        cwd=directory,
        env={**clean, "COLUMNS": "120", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def write(directory: Path, text: str, name: str = "pyproject.toml") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text, "utf-8")
    return path


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert find_settings(str(tmp_path)) is None


@pytest.mark.parametrize("name", ["pyproject.toml", "pixi.toml"])
def test_the_nearest_file_with_the_table_counts(tmp_path: Path, name: str) -> None:
    write(tmp_path, HEAD + 'select = ["orphan"]\n')
    nearest = write(tmp_path / "a", HEAD + 'select = ["leftover"]\n', name)
    write(tmp_path / "a" / "b", '[project]\nname = "conda-prune-user"\n')
    write(tmp_path / "a" / "b" / "c", "# conda-prune\n[tool.other]\nselect = 1\n")
    found = find_settings(str(tmp_path / "a" / "b" / "c"))
    assert found is not None
    assert found.path == str(nearest)
    assert found.values == {"select": ("leftover",)}


def test_a_broken_file_of_somebody_else_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "[[[ this is no TOML")
    (tmp_path / "pixi.toml").mkdir()
    assert find_settings(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", {}, id="an-empty-table"),
        pytest.param('select = "foreign-tree, orphan"', {"select": ("foreign-tree, orphan",)}, id="a-text-for-a-list"),
        pytest.param('format = ["text", "json=r.json"]', {"format": ("text", "json=r.json")}, id="formats"),
        pytest.param("level = 19", {"level": "19"}, id="a-level"),
        pytest.param('level = "same"', {"level": "same"}, id="the-same-level"),
        pytest.param("jobs = 0\ndeep = true", {"jobs": 0, "deep": True}, id="a-number-and-a-flag"),
    ],
)
def test_values_are_those_of_the_command_line(tmp_path: Path, text: str, values: dict[str, object]) -> None:
    write(tmp_path, HEAD + text)
    found = find_settings(str(tmp_path))
    assert found is not None
    assert found.values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('selekt = ["orphan"]', "selekt", id="unknown-key"),
        pytest.param("in-place = true", "in-place", id="what-a-run-writes-is-said-on-the-command-line"),
        pytest.param("select = 3", "select", id="a-number-for-a-list"),
        pytest.param('select = ["orphan", 3]', "select", id="a-number-in-a-list"),
        pytest.param('deep = "yes"', "deep", id="a-text-for-a-flag"),
        pytest.param("jobs = true", "jobs", id="a-flag-for-a-number"),
        pytest.param('jobs = "2"', "jobs", id="a-text-for-a-number"),
        pytest.param("level = 1.5", "level", id="a-fraction"),
        pytest.param('[tool.conda-prune.check]\nselect = "orphan"', "check", id="a-table-in-the-table"),
    ],
)
def test_a_key_that_is_none_is_wrong_usage(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, HEAD + text)
    with pytest.raises(UsageError, match=said) as caught:
        find_settings(str(tmp_path))
    assert str(path) in str(caught.value)
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert str(path) in done.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(HEAD + "select = [", "cannot be read", id="broken-toml"),
        pytest.param("tool.conda-prune = 3", "no table", id="no-table"),
        pytest.param(HEAD + 'select = "a"\nselect = "b"', "cannot be read", id="a-key-twice"),
    ],
)
def test_a_file_with_the_table_that_cannot_be_read_is_wrong_usage(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=reason) as caught:
        find_settings(str(tmp_path))
    assert str(path) in str(caught.value)


def test_two_tables_side_by_side_are_wrong_usage(tmp_path: Path) -> None:
    write(tmp_path, HEAD)
    write(tmp_path, HEAD, "pixi.toml")
    with pytest.raises(UsageError, match="both"):
        find_settings(str(tmp_path))


def kinds_found(done: subprocess.CompletedProcess[str]) -> set[str]:
    return {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  foreign-")}


def test_the_file_counts_and_the_environment_wins_and_the_command_line_over_both(tmp_path: Path) -> None:
    path = STRAY[0].path
    assert kinds_found(run_in(tmp_path, "check", path)) == {"foreign-path"}
    write(tmp_path, HEAD + 'select = ["foreign-tree"]\n')
    assert kinds_found(run_in(tmp_path, "check", path)) == {"foreign-path", "foreign-tree"}
    assert kinds_found(run_in(tmp_path, "check", path, CONDA_PRUNE_SELECT="orphan")) == {"foreign-path"}
    assert kinds_found(
        run_in(tmp_path, "check", path, "--select", "foreign-tree", CONDA_PRUNE_SELECT="orphan")
    ) == {"foreign-path", "foreign-tree"}  # fmt: skip


def test_a_variable_of_one_command_wins_over_that_of_all(tmp_path: Path) -> None:
    path = STRAY[0].path
    both = {"CONDA_PRUNE_SELECT": "orphan", "CONDA_PRUNE_CHECK_SELECT": "foreign-tree"}
    assert kinds_found(run_in(tmp_path, "check", path, **both)) == {"foreign-path", "foreign-tree"}
    assert run_in(tmp_path, "check", path, CONDA_PRUNE_FORMAT="jsonl").stdout.startswith('{"schema_version"')


def test_a_key_reaches_only_the_commands_that_have_the_option(tmp_path: Path) -> None:
    write(tmp_path, HEAD + 'format = "jsonl"\nlevel = 3\n')
    assert run_in(tmp_path, "check", STRAY[0].path).stdout.startswith('{"schema_version"')
    assert run_in(tmp_path, "show", STRAY[0].path).stdout.startswith(STRAY[0].path.name)
    assert run_in(tmp_path, "explain", "orphan").returncode == 0


def test_a_wrong_value_is_said_with_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + 'color = "blue"\n')
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert str(path) in done.stderr.replace("\n", "")
    write(tmp_path, HEAD + 'select = ["dust"]\n')
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert str(path) in done.stderr.replace("\n", "")
    assert "foreign-path" in done.stderr


def test_help_is_given_whatever_the_file_says(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "nonsense = 1\n")
    assert run_in(tmp_path, "check", "--help").returncode == 0
    assert run_in(tmp_path, "check", STRAY[0].path).returncode == 2


def test_every_key_is_an_option_and_says_its_type() -> None:
    import click

    from conda_prune.cli import COMMANDS, cli

    context = click.Context(cli)
    options: dict[str, list[click.Option]] = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                options.setdefault(max(parameter.opts, key=len).lstrip("-"), []).append(parameter)
    assert set(KEYS) <= set(options)
    for key, kind in KEYS.items():
        assert any(option.is_flag for option in options[key]) is (kind == "true or false"), key
        assert any(option.multiple for option in options[key]) is (kind == "a text or a list of texts"), key
