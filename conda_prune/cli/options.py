"""The options that several commands share, and the objects that their values are turned into."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .configurable_command import configuration_arguments, configuration_path, long_name, variable_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..judgement.options import Options
    from ..model import Result
    from ..report.output import Output


def complete_kinds(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Return the kinds that complete what was typed so far."""
    from click.shell_completion import CompletionItem

    from ..judgement.options import KINDS

    # Kinds are separated by commas. Only the last one is completed.
    before, comma, last = text.rpartition(",")
    names = KINDS if parameter.name == "ignore" else (*KINDS, "all")
    return [CompletionItem(before + comma + name) for name in names if name.startswith(last)]


def complete_paths(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Let the shell complete file names.

    `click.Path` does this too, but it looks up a translation of its name, which takes 2 % of the start of a check.
    """
    from click.shell_completion import CompletionItem

    return [CompletionItem(text, type="file")]


def _complete_formats(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from ..report.output import FORMATS

    return [CompletionItem(name) for name in FORMATS if name.startswith(text)]


def judgement_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that control the judgement: what counts as a finding, and what is repaired."""
    for option in reversed(
        (
            click.option("--python", metavar="VERSION",
                         help="Python that the packages are for: 3.11, 3.13t, pypy3.9, any or none."),
            click.option("--select", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to repair instead of the defaults, separated by commas, or all."),
            click.option("--extend-select", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to repair in addition to the defaults."),
            click.option("--ignore", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to ignore."),
            click.option("--keep", metavar="GLOB", multiple=True,
                         help="Never drop the files that match GLOB (repeatable)."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def report_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that control how results are printed, and how many packages are processed at a time."""
    for option in reversed(
        (
            click.option("-j", "--jobs", type=click.IntRange(0), default=1, show_default=True,
                         help="Packages to process at a time; 0 for one per core."),
            click.option("--format", "formats", metavar="FORMAT[=FILE]", multiple=True, default=("text",),
                         shell_complete=_complete_formats,
                         help="text, json, jsonl, github or sarif; to standard output, or to FILE (repeatable)."),
            click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto",
                         help="Use colors; auto obeys NO_COLOR and FORCE_COLOR."),
            click.option("-q", "--quiet", is_flag=True, help="Print only errors."),
            click.option("-v", "--verbose", is_flag=True, help="Also print clean packages and harmless findings."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def options_of(flags: dict[str, Any]) -> Options:
    """Return the options of the judgement. Raises click's UsageError for a kind or a Python that does not exist."""
    from ..operations.arguments import make_options

    kinds = {flag: _names(flag, flags[flag]) for flag in ("select", "extend_select", "ignore")}
    try:
        return make_options(flags["python"], **kinds, keep=flags["keep"])
    except ValueError as error:
        # The message starts with the name of the argument. Replace it with where the value comes from.
        argument = re.match(r"\w+", str(error))
        message = f"{origin(argument[0])}{str(error)[argument.end() :]}" if argument else str(error)
        raise click.UsageError(message) from error


def warn_of_unused_keep(results: Sequence[Result]) -> None:
    """Warn about each `--keep` glob that matches no file in the whole run. It protects nothing and is probably a typo.

    There is no warning if a package could not be read, because the glob may be meant for that package.
    """
    packages = [result for result in results if result.status != "indexed"]
    if any(result.status == "error" for result in packages):
        return
    for pattern in packages[0].unused_keep if packages else ():
        if all(pattern in result.unused_keep for result in packages):
            from ..report.escape import escaped

            click.echo(f"warning: {origin('keep')} {escaped(pattern)} matches no file", err=True)


def _names(flag: str, values: tuple[str, ...]) -> list[str]:
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    if values and not names:
        raise click.UsageError(f"{origin(flag)}: no kind is given")
    return names


def origin(flag: str) -> str:
    """Return where the value of an option comes from, as a phrase for error messages."""
    context = click.get_current_context()
    option = next(
        option for option in context.command.params if option.name == flag and isinstance(option, click.Option)
    )
    source = context.get_parameter_source(flag)
    if source is ParameterSource.DEFAULT_MAP:
        return f"{configuration_path(context)}: {long_name(option)}"
    if source is ParameterSource.ENVIRONMENT:
        return variable_of(option)
    return f"--{long_name(option)}"


def open_output(
    command: str, flags: dict[str, Any], inputs: Sequence[str] = (), *, repair: Sequence[str] = ()
) -> Output:
    """Return the output that the report options describe. Raises click's UsageError if that is not possible.

    `inputs` are the files that the command reads. None of them is overwritten. `repair` are the words of the command
    that repairs what is found, before and after its options: `("fix --in-place", "output/")`.
    """
    from .. import __version__
    from ..report.output import Output, Style

    config = configuration_path(click.get_current_context())
    if flags["verbose"] and config is not None:
        from ..report.escape import escaped

        click.echo(f"configuration: {escaped(config)}", err=True)
    colors = {"always": True, "never": False}.get(flags["color"])
    arguments = _fix_arguments(flags)
    style = Style(
        command, colors, flags["quiet"], flags["verbose"], arguments, __version__, _repair_command(repair, arguments)
    )
    try:
        return Output(style, flags["formats"], [*inputs, *filter(None, (config, flags.get("files_from")))])
    except ValueError as error:
        raise _about_formats(error) from error


def check_formats(formats: Sequence[str]) -> None:
    """Raise click's UsageError for values of `--format` that do not exist or exclude each other."""
    from ..report.output import parse_formats

    try:
        parse_formats(formats)
    except ValueError as error:
        raise _about_formats(error) from error


def _about_formats(error: ValueError) -> click.UsageError:
    """Return an error about a format that says where the value comes from."""
    message = str(error)
    if message.startswith("--format "):
        message = message.replace("--format", origin("formats"), 1)
    return click.UsageError(message)


def _repair_command(repair: Sequence[str], arguments: str | None) -> str:
    """Return the command that repairs what is found; empty if one of its words cannot be typed."""
    if not repair or arguments is None:
        return ""
    from ..report.text import shell_quoted

    name, *paths = repair
    quoted = [shell_quoted(path) for path in paths]
    if None in quoted:
        return ""
    return " ".join(filter(None, ("conda-prune", name, arguments, *quoted)))


_REPAIR_OPTIONS = (
    "python", "select", "extend_select", "ignore", "keep", "exclude", "no_default_excludes",
    "max_unpacked", "max_members", "max_text", "max_ratio", "max_window",
)  # fmt: skip
"""The options that change what a repair does."""


def _fix_arguments(flags: dict[str, Any]) -> str | None:
    """Return the options to type so that the command that repairs has the same values as the current command.

    The values that it gets by itself are left out: those of the nearest configuration file, and of variables that apply
    to both commands. The result is None if a value cannot be typed: an option cannot be set back to its default.
    """
    context = click.get_current_context()
    options = {option.name: option for option in context.command.params if isinstance(option, click.Option)}
    words = configuration_arguments(context, differs=_differs(context, options["config"], options["no_config"]))
    for flag in _REPAIR_OPTIONS:
        if flag in flags and _differs(context, options[flag]):
            typed = _typed(options[flag], flags[flag])
            if not typed:
                return None
            words += typed
    if not words:
        return ""
    from ..report.escape import escaped
    from ..report.text import quoted

    return None if any(escaped(word) != word for word in words) else " ".join(map(quoted, words))


def _differs(context: click.Context, *options: click.Option) -> bool:
    """Return whether the command that repairs could get other values for options than the current command has.

    Both read the same variables, except those that apply to one command only.
    """
    if any(context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE for option in options):
        return True
    if context.command.name != "check":
        return False  # fix and prefix print commands that call fix and prefix.
    variables = [f"CONDA_PRUNE_{{}}{long_name(option).replace('-', '_').upper()}" for option in options]
    return any(_variable(name, "CHECK_") != _variable(name, "FIX_") for name in variables)


def _variable(name: str, command: str) -> str:
    """Return the value of the variable that a command uses for an option; empty if none is set."""
    return os.environ.get(name.format(command)) or os.environ.get(name.format("")) or ""


def _typed(option: click.Option, value: Any) -> list[str]:
    """Return the words that set an option to a value; none if no words do."""
    from .limits import Size

    name = f"--{long_name(option)}"
    if isinstance(value, bool):
        return [name] if value else []
    if isinstance(value, tuple):
        return [word for item in value for word in (name, item)]
    if value is None:
        return []
    return [name, Size.text(value) if isinstance(option.type, Size) else str(value)]
