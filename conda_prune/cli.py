"""The command line: options in, exit code out. It decides nothing about packages.

Exit codes: 0 nothing to do or everything fixed, 1 something would be repaired, 2 wrong usage, 3 a package could not be processed.
Everything but click is imported where it is needed: starting is most of what a check of a small package costs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__

if TYPE_CHECKING:
    from .model import Result
    from .operations import Writing
    from .judgement.plan import Options
    from .paths import Target

EXIT_OK, EXIT_FINDINGS, EXIT_USAGE, EXIT_FAILED = 0, 1, 2, 3
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "auto_envvar_prefix": "CONDA_PRUNE"}


@click.group(context_settings=_SETTINGS)
@click.version_option(__version__, "-V", "--version", prog_name="conda-prune")
def cli() -> None:
    """Remove stray Python bytecode from conda packages that are already built.

    \b
    conda-prune check output/                     what is wrong, nothing written
    conda-prune fix output/ --in-place            repair every package below output/
    conda-prune show PACKAGE                      everything known about one package

    Exit codes: 0 nothing to do or everything fixed, 1 something would be repaired, 2 wrong usage,
    3 a package could not be processed (it is untouched, the others are done).
    """


def _judging(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how packages are judged."""
    for option in reversed(
        (
            click.option("--python", metavar="VERSION", help="What the packages are for: 3.11, 3.13t, pypy3.9, any, none."),
            click.option("--select", metavar="KINDS", multiple=True, help="Kinds of findings beyond the defaults; all."),
            click.option("--ignore", metavar="KINDS", multiple=True, help="Kinds of findings to leave alone."),
            click.option("--keep", metavar="GLOB", multiple=True, help="Files that are never dropped (repeatable)."),
        )
    ):
        command = option(command)
    return command


def _reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how results are printed."""
    for option in reversed(
        (
            click.option("-j", "--jobs", type=click.IntRange(0), default=1, show_default=True,
                         help="Packages at a time; 0 for one per core."),
            click.option("--format", "formats", metavar="FORMAT[=FILE]", multiple=True, default=("text",),
                         help="text or json, to standard output or a file (repeatable)."),
            click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours."),
            click.option("-q", "--quiet", is_flag=True, help="Errors only."),
            click.option("-v", "--verbose", is_flag=True, help="Clean packages and harmless findings, too."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@cli.command()
@click.argument("paths", nargs=-1, metavar="PATHS...")
@click.option("--deep", is_flag=True, help="Read the payload too: hashes, sizes and magic numbers are judged.")
@click.option("--files-from", metavar="FILE", help="Read paths from FILE, one a line; - for standard input.")
@_judging
@_reporting
def check(paths: tuple[str, ...], deep: bool, files_from: str | None, **flags: Any) -> None:
    """Say what is wrong with packages. PATHS are packages, directories and globs; nothing is written."""
    run = _Run("check", _options(flags), deep, None, flags["quiet"])
    _execute(run, _targets(paths, files_from), flags)


@cli.command()
@click.argument("paths", nargs=-1, metavar="PATHS...")
@click.option("--in-place", is_flag=True, help="Replace the packages by their repaired versions.")
@click.option("-o", "--output-dir", metavar="DIR", help="Write repaired packages to DIR, and copy clean ones there.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, write nothing; exit code as check.")
@click.option("--level", default="same", metavar="same|N", help="Compression level; same keeps the package's own.")
@click.option("--backup", metavar="SUFFIX", help="Keep the original beside the result, with SUFFIX after its name.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads per package; 0 for all cores.")
@click.option("--deep", is_flag=True, help="Read the payload also of packages whose listing shows nothing.")
@click.option("--files-from", metavar="FILE", help="Read paths from FILE, one a line; - for standard input.")
@_judging
@_reporting
def fix(
    paths: tuple[str, ...],
    in_place: bool,
    output_dir: str | None,
    dry_run: bool,
    level: str,
    backup: str | None,
    threads: int,
    deep: bool,
    files_from: str | None,
    **flags: Any,
) -> None:
    """Repair packages, in place or into a directory. What is kept is byte for byte what it was."""
    from .operations import Writing

    if in_place is (output_dir is not None) and not (dry_run and not in_place):
        raise click.UsageError("say where the results go: either --in-place or -o DIR")
    if backup is not None and (not backup or "/" in backup or os.sep in backup):
        raise click.UsageError("--backup takes a suffix for the file's name, such as .orig")
    if backup is not None and output_dir is not None:
        raise click.UsageError("--backup goes with --in-place: -o DIR leaves the originals alone")
    writing = Writing(output_dir, _level(level), backup, dry_run, threads)
    targets = _targets(paths, files_from)
    if output_dir is not None:
        _check_collisions(targets)
    _execute(_Run("fix", _options(flags), deep, writing, flags["quiet"]), targets, flags)


@cli.command()
@click.argument("package")
@_judging
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(package: str, format_: str, **flags: Any) -> None:
    """Show everything known about one package: its variant and the evidence, every file and why."""
    from .errors import PruneError, UsageError
    from .operations import show_package
    from .report import json_report, text

    try:
        result, plan = show_package(package, _options(flags))
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except PruneError as error:
        click.echo(text.error_line(_failed(package, str(error))), err=True)
        sys.exit(EXIT_FAILED)
    if format_ == "json":
        click.echo(json_report.dumps(json_report.as_object(result), indent=2))
    else:
        click.echo("\n".join(text.show_lines(result, plan)))
    sys.exit(EXIT_FAILED if result.status == "refused" else EXIT_OK)


@dataclass(frozen=True)
class _Run:
    """One command's work on one package; goes to worker processes as it is."""

    command: str
    options: Options
    deep: bool
    writing: Writing | None
    quiet: bool

    def __call__(self, target: Target) -> Result:
        from .errors import PruneError
        from .operations import check_package, fix_package
        from .report.progress import Meter

        try:
            if self.writing is None:
                return check_package(target.path, self.options, deep=self.deep)
            writing = self.writing
            if writing.output_dir is not None:
                directory = os.path.dirname(target.below)
                writing = replace(writing, output_dir=os.path.join(writing.output_dir, directory))
            with Meter(os.path.basename(target.path), quiet=self.quiet) as meter:
                return fix_package(target.path, self.options, writing, deep=self.deep, progress=meter)
        except PruneError as error:
            return _failed(target.path, str(error))
        except OSError as error:
            return _failed(target.path, f"{error.strerror or error}")
        except MemoryError:
            return _failed(target.path, "there is not enough memory")


