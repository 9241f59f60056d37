"""`check` and `fix`: the same work on many packages, results as they come, one exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..exit_codes import ExitCode, exit_codes_help
from .configuration import ConfigurableCommand
from .limits import limiting, limits_of
from .options import complete_paths, judging, open_output, options_of, reporting, warn_of_unused_keep
from .targets import find_targets, refuse_empty, searching, tell_left_out

if TYPE_CHECKING:
    from ..judgement.plan import Options
    from ..model import Limits, Result
    from ..operations import Writing
    from ..paths import Found, Target


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
    run = _Run("check", options_of(flags), deep, None, _no_bars(flags), limits_of(flags))
    _execute(run, find_targets(paths, flags), paths, flags)


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
def fix(
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
    from ..operations import Writing

    if in_place is (output_dir is not None) and not (dry_run and not in_place):
        raise click.UsageError("say where the results go: either --in-place or -o DIR")
    if backup is not None:
        _check_suffix(backup)
    if backup is not None and output_dir is not None:
        raise click.UsageError("--backup goes with --in-place: -o DIR leaves the originals alone")
    writing = Writing(output_dir, _level(level), backup, dry_run)
    found = find_targets(paths, flags)
    if output_dir is not None:
        _check_collisions(found.targets)
    if reindex != "never" and not dry_run:
        from ..places.channel.refresh import find_obstacles

        results = [os.path.join(output_dir, target.below) if output_dir else target.path for target in found.targets]
        writing = replace(writing, obstacles=find_obstacles(results, always=reindex == "always"))
    run = _Run("fix", options_of(flags), True, writing, _no_bars(flags), limits_of(flags), threads)
    _execute(run, found, paths, flags, reindex)


def _check_suffix(backup: str) -> None:
    from ..archive.target import check_suffix
    from ..errors import UsageError

    try:
        check_suffix(backup)
    except UsageError as error:
        raise click.UsageError(f"--backup: {error}") from error


def _no_bars(flags: dict[str, Any]) -> bool:
    # Several processes would draw theirs over each other's.
    return bool(flags["quiet"]) or flags["jobs"] != 1


@dataclass(frozen=True)
class _Run:
    """One command's work on one package; goes to worker processes as it is."""

    command: str
    options: Options
    deep: bool
    writing: Writing | None
    quiet: bool
    limits: Limits
    threads: int = 0

    def __call__(self, target: Target) -> Result | None:
        """Return the result for a target, None for a source archive that a search found."""
        from ..interruption import ended_at_once

        with ended_at_once():
            return self._work(target)

    def _work(self, target: Target) -> Result | None:
        from ..errors import PruneError
        from ..operations import check_package, fix_package
        from ..report.progress import Meter

        try:
            if self.writing is None:
                with Meter(target.path, quiet=self.quiet) as meter:
                    return check_package(
                        target.path,
                        self.options,
                        deep=self.deep,
                        limits=self.limits,
                        progress=meter,
                        threads=self.threads,
                    )
            writing = replace(self.writing, threads=self.threads)
            if writing.output_dir is not None:
                directory = os.path.dirname(target.below)
                writing = replace(writing, output_dir=os.path.join(writing.output_dir, directory))
            with Meter(target.path, quiet=self.quiet) as meter:
                return fix_package(target.path, self.options, writing, limits=self.limits, progress=meter)
        except PruneError as error:
            if target.searched and self._is_source_archive(target.path):
                return None
            return failed(target.path, str(error))
        except OSError as error:
            return failed(target.path, f"{error.strerror or error}")
        except MemoryError:
            return failed(target.path, "there is not enough memory")
        except Exception as error:
            # A defect of ours must cost one package, not the batch; what it was is told, so that it can be reported.
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            return failed(target.path, f"internal error: {type(error).__name__}: {error} ({place}); please report this")

    def _is_source_archive(self, path: str) -> bool:
        # Asked only after an error, so that packages are not read twice.
        if not path.endswith(".tar.bz2"):
            return False
        from ..archive.source_archive import is_source_archive

        return is_source_archive(path, self.limits.unpacked)


def failed(path: str, error: str) -> Result:
    """Return the result of a package that could not be processed."""
    from ..model import Result

    return Result(path=path, status="error", error=error)


def _died(target: Target, how: str) -> Result:
    return failed(target.path, f"{how}; the package is as it was, or repaired as a whole")


def _execute(
    run: _Run, found: Found, paths: tuple[str, ...], flags: dict[str, Any], reindex: str = "never"
) -> NoReturn:
    """Do the work, print the results, and leave with the exit code. Indexes come last, after all packages."""
    from ..operations import shares

    targets = found.targets
    output = open_output(run.command, flags, [target.path for target in targets])
    jobs, threads = shares(len(targets), flags["jobs"], run.threads)
    run = replace(run, threads=threads)
    writes = run.writing is not None and not run.writing.dry_run
    results = []
    skipped = 0
    with output:
        output.begin([target.path for target in targets])
        with closing(_each(run, targets, jobs)) as each:
            for result in each:
                if result is None:
                    skipped += 1
                    continue
                output.add(result)
                results.append(result)
                if output.unread and not writes:
                    break  # There is nothing to finish.
        if reindex != "never" and writes:
            from ..places.channel.refresh import refresh_indexes

            for result in refresh_indexes(results, always=reindex == "always"):
                output.add(result)
                results.append(result)
    if skipped and skipped == len(targets):
        refuse_empty(paths, found, flags, skipped)
    if flags["verbose"]:
        tell_left_out(found, skipped)
    warn_of_unused_keep(results)
    sys.exit(exit_code(results))


def _each(run: _Run, targets: Sequence[Target], jobs: int) -> Generator[Result | None, None, None]:
    if jobs <= 1:
        yield from map(run, targets)
        return
    # Imported here: pickle, subprocess and what they need take as long to import as all the rest.
    from .jobs import run as run_all

    yield from run_all(targets, run, _died, jobs, _size)


def _size(target: Target) -> int:
    try:
        return os.stat(target.path).st_size
    except OSError:
        return 0


def _check_environment(name: str | None, prefix: str | None, deep: bool, flags: dict[str, Any]) -> NoReturn:
    """Judge installed packages, print the results, and leave with the exit code."""
    from ..errors import PruneError
    from ..places.installed import check_installed

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


def exit_code(results: Iterable[Result]) -> ExitCode:
    """Return the exit code for results: a failure outweighs findings."""
    statuses = {result.status for result in results}
    if statuses & {"error", "refused"}:
        return ExitCode.FAILED
    return ExitCode.FINDINGS if "findings" in statuses else ExitCode.OK


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
