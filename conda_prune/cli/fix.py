"""`fix`: repair packages, and refresh their records in the index of their channel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_codes_help
from .limits import limit_options, limits_of
from .many_packages import PackageWork, work_on
from .options import (
    complete_paths,
    judgement_options,
    options_of,
    origin,
    report_options,
)
from .targets import search_for_packages, search_options

if TYPE_CHECKING:
    from .package_search import FoundPackage


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("fix"))
@click.argument("paths", nargs=-1, metavar="PATHS...", shell_complete=complete_paths)
@click.option("--in-place", is_flag=True, help="Replace packages with their repaired versions.")
@click.option("-o", "--output-dir", metavar="DIR", help="Write repaired packages to DIR, and copy clean ones to it.")
@click.option("-n", "--dry-run", is_flag=True, help="Write nothing; show what would be done, and exit like check.")
@click.option(
    "--level",
    default="same",
    metavar="same|N",
    show_default=True,
    help="Compression level; `same` keeps that of the package.",
)
@click.option("--backup", metavar="SUFFIX", help="Keep the original, with SUFFIX appended to its name.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads per package; 0 uses every core.")
@click.option(
    "--reindex",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Refresh the records of repaired packages in the channel's index. `always` writes the whole index again.",
)
@search_options
@judgement_options
@limit_options
@report_options
def fix(  # noqa: PLR0913, PLR0917 (click passes each option by name)
    paths: tuple[str, ...],
    in_place: bool,
    output_dir: str | None,
    dry_run: bool,
    level: str,
    backup: str | None,
    threads: int,
    reindex: str,
    **flags: Any,
) -> None:
    """Repair packages, in place or into a directory.

    Stray bytecode is dropped, together with its entries in the package's listings. Everything else keeps its
    exact bytes, and the package keeps its compression. A package without findings is not written. A repaired
    package is read back before it replaces anything. If something fails, the package is unchanged.

    \b
    Examples:
      conda-prune fix output/ --in-place
      conda-prune fix output/ -o repaired --jobs 0
      conda-prune fix output/ --in-place --dry-run --extend-select foreign-tree
    """
    from ..operations.fix import FixOptions

    if in_place and output_dir is not None:
        raise click.UsageError(f"{origin('in_place')} and {origin('output_dir')} cannot be combined; use only one")
    if not in_place and output_dir is None and not dry_run:
        raise click.UsageError("choose where to write the results: --in-place or -o DIR")
    check_backup(backup)
    if backup is not None and output_dir is not None:
        raise click.UsageError(f"{origin('backup')} requires --in-place; -o DIR does not change the originals")
    if output_dir is not None and os.path.lexists(output_dir) and not os.path.isdir(output_dir):
        raise click.UsageError(f"-o {output_dir} is not a directory; name the directory for the results")
    fix_options = FixOptions(output_dir, level_of(level), backup, dry_run)
    search_result = search_for_packages(paths, flags, output_dir)
    if output_dir is not None:
        _check_collisions(search_result.packages)
    if not dry_run:
        from ..channel.refresh import survey_indexes

        packages = search_result.packages
        results = [os.path.join(output_dir, package.below) if output_dir else package.path for package in packages]
        fix_options = replace(fix_options, indexes=survey_indexes(results, reindex))
    work = PackageWork("fix", options_of(flags), True, fix_options, limits_of(flags), threads)
    work_on(search_result, work, paths, flags, reindex)


def check_backup(suffix: str | None) -> None:
    """Raise click's UsageError for a value of `--backup` that is not a suffix."""
    from ..errors import UsageError
    from ..rewrite.target import check_suffix

    if suffix is None:
        return
    try:
        check_suffix(suffix)
    except UsageError as error:
        raise click.UsageError(f"{origin('backup')}: {error}") from error


def level_of(text: str) -> int | None:
    """Return the value of `--level`, or None for `same`. Raises click's UsageError for a level that does not exist."""
    if text == "same":
        return None
    try:
        level = int(text)
    except ValueError:
        level = 99  # out of range
    if not -7 <= level <= 22:
        message = f"{origin('level')} {text}: use same, -7 to 22 for .conda, or 1 to 9 for .tar.bz2"
        raise click.UsageError(message)
    return level


def _check_collisions(packages: Sequence[FoundPackage]) -> None:
    from ..system import name_key

    seen: dict[str, str] = {}
    for package in packages:
        key = name_key(package.below)
        if key in seen:
            raise click.UsageError(f"{seen[key]} and {package.path} would both become {package.below} in -o DIR")
        seen[key] = package.path
