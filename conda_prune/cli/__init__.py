"""The command line: options in, exit code out. It decides nothing about packages.

Everything but click is imported where it is needed, because most of the time of a small check is start-up time.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import os
import sys
from typing import NoReturn

# Imports create many objects and hardly any garbage. The default, a search every 700 objects, takes 5 % of a start.
gc.set_threshold(100_000, 20, 20)

import click  # noqa: E402
from click.core import ParameterSource  # noqa: E402

from .. import __version__, interruption  # noqa: E402
from ..errors import PruneError, lacks_files, lacks_memory  # noqa: E402
from ..report import streams  # noqa: E402
from .configurable_command import (  # noqa: E402
    OTHER_FORMAT,
    ConfigurableCommand,
    configuration_path,
    long_name,
    variable_of,
)
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
"""Every command, with its module in this package. A module is imported when its command is used."""

_FIX_OPTIONS = ("--fix", "--in-place", "-o", "--output-dir", "--backup", "--level", "--dry-run", "-n")
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(click.Group):
    """A group that imports a command when it is used, and assigns environment variables to its options."""

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
                if variable != "FORMAT" or _has_formats_of_check(command, parameter):
                    parameter.envvar.append(f"CONDA_PRUNE_{variable}")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command. Without any argument, print the help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            # Not 0: `conda-prune $COMMAND` with an empty variable has checked nothing and must not pass.
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command. Raises click's UsageError, with a suggestion, if it does not exist."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(_unknown_command(name), ctx)
        return super().resolve_command(ctx, args)


def _has_formats_of_check(command: click.Command, option: click.Option) -> bool:
    return isinstance(command, ConfigurableCommand) and option.name != OTHER_FORMAT


def _restore_help(command: click.Command) -> None:
    """Restore the help of a command if Python has stripped its docstring (`python -OO`)."""
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
    if context.command.name == "check" and name in _FIX_OPTIONS:
        return f"check never writes, so it has no option {name}; did you mean `conda-prune fix`?"
    known = [option for parameter in context.command.params for option in parameter.opts]
    abbreviated = [option for option in known if name.startswith("--") and option.startswith(f"{name}-")]
    if not abbreviated and (others := _commands_with(name, context)):
        listed = " and ".join(filter(None, (", ".join(others[:-1]), others[-1])))
        return f"{context.command.name} has no option {name}; it is an option of {listed}"
    suggestion = f"did you mean `{abbreviated[0]}`?" if abbreviated else did_you_mean(name, known)
    return f"there is no option {name}; {suggestion or f'see `{context.command_path} --help`'}"


def _commands_with(option: str, context: click.Context) -> list[str]:
    """Return the commands that have an option."""
    group = context.find_root().command
    if context.command is group or not isinstance(group, click.Group):
        return []
    commands = [group.get_command(context, name) for name in COMMANDS]
    return [
        command.name or ""
        for command in commands
        if command is not None and any(option in parameter.opts for parameter in command.params)
    ]


@click.group(
    cls=_Commands,
    context_settings=_SETTINGS,
    epilog=exit_codes_help()
    + """

\b
Environment:
  Any option can be set by a variable: CONDA_PRUNE_OPTION for every command, such as CONDA_PRUNE_SELECT,
  or CONDA_PRUNE_COMMAND_OPTION for one. NO_COLOR and FORCE_COLOR turn colors off and on; CI turns the
  progress bar off.

\b
Files:
  The nearest pixi.toml or pyproject.toml with a table [tool.conda-prune], in the current directory or
  above: long options as keys, such as extend-select = ["foreign-tree"]. Environment variables override
  the file, and the command line overrides both.
