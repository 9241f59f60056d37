"""Decides which Python a package is for, and thereby which bytecode belongs in it, by weighing the evidence.

Weaker evidence fills in what stronger evidence leaves open, but never overrules it. Facts that only weak evidence gives
count only inside versioned trees (`Variant.inferred`), since the package may be installed next to another Python. If
strong evidence contradicts itself, or allows a range of Pythons, the Python is not decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import UsageError
from ...model import Fact, Variant
from .evidence import (
    Evidence,
    build_string_evidence,
    dependency_evidence,
    hash_input_evidence,
    interpreter_evidence,
    names_python,
    recipe_evidence,
)
from .pythons import (
    FIRST_FREE_THREADED,
    VERSIONS,
    Python,
    Version,
    parse_python,
    tags_of,
    trees_of,
)
from .specs import UNKNOWN, Constraint

_NEWEST = 20
"""A range that allows this minor version of Python 3 counts as having no upper bound."""


def detect_variant(index: Mapping[str, Any], texts: Mapping[str, bytes]) -> Variant:
    """Return the variant according to a package's metadata, with the evidence, strongest first.

    `index` is info/index.json, `texts` are the other files below `info/`, by path. The recipe is read only if the index
    names Python and stronger evidence does not give its version. Files that cannot be parsed are not evidence. Raises
    BadMetadata if the index has too many dependencies on Python.
    """
    if evidence := list(interpreter_evidence(index)):
        return _variant(evidence)
    if index.get("noarch") == "python":
        return Variant("any", "any", (), (), ("noarch: python",))
    is_named = names_python(index)
    evidence = dependency_evidence(index)
    evidence += hash_input_evidence(texts)
    if is_named and _is_open(evidence):
        evidence += recipe_evidence(texts)
    evidence += build_string_evidence(index)
    return _variant(evidence) if is_named or evidence else Variant("none", "none")


def _variant(evidence: Sequence[Evidence]) -> Variant:
    """Return the variant according to the evidence."""
    weighed = _weigh(evidence)
    combined, conflict = weighed.combined, weighed.conflict
    shown = tuple(piece.text for piece in evidence)
    if weighed.is_contradictory:
        return Variant("contradictory", "contradictory", because=shown, conflict=conflict)
    if combined.implementation == UNKNOWN:
        return Variant("unknown", "unknown", because=shown, conflict=conflict)
    if combined.exact is None:
        return Variant("unknown", _range_text(combined), because=shown, conflict=conflict)
    python = _python(combined, combined.exact)
    inferred = tuple(_inferred(python, weighed.strong))
    return exact_variant(python, shown)._replace(inferred=inferred, conflict=conflict)


def _inferred(python: Python, strong: Constraint) -> Iterator[Fact]:
    """Yield the facts about the Python that strong evidence alone does not give. `strong` is what it does give."""
    if strong.exact is None:
        yield "version"
    # A dependency on `python 3.9.*` means CPython unless other evidence names another implementation.
    if (strong.implementation or "cpython", strong.release or "") != (python.implementation, python.release):
        yield "implementation"
    if strong.free_threaded != python.free_threaded:
        yield "threading"


def override_variant(text: str) -> Variant:
    """Return the variant for the value of `--python`. Raises UsageError if it names no Python."""
    evidence = (f"--python {text}",)
    if text == "none":
        return Variant("none", "none", because=evidence)
    if text == "any":
        return Variant("any", "any", (), (), evidence)
    python = parse_python(text)
    if python is None:
        raise UsageError(f"--python {text}: no such Python", "write 3.11, 3.13t, pypy3.9, graalpy3.10, any or none")
    return exact_variant(python, evidence)


def exact_variant(python: Python, evidence: tuple[str, ...]) -> Variant:
    """Return the variant of a package for one Python."""
    return Variant("exact", str(python), tags_of(python), trees_of(python), evidence)


class _Weighed(NamedTuple):
    """What all evidence allows together (`combined`), and what the strong evidence alone allows (`strong`).

    `conflict` describes the first contradiction. `is_contradictory`: the strong evidence contradicts itself.
    Otherwise, a weak piece contradicted stronger ones and was left out of `combined`.
    """

    combined: Constraint
    strong: Constraint
    conflict: str = ""
    is_contradictory: bool = False


def _weigh(evidence: Sequence[Evidence]) -> _Weighed:
    """Combine evidence that is sorted from the strongest to the weakest."""
    combined = strong = Constraint()
    conflict = ""
    used: list[Evidence] = []
    for piece in evidence:
        constraint = piece.constraint
        if constraint.versions == frozenset():
            return _Weighed(combined, strong, f"{piece.text!r} allows no Python", is_contradictory=True)
        if piece.weak and constraint.implementation == UNKNOWN and combined.implementation is not None:
            constraint = constraint._replace(implementation=None)
        both = combined & constraint
        if both is None:
            opposed = next((other for other in used if other.constraint & constraint is None), used[-1])
            contradiction = f"{opposed.text!r} contradicts {piece.text!r}"
            if not piece.weak:
                return _Weighed(combined, strong, contradiction, is_contradictory=True)
            conflict = conflict or contradiction
        elif not (piece.weak and _is_range(combined)):
            combined = both
            strong = strong if piece.weak else both
            used.append(piece)
    return _Weighed(combined, strong, conflict)


def _is_range(combined: Constraint) -> bool:
    """Return whether several Pythons are allowed and there is an upper bound: the package may be for all of these."""
    return combined.versions is not None and len(combined.versions) > 1 and max(combined.versions) < (3, _NEWEST)


def _is_open(evidence: Sequence[Evidence]) -> bool:
    """Return whether weaker evidence could still decide which Python it is."""
    weighed = _weigh(evidence)
    return not weighed.is_contradictory and weighed.combined.exact is None and not _is_range(weighed.combined)


def _python(combined: Constraint, version: Version) -> Python:
    """Return the Python of this version that the evidence allows; CPython if no implementation is named."""
    implementation = combined.implementation or "cpython"
    threading = combined.free_threaded if implementation == "cpython" and version >= FIRST_FREE_THREADED else None
    release = combined.release if implementation == "graalpy" else None
    return Python(implementation, *version, threading, release or "")


def _range_text(combined: Constraint) -> str:
    """Return a description of the versions: `3.10 to 3.12`, `3.9 or later`, `2.7, 3.6 or later`, `unknown`."""
    if combined.versions is None or len(combined.versions) == len(VERSIONS):
        return "unknown"
    runs: list[list[Version]] = []
    for index, version in enumerate(VERSIONS):
        if version in combined.versions:
            before = VERSIONS[index - 1] if index else None
            if before is not None and before in combined.versions and before[0] == version[0]:
                runs[-1].append(version)
            else:
                runs.append([version])
    return ", ".join(_run_text(run[0], run[-1]) for run in runs)


def _run_text(low: Version, high: Version) -> str:
    first, last = (f"{major}.{minor}" for major, minor in (low, high))
    if high >= (3, _NEWEST):
        return f"{first} or later"
    return first if low == high else f"{first} to {last}"