def _failed(path: str, error: str) -> Result:
    from .model import Result

    return Result(path=path, status="error", error=error)


def _died(target: Target, how: str) -> Result:
    return _failed(target.path, f"{how}; the package is as it was")


def _execute(run: _Run, targets: list[Target], flags: dict[str, Any]) -> NoReturn:
    """Do the work, print the results, and leave with the exit code."""
    from .batch import run as run_all
    from .report.output import Output

    try:
        output = Output(run.command, flags["formats"], flags["color"], flags["quiet"], flags["verbose"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    jobs = flags["jobs"] or os.cpu_count() or 1
    results = []
    with output:
        output.begin([target.path for target in targets])
        for result in run_all(targets, run, _died, jobs):
            output.add(result)
            results.append(result)
    sys.exit(exit_code(results))


def exit_code(results: Iterable[Result]) -> int:
    """Return the exit code for results: a failure outweighs findings."""
    statuses = {result.status for result in results}
    if statuses & {"error", "refused"}:
        return EXIT_FAILED
    return EXIT_FINDINGS if "findings" in statuses else EXIT_OK


def _options(flags: dict[str, Any]) -> Options:
    from .errors import UsageError
    from .judgement.plan import KINDS, Options
    from .judgement.variant import override_variant

    kinds = {}
    for flag in ("select", "ignore"):
        names = [name.strip() for value in flags[flag] for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in KINDS and name != "all"]
        if unknown:
            raise click.UsageError(f"--{flag} {unknown[0]}: there is no such kind; the kinds are {', '.join(KINDS)}")
        kinds[flag] = frozenset(names)
    if flags["python"] is not None:
        try:
            override_variant(flags["python"])
        except UsageError as error:
            raise click.UsageError(str(error)) from error
    return Options(flags["python"], kinds["select"], kinds["ignore"], flags["keep"])


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


def _targets(paths: tuple[str, ...], files_from: str | None) -> list[Target]:
    from .paths import find_packages

    named = list(paths)
    if files_from is not None:
        named += _read_paths(files_from)
    if "-" in named:
        named.remove("-")
        named += _read_paths("-")
    if not named:
        if files_from is not None or "-" in paths:
            return []
        raise click.UsageError("name packages, directories or globs")
    targets = list(find_packages(named))
    if not targets:
        click.echo(f"no conda packages in {', '.join(named)}", err=True)
    return targets


def _read_paths(name: str) -> list[str]:
    try:
        with click.open_file(name, encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n") for line in file if line.strip()]
    except OSError as error:
        raise click.UsageError(f"--files-from {name}: {error.strerror}") from error


def _check_collisions(targets: list[Target]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        if target.below in seen:
            raise click.UsageError(f"{seen[target.below]} and {target.path} would both become {target.below} in -o DIR")
        seen[target.below] = target.path


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line. An interruption unwinds the work, so that nothing temporary stays, and exits with 130 or 143."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the results has enough; nothing of the work is lost.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
