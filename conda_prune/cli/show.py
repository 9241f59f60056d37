"""`show`: show everything known about one package."""

from __future__ import annotations

import sys
from typing import Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import ExitCode, exit_codes_help
from .many_packages import failed
from .options import (
    complete_paths,
    judgement_options,
    options_of,
    warn_of_unused_keep,
)


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("show"))
@click.argument("package", shell_complete=complete_paths)
@click.option("--deep", is_flag=True, help="Read the payload too, to check hashes and show the compression.")
@judgement_options
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Text, or the JSON object of check with the additional key `files`.")  # fmt: skip
def show(package: str, deep: bool, format_: str, **flags: Any) -> None:
    """Show everything known about one package. Nothing is written.

    This is the Python that the package is for, with each piece of evidence, the cache tags and trees that this
    Python uses, the compression, and for every file what `fix` would do with it and why.

    \b
    Examples:
      conda-prune show numpy-2.1.0-py313h1234567_0.conda
      conda-prune show --deep --format json numpy-2.1.0-py313h1234567_0.conda | jq .variant
      conda-prune show numpy-2.1.0-py313h1234567_0.conda | grep '^  drop'
    """
    from ..errors import PruneError
    from ..operations.show import show_package
    from ..report import json_report, text
    from ..report.output import Style, print_line
    from ..report.show import show_lines, show_object

    style = Style("show")
    try:
        result, plan, files = show_package(package, options_of(flags), deep=deep)
    except (PruneError, OSError) as error:
        reason = str(error) if isinstance(error, PruneError) else error.strerror or str(error)
        result = failed(package, reason)
        if format_ == "json":
            print(json_report.dumps(json_report.as_object(result), indent=2))
        print_line(text.error_line(result), sys.stderr, style)
        sys.exit(ExitCode.FAILED)
    if format_ == "json":
        print(json_report.dumps(show_object(result, plan, files), indent=2))
    else:
        for line in show_lines(result, plan, files):
            print_line(line, sys.stdout, style)
    warn_of_unused_keep([result])
    sys.exit(ExitCode.FAILED if result.status == "refused" else ExitCode.OK)
