"""`[tool.conda-prune]`: which file is used, what it may contain, and what overrides it."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conda_prune.cli.config_file import KEYS, find_configuration
from conda_prune.errors import UsageError

from ..executable import EXECUTABLE
from ..seed import STRAY

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


def test_without_a_file_there_are_no_settings(tmp_path: Path) -> None:
    assert find_configuration(str(tmp_path)) is None


@pytest.mark.parametrize("name", ["pyproject.toml", "pixi.toml"])
def test_the_nearest_file_with_the_table_counts(tmp_path: Path, name: str) -> None:
    write(tmp_path, HEAD + 'select = ["orphan"]\n')
    nearest = write(tmp_path / "a", HEAD + 'select = ["leftover"]\n', name)
    write(tmp_path / "a" / "b", '[project]\nname = "conda-prune-user"\n')
    write(tmp_path / "a" / "b" / "c", "# conda-prune\n[tool.other]\nselect = 1\n")
    found = find_configuration(str(tmp_path / "a" / "b" / "c"))
    assert found is not None
    assert found.path == str(nearest)
    assert found.values == {"select": ("leftover",)}


def test_a_broken_file_without_the_table_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, "[[[ this is no TOML")
    (tmp_path / "pixi.toml").mkdir()
    assert find_configuration(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", {}, id="an-empty-table"),
        pytest.param('select = "foreign-tree, orphan"', {"select": ("foreign-tree, orphan",)}, id="a-text-for-a-list"),
        pytest.param('format = ["text", "json=-"]', {"format": ("text", "json=-")}, id="formats"),
        pytest.param("level = 19", {"level": "19"}, id="a-level"),
        pytest.param("extend-select = []\nkeep = []", {"extend-select": (), "keep": ()}, id="nothing-more"),
        pytest.param('level = "same"', {"level": "same"}, id="the-same-level"),
        pytest.param("jobs = 0\ndeep = true", {"jobs": 0, "deep": True}, id="a-number-and-a-flag"),
    ],
)
def test_values_are_those_of_the_command_line(tmp_path: Path, text: str, values: dict[str, object]) -> None:
    write(tmp_path, HEAD + text)
    found = find_configuration(str(tmp_path))
    assert found is not None
    assert found.values == values


@pytest.mark.parametrize(
    ("text", "expected_message"),
    [
        pytest.param('selekt = ["orphan"]', "selekt", id="unknown-key"),
        pytest.param("in-place = true", "in-place", id="output-belongs-on-the-command-line"),
        pytest.param("select = []", "select in .* is empty; remove it to select the default kinds", id="no-kind"),
        pytest.param("select = 3", "select", id="a-number-for-a-list"),
        pytest.param('select = ["orphan", 3]', "select", id="a-number-in-a-list"),
        pytest.param('deep = "yes"', "deep", id="a-text-for-a-flag"),
        pytest.param("jobs = true", "jobs", id="a-flag-for-a-number"),
        pytest.param('jobs = "2"', "jobs", id="a-text-for-a-number"),
        pytest.param("level = 1.5", "level", id="a-fraction"),
        pytest.param('[tool.conda-prune.check]\nselect = "orphan"', "check", id="a-table-in-the-table"),
    ],
)
def test_an_unknown_key_or_type_is_wrong_usage(tmp_path: Path, text: str, expected_message: str) -> None:
    path = write(tmp_path, HEAD + text)
    with pytest.raises(UsageError, match=expected_message) as caught:
        find_configuration(str(tmp_path))
    assert str(path) in str(caught.value)
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(expected_message, done.stderr)
    assert str(path) in done.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("selct", "did you mean `select`?"),
        ("extend_select", "did you mean `extend-select`?"),
        ("output-folder", "the keys are select, extend-select, "),
    ],
)
def test_an_unknown_key_gets_a_suggestion(tmp_path: Path, key: str, hint: str) -> None:
    path = write(tmp_path, HEAD + f'{key} = ["orphan"]\n')
    with pytest.raises(UsageError) as caught:
        find_configuration(str(tmp_path))
    assert str(caught.value).startswith(f"{path}: [tool.conda-prune] has an unknown key {key!r}; {hint}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(HEAD + "select = [", "cannot be read", id="broken-toml"),
        pytest.param("tool.conda-prune = 3", "not a table", id="no-table"),
        pytest.param(HEAD + 'select = "a"\nselect = "b"', "cannot be read", id="a-key-twice"),
    ],
)
def test_an_unreadable_file_with_the_table_is_wrong_usage(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=reason) as caught:
        find_configuration(str(tmp_path))
    assert str(path) in str(caught.value)


def test_two_tables_in_one_directory_are_wrong_usage(tmp_path: Path) -> None:
    write(tmp_path, HEAD)
    write(tmp_path, HEAD, "pixi.toml")
    with pytest.raises(UsageError, match="both"):
        find_configuration(str(tmp_path))


def kinds_found(done: subprocess.CompletedProcess[str]) -> set[str]:
    lines = [line for line in done.stdout.splitlines() if not line.startswith("To ")]
    return {kind for line in lines for kind in re.findall(r"\b(foreign-\w+) \d", line)}


def test_the_command_line_overrides_variables_which_override_the_file(tmp_path: Path) -> None:
    path = STRAY[0].path
    assert kinds_found(run_in(tmp_path, "check", path)) == {"foreign-path"}
    write(tmp_path, HEAD + 'extend-select = ["foreign-tree"]\n')
    assert kinds_found(run_in(tmp_path, "check", path)) == {"foreign-path", "foreign-tree"}
    assert kinds_found(run_in(tmp_path, "check", path, CONDA_PRUNE_EXTEND_SELECT="orphan")) == {"foreign-path"}
    assert kinds_found(
        run_in(tmp_path, "check", path, "--extend-select", "foreign-tree", CONDA_PRUNE_EXTEND_SELECT="orphan")
    ) == {"foreign-path", "foreign-tree"}  # fmt: skip


def test_a_variable_for_one_command_overrides_the_general_one(tmp_path: Path) -> None:
    path = STRAY[0].path
    both = {"CONDA_PRUNE_EXTEND_SELECT": "orphan", "CONDA_PRUNE_CHECK_EXTEND_SELECT": "foreign-tree"}
    assert kinds_found(run_in(tmp_path, "check", path, **both)) == {"foreign-path", "foreign-tree"}
    assert run_in(tmp_path, "check", path, CONDA_PRUNE_FORMAT="jsonl").stdout.startswith('{"schema_version"')


def test_other_formats_have_variables_of_their_own(tmp_path: Path) -> None:
    path, results = STRAY[0].path, tmp_path / "results.jsonl"
    results.write_text(run_in(tmp_path, "check", "--format", "jsonl", path).stdout, "utf-8")
    general, own = {"CONDA_PRUNE_FORMAT": "jsonl"}, {"CONDA_PRUNE_REPORT_FORMAT": "markdown"}
    assert run_in(tmp_path, "show", path, **general).stdout.startswith(path.name)
    plain = run_in(tmp_path, "report", results)
    done = run_in(tmp_path, "report", results, **general)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", plain.stdout)
    markdown = run_in(tmp_path, "report", "--format", "markdown", results).stdout
    assert run_in(tmp_path, "report", results, **general, **own).stdout == markdown != plain.stdout


def test_a_key_applies_only_to_commands_with_the_option(tmp_path: Path) -> None:
    write(tmp_path, HEAD + 'format = "jsonl"\nlevel = 3\n')
    assert run_in(tmp_path, "check", STRAY[0].path).stdout.startswith('{"schema_version"')
    assert run_in(tmp_path, "show", STRAY[0].path).stdout.startswith(STRAY[0].path.name)
    assert run_in(tmp_path, "explain", "orphan").returncode == 0


def test_a_wrong_value_names_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + 'color = "blue"\n')
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert str(path) in done.stderr.replace("\n", "")
    write(tmp_path, HEAD + 'select = ["dust"]\n')
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert done.returncode == 2
    assert str(path) in done.stderr.replace("\n", "")
    assert "foreign-path" in done.stderr


def test_help_works_with_a_broken_file(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "nonsense = 1\n")
    assert run_in(tmp_path, "check", "--help").returncode == 0
    assert run_in(tmp_path, "check", STRAY[0].path).returncode == 2


# Files that another user may have created where we search

MISSING = os.strerror(errno.ENOENT) if os.name != "nt" else ""
"""The system's words for a file that does not exist. On Windows, there are several."""
needs_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="Windows has no chown, and elsewhere only root may use it"
)
US, OTHER, THIRD = 0, 12345, 23456


