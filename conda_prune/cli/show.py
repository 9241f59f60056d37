"""`show`: show everything known about packages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import ExitCode, exit_code, exit_codes_help
from .many_packages import failed
from .options import (
    complete_paths,
    judgement_options,
    options_of,
    warn_of_unused_keep,
)

if TYPE_CHECKING:
    from ..model import Result


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("show"))
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGES...", shell_complete=complete_paths)
@click.option("--deep", is_flag=True, help="Read the payload too, to check hashes and show the compression.")
@click.option("--only", multiple=True, type=click.Choice(["drop", "edit", "keep"]),
              help="List only the files that are dropped, edited or kept (repeatable).")  # fmt: skip
@judgement_options
@click.option("--format", "format_", type=click.Choice(["text", "json", "jsonl"]), default="text", show_default=True,
              help="Text, or the JSON objects of check with the additional key `files`: json for one package, "
              "jsonl for several.")  # fmt: skip
def show(packages: tuple[str, ...], deep: bool, only: tuple[str, ...], format_: str, **flags: Any) -> None:
    """Show everything known about packages. Nothing is written.

    This is the Python that a package is for, with each piece of evidence, the cache tags and trees that this
    Python uses, the compression, and for every file what `fix` would do with it and why.

    \b
    Examples:
      conda-prune show numpy-2.1.0-py313h1234567_0.conda
      conda-prune show --only drop output/linux-64/*.conda
      conda-prune show --deep --format json numpy-2.1.0-py313h1234567_0.conda | jq .variant
    """
    if format_ == "json" and len(packages) > 1:
        raise click.UsageError("--format json shows one package; use --format jsonl for several")
    options = options_of(flags)
    results = []
    for number, package in enumerate(packages):
        if number and format_ == "text":
            print()
        results.append(_show(package, options, deep, only, format_))
    warn_of_unused_keep(results)
    sys.exit(ExitCode.OK if all(result.status in _SHOWN for result in results) else exit_code(results))


_SHOWN = ("clean", "findings")
"""Statuses that are not failures: `show` does not demand a repair."""


def _show(path: str, options: Any, deep: bool, only: tuple[str, ...], format_: str) -> Result:
    """Print what is known about one package, and return its result."""
    from ..errors import PruneError
    from ..operations.show import show_package
    from ..report import json_report, text
    from ..report.output import Style, print_line, terminal_width
    from ..report.show import show_lines, show_object

    style = Style("show")
    indent = 2 if format_ == "json" else None
    try:
        result, plan, files = show_package(path, options, deep=deep)
    except (PruneError, OSError) as error:
        reason = str(error) if isinstance(error, PruneError) else error.strerror or str(error)
        result = failed(path, reason)
        if format_ != "text":
            print(json_report.dumps(json_report.as_object(result), indent=indent))
        print_line(text.error_line(result), sys.stderr, style)
        return result
    if format_ == "text":
        for line in show_lines(result, plan, files, only, terminal_width(sys.stdout)):
            print_line(line, sys.stdout, style)
    else:
        print(json_report.dumps(show_object(result, plan, files, only), indent=indent))
    return result
