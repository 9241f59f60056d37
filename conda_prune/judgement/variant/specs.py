"""Which Pythons a dependency allows. py-rattler parses and matches it, unless it is one of the common pins.

Importing rattler takes as long as everything else that a check of a small package does. So the pins that
conda-forge's and rattler-build's run exports write are a table, and a test compares the table with rattler.
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
"""Characters of the longest spec that is read: each of its clauses is matched against every release of Python."""

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
"""What run exports, `requires-python` and old recipes write for a version, and the minor versions that it allows."""


UNKNOWN = "unknown"
"""The implementation in a Constraint whose evidence names one that is not known here, such as Pyston."""


class Constraint(NamedTuple):
    """What a piece of evidence says about the Python. A field is None if it is left open.

    `versions` are the minor versions allowed; the other fields are those of Python. `implementation` may be UNKNOWN.
    """

    implementation: str | None = None
    versions: Versions = None
    free_threaded: bool | None = None
    release: str | None = None

    def __and__(self, other: Constraint) -> Constraint | None:
        """Return what both say together, or None if they contradict each other.

        An UNKNOWN implementation contradicts nothing, and what it is combined with does not make it known.
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
        pairs = [(self.free_threaded, other.free_threaded), (self.release, other.release)]
        if UNKNOWN not in (self.implementation, other.implementation):
            pairs.append((self.implementation, other.implementation))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)

    @property
    def exact(self) -> Version | None:
        """The only version allowed, or None."""
        return next(iter(self.versions)) if self.versions is not None and len(self.versions) == 1 else None


IMPOSSIBLE = Constraint(versions=frozenset())
"""What a spec says that no Python satisfies."""


def only(version: Version | None, implementation: str | None = None) -> Constraint:
    """Return the constraint to one minor version, or to all if it is None."""
    return Constraint(implementation, None if version is None else frozenset({version}))


def split_spec(spec: str) -> tuple[str, str]:
    """Return a dependency's package name and the rest; the name is empty if it is not a plain spec."""
    match = _NAME.match(spec)
    return (match[1].lower(), match[2].strip()) if match else ("", "")


def constraint_of(name: str, rest: str) -> Constraint | None:
    """Return what a dependency on `name` says about the Python, or None if it says nothing or cannot be parsed.

    `pypy3.9` and `graalpy` name the implementation. `python`, `python_abi` and conda-forge's metapackage `cpython` have
    the version of the language, and the implementation in their build string.
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
    said = build_constraint(build) & Constraint(versions=allowed)
    if said is not None and name == "cpython":
        said &= Constraint("cpython")
    return IMPOSSIBLE if said is None else said


def build_constraint(build: str) -> Constraint:
    """Return what the build string of a python or python_abi package, or a pattern for it, says.

    A word that belongs to no known implementation makes it UNKNOWN (`3.8 *_23_pyston`): such a Python may or may not
    read CPython's bytecode.
    """
    if match := _PYPY_ABI.search(build):
        return only(known_version(match[1], match[2]), "pypy")
    if match := _GRAALPY_ABI.search(build):
        return only(known_version(match[2], match[3]), "graalpy")._replace(release=match[1])
    if match := _CPYTHON_ABI.search(build):
        said = only(known_version(match[1], match[2]), "cpython")
        threads = said.exact is not None and said.exact >= FIRST_FREE_THREADED
        return said._replace(free_threaded="t" in match[3] if threads else None)
    if match := _GRAALPY_BUILD.search(build):
        return Constraint("graalpy", release=match[1])
    for name in ("graalpy", "pypy", "cpython"):
        if name in build:
            return Constraint(name)
    return Constraint(None if all(map(_NEUTRAL.fullmatch, re.split(r"[_*.]", build))) else UNKNOWN)


@lru_cache(maxsize=1024)
def _parsed(rest: str) -> tuple[Versions, str] | None:
    """Return the minor versions that a spec allows and its build; None where rattler cannot parse it."""
    from rattler import MatchSpec, VersionSpec

    try:
        spec = MatchSpec(f"python{rest}" if rest.startswith("[") else f"python {rest}")
        text = spec.version
        if text is None or text == "*":
            return None, spec.build or ""
        matcher = VersionSpec(text)
    except Exception:
        # rattler's parse errors share no base class that it exports; what it cannot read says nothing.
        return None
    for patches in (_RELEASES, _PRE_RELEASES):
        # `<3.12` allows 3.12.0a1, which its author did not mean.
        allowed = frozenset(
            (major, minor) for major, minor in VERSIONS if any(map(matcher.matches, _versions(major, minor, patches)))
        )
        if allowed:
            break
    return allowed, spec.build or ""


@cache
def _versions(major: int, minor: int, patches: tuple[str, ...]) -> list[rattler.Version]:
    """Return rattler's versions of the releases: making them takes ten times as long as matching them."""
    from rattler import Version

    return [Version(f"{major}.{minor}.{patch}") for patch in patches]
