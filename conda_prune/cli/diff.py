"""`diff`: proves what a repair changed."""

from __future__ import annotations

import sys
from typing import Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import ExitCode, exit_codes_help
from .limits import limiting, limits_of
from .options import complete_paths, judging, options_of


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("diff"))
@click.argument("old", shell_complete=complete_paths)
@click.argument("new", shell_complete=complete_paths)
@judging
@limiting
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="For people, or one JSON object (`conda-prune schema diff`).")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="List every member that differs.")
def diff(old: str, new: str, format_: str, verbose: bool, **flags: Any) -> None:
    """Compare a package with its repaired version, member by member, and say what differs.

    Both packages are read by Python's standard library and zstandard, not by what repairs packages. Kept
    members must be byte for byte the same, tar headers included, and in the same order; listings may lack
    the entries of removed files; the zip's entries and the compression must be the same. What may be
    missing is what `fix` would drop from OLD: give both commands the same options.

    \b
    Examples:
      conda-prune diff output/linux-64/a.conda repaired/a.conda
      conda-prune diff a.conda repaired/a.conda --format json
    """
    from ..errors import PruneError
    from ..operations.diff import compare
    from ..operations.strays import stray_paths
    from ..report.diff import diff_json, diff_lines
    from ..report.escape import escaped
    from ..report.output import Style, print_line

    style = Style("diff")
    options, limits = options_of(flags), limits_of(flags)
    try:
        try:
            strays = stray_paths(old, options, limits=limits)
        except (PruneError, OSError) as error:
            reason = str(error) if isinstance(error, PruneError) else error.strerror or str(error)
            raise PruneError(f"{old}: {reason}") from error
        difference = compare(old, new, strays)
    except PruneError as error:
        print_line(f"error: {escaped(str(error))}", sys.stderr, style)
        sys.exit(ExitCode.FAILED)
    if format_ == "json":
        print(diff_json(difference))
    else:
        for line in diff_lines(difference, verbose=verbose):
            print_line(line, sys.stdout, style)
    sys.exit(ExitCode.FINDINGS if difference.unexpected else ExitCode.OK)