@pytest.mark.parametrize("format_", ['"json={}"', '["text", "sarif={}"]', '["jsonl=./{}"]'])
def test_file_cannot_name_output_files(tmp_path: Path, format_: str) -> None:
    victim = write(tmp_path, "alias ll='ls -l'\n", "bashrc")
    config = write(tmp_path / "shared", HEAD + f"format = {format_.format(victim.as_posix())}\n", "pixi.toml")
    (tmp_path / "shared" / "ours").mkdir()
    for arguments in ((), ("--config", config)):
        done = run_in(tmp_path / "shared" / "ours", "check", *arguments, STRAY[0].path)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(config) in done.stderr
        assert "names an output file" in done.stderr
        assert "--format" in done.stderr
    assert victim.read_text() == "alias ll='ls -l'\n"
    assert not (tmp_path / "shared" / "ours" / "alias").exists()


def owned(path: Path, user: int) -> Path:
    os.chown(path, user, -1, follow_symlinks=False)
    return path


@needs_root
@pytest.mark.parametrize(
    ("owner", "of_directory", "sudo", "accepted"),
    [
        pytest.param(US, US, None, True, id="ours"),
        pytest.param(OTHER, US, None, False, id="another user's"),
        pytest.param(OTHER, OTHER, None, True, id="the owner of the current directory"),
        pytest.param(OTHER, US, str(OTHER), True, id="the user who called sudo"),
        pytest.param(OTHER, THIRD, str(THIRD), False, id="neither of them"),
        pytest.param(OTHER, US, "-1", False, id="no user"),
    ],
)
def test_file_of_another_user_is_an_error(
    tmp_path: Path, owner: int, of_directory: int, sudo: str | None, accepted: bool
) -> None:
    config = owned(write(tmp_path / "shared", HEAD + 'extend-select = "orphan"\n'), owner)
    project = tmp_path / "shared" / "project"
    project.mkdir()
    owned(project, of_directory)
    environment = {} if sudo is None else {"SUDO_UID": sudo}
    done = run_in(project, "check", "-v", STRAY[0].path, **environment)
    if accepted:
        assert done.returncode == 1
        assert done.stderr == f"configuration: {config}\n"
        return
    assert (done.returncode, done.stdout) == (2, "")
    message = " ".join(done.stderr.split())
    assert f"{config} has [tool.conda-prune] but belongs to another user (user {OTHER})" in message
    assert f"--config {config}" in message
    for arguments, used in ((("--config", config), True), (("--no-config",), False)):
        done = run_in(project, "check", "-v", *arguments, STRAY[0].path, **environment)
        assert (done.returncode, f"configuration: {config}\n" == done.stderr) == (1, used)


