"""The command line: options in, exit code out. It decides nothing about packages.

Everything but click is imported where it is needed: starting is most of what a check of a small package costs.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import os
import sys
from typing import NoReturn

# Imports make many objects and hardly any garbage: looking for some every 700 objects is a twentieth of a start.
gc.set_threshold(100_000, 20, 20)

import click  # noqa: E402
from click.core import ParameterSource  # noqa: E402

from .. import __version__, interruption  # noqa: E402
from ..errors import PruneError, lacks_files, lacks_memory  # noqa: E402
from ..report import streams  # noqa: E402
from .configurable_command import OWN_FORMAT, configuration_in_force, long_name  # noqa: E402
from .exit_codes import ExitCode, exit_codes_help  # noqa: E402

COMMANDS = {
    "check": "check",
    "fix": "fix",
    "show": "show",
    "diff": "diff",
    "prefix": "prefix",
    "audit": "audit",
    "explain": "explain",
    "report": "report",
    "config": "config",
    "schema": "schema",
    "completion": "completion",
}
"""Every command and the module of this package that has it; a module is imported when its command is used."""

_OF_FIX = ("--fix", "--in-place", "-o", "--output-dir", "--backup", "--level", "--dry-run", "-n")
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(click.Group):
    """A group that imports a command when it is asked for, and gives its options their environment variables."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[name]}", __package__)
        command: click.Command = getattr(module, name)
        _restore_help(command)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None:
                variable = long_name(parameter).replace("-", "_").upper()
                parameter.envvar = [f"CONDA_PRUNE_{name.upper()}_{variable}"]
                if parameter.name != OWN_FORMAT:
                    parameter.envvar.append(f"CONDA_PRUNE_{variable}")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command; without any argument, print the help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            # Not 0: `conda-prune $COMMAND` with an empty variable checks nothing, and must not pass.
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant; raise click's UsageError, with a suggestion, where there is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(_unknown_command(name), ctx)
        return super().resolve_command(ctx, args)


def _restore_help(command: click.Command) -> None:
    """Give a command the help that Python stripped (`python -OO`)."""
    if command.help is None and command.callback is not None:
        from ..report.docstrings import docstring_of

        command.help = docstring_of(command.callback)


def _unknown_command(name: str) -> str:
    from ..suggestions import unknown

    if os.path.lexists(name):
        return f"there is no command {name!r}; did you mean `conda-prune check {name}`?"
    return unknown("command", name, tuple(COMMANDS))


def _unknown_option(error: click.NoSuchOption) -> str:
    from ..suggestions import did_you_mean

    name, context = error.option_name, error.ctx
    if context is None:
        return f"there is no option {name}"
    if context.command.name == "check" and name in _OF_FIX:
        return f"check writes nothing, so it has no {name}; did you mean `conda-prune fix`?"
    known = [option for parameter in context.command.params for option in parameter.opts]
    return f"there is no option {name}; {did_you_mean(name, known) or f'see `{context.command_path} --help`'}"


@click.group(
    cls=_Commands,
    context_settings=_SETTINGS,
    epilog=exit_codes_help()
    + """

\b
Environment:
  CONDA_PRUNE_SELECT, CONDA_PRUNE_JOBS, ...  any option, as CONDA_PRUNE_OPTION for every command
  or CONDA_PRUNE_COMMAND_OPTION for one; NO_COLOR, FORCE_COLOR; CI (no progress bar)

\b
Files:
  [tool.conda-prune] in pixi.toml or pyproject.toml, nearest upwards: long options as keys, such as
  extend-select = ["foreign-tree"]. The command line wins over the environment, which wins over the file.
""",
)
@click.version_option(__version__, "-V", "--version", prog_name="conda-prune")
def cli() -> None:
    """Remove stray Python bytecode from conda packages that are already built.

    \b
    Examples:
      conda-prune check output/               what is wrong; nothing is written
      conda-prune fix output/ --in-place      repair every package below output/
      conda-prune show PACKAGE                everything known about one package
      conda-prune prefix --fix                the last line of a recipe's build script
      conda-prune explain foreign-path        what a kind of finding means, and how to prevent it
    """


_restore_help(cli)


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code.

    Whatever happens to standard output and error, the work is done first; then the exit code says what was lost. It
    never is 0 or 1 by accident. The process ends without taking Python apart, which takes as long as a check of a small
    package.
    """
    streams.reserve_standard_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = streams.standard_stream(sys.stdout, 1)
    sys.stderr = streams.standard_stream(sys.stderr, 2)
    try:
        code = run()
    except Exception:
        import traceback

        traceback.print_exc()
        click.echo("error: internal error; please report it with the lines above", err=True)
        code = ExitCode.FAILED
    interruption.ignore_signals()  # The work is done: there is nothing left to interrupt.
    atexit._run_exitfuncs()
    code = _check_delivery(code)
    sys.stderr.flush()
    os._exit(code)


def _check_delivery(code: int) -> int:
    """Return the exit code of a run whose own is `code`, considering what became of its standard output.

    A failure stays a failure. Findings (1) and success (0) become 3 where results were lost, with a message; or 141
    where the reader of a pipe left, as shells have it for programs that SIGPIPE ended.
    """
    sys.stdout.flush()
    failure = streams.failure_of(sys.stdout)
    if failure is None:
        return code
    if isinstance(failure, BrokenPipeError):
        return ExitCode.PIPE_CLOSED if code in (ExitCode.OK, ExitCode.FINDINGS) else code
    reason = "it is closed" if failure.errno == errno.EBADF else failure.strerror
    click.echo(f"error: results cannot be written to standard output: {reason}", err=True)
    return ExitCode.FAILED if code in (ExitCode.OK, ExitCode.FINDINGS) else code


def run() -> int:
    """Run the command line, and return its exit code.

    An interruption unwinds the work, so that nothing temporary stays, and gives 130 or 143 (see `interruption`).
    """
    interruption.raise_at_signals()
    try:
        code = cli(standalone_mode=False) or ExitCode.OK
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except click.exceptions.Abort:
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        _show(error)
        code = error.exit_code
    except (PruneError, OSError, MemoryError, ImportError) as error:
        click.echo(f"error: {_reason(error)}", err=True)
        code = ExitCode.FAILED
    return int(code)


def _reason(error: Exception) -> str:
    """Return in one line why a run ended. Raises an ImportError that is a defect again."""
    from ..report.escape import escaped

    # These first: they can come from the import of a module, which would be named otherwise.
    if lacks_files(error):
        return "too many files are open; allow more (ulimit -n)"
    if lacks_memory(error):
        return "there is not enough memory to go on; allow more (ulimit -v)"
    if isinstance(error, ImportError):
        raise error
    if not isinstance(error, OSError):
        return escaped(str(error))
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return escaped(f"{where}{error.strerror or error}")


def _show(error: click.ClickException) -> None:
    """Print an error; one of usage with the usage, and with the place that a wrong value comes from."""
    from ..report.escape import escaped

    message = error.format_message()
    if not isinstance(error, click.UsageError):
        click.echo(f"error: {escaped(message)}", err=True)
        return
    context = error.ctx
    if isinstance(error, click.NoSuchOption):
        message = _unknown_option(error)
    if isinstance(error, click.BadParameter) and context is not None and error.param is not None:
        if context.get_parameter_source(error.param.name or "") is ParameterSource.DEFAULT_MAP:
            message += f" (in [tool.conda-prune] of {configuration_in_force(context)})"
    click.UsageError("\n".join(map(escaped, message.split("\n"))), context).show()
