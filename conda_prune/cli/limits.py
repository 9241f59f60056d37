"""The options that bound what one package may make us do; each error that a bound causes names its option."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..model import Limits

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A number of bytes, with K, M, G or T for binary multiples."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,15})([KMGT]?)(?:i?B)?", str(value), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is no size: write bytes, or a number with K, M, G or T, such as 64G", param, ctx)
        return int(found[1]) * _UNITS[found[2].upper()]


def limiting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that bound the work on one package."""
    for option in reversed(
        (
            click.option("--max-unpacked", type=_Size(), metavar="SIZE", default="64G", show_default=True,
                         help="Refuse packages that unpack to more; K, M, G and T count in 1024."),
            click.option("--max-members", type=click.IntRange(1), metavar="N", default=2_000_000, show_default=True,
                         help="Refuse packages with more files."),
            click.option("--max-text", type=_Size(), metavar="SIZE", default="512M", show_default=True,
                         help="Refuse packages with more metadata and names to hold in memory."),
            click.option("--max-ratio", type=click.IntRange(1), metavar="N", default=200, show_default=True,
                         help="Refuse packages whose metadata and names take more than 4M and N times their compressed "
                              "size."),
            click.option("--max-window", type=_Size(), metavar="SIZE", default="128M", show_default=True,
                         help="Refuse packages for which zstd holds more; clients refuse more than 128M."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def limits_of(flags: dict[str, Any]) -> Limits:
    """Return the limits that the options set."""
    from ..model import Limits

    names = ("unpacked", "members", "text", "window", "ratio")
    return Limits(**{name: flags[f"max_{name}"] for name in names})
