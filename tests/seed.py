"""The seed: small real packages with the leftovers of prefix-dev/pixi #4878, and facts noted when they were made."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = Path(__file__).parent.parent / "testdata" / "seed"


@dataclass(frozen=True)
class Seed:
    """One package of testdata/seed with the facts beside it."""

    path: Path
    facts: dict[str, Any]

    @property
    def id(self) -> str:
        return f"py{self.facts['python'].replace('.', '')}{''.join(self.path.suffixes[-2:])[-8:]}"

    @property
    def stray(self) -> list[str]:
        """The paths that must go, from the laid-out tree and not from the tool."""
        return list(self.facts["stray"])

    def copy(self, directory: Path) -> Path:
        """Copy the package to a directory and return its path there."""
        return Path(shutil.copy(self.path, directory))


SEEDS = tuple(
    Seed(facts.with_suffix(""), json.loads(facts.read_text("utf-8"))) for facts in sorted(SEED.glob("*.json"))
)
STRAY = tuple(seed for seed in SEEDS if seed.stray)
CLEAN = tuple(seed for seed in SEEDS if not seed.stray)
