"""`diff`: prove what a repair changed."""

from __future__ import annotations

import sys
from typing import Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import ExitCode, exit_codes_help
from .limits import limit_options, limits_of
from .options import complete_paths, judgement_options, options_of


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("diff"))
@click.argument("old", shell_complete=complete_paths)
@click.argument("new", shell_complete=complete_paths)
@judgement_options
@limit_options
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Text, or a JSON object (`conda-prune schema diff`).")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="List every difference, and not only the first ten of each kind.")
def diff(old: str, new: str, format_: str, verbose: bool, **flags: Any) -> None:
    """Compare a package with its repaired version.

    The packages are compared member by member. They are read with Python's standard library and zstandard, not
    with the code that repairs packages. Every kept member must have the same bytes, tar header included, and
    the same position. Listings may lack the entries of removed files. The entries of the zip and the
    compression must be the same. A member may be missing only if `fix` would drop it from OLD, so use the same
    options for both commands.

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
