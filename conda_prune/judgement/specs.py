"""Which Pythons a dependency allows, matched by py-rattler's own types; the common pins are known by heart.

Importing rattler takes as long as everything else that a check of a small package does. So the pins that
conda-forge's and rattler-build's run exports write are a table, and a test compares the table with rattler.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from .python import FIRST_FREE_THREADED, VERSIONS

_ABI = re.compile(r"(?:\*|\d+)?_?(?:asan_|tsan_)?cp(\d)(\d{1,2})([a-z]*)")
_PYPY = re.compile(r"(?:\*|\d+)?_?pypy(\d)(\d{1,2})_pp\d+")
_GRAALPY = re.compile(r"(?:\*|\d+)?_?graalpy\d+_(\d)(\d{1,2})_native")
_PATCHES = (
    *(str(patch) for patch in range(41)),
    *(f"0{stage}{n}" for stage in ("a", "b", "rc") for n in range(1, 9)),
)

COMMON_PINS = {
    **{f">={major}.{minor},<{major}.{minor + 1}.0a0": (major, minor) for major, minor in VERSIONS},
    **{f"{major}.{minor}.*": (major, minor) for major, minor in VERSIONS},
}
"""Pins to one minor version, as run exports write them."""


class Constraint(NamedTuple):
    """What a piece of evidence says of the Python; None where it leaves it open.

    `versions` are the minor versions allowed; `implementation` and `free_threaded` as in Python.
    """

    implementation: str | None = None
    versions: frozenset[tuple[int, int]] | None = None
    free_threaded: bool | None = None

    def __and__(self, other: Constraint) -> Constraint | None:
        """Return what both say together, or None where they contradict each other."""
        merged = []
        for mine, theirs in (
            (self.implementation, other.implementation),
            (self.free_threaded, other.free_threaded),
        ):
            if mine is not None and theirs is not None and mine != theirs:
                return None
            merged.append(theirs if mine is None else mine)
        versions = self.versions if other.versions is None else other.versions
        if self.versions is not None and other.versions is not None:
            versions = self.versions & other.versions
        if versions is not None and not versions:
            return None
        return Constraint(merged[0], versions, merged[1])  # type: ignore[arg-type]

    @property
    def exact(self) -> tuple[int, int] | None:
        """The only version allowed, or None."""
        return next(iter(self.versions)) if self.versions is not None and len(self.versions) == 1 else None


def split_spec(spec: str) -> tuple[str, str]:
    """Return a dependency's package name and the rest; the name is empty where it is no plain spec."""
    match = re.match(r"\s*(?:[\w.:/-]+::)?([A-Za-z0-9_][\w.-]*)\s*(.*)", spec, re.DOTALL)
    return (match[1].lower(), match[2].strip()) if match else ("", "")


@cache
def constraint_of(name: str, rest: str) -> Constraint | None:
    """Return what a dependency on `name` says of the Python; None where it says nothing that can be understood."""
    if name == "python_abi":
        return _abi_constraint(rest)
    if re.fullmatch(r"pypy\d\.\d+", name):
        return Constraint("pypy", frozenset({_version(name[4:])}))
    if name != "python":
        return None
    pin, _, build = rest.partition(" ")
    if pin in COMMON_PINS and " " not in build.strip():
        version = frozenset({COMMON_PINS[pin]})
    else:
        parsed = _parsed(rest)
        if parsed is None:
            return None
        versions, build = parsed
        if versions is None:
            return build_constraint(build)
        version = versions
    said = build_constraint(build.strip()) & Constraint(versions=version)
    return said if said is not None else Constraint(versions=frozenset())


def _abi_constraint(rest: str) -> Constraint | None:
    """Return what a dependency on python_abi says: the build names the ABI, also where the version is `*`."""
    parts = rest.split()
    build = parts[1] if len(parts) > 1 else ""
    if "[" in rest or len(parts) > 2:
        parsed = _parsed(rest)
        if parsed is None:
            return None
        build = parsed[1]
    said = build_constraint(build)
    if parts and parts[0] != "*":
        match = re.match(r"[=~]*(\d)\.(\d{1,2})(?![0-9])", parts[0])
        if match:
            both = said & Constraint(versions=frozenset({(int(match[1]), int(match[2]))}))
            return both if both is not None else Constraint(versions=frozenset())
    return said if said != Constraint() else None


def build_constraint(build: str) -> Constraint:
    """Return what the build string, or its pattern, of a python or python_abi package says."""
    if match := _PYPY.search(build):
        return Constraint("pypy", frozenset({(int(match[1]), int(match[2]))}))
    if match := _GRAALPY.search(build):
        return Constraint("graalpy", frozenset({(int(match[1]), int(match[2]))}))
    if match := _ABI.search(build):
        version = int(match[1]), int(match[2])
        threading = "t" in match[3] if version >= FIRST_FREE_THREADED else None
        return Constraint("cpython", frozenset({version}), threading)
    if build.endswith("_pypy"):
        return Constraint("pypy")
    if "graalpy" in build:
        return Constraint("graalpy")
    if build.endswith("_cpython"):
        return Constraint("cpython")
    return Constraint()


@cache
def _parsed(rest: str) -> tuple[frozenset[tuple[int, int]] | None, str] | None:
    """Return the minor versions that a spec allows (None: all) and its build; None where rattler cannot parse it."""
    if rest in ("", "*"):
        return None, ""
    from rattler import MatchSpec, Version, VersionSpec

    try:
        spec = MatchSpec(f"python {rest}" if not rest.startswith("[") else f"python{rest}")
        text = spec.version
        if text is None or text == "*":
            return None, spec.build or ""
        matcher = VersionSpec(text)
    except Exception:
        # rattler's parse errors share no base class that it exports; what it cannot read says nothing.
        return None
    allowed = frozenset(
        (major, minor)
        for major, minor in VERSIONS
        if any(matcher.matches(Version(f"{major}.{minor}.{patch}")) for patch in _PATCHES)
    )
    return allowed, spec.build or ""


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)
