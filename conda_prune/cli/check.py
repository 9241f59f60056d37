"""`check`: report what is wrong with packages, or with the packages of an environment. Nothing is written."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_code, exit_codes_help
from .limits import limit_options, limits_of
from .many_packages import (
    PackageWork,
    failed,
    work_on,
)
from .options import (
    complete_paths,
    judgement_options,
    open_output,
    options_of,
    report_options,
    warn_of_unused_keep,
)
from .targets import refuse_none, search_for_packages, search_options


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("check"))
@click.argument("paths", nargs=-1, metavar="PATHS...", shell_complete=complete_paths)
@click.option("--deep", is_flag=True, help="Read the payload too, to check hashes, sizes and magic numbers.")
@click.option("--installed", metavar="NAME", help="Check an installed package, by its record in PREFIX/conda-meta.")
@click.option(
    "--prefix",
    metavar="PREFIX",
    show_default="$PREFIX, then $CONDA_PREFIX",
    help="Environment of --installed. Without --installed, all of its packages are checked.",
)
@search_options
@judgement_options
@limit_options
@report_options
def check(
    paths: tuple[str, ...],
    deep: bool,
    installed: str | None,
    prefix: str | None,
    **flags: Any,
) -> None:
    """Report what is wrong with packages. Nothing is written.

    PATHS are packages (.conda, .tar.bz2), directories to search recursively, and globs. Use - to read paths
    from standard input. If the small info component of a .conda is enough, the payload is not read.

    \b
    Examples:
      conda-prune check output/
      conda-prune check --deep --select all output/linux-64/numpy-2.1.0-py313h1234567_0.conda
      conda-prune check output/ --format github --format sarif=conda-prune.sarif
      git ls-files '*.conda' | conda-prune check -
      conda-prune check --installed $PKG_NAME      (in the tests of a recipe)
    """
    if installed is not None or prefix is not None:
        if paths or flags["files_from"] is not None:
            raise click.UsageError("--installed and --prefix check an environment; do not name packages as well")
        given = click.get_current_context().get_parameter_source
        for option in ("exclude", "no_default_excludes"):
            if given(option) is ParameterSource.COMMANDLINE:
                name = option.replace("_", "-")
                raise click.UsageError(f"--{name} is for searching directories, and not for --installed or --prefix")
        _check_environment(installed, prefix, deep, flags)
    work = PackageWork("check", options_of(flags), deep, None, limits_of(flags))
    work_on(search_for_packages(paths, flags), work, paths, flags)


def _check_environment(name: str | None, prefix: str | None, deep: bool, flags: dict[str, Any]) -> NoReturn:
    """Check installed packages, print the results, and exit."""
    from ..environment.installed import check_installed
    from ..errors import PruneError

    options = options_of(flags)
    environment = prefix if prefix is not None else _active_prefix()
    results = []
    with open_output("check", flags) as output:
        output.begin([])
        try:
            for result in check_installed(environment, name, options, deep=deep):
                output.add(result)
                results.append(result)
        except PruneError as error:
            results.append(failed(environment, str(error)))
            output.add(results[-1])
    if not results:
        refuse_none(f"no packages are installed in {environment}", "check the path", flags)
    warn_of_unused_keep(results)
    sys.exit(exit_code(results))


def _active_prefix() -> str:
    """Return the active environment: PREFIX in a build or its tests, CONDA_PREFIX elsewhere."""
    candidates = [os.environ[variable] for variable in ("PREFIX", "CONDA_PREFIX") if os.environ.get(variable)]
    for prefix in candidates:
        if os.path.isdir(os.path.join(prefix, "conda-meta")):
            return prefix
    if not candidates:
        raise click.UsageError("--installed needs --prefix, because neither PREFIX nor CONDA_PREFIX is set")
    return candidates[0]
