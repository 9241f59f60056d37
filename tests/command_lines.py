"""Finds the command lines in documentation and examples, parses them with the real parser, and runs them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from conda_prune.cli import cli
from conda_prune.cli.options import options_of

_COMMAND = re.compile(r"(?:^|[\s\"'/`])conda-prune ([a-z-][^\"`|&;#<>)]*)", re.MULTILINE)


def find_commands(text: str) -> list[str]:
    """Return what follows `conda-prune` on each line of a script, a task or a code span."""
    return [match[1].strip() for line in text.splitlines() for match in _COMMAND.finditer(line)]


def parse(command: str, where: str) -> None:
    """Fail the test if a command, one of its options or one of its kinds does not exist."""
    name, *arguments = shlex.split(command)
    with click.Context(cli) as context:
        found = cli if name.startswith("-") else cli.get_command(context, name)
        if found is None:
            pytest.fail(f"{where}: there is no such command: conda-prune {command}")
        try:
            parsed = found.make_context(name, [name, *arguments] if found is cli else arguments)
            if "select" in parsed.params:
                with parsed:
                    options_of(parsed.params)
        except click.exceptions.Exit:
            pass  # --help and --version
        except click.ClickException as error:
            pytest.fail(f"{where}: conda-prune {command}: {error.format_message()}")


def run_conda_prune(arguments: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a directory, without CONDA_PRUNE_* variables."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CONDA_PRUNE", "GITHUB_"))}
    return subprocess.run(
        [sys.executable, "-m", "conda_prune", *arguments],
        cwd=directory,
        env={**environment, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
