"""The options that select the packages to work on, and the error if there are none.

A CI gate that has checked nothing must not pass. So it is an error if PATHS contain no package at all, unless
`--allow-empty` permits that, because a build may have been skipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from .package_search import SearchResult

_MAX_LISTED = 5
"""How many paths an error lists."""


class NoPackages(click.ClickException):
    """PATHS contain no package. The error is one line, without the usage."""

    exit_code = ExitCode.USAGE


def search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that control the search for packages."""
    for option in reversed(
        (
            click.option("--files-from", metavar="FILE",
                         help="Read paths from FILE, one per line; - for standard input."),
            click.option("--exclude", metavar="GLOB", multiple=True,
                         help="Skip matching names, or paths relative to a searched directory (repeatable)."),
            click.option("--no-default-excludes", is_flag=True,
                         help="Also search .git, .pixi, environments, package caches, and directories of build tools "
                         "(bld, broken, src_cache, work and so on)."),
            click.option("--allow-empty", is_flag=True, help="Exit with 0 if no package is found."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def search_for_packages(paths: Sequence[str], flags: dict[str, Any], output_dir: str | None = None) -> SearchResult:
    """Return the packages that the paths refer to. Warns about globs that match nothing.

    A directory with the results of an earlier run, `output_dir`, is not searched unless it is one of the paths.

    Raises click's UsageError if no path is given or one is empty, and NoPackages if the paths contain no package.
    """
    from .package_search import find_packages

    all_paths = list(paths)
    files_from: str | None = flags["files_from"]
    if files_from is not None:
        all_paths += _read_paths(files_from)
    if "-" in all_paths:
        all_paths.remove("-")
        all_paths += _read_paths("-")
    if "" in all_paths:
        raise click.UsageError("a path is empty; check the variable that it comes from")
    if not all_paths and files_from is None and "-" not in paths:
        raise click.UsageError("name packages, directories or globs")
    existing = [path for path in all_paths if not (flags["allow_empty"] and _is_missing_directory(path))]
    result = find_packages(
        existing,
        exclude=flags["exclude"],
        default_excludes=not flags["no_default_excludes"],
        output_dir=output_dir,
    )
    if not result.packages:
        refuse_empty(all_paths, result, flags)
    elif not flags["quiet"]:
        for pattern in result.unmatched:
            _print_to_stderr(f"warning: no files match {pattern}")
    return result


def _is_missing_directory(path: str) -> bool:
    """Return whether a path looks like a directory but does not exist, as after a build that was skipped."""
    from ..model import Format
    from .package_search import is_glob

    return not (os.path.lexists(path) or is_glob(path) or path.endswith(tuple(Format)))


def refuse_empty(paths: Sequence[str], result: SearchResult, flags: dict[str, Any], skipped: int = 0) -> None:
    """Raise NoPackages with a message that lists what was not searched. With `--allow-empty`, only print the message.

    `skipped` is the number of source archives that were found.
    """
    searched = [path for path in paths if path not in result.unmatched]
    if searched:
        message = f"no conda packages in {_listed(searched)}"
    elif paths:
        message = f"no files match {_listed(paths)}"
    else:
        message = f"no conda packages: {flags['files_from'] or 'standard input'} lists no paths"
    details = []
    if searched and result.unmatched:
        details.append(f"no files match {_listed(result.unmatched)}")
    if result.excluded:
        details.append(f"not searched: {_listed(result.excluded)}")
    if skipped:
        details.append(_source_archives_text(skipped))
    message = ": ".join([message, *(["; ".join(details)] if details else ())])
    hint = "name what was not searched, use --no-default-excludes" if result.excluded else "check the paths"
    refuse_none(message, hint, flags)


def refuse_none(message: str, hint: str, flags: dict[str, Any]) -> None:
    """Raise NoPackages with a message and what to do. With `--allow-empty`, only print the message."""
    if not flags["allow_empty"]:
        raise NoPackages(f"{message}; {hint}, or use --allow-empty")
    if not flags["quiet"]:
        _print_to_stderr(message)


def print_left_out(result: SearchResult, skipped: int) -> None:
    """Print what a search has left out, for `-v`."""
    for path in result.excluded:
        _print_to_stderr(f"not searched: {path}")
    if skipped:
        _print_to_stderr(_source_archives_text(skipped))


def _source_archives_text(count: int) -> str:
    if count == 1:
        return "1 .tar.bz2 file is not a package (it has no info/index.json)"
    return f"{count} .tar.bz2 files are not packages (they have no info/index.json)"


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - _MAX_LISTED
    return ", ".join(paths[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _print_to_stderr(line: str) -> None:
    from ..report.escape import encodable, escaped

    click.echo(encodable(escaped(line), sys.stderr.encoding), err=True)


def _read_paths(name: str) -> list[str]:
    """Return the non-empty lines of a file, or of standard input if its name is `-`."""
    try:
        if name == "-":
            if sys.stdin is None:
                raise click.UsageError("standard input is closed")
            raw = sys.stdin.buffer.read()
        else:
            from ..system import open_named

            with open_named(name) as file:
                raw = file.read()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--files-from {name}: {getattr(error, 'strerror', None) or error}") from error
    lines = raw.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").split("\n")
    return [line for line in lines if line.strip()]
