"""The options that commands share, what is made of them, and the parts of the help that are the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .configurable_command import configuration_in_force

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..judgement.options import Options
    from ..model import Result
    from ..report.output import Output


def complete_kinds(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Return the kinds that a shell may put in the place of what was typed so far."""
    from click.shell_completion import CompletionItem

    from ..judgement.options import KINDS

    # Kinds are separated by commas: what stands before the last one stays.
    before, comma, last = text.rpartition(",")
    names = KINDS if parameter.name == "ignore" else (*KINDS, "all")
    return [CompletionItem(before + comma + name) for name in names if name.startswith(last)]


def complete_paths(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Leave the completion to the shell, which knows files.

    `click.Path` does so, too, but asks for its name in the user's language: a fiftieth of the start of a check.
    """
    from click.shell_completion import CompletionItem

    return [CompletionItem(text, type="file")]


def _complete_formats(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from ..report.output import FORMATS

    return [CompletionItem(name) for name in FORMATS if name.startswith(text)]


def judging(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how packages are judged."""
    for option in reversed(
        (
            click.option("--python", metavar="VERSION",
                         help="What the packages are for: 3.11, 3.13t, pypy3.9, any, none."),
            click.option("--select", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to repair instead of the defaults, separated by commas; all."),
            click.option("--extend-select", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to repair in addition."),
            click.option("--ignore", metavar="KINDS", multiple=True, shell_complete=complete_kinds,
                         help="Kinds of findings to leave alone."),
            click.option("--keep", metavar="GLOB", multiple=True,
                         help="Files that are never dropped (repeatable)."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how results are printed."""
    for option in reversed(
        (
            click.option("-j", "--jobs", type=click.IntRange(0), default=1, show_default=True,
                         help="Packages at a time; 0 for one per core."),
            click.option("--format", "formats", metavar="FORMAT[=FILE]", multiple=True, default=("text",),
                         shell_complete=_complete_formats,
                         help="text, json, jsonl, github or sarif, to standard output or a file (repeatable)."),
            click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto",
                         help="Colors; auto heeds NO_COLOR and FORCE_COLOR."),
            click.option("-q", "--quiet", is_flag=True, help="Errors only."),
            click.option("-v", "--verbose", is_flag=True, help="Clean packages and harmless findings, too."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def options_of(flags: dict[str, Any]) -> Options:
    """Return how packages are to be judged; raise click's UsageError for a kind or a Python that does not exist."""
    from ..operations.arguments import judgement_options

    kinds = {flag: _names(flag, flags[flag]) for flag in ("select", "extend_select", "ignore")}
    try:
        return judgement_options(flags["python"], **kinds, keep=flags["keep"])
    except ValueError as error:
        # The message begins with the argument's name.
        flag = re.match(r"\w+", str(error))
        raise click.UsageError(f"{origin(flag[0])}{str(error)[flag.end() :]}" if flag else str(error)) from error


def warn_of_unused_keep(results: Sequence[Result]) -> None:
    """Warn about each `--keep` that matches no file in the whole run: it protects nothing, and is probably mistyped.

    Nothing is said where a package could not be read: the glob may be meant for it.
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
        raise click.UsageError(f"{origin(flag)}: it names no kind")
    return names


def origin(flag: str) -> str:
    """Return where an option's value comes from, as its user would look for it."""
    context = click.get_current_context()
    source = context.get_parameter_source(flag)
    if source is ParameterSource.DEFAULT_MAP:
        return f"{configuration_in_force(context)}: {flag.replace('_', '-')}"
    if source is ParameterSource.ENVIRONMENT:
        return f"CONDA_PRUNE_{flag.upper()}"
    return f"--{flag.replace('_', '-')}"


def open_output(command: str, flags: dict[str, Any], inputs: Sequence[str] = ()) -> Output:
    """Return where results go, by the options of `reporting`; raise click's UsageError where that cannot be.

    `inputs` are the files that the command reads: none of them is overwritten.
    """
    from .. import __version__
    from ..report.output import Output, Style

    config = configuration_in_force(click.get_current_context())
    if flags["verbose"] and config is not None:
        from ..report.escape import escaped

        click.echo(f"configuration: {escaped(config)}", err=True)
    colors = {"always": True, "never": False}.get(flags["color"])
    style = Style(command, colors, flags["quiet"], flags["verbose"], _fix_options(flags), __version__)
    try:
        return Output(style, flags["formats"], [*inputs, *filter(None, (config, flags.get("files_from")))])
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _fix_options(flags: dict[str, Any]) -> str:
    """Return the options that make `fix` judge as this command did; none that came from a file, which it reads too."""
    context = click.get_current_context()
    words = []
    for flag in ("python", "select", "extend_select", "ignore", "keep"):
        if context.get_parameter_source(flag) is ParameterSource.COMMANDLINE:
            values = flags[flag] if isinstance(flags[flag], tuple) else (flags[flag],)
            words += [word for value in values for word in (f"--{flag.replace('_', '-')}", value)]
    if not words:
        return ""
    import shlex

    return shlex.join(words)
