"""Commands whose options can be set in a configuration file.

Environment variables override the file, and the command line overrides both.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .config_file import Configuration

OTHER_FORMAT = "format_"
"""The parameter of a --format whose values are not those of check. CONDA_PRUNE_FORMAT and files do not set it."""

_PATH_KEY = "conda_prune.configuration"


class ConfigurableCommand(click.Command):
    """A command whose options have their defaults in the configuration file in effect."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._config = click.Option(
            ["--config"], metavar="FILE", expose_value=False, help="Read [tool.conda-prune] from FILE."
        )
        self._no_config = click.Option(
            ["--no-config"], is_flag=True, expose_value=False, help="Read no configuration file."
        )
        self.params += [self._config, self._no_config]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, with the values of the configuration file as defaults."""
        # Completion does not need the file, and --help must work even if the file is broken.
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            help_option = self.get_help_option(ctx)
            if help_option is None or not given.get(help_option.name or ""):
                ctx.default_map = self._defaults(ctx, given)
        return super().parse_args(ctx, args)

    def _defaults(self, context: click.Context, given: dict[str, Any]) -> dict[str, Any]:
        configuration = self._configuration(context, given)
        if configuration is None:
            return {}
        context.meta[_PATH_KEY] = configuration.path
        names = {
            long_name(option): option.name
            for option in self.params
            if isinstance(option, click.Option) and option.name != OTHER_FORMAT
        }
        return {name: value for key, value in configuration.values.items() if (name := names.get(key)) is not None}

    def _configuration(self, context: click.Context, given: dict[str, Any]) -> Configuration | None:
        from ..errors import UsageError
        from .config_file import find_configuration, read_configuration

        path, ignored = given.get("config"), given.get("no_config", False)
        if path is None and not ignored:  # The command line overrides both variables.
            path = self._config.resolve_envvar_value(context)
            ignored = self._no_config.resolve_envvar_value(context) or False
        if self._is_true(ignored, context):
            if path is not None:
                raise click.UsageError("--config and --no-config cannot be combined", context)
            return None
        try:
            return read_configuration(path) if path is not None else find_configuration(os.getcwd())
        except UsageError as error:
            raise click.UsageError(str(error), context) from error
        except FileNotFoundError:  # The current directory was removed.
            return None

    def _is_true(self, value: object, context: click.Context) -> bool:
        """Return the value of --no-config, which may be the text of a variable."""
        try:
            return bool(click.BOOL.convert(value, self._no_config, context))
        except click.BadParameter as error:
            error.param_hint = variable_of(self._no_config)
            raise


def configuration_path(context: click.Context) -> str | None:
    """Return the path of the configuration file in effect for a command, or None."""
    path: str | None = context.meta.get(_PATH_KEY)
    return path


def configuration_arguments(context: click.Context, *, differs: bool) -> list[str]:
    """Return the options to type so that another command uses the configuration of this one.

    `differs` is whether the other command could use another configuration by itself. If not, nothing has to be typed.
    """
    if not differs:
        return []
    path = configuration_path(context)
    return ["--no-config"] if path is None else ["--config", path]


def variable_of(option: click.Parameter) -> str:
    """Return the environment variable that sets an option; empty if none does."""
    variables = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
    return next((variable for variable in variables if os.environ.get(variable)), "")


def long_name(option: click.Option) -> str:
    """Return the long name of an option, without the leading hyphens."""
    return max((name.lstrip("-") for name in option.opts), key=len)
