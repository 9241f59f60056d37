"""Which bytecode a package may carry: the evidence, weighed.

Weaker evidence may fill in what stronger evidence leaves open, never overrule it. Two pieces that contradict each
other decide nothing; neither does a range, which may mean several Pythons on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..model import Variant
from . import evidence as found
from .evidence import Evidence
from .python import FIRST_FREE_THREADED, VERSIONS, Python, Version, parse_python, tags_of, trees_of
from .specs import Constraint

_NEWEST = 20
"""A range whose upper end lies above this minor version of Python 3 is open: it was written to exclude nothing."""


def detect_variant(index: Mapping[str, Any], texts: Mapping[str, bytes]) -> Variant:
    """Return the variant that a package's metadata says, with the evidence, strongest first."""
    if evidence := list(found.interpreter_evidence(index)):
        return _weighed(evidence)
    if index.get("noarch") == "python":
        return Variant("any", "any", (), (), ("noarch: python",))
    evidence = found.dependency_evidence(index)
    named = bool(evidence) or found.names_python(index)
    evidence += found.hash_input_evidence(texts)
    if _is_open(evidence):
        evidence += found.recipe_evidence(texts, named)
    evidence += found.build_string_evidence(index)
    return _weighed(evidence) if named or evidence else Variant("none", "none")


def _weighed(evidence: Sequence[Evidence]) -> Variant:
    """Return the variant that the evidence says together."""
    merged, conflict = _merge(evidence)
    because = tuple(piece.text for piece in evidence)
    if conflict:
        return Variant("contradictory", "contradictory", because=because, conflict=conflict)
    if merged.exact is not None:
        return exact_variant(_python(merged, merged.exact), because)
    return Variant("unknown", _range_text(merged), because=because)


def override_variant(text: str) -> Variant:
    """Return the variant for what a user wrote after `--python`; raise UsageError where it names no Python."""
    because = (f"--python {text}",)
    if text == "none":
        return Variant("none", "none", because=because)
    if text == "any":
        return Variant("any", "any", (), (), because)
    python = parse_python(text)
    if python is None:
        raise UsageError(f"--python {text}: no such Python", "write 3.11, 3.13t, pypy3.9, graalpy3.10, any or none")
    return exact_variant(python, because)


def exact_variant(python: Python, because: tuple[str, ...]) -> Variant:
    """Return the variant of a package for one Python."""
    return Variant("exact", str(python), tags_of(python), trees_of(python), because)


def _merge(evidence: Sequence[Evidence]) -> tuple[Constraint, str]:
    """Return what all evidence says together, and where it contradicts itself, how."""
    merged = Constraint()
    used: list[Evidence] = []
    for piece in evidence:
        if piece.says.versions == frozenset():
            return merged, f"{piece.text!r} allows no Python"
        both = merged & piece.says
        if both is None:
            against = next((other for other in used if other.says & piece.says is None), used[-1])
            return merged, f"{against.text!r} contradicts {piece.text!r}"
        if piece.weak and _is_range(merged):
            continue
        merged = both
        used.append(piece)
    return merged, ""


def _is_range(said: Constraint) -> bool:
    """Return whether several Pythons are allowed and an end was set: the package may be for each of them."""
    return said.versions is not None and len(said.versions) > 1 and max(said.versions) < (3, _NEWEST)


def _is_open(evidence: Sequence[Evidence]) -> bool:
    """Return whether lesser evidence may still say which Python it is."""
    said, conflict = _merge(evidence)
    return not conflict and said.exact is None and not _is_range(said)


def _python(said: Constraint, version: Version) -> Python:
    implementation = said.implementation or "cpython"
    threading = said.free_threaded if implementation == "cpython" and version >= FIRST_FREE_THREADED else None
    return Python(implementation, *version, threading)


def _range_text(said: Constraint) -> str:
    """Return the versions in words: `3.10 to 3.12`, `3.9 or later`, `2.7, 3.6 or later`, `unknown`."""
    if said.versions is None or len(said.versions) == len(VERSIONS):
        return "unknown"
    runs: list[list[Version]] = []
    for at, version in enumerate(VERSIONS):
        if version in said.versions:
            if at and VERSIONS[at - 1] in said.versions and VERSIONS[at - 1][0] == version[0]:
                runs[-1].append(version)
            else:
                runs.append([version])
    return ", ".join(_run_text(run[0], run[-1]) for run in runs)


def _run_text(low: Version, high: Version) -> str:
    first, last = (f"{major}.{minor}" for major, minor in (low, high))
    if high >= (3, _NEWEST):
        return f"{first} or later"
    return first if low == high else f"{first} to {last}"
