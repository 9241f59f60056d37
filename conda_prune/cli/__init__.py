"""The command line: options in, exit code out. It decides nothing about packages.

Exit codes: 0 nothing to do or everything fixed, 1 something would be repaired, 2 wrong usage, 3 a package could not
be processed. Everything but click is imported where it is needed: starting is most of what a check of a small package
costs.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NoReturn

import click

from .. import __version__

COMMANDS = {
    "check": "work",
    "fix": "work",
    "show": "show",
}
"""Every command and the module of this package that has it; a module is imported when its command is used."""

_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "auto_envvar_prefix": "CONDA_PRUNE",
}


class _Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f".{COMMANDS[name]}", __package__), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, "-V", "--version", prog_name="conda-prune")
def cli() -> None:
    """Remove stray Python bytecode from conda packages that are already built.

    \b
    conda-prune check output/                     what is wrong, nothing written
    conda-prune fix output/ --in-place            repair every package below output/
    conda-prune show PACKAGE                      everything known about one package

    Exit codes: 0 nothing to do or everything fixed, 1 something would be repaired, 2 wrong usage,
    3 a package could not be processed (it is untouched, the others are done).
    """


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line. An interruption unwinds the work, so that nothing temporary stays, and exits with 130 or
    143.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the results has enough; nothing of the work is lost.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