AS_ANOTHER_USER = """
import os, sys
from conda_prune.cli.config_file import UsageError, find_configuration

try:
    find_configuration(sys.argv[2])  # Import the modules that the other user may not be able to read.
except UsageError:
    pass
os.setuid(int(sys.argv[1]))
print(find_configuration(sys.argv[2]).values)
"""


@needs_root
@pytest.mark.parametrize(("owner", "accepted"), [(OTHER, True), (US, True), (THIRD, False)])
def test_users_trust_their_own_files_and_those_of_root(tmp_path: Path, owner: int, accepted: bool) -> None:
    write(tmp_path, HEAD + "deep = true\n")
    owned(tmp_path / "pyproject.toml", owner)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.name.startswith(("test_", "popen-", "pytest-")):
            directory.chmod(0o755)
    command = [sys.executable, "-c", AS_ANOTHER_USER, str(OTHER), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "SUDO_UID": "23456"})
    assert (done.returncode == 0) is accepted, done.stderr
    assert ("another user" in done.stderr) is not accepted


@needs_root
def test_link_of_another_user_is_an_error(tmp_path: Path) -> None:
    ours = write(tmp_path / "elsewhere", HEAD + 'extend-select = "foreign-tree"\n')
    link = tmp_path / "shared" / "pixi.toml"
    link.parent.mkdir()
    link.symlink_to(ours)
    assert run_in(link.parent, "check", STRAY[0].path).returncode == 1
    owned(link, OTHER)
    assert run_in(link.parent, "check", STRAY[0].path).returncode == 2


