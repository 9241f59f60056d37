"""Shell completion of commands, options, kinds and formats; and the help texts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conda_prune.cli import COMMANDS
from conda_prune.judgement.options import KINDS
from conda_prune.report.output import FORMATS

from ..executable import EXECUTABLE, run

SHELLS = ("bash", "zsh", "fish")


def completed(*words: str) -> list[str]:
    """Return the completions of the last word in bash."""
    done = run(
        _CONDA_PRUNE_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(("conda-prune", *words)),
        COMP_CWORD=str(len(words)),
    )
    assert done.stderr == ""
    return [line.split(",", 1)[1] for line in done.stdout.splitlines() if line]


def test_an_unknown_word_has_no_completions() -> None:
    assert completed("xyz") == []


def test_commands_are_completed() -> None:
    assert set(completed("")) == set(COMMANDS)
    assert completed("exp") == ["explain"]


def test_options_are_completed() -> None:
    assert completed("check", "--dee") == ["--deep"]
    assert {"--in-place", "--output-dir", "--select"} <= set(completed("fix", "--"))


def test_kinds_are_completed_after_a_comma() -> None:
    assert completed("explain", "foreign-t") == [kind for kind in KINDS if kind.startswith("foreign-t")]
    assert set(completed("check", "--select", "")) == {*KINDS, "all"}
    assert completed("check", "--select", "orphan,left") == ["orphan,leftover"]
    assert "all" not in completed("check", "--ignore", "")


def test_values_are_completed() -> None:
    assert completed("check", "--format", "") == list(FORMATS)
    assert completed("check", "--color", "n") == ["never"]
    assert completed("completion", "") == list(SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_written_for_the_shell(shell: str) -> None:
    done = run("completion", shell, PATH=os.path.dirname(EXECUTABLE))
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"_CONDA_PRUNE_COMPLETE={shell}_complete" in done.stdout
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=done.stdout, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    script = f"""
PATH={os.path.dirname(EXECUTABLE)}:$PATH
eval "$(conda-prune completion bash)"
COMP_WORDS=(conda-prune explain foreign-p); COMP_CWORD=2
_conda_prune_completion conda-prune
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p conda-prune
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    kind, registered = done.stdout.splitlines()
    assert kind == "foreign-path"
    assert registered.endswith(" conda-prune")


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert run("completion", "tcsh").returncode == 2


def test_a_broken_configuration_does_not_break_completion(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text("[tool.conda-prune]\nnonsense = 1\n", "utf-8")
    done = subprocess.run(
        [EXECUTABLE],
        cwd=tmp_path,
        env={**os.environ, "_CONDA_PRUNE_COMPLETE": "bash_complete", "COMP_WORDS": "conda-prune check --dee",
             "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["plain,--deep"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_that_name_real_options(command: str) -> None:
    text = run(command, "--help", COLUMNS="100").stdout
    assert "Examples:" in text
    known = {line.split("--", 1)[1].split()[0] for line in text.splitlines() if re.match(r" *(-\w, )?--", line)}
    examples = text.split("Examples:")[1].split("Options:")[0].splitlines()
    own = [line for line in examples if f"conda-prune {command}" in line]
    assert own
    for line in own:
        for word in re.split(r"[|>#]", line.split(f"conda-prune {command}")[1])[0].split():
            if word.startswith("--"):
                assert word.split("=")[0][2:] in known, line


@pytest.mark.parametrize("command", ["check", "fix", "show", "report"])
def test_help_lists_the_exit_codes(command: str) -> None:
    text = run(command, "--help").stdout
    assert "Exit codes:" in text
    for code in ("0", "2", "3"):
        assert f"\n    {code}  " in text


def test_help_lists_commands_environment_and_files() -> None:
    text = run("--help").stdout
    for word in (*COMMANDS, "CONDA_PRUNE_SELECT", "NO_COLOR", "[tool.conda-prune]", "Exit codes:"):
        assert word in text


def test_help_fits_a_narrow_terminal() -> None:
    assert run("check", "--help", COLUMNS="40").returncode == 0


def test_the_version_and_help_have_short_forms() -> None:
    assert run("-h").stdout == run("--help").stdout
    assert run("-V").stdout == run("--version").stdout


def test_file_names_are_completed_by_the_shell() -> None:
    assert completed("check", "out") == ["out"]
