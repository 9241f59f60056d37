"""Finds out which Pythons a dependency allows. py-rattler parses and matches it, unless it is a common pin.

Importing rattler takes as long as everything else in a check of a small package. So the pins that the run exports of
conda-forge and rattler-build write are in a table, and a test compares the table with rattler.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .pythons import (
    FIRST_FREE_THREADED,
    VERSIONS,
    Version,
    known_version,
    version_of,
)

if TYPE_CHECKING:
    import rattler

Versions: TypeAlias = "frozenset[Version] | None"
"""The minor versions that are allowed; None for all."""

_NAME = re.compile(r"\s*(?:[\w.:/-]+::)?([A-Za-z0-9_][\w.-]*)\s*(.*)", re.ASCII | re.DOTALL)
_CPYTHON_ABI = re.compile(r"cp(\d)(\d{1,2})(?!\d)([a-z]*)", re.ASCII)
_PYPY_ABI = re.compile(r"pypy(\d)(\d{1,2})_pp\d+", re.ASCII)
_GRAALPY_ABI = re.compile(r"graalpy(\d+)_(\d)(\d{1,2})_native", re.ASCII)
_GRAALPY_BUILD = re.compile(r"native(\d+)_graalpy", re.ASCII)
_NEUTRAL = re.compile(r"\d*|h[0-9a-f]+|[a-z]{1,2}\d+[a-z]?(?:h[0-9a-f]+)?|debug|asan|tsan", re.ASCII)
"""A part of a build string that names no implementation: a number, a hash, `cp311`, `py311h123abc4`, `rc2`, `debug`."""
_LONGEST = 1000
"""Length of the longest spec that is parsed, in characters: each clause is matched against every release of Python."""

_RELEASES = tuple(str(patch) for patch in range(41))
_PRE_RELEASES = tuple(f"0{stage}{n}" for stage in ("a", "b", "rc") for n in range(1, 9))

COMMON_PINS: dict[str, Versions] = {
    "": None,
    "*": None,
    **{f">={major}.{minor},<{major}.{minor + 1}.0a0": frozenset({(major, minor)}) for major, minor in VERSIONS},
    **{f"{major}.{minor}.*": frozenset({(major, minor)}) for major, minor in VERSIONS},
    **{f"{major}.{minor}": frozenset({(major, minor)}) for major, minor in VERSIONS},
    **{
        f">={major}.{minor}": frozenset(version for version in VERSIONS if version >= (major, minor))
        for major, minor in VERSIONS
    },
}
"""What run exports, `requires-python` and old recipes write for a version, and the minor versions that this allows."""


UNKNOWN = "unknown"
"""The implementation in a Constraint if the evidence names one that this module does not know, such as Pyston."""


class Constraint(NamedTuple):
    """The Pythons that a piece of evidence allows. A field is None if every value is allowed.

    `versions` are the minor versions allowed; the other fields are those of Python. `implementation` may be UNKNOWN.
    """

    implementation: str | None = None
    versions: Versions = None
    free_threaded: bool | None = None
    release: str | None = None

    def __and__(self, other: Constraint) -> Constraint | None:
        """Return what both constraints allow, or None if they contradict each other.

        An UNKNOWN implementation contradicts no other, and stays UNKNOWN if combined with another.
        """
        versions = self.versions if other.versions is None else other.versions
        if self.versions is not None and other.versions is not None:
            versions = self.versions & other.versions
        if versions == frozenset() or self._differs(other):
            return None
        implementation = self.implementation if other.implementation is None else other.implementation
        return Constraint(
            UNKNOWN if UNKNOWN in (self.implementation, other.implementation) else implementation,
            versions,
            self.free_threaded if other.free_threaded is None else other.free_threaded,
            self.release if other.release is None else other.release,
        )

    def _differs(self, other: Constraint) -> bool:
        """Return whether a field other than `versions` has different values in the two."""
        pairs = [(self.free_threaded, other.free_threaded), (self.release, other.release)]
        if UNKNOWN not in (self.implementation, other.implementation):
            pairs.append((self.implementation, other.implementation))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)

    @property
    def exact(self) -> Version | None:
        """The only version allowed, or None."""
        return next(iter(self.versions)) if self.versions is not None and len(self.versions) == 1 else None


IMPOSSIBLE = Constraint(versions=frozenset())
"""The constraint of a spec that no Python satisfies."""


def only(version: Version | None, implementation: str | None = None) -> Constraint:
    """Return the constraint to one minor version, or to all if it is None."""
    return Constraint(implementation, None if version is None else frozenset({version}))


def split_spec(spec: str) -> tuple[str, str]:
    """Return a dependency's package name and the rest of the spec. The name is empty if it cannot be found."""
    match = _NAME.match(spec)
    return (match[1].lower(), match[2].strip()) if match else ("", "")