@needs_root
def test_file_of_another_user_without_the_table_is_skipped(tmp_path: Path) -> None:
    owned(write(tmp_path, '[dependencies]\nconda-prune = "*"\n', "pixi.toml"), OTHER)
    assert run_in(tmp_path, "check", STRAY[0].path).returncode == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in directories")
@pytest.mark.parametrize("name", ["pyproject.toml", "pixi.toml"])
@pytest.mark.parametrize("command", [("check",), ("fix", "--dry-run"), ("show",), ("prefix", "--python", "3.11")])
def test_named_pipe_is_not_waited_for(tmp_path: Path, name: str, command: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / "conda-meta").mkdir()
    path = tmp_path if command[0] == "prefix" else STRAY[0].path
    assert run_in(tmp_path, *command, path).returncode in (0, 1)
    done = run_in(tmp_path, *command, path, "--config", name)
    assert (done.returncode, "not a regular file" in " ".join(done.stderr.split())) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD + "keep = " + "[" * 50_000, id="deep nesting"),
        pytest.param(HEAD + "#" + "x" * (5 << 20), id="too large"),
    ],
)
def test_hostile_file_is_one_error_line(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    done = run_in(tmp_path, "check", STRAY[0].path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("cannot be read") == 1
    assert "Traceback" not in done.stderr
    assert run_in(tmp_path, "check", "--no-config", STRAY[0].path).returncode == 1


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="Windows has no modes, and root reads files of any mode"
)
def test_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, HEAD).chmod(0)
    assert "Permission denied" in run_in(tmp_path, "check", STRAY[0].path).stderr


# --config and --no-config


def test_config_option_names_the_file(tmp_path: Path) -> None:
    write(tmp_path, HEAD + 'extend-select = "orphan"\n')
    other = write(tmp_path, HEAD + 'extend-select = "foreign-tree"\n', "other.toml")
    path = STRAY[0].path
    tree = {"foreign-path", "foreign-tree"}
    assert kinds_found(run_in(tmp_path, "check", path)) == {"foreign-path"}
    assert kinds_found(run_in(tmp_path, "check", "--config", "other.toml", path)) == tree
    assert kinds_found(run_in(tmp_path, "check", path, "--config=other.toml")) == tree
    assert kinds_found(run_in(tmp_path, "check", path, CONDA_PRUNE_CONFIG="other.toml")) == tree
    assert kinds_found(run_in(tmp_path, "check", path, CONDA_PRUNE_CHECK_CONFIG=str(other))) == tree
    assert run_in(tmp_path, "check", "-v", "--config", other, path).stderr == f"configuration: {other}\n"
    assert "foreign-tree" in run_in(tmp_path, "show", "--config", other, path).stdout


def test_no_config_option_reads_no_file(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "nonsense = 1\n")
    path = STRAY[0].path
    assert run_in(tmp_path, "check", path).returncode == 2
    assert run_in(tmp_path, "check", "-v", "--no-config", path).stderr == ""
    assert run_in(tmp_path, "check", path, CONDA_PRUNE_NO_CONFIG="1").returncode == 1
    assert run_in(tmp_path, "check", path, CONDA_PRUNE_NO_CONFIG="0").returncode == 2
    other = write(tmp_path, HEAD, "other.toml")
    assert run_in(tmp_path, "check", path, "--config", other, CONDA_PRUNE_NO_CONFIG="1").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "expected_message"),
    [
        (("--config", "absent.toml"), f"absent.toml cannot be read: {MISSING}"),
        (("--config", "."), "it is a directory"),
        (("--config", "without.toml"), "without.toml has no table [tool.conda-prune]"),
        (("--config", "with.toml", "--no-config"), "cannot be combined"),
        (("--config",), "requires an argument"),
    ],
)
def test_wrong_config_option_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], expected_message: str) -> None:
    write(tmp_path, "[tool.conda-build]\n", "without.toml")
    write(tmp_path, HEAD, "with.toml")
    done = run_in(tmp_path, "check", STRAY[0].path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected_message in " ".join(done.stderr.split())


def test_every_key_is_an_option_of_its_type() -> None:
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
        assert any(option.multiple for option in options[key]) is (kind == "a string or a list of strings"), key