""",
)
@click.version_option(__version__, "-V", "--version", prog_name="conda-prune")
def cli() -> None:
    """Remove stray Python bytecode from conda packages that are already built.

    \b
    Examples:
      conda-prune check output/               report what is wrong; write nothing
      conda-prune fix output/ --in-place      repair every package in output/
      conda-prune show PACKAGE                show everything known about one package
      conda-prune prefix --fix                use as the last line of a recipe's build script
      conda-prune explain foreign-path        explain a kind of finding, and how to prevent it
    """


_restore_help(cli)


def main(program: str | None = None) -> NoReturn:
    """Run the command line, and end the process with its exit code. `program` is what its messages call it.

    The work is finished even if standard output or standard error fails. The exit code then reports the failure; it is
    never 0 or 1 by accident. The process ends without shutting the interpreter down, which would take as long as
    checking a small package.
    """
    streams.reserve_standard_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = streams.standard_stream(sys.stdout, 1)
    sys.stderr = streams.standard_stream(sys.stderr, 2)
    try:
        code = run(program or _program())
    except Exception:
        import traceback

        traceback.print_exc()
        click.echo("error: internal error; please report it, with the lines above", err=True)
        code = ExitCode.FAILED
    interruption.ignore_signals()  # The work is done, so there is nothing left to interrupt.
    atexit._run_exitfuncs()  # noqa: SLF001 (os._exit does not run them)
    code = _check_output(code)
    sys.stderr.flush()
    os._exit(code)


def _program() -> str | None:
    """Return what messages call the program; None for the name of its executable."""
    name = os.path.basename(sys.argv[0])
    # `pixi prune` runs pixi-prune.
    if name in ("pixi-prune", "pixi-prune.exe"):
        return "pixi prune"
    # Some launchers on Windows leave the extension, which would also change the variable for completion.
    return name.removesuffix(".exe") if name.endswith(".exe") else None


def _check_output(code: int) -> int:
    """Return the exit code of a run that ended with `code`, or another one if its standard output failed.

    A failure remains a failure. Success (0) and findings (1) become 141 if the reader of a pipe closed it: that is what
    shells report for a program that was ended by SIGPIPE. For any other error they become 3, with a message.
    """
    sys.stdout.flush()
    failure = streams.failure_of(sys.stdout)
    if failure is None:
        return code
    from .. import windows

    if isinstance(failure, BrokenPipeError) or windows.is_closed_pipe(failure):
        return ExitCode.PIPE_CLOSED if code in (ExitCode.OK, ExitCode.FINDINGS) else code
    reason = "it is closed" if failure.errno == errno.EBADF else failure.strerror
    click.echo(f"error: results cannot be written to standard output: {reason}", err=True)
    return ExitCode.FAILED if code in (ExitCode.OK, ExitCode.FINDINGS) else code


def run(program: str | None = None) -> int:
    """Run the command line, and return its exit code. `program` is what its messages call it.

    An interruption unwinds the stack, which removes temporary files, and returns 130 or 143 (see `interruption`).
    """
    interruption.raise_at_signals()
    try:
        # On Windows, click would expand globs in all arguments, also in `--keep` patterns. We expand those in PATHS.
        code = cli(prog_name=program, standalone_mode=False, windows_expand_args=False) or ExitCode.OK
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except click.exceptions.Abort:
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        _print_error(error)
        code = error.exit_code
    except (PruneError, OSError, MemoryError, ImportError) as error:
        click.echo(f"error: {_reason(error)}", err=True)
        code = ExitCode.FAILED
    return int(code)


def _reason(error: Exception) -> str:
    """Return in one line why a run ended. Raises the error again if it is an ImportError, which is a bug of ours."""
    from ..report.escape import escaped

    # Check these two first: they can also be the reason why a module cannot be imported.
    if lacks_files(error):
        return "there are too many open files; allow more (ulimit -n)"
    if lacks_memory(error):
        return "there is not enough memory to continue; allow more (ulimit -v)"
    if isinstance(error, ImportError):
        raise error
    if not isinstance(error, OSError):
        return escaped(str(error))
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return escaped(f"{where}{error.strerror or error}")


def _print_error(error: click.ClickException) -> None:
    """Print an error in one line, which also says what to do or where to look."""
    from ..report.escape import escaped

    context = error.ctx if isinstance(error, click.UsageError) else None
    context = context or click.get_current_context(silent=True)
    source = None
    if isinstance(error, click.BadParameter) and error.param is not None and context is not None:
        source = context.get_parameter_source(error.param.name or "")
        if source is ParameterSource.ENVIRONMENT:
            error.param_hint = variable_of(error.param)
    message = _unknown_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
    if isinstance(error, click.UsageError):
        # click's own messages are sentences of one or more lines.
        message = " ".join(message.split()).rstrip(".")
        message = message[:1].lower() + message[1:] if message[1:2].islower() else message
        message = _without_type_names(message)
        if source is ParameterSource.DEFAULT_MAP and context is not None:
            message += f" (in [tool.conda-prune] of {configuration_path(context)})"
        if ";" not in message:  # Messages of ours say what to do after a semicolon.
            message += f"; see `{context.command_path if context else 'conda-prune'} --help`"
    click.echo(f"error: {escaped(message)}", err=True)


def _without_type_names(message: str) -> str:
    """Return a message of click without the names that it has for types."""
    value, is_boolean, _ = message.partition(" is not a valid boolean")
    if is_boolean:
        return f"{value} is neither true nor false"
    message = message.replace("is not a valid integer range", "is not a whole number")
    return message.replace("is not a valid float range", "is not a number")
