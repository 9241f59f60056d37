"""Inputs that must be refused with exit 3 and stay as they were, and odd ones that must be processed."""

from __future__ import annotations

from .differentials import DIFFERENTIALS
from .hostile_archives import FILES, FRAMES, ZIPS
from .hostile_tars import METADATA, TARS
from .odd import ODD, Odd
from .refused import Hostile

__all__ = ["HOSTILE", "ODD", "Hostile", "Odd"]

HOSTILE: tuple[Hostile, ...] = (*FILES, *ZIPS, *FRAMES, *TARS, *METADATA, *DIFFERENTIALS)
