"""One package with the verdict that it must get, and the short forms in which scenarios are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .entries import AnyEntry, PackageSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Scenario:
    """A package and what the default rules must do with it, written by hand.

    `drops` are the bytecode members that go; `kinds` counts them by kind of finding where that is certain.
    `emptied` are directory entries that go with them, `edited` the RECORD-like files that lose lines,
    `promoted` the hard links to a dropped member, whose header changes: content moves in, or the link leads
    elsewhere (rattler-build's packages hold copies instead, and nothing changes). `stale` are paths whose
    listing entry is wrong or missing and gets corrected.
    `refused`: nothing may change, exit 3. `payload`: the verdict needs file contents, not names alone.
    `stem`: the file's name, when it is not the package's. Notes starting with "Open:" name a doubt
    that was settled in favour of keeping.
    """

    id: str
    spec: PackageSpec
    note: str
    drops: frozenset[str] = frozenset()
    kinds: Mapping[str, int] | None = None
    emptied: frozenset[str] = frozenset()
    edited: frozenset[str] = frozenset()
    promoted: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    refused: bool = False
    payload: bool = False
    stem: str | None = None

    @property
    def clean(self) -> bool:
        """True when `fix` must not write the package."""
        return not (self.drops or self.stale or self.refused)


def paths(prefix: str, *names: str) -> frozenset[str]:
    """The names below `prefix`."""
    return frozenset(prefix + name for name in names)


def conda_forge(python: str, abi: str | None = None) -> tuple[str, ...]:
    """The dependencies that conda-forge's python puts on a package built for this minor version."""
    major, minor = python.split(".")
    tag = abi or f"cp{major}{minor}"
    return (f"python >={python},<{major}.{int(minor) + 1}.0a0", f"python_abi {python}.* *_{tag}")


def for_311(name: str, files: Mapping[str, AnyEntry], **rest: Any) -> PackageSpec:
    """A package that conda-forge built for Python 3.11."""
    return PackageSpec(name, build="py311h1234567_0", depends=conda_forge("3.11"), files=files, **rest)
