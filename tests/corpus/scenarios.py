"""All scenarios, in one tuple for parametrised tests."""

from __future__ import annotations

from .scenario import Scenario
from .scenarios_archive import ARCHIVE
from .scenarios_keep import KEEP
from .scenarios_layouts import LAYOUTS
from .scenarios_strays import STRAYS
from .scenarios_variants import VARIANTS

__all__ = ["SCENARIOS", "Scenario"]

SCENARIOS: tuple[Scenario, ...] = (*VARIANTS, *STRAYS, *LAYOUTS, *KEEP, *ARCHIVE)
