"""The options that commands share, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..judgement.plan import Options
    from ..paths import Target


def judging(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how packages are judged."""
    for option in reversed(
        (
            click.option(
                "--python",
                metavar="VERSION",
                help="What the packages are for: 3.11, 3.13t, pypy3.9, any, none.",
            ),
            click.option(
                "--select", metavar="KINDS", multiple=True, help="Kinds of findings beyond the defaults; all."
            ),
            click.option("--ignore", metavar="KINDS", multiple=True, help="Kinds of findings to leave alone."),
            click.option("--keep", metavar="GLOB", multiple=True, help="Files that are never dropped (repeatable)."),
        )
    ):
        command = option(command)
    return command


def reporting(command: Callable[..., None]) -> Callable[..., None]:
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


def options_of(flags: dict[str, Any]) -> Options:
    from ..errors import UsageError
    from ..judgement.plan import KINDS, Options
    from ..judgement.variant import override_variant

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


def find_targets(paths: tuple[str, ...], files_from: str | None) -> list[Target]:
    from ..paths import find_packages

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
