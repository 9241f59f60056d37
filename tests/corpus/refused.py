"""What a refused input is, apart from the inputs themselves."""

from __future__ import annotations

from dataclasses import dataclass

from .crafted import Crafted


@dataclass(frozen=True)
class Hostile(Crafted):
    """An input that must be refused; a clear message holds one of `reasons`, whatever its case."""

    reasons: tuple[str, ...] = ()
