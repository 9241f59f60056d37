"""The options that several commands share, and the objects that their values are turned into."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .configurable_command import configuration_path

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
    source = context.get_parameter_source(flag)
    if source is ParameterSource.DEFAULT_MAP:
        return f"{configuration_path(context)}: {flag.replace('_', '-')}"
    if source is ParameterSource.ENVIRONMENT:
        return f"CONDA_PRUNE_{flag.upper()}"
    return f"--{flag.replace('_', '-')}"


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
        raise click.UsageError(str(error)) from error


def _repair_command(repair: Sequence[str], arguments: str) -> str:
    """Return the command that repairs what is found; empty if one of its paths cannot be typed."""
    if not repair:
        return ""
    from ..report.text import shell_quoted

    name, *paths = repair
    quoted = [shell_quoted(path) for path in paths]
    if None in quoted:
        return ""
    return " ".join(filter(None, ("conda-prune", name, arguments, *quoted)))


def _fix_arguments(flags: dict[str, Any]) -> str:
    """Return the options to type for a `fix` with the same judgement. It reads the configuration file by itself."""
    context = click.get_current_context()
    words = []
    for flag in ("python", "select", "extend_select", "ignore", "keep", "exclude"):
        if flag in flags and context.get_parameter_source(flag) is ParameterSource.COMMANDLINE:
            values = flags[flag] if isinstance(flags[flag], tuple) else (flags[flag],)
            words += [word for value in values for word in (f"--{flag.replace('_', '-')}", value)]
    if not words:
        return ""
    from ..report.text import quoted

    return " ".join(map(quoted, words))