def constraint_of(name: str, rest: str) -> Constraint | None:
    """Return the Pythons that a dependency allows, or None if it is on something else or cannot be parsed.

    `name` and `rest` are the parts of the spec as `split_spec` returns them. The names `pypy3.9` and `graalpy` give the
    implementation. `python`, `python_abi` and conda-forge's metapackage `cpython` have the version of the language, and
    the implementation in the build string.
    """
    if name.startswith("pypy") and (name == "pypy" or version_of(name[4:])):
        return only(version_of(name[4:]), "pypy")
    if name == "graalpy":
        return Constraint("graalpy")
    if name not in ("python", "python_abi", "cpython"):
        return None
    version, _, build = rest.partition(" ")
    if version in COMMON_PINS and re.fullmatch(r"[\w*.]*", build, re.ASCII):
        allowed = COMMON_PINS[version]
    elif len(rest) <= _LONGEST and (parsed := _parsed(rest)) is not None:
        allowed, build = parsed
    else:
        return None
    constraint = build_constraint(build) & Constraint(versions=allowed)
    if constraint is not None and name == "cpython":
        constraint &= Constraint("cpython")
    return IMPOSSIBLE if constraint is None else constraint


def build_constraint(build: str) -> Constraint:
    """Return the Pythons that a build string of python or python_abi, or a pattern for one, allows.

    If a part of it belongs to no known implementation (`3.8 *_23_pyston`), the implementation is UNKNOWN: such a Python
    may or may not import CPython's bytecode.
    """
    if match := _PYPY_ABI.search(build):
        return only(known_version(match[1], match[2]), "pypy")
    if match := _GRAALPY_ABI.search(build):
        return only(known_version(match[2], match[3]), "graalpy")._replace(release=match[1])
    if match := _CPYTHON_ABI.search(build):
        constraint = only(known_version(match[1], match[2]), "cpython")
        has_both_builds = constraint.exact is not None and constraint.exact >= FIRST_FREE_THREADED
        return constraint._replace(free_threaded="t" in match[3] if has_both_builds else None)
    if match := _GRAALPY_BUILD.search(build):
        return Constraint("graalpy", release=match[1])
    for name in ("graalpy", "pypy", "cpython"):
        if name in build:
            return Constraint(name)
    return Constraint(None if all(map(_NEUTRAL.fullmatch, re.split(r"[_*.]", build))) else UNKNOWN)


@lru_cache(maxsize=1024)
def _parsed(rest: str) -> tuple[Versions, str] | None:
    """Return the minor versions that a spec allows, and its build string. Returns None if rattler cannot parse it."""
    from rattler import MatchSpec, VersionSpec

    try:
        spec = MatchSpec(f"python{rest}" if rest.startswith("[") else f"python {rest}")
        text = spec.version
        if text is None or text == "*":
            return None, spec.build or ""
        matcher = VersionSpec(text)
    except Exception:
        # rattler exports no common base class of its parse errors. A spec that cannot be parsed is not evidence.
        return None
    for patches in (_RELEASES, _PRE_RELEASES):
        # Releases first: `<3.12` also allows 3.12.0a1, but that is not what its author meant.
        allowed = frozenset(
            (major, minor) for major, minor in VERSIONS if any(map(matcher.matches, _versions(major, minor, patches)))
        )
        if allowed:
            break
    return allowed, spec.build or ""


@cache
def _versions(major: int, minor: int, patches: tuple[str, ...]) -> list[rattler.Version]:
    """Return the releases as rattler's versions. Making one takes ten times as long as matching it."""
    from rattler import Version

    return [Version(f"{major}.{minor}.{patch}") for patch in patches]
