"""The options that say which packages a command works on, and the error when there are none.

A gate that checked nothing must not pass: when PATHS hold no package at all, that is an error, unless `--allow-empty`
says that a build may have been skipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from .package_search import Found

_MOST_NAMED = 5
"""How many paths an error names."""


class NoPackages(click.ClickException):
    """PATHS hold no package; printed in one line, without the usage."""

    exit_code = ExitCode.USAGE


def searching(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where packages are looked for."""
    for option in reversed(
        (
            click.option("--files-from", metavar="FILE",
                         help="Read paths from FILE, one per line; - for standard input."),
            click.option("--exclude", metavar="GLOB", multiple=True,
                         help="Leave out names or paths below searched directories (repeatable)."),
            click.option("--no-default-excludes", is_flag=True,
                         help="Also search .git, .pixi, environments, package caches, and what rattler-build and "
                         "conda-build keep next to packages: bld, broken, src_cache, work and so on."),
            click.option("--allow-empty", is_flag=True, help="Exit with 0 when no package is found."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def find_targets(paths: Sequence[str], flags: dict[str, Any]) -> Found:
    """Return the packages that were named; warn about globs that match nothing.

    Raises click's UsageError where no path was given, NoPackages where the paths hold no package.
    """
    from .package_search import find_packages

    named = list(paths)
    files_from: str | None = flags["files_from"]
    if files_from is not None:
        named += _read_paths(files_from)
    if "-" in named:
        named.remove("-")
        named += _read_paths("-")
    if not named and files_from is None and "-" not in paths:
        raise click.UsageError("name packages, directories or globs")
    looked_for = [path for path in named if not (flags["allow_empty"] and _is_missing_directory(path))]
    found = find_packages(looked_for, exclude=flags["exclude"], default_excludes=not flags["no_default_excludes"])
    if not found.targets:
        refuse_empty(named, found, flags)
    elif not flags["quiet"]:
        for pattern in found.unmatched:
            _say(f"warning: no files match {pattern}")
    return found


def _is_missing_directory(path: str) -> bool:
    """Return whether a path does not exist, and would be a directory: a build that was skipped makes none."""
    from ..model import Format
    from .package_search import is_glob

    return not (os.path.lexists(path) or is_glob(path) or path.endswith(tuple(Format)))


def refuse_empty(named: Sequence[str], found: Found, flags: dict[str, Any], skipped: int = 0) -> None:
    """Raise NoPackages, naming what was left out; with `--allow-empty`, print one line instead.

    `skipped` is how many source archives were found.
    """
    searched = [path for path in named if path not in found.unmatched]
    if searched:
        message = f"no conda packages in {_listed(searched)}"
    elif named:
        message = f"no files match {_listed(named)}"
    else:
        message = f"no conda packages: {flags['files_from'] or 'standard input'} names none"
    left_out = []
    if searched and found.unmatched:
        left_out.append(f"no files match {_listed(found.unmatched)}")
    if found.excluded:
        left_out.append(f"not searched: {_listed(found.excluded)}")
    if skipped:
        left_out.append(_skipped(skipped))
    message = ": ".join([message, *(["; ".join(left_out)] if left_out else ())])
    if flags["allow_empty"]:
        if not flags["quiet"]:
            _say(message)
        return
    hint = "name what was not searched, or use --no-default-excludes" if found.excluded else "check the paths"
    raise NoPackages(f"{message}; {hint}; --allow-empty accepts this")


def tell_left_out(found: Found, skipped: int) -> None:
    """Print what a search left out, for `-v`."""
    for path in found.excluded:
        _say(f"not searched: {path}")
    if skipped:
        _say(_skipped(skipped))


def _skipped(count: int) -> str:
    files, hold, are = ("file", "holds", "is not a package") if count == 1 else ("files", "hold", "are not packages")
    return f"{count} .tar.bz2 {files} {hold} no info/index.json and {are}"


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - _MOST_NAMED
    return ", ".join(paths[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _say(line: str) -> None:
    from ..report.escape import encodable, escaped

    click.echo(encodable(escaped(line), sys.stderr.encoding), err=True)


def _read_paths(name: str) -> list[str]:
    """Return the lines of a file or of standard input."""
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
