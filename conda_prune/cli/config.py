"""`config`: show the value of every option in effect, and where it comes from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click
from click.core import ParameterSource

from .configurable_command import ConfigurableCommand, configuration_path, long_name, variable_of
from .exit_codes import exit_codes_help
from .limits import Size

if TYPE_CHECKING:
    from .config_file import Configuration

_GIVEN = "conda_prune.config.given"


class _OptionValue(NamedTuple):
    """An option, its JSON value (None if it is not set), that value for people, and where it comes from."""

    name: str
    value: Any
    text: str
    origin: str


class _ConfigCommand(ConfigurableCommand):
    """A command that leaves it to the inspected command to find and read a configuration file."""

    def _configuration(self, context: click.Context, given: dict[str, Any]) -> Configuration | None:
        path = given.get("config")
        context.meta[_GIVEN] = ["--config", path] if path is not None else []
        if given.get("no_config"):
            context.meta[_GIVEN].append("--no-config")
        return None


@click.command(cls=_ConfigCommand, epilog=exit_codes_help("config"))
@click.argument("command", type=click.Choice(["check", "fix", "show", "diff", "prefix", "audit"]), default="fix")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Text, or a JSON object.")  # fmt: skip
@click.pass_context
def config(context: click.Context, command: str, format_: str) -> None:
    """Show the option values in effect, and their origins.

    The options are those of fix, unless another command is named. Environment variables override
    [tool.conda-prune] in the nearest pixi.toml or pyproject.toml, and options on the command line override both.
    Options that a file cannot set, such as --output-dir, are shown if a variable sets them.

    \b
    Examples:
      conda-prune config
      conda-prune config check --format json
      conda-prune config --config ci/pyproject.toml
    """
    from ..report.escape import escaped
    from ..report.output import Style, print_line

    path, option_values = _option_values(context, command)
    if format_ == "json":
        values = {option.name: {"value": option.value, "origin": option.origin} for option in option_values}
        print(json.dumps({"command": command, "file": path, "settings": values}, indent=2, default=str))
        return
    style = Style("config")
    print_line(f"configuration file: {escaped(path) if path is not None else 'none'}", sys.stdout, style)
    rows = [(option.name, escaped(option.text), escaped(option.origin)) for option in option_values]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print_line(f"  {name:<{wide[0]}}  {value:<{wide[1]}}  {origin}", sys.stdout, style)


def _option_values(context: click.Context, command: str) -> tuple[str | None, list[_OptionValue]]:
    """Return the configuration file that a command uses, and the values of its options with their origins.

    Raises click's UsageError if the command would refuse a value.
    """
    from .config_file import KEYS

    group = context.find_root()
    inspected = cast("click.Group", group.command).get_command(group, command)
    if inspected is None:
        raise click.UsageError(f"there is no command {command!r}", context)
    arguments = [*context.meta[_GIVEN], *_placeholders(inspected)]
    option_values = []
    with inspected.make_context(command, arguments, parent=group) as inspected_context:
        _validate(inspected_context)
        path = configuration_path(inspected_context)
        for option in inspected.params:
            if not isinstance(option, click.Option) or option.name in ("config", "no_config"):
                continue
            name, source = long_name(option), inspected_context.get_parameter_source(option.name or "")
            if name in KEYS or source is ParameterSource.ENVIRONMENT:
                value = inspected_context.params.get(option.name or "")
                value = list(value) if isinstance(value, tuple) else value
                origin = path or "default" if source is ParameterSource.DEFAULT_MAP else "default"
                if source is ParameterSource.ENVIRONMENT:
                    origin = variable_of(option)
                option_values.append(_OptionValue(name, value, _text(option, value), origin))
    return path, sorted(option_values)


def _placeholders(command: click.Command) -> list[str]:
    """Return words for what the command line of a command must have, such as the paths of packages. None is read."""
    words = []
    for parameter in command.params:
        if parameter.required and isinstance(parameter, click.Argument):
            words.append("package")
        elif parameter.required and not variable_of(parameter):
            words += [parameter.opts[-1], "file"]
    return words


def _validate(context: click.Context) -> None:
    """Raise click's UsageError for the values that a command refuses after click has accepted them."""
    from .options import check_formats, options_of

    flags = context.params
    try:
        options_of(flags)
        if "formats" in flags:
            check_formats(flags["formats"])
        if "level" in flags:
            from .fix import check_backup, level_of

            level_of(flags["level"])
            check_backup(flags["backup"])
    except click.UsageError as error:
        error.ctx = context  # Its help describes the option.
        raise


def _text(option: click.Option, value: Any) -> str:
    if isinstance(option.type, Size):
        return Size.text(value)
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
