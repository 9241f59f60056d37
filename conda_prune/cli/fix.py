"""`fix`: repair packages, and refresh the records of the channels that they are in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_codes_help
from .limits import limiting, limits_of
from .many_packages import PackageWork, hides_progress, work_on
from .options import complete_paths, judging, options_of, reporting
from .targets import find_targets, searching

if TYPE_CHECKING:
    from .package_search import Target


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("fix"))
@click.argument("paths", nargs=-1, metavar="PATHS...", shell_complete=complete_paths)
@click.option("--in-place", is_flag=True, help="Replace the packages by their repaired versions.")
@click.option("-o", "--output-dir", metavar="DIR", help="Write repaired packages to DIR, and copy clean ones there.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, write nothing; exit code as check.")
@click.option("--level", default="same", metavar="same|N", help="Compression level; same keeps the package's own.")
@click.option("--backup", metavar="SUFFIX", help="Keep the original beside the result, with SUFFIX after its name.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads per package; 0 for all cores.")
@click.option(
    "--reindex",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Refresh the records of repaired packages in the channel's index; always writes all of it again.",
)
@searching
@judging
@limiting
@reporting
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

    Stray bytecode goes, with its entries in the package's listings; what is kept is byte for byte what it
    was, and so is the compression. A package without findings is not written. A repaired one is read back
    before it replaces anything: when something fails, the package is as it was.

    \b
    Examples:
      conda-prune fix output/ --in-place
      conda-prune fix output/ -o repaired --jobs 0
      conda-prune fix output/ --in-place --dry-run --extend-select foreign-tree
    """
    from ..operations.fix import FixOptions

    if in_place is (output_dir is not None) and not (dry_run and not in_place):
        raise click.UsageError("say where the results go: either --in-place or -o DIR")
    if backup is not None:
        _check_suffix(backup)
    if backup is not None and output_dir is not None:
        raise click.UsageError("--backup goes with --in-place: -o DIR leaves the originals alone")
    how = FixOptions(output_dir, _level(level), backup, dry_run)
    found = find_targets(paths, flags)
    if output_dir is not None:
        _check_collisions(found.targets)
    if reindex != "never" and not dry_run:
        from ..channel.refresh import find_obstacles

        results = [os.path.join(output_dir, target.below) if output_dir else target.path for target in found.targets]
        how = replace(how, obstacles=find_obstacles(results, always=reindex == "always"))
    work = PackageWork("fix", options_of(flags), True, how, hides_progress(flags), limits_of(flags), threads)
    work_on(found, work, paths, flags, reindex)


def _check_suffix(backup: str) -> None:
    from ..errors import UsageError
    from ..rewrite.target import check_suffix

    try:
        check_suffix(backup)
    except UsageError as error:
        raise click.UsageError(f"--backup: {error}") from error


def _level(text: str) -> int | None:
    if text == "same":
        return None
    try:
        level = int(text)
    except ValueError:
        level = 99
    if not -7 <= level <= 22:
        raise click.UsageError(f"--level {text}: write same, -7 to 22 for .conda, or 1 to 9 for .tar.bz2")
    return level


def _check_collisions(targets: Sequence[Target]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        if target.below in seen:
            raise click.UsageError(f"{seen[target.below]} and {target.path} would both become {target.below} in -o DIR")
        seen[target.below] = target.path
