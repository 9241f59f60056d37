"""`check`: say what is wrong with packages, or with the packages of an environment. Nothing is written."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_code, exit_codes_help
from .limits import limiting, limits_of
from .many_packages import PackageWork, failed, hides_progress, work_on
from .options import complete_paths, judging, open_output, options_of, reporting, warn_of_unused_keep
from .targets import find_targets, searching


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("check"))
@click.argument("paths", nargs=-1, metavar="PATHS...", shell_complete=complete_paths)
@click.option("--deep", is_flag=True, help="Read the payload too: hashes, sizes and magic numbers are judged.")
@click.option("--installed", metavar="NAME", help="Judge an installed package by its record in PREFIX/conda-meta.")
@click.option(
    "--prefix",
    metavar="PREFIX",
    help="The environment of --installed, or all of it; default $PREFIX, then $CONDA_PREFIX.",
)
@searching
@judging
@limiting
@reporting
def check(
    paths: tuple[str, ...],
    deep: bool,
    installed: str | None,
    prefix: str | None,
    **flags: Any,
) -> None:
    """Say what is wrong with packages; nothing is written.

    PATHS are packages (.conda, .tar.bz2), directories, which are searched to any depth, and globs; - reads
    paths from standard input. Of a .conda, only the small info component is read where that is enough.

    \b
    Examples:
      conda-prune check output/
      conda-prune check --deep --select all output/linux-64/numpy-2.1.0-py313h1234567_0.conda
      conda-prune check output/ --format github --format sarif=conda-prune.sarif
      git ls-files '*.conda' | conda-prune check -
      conda-prune check --installed $PKG_NAME      in the tests of a recipe
    """
    if installed is not None or prefix is not None:
        if paths or flags["files_from"] is not None:
            raise click.UsageError("--installed and --prefix judge an environment: name no packages with them")
        _check_environment(installed, prefix, deep, flags)
    work = PackageWork("check", options_of(flags), deep, None, hides_progress(flags), limits_of(flags))
    work_on(find_targets(paths, flags), work, paths, flags)


def _check_environment(name: str | None, prefix: str | None, deep: bool, flags: dict[str, Any]) -> NoReturn:
    """Judge installed packages, print the results, and leave with the exit code."""
    from ..environment.installed import check_installed
    from ..errors import PruneError

    options = options_of(flags)
    place = prefix if prefix is not None else _active_prefix()
    results = []
    with open_output("check", flags) as output:
        output.begin([])
        try:
            for result in check_installed(place, name, options, deep=deep):
                output.add(result)
                results.append(result)
        except PruneError as error:
            results.append(failed(place, str(error)))
            output.add(results[-1])
    warn_of_unused_keep(results)
    sys.exit(exit_code(results))


def _active_prefix() -> str:
    """Return the environment that is active: in a build or its tests PREFIX, elsewhere CONDA_PREFIX."""
    named = [os.environ[variable] for variable in ("PREFIX", "CONDA_PREFIX") if os.environ.get(variable)]
    for prefix in named:
        if os.path.isdir(os.path.join(prefix, "conda-meta")):
            return prefix
    if not named:
        raise click.UsageError("--installed needs --prefix: neither PREFIX nor CONDA_PREFIX is set")
    return named[0]
