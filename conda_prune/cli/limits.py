"""The options that limit the resources that one package may use. The error for an exceeded limit names its option."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..model import Limits

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A number of bytes; the suffixes K, M, G and T are powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d{1,15})([KMGT]?)(?:i?B)?", str(value), re.IGNORECASE)
        if match is None:
            self.fail(f"{value!r} is not a size; write bytes, or a number with K, M, G or T, such as 64G", param, ctx)
        return int(match[1]) * _UNITS[match[2].upper()]

    @staticmethod
    def text(size: int) -> str:
        """Return the shortest text that means exactly this size, as it is written on the command line."""
        unit = max((unit for unit, factor in _UNITS.items() if size % factor == 0), key=_UNITS.__getitem__)
        return f"{size // _UNITS[unit]}{unit}" if size else "0"


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that limit the resources that one package may use."""
    for option in reversed(
        (
            click.option("--max-unpacked", type=Size(), metavar="SIZE", default="64G", show_default=True,
                         help="Refuse a package that unpacks to more bytes; K, M, G and T are powers of 1024."),
            click.option("--max-members", type=click.IntRange(1), metavar="N", default=2_000_000, show_default=True,
                         help="Refuse a package with more files."),
            click.option("--max-text", type=Size(), metavar="SIZE", default="512M", show_default=True,
                         help="Refuse a package whose metadata and file names take more memory."),
            click.option("--max-ratio", type=click.IntRange(1), metavar="N", default=200, show_default=True,
                         help="Refuse a package whose metadata and file names take more than 8M plus N times its "
                              "compressed size."),
            click.option("--max-window", type=Size(), metavar="SIZE", default="128M", show_default=True,
                         help="Refuse a package that needs a larger zstd window. Clients refuse more than 128M."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def limits_of(flags: dict[str, Any]) -> Limits:
    """Return the limits that the options set."""
    from ..model import Limits

    names = ("unpacked", "members", "text", "window", "ratio")
    return Limits(**{name: flags[f"max_{name}"] for name in names})
