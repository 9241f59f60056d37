"""`config`: show the value of every option in effect, and where it comes from."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NamedTuple, cast

import click
from click.core import ParameterSource

from .configurable_command import ConfigurableCommand, configuration_path, long_name
from .exit_codes import exit_codes_help
from .limits import Size


class _OptionValue(NamedTuple):
    """An option, its JSON value (None if it is not set), that value for people, and where it comes from."""

    name: str
    value: Any
    text: str
    origin: str


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("config"))
@click.argument("command", type=click.Choice(["check", "fix", "show", "prefix"]), default="fix")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Text, or a JSON object.")  # fmt: skip
@click.pass_context
def config(context: click.Context, command: str, format_: str) -> None:
    """Show the option values in effect, and their origins.

    The options are those of fix, unless another command is named. Environment variables override
    [tool.conda-prune] in the nearest pixi.toml or pyproject.toml, and options on the command line override both.

    \b
    Examples:
      conda-prune config
      conda-prune config check --format json
      conda-prune config --config ci/pyproject.toml
    """
    from ..report.escape import escaped
    from ..report.output import Style, print_line

    path = configuration_path(context)
    option_values = _option_values(context, command, path)
    if format_ == "json":
        values = {option.name: {"value": option.value, "origin": option.origin} for option in option_values}
        print(json.dumps({"command": command, "file": path, "settings": values}, indent=2))
        return
    style = Style("config")
    print_line(f"configuration file: {escaped(path) if path is not None else 'none'}", sys.stdout, style)
    rows = [(option.name, escaped(option.text), escaped(option.origin)) for option in option_values]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print_line(f"  {name:<{wide[0]}}  {value:<{wide[1]}}  {origin}", sys.stdout, style)


def _option_values(context: click.Context, command: str, path: str | None) -> list[_OptionValue]:
    """Return the options that a configuration file can set for a command, with their values and origins."""
    from .config_file import KEYS

    group = context.find_root()
    inspected = cast("click.Group", group.command).get_command(group, command)
    if inspected is None:
        raise click.UsageError(f"there is no command {command!r}", context)
    arguments = ["--no-config"] if path is None else ["--config", path]
    if command == "show":
        arguments.append("package")  # A required argument; the package is not read.
    option_values = []
    with inspected.make_context(command, arguments, parent=group) as inspected_context:
        for parameter in inspected.params:
            if isinstance(parameter, click.Option) and (name := long_name(parameter)) in KEYS:
                value = inspected_context.params.get(parameter.name or "")
                origin = _origin(inspected_context, parameter, path)
                value = list(value) if isinstance(value, tuple) else value
                option_values.append(_OptionValue(name, value, _text(parameter, value), origin))
    return sorted(option_values)


def _origin(context: click.Context, option: click.Option, path: str | None) -> str:
    source = context.get_parameter_source(option.name or "")
    if source is ParameterSource.ENVIRONMENT:
        variables = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
        return next(variable for variable in variables if os.environ.get(variable))
    return path or "default" if source is ParameterSource.DEFAULT_MAP else "default"


def _text(option: click.Option, value: Any) -> str:
    if isinstance(option.type, Size):
        return Size.text(value)
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)
