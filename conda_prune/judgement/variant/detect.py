"""Decides which Python a package is for, and so which bytecode belongs in it, by weighing the evidence.

Weaker evidence fills in what stronger evidence leaves open, and never overrules it. What only weak evidence says counts
only inside versioned trees (`Variant.inferred`), since the package may be installed next to another Python. If strong
evidence contradicts itself, nothing is decided. Nor does a range decide: it may allow several Pythons on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import UsageError
from ...model import Fact, Variant
from . import evidence as gather
from .evidence import Evidence
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
"""A range whose upper end lies above this minor version of Python 3 is open: it was written to exclude nothing."""


def detect_variant(index: Mapping[str, Any], texts: Mapping[str, bytes]) -> Variant:
    """Return the variant according to a package's metadata, with the evidence, strongest first.

    `index` is info/index.json, `texts` the other files of info/ by path. A recipe is read only if the index names
    Python and nothing else gives its version. What cannot be read is no evidence, and never an error.
    """
    if evidence := list(gather.interpreter_evidence(index)):
        return _variant(evidence)
    if index.get("noarch") == "python":
        return Variant("any", "any", (), (), ("noarch: python",))
    named = gather.names_python(index)
    evidence = gather.dependency_evidence(index)
    evidence += gather.hash_input_evidence(texts)
    if named and _is_open(evidence):
        evidence += gather.recipe_evidence(texts)
    evidence += gather.build_string_evidence(index)
    return _variant(evidence) if named or evidence else Variant("none", "none")


def _variant(evidence: Sequence[Evidence]) -> Variant:
    """Return the variant according to the evidence."""
    weighed = _weigh(evidence)
    combined, conflict = weighed.combined, weighed.conflict
    because = tuple(piece.text for piece in evidence)
    if weighed.undecided:
        return Variant("contradictory", "contradictory", because=because, conflict=conflict)
    if combined.implementation == UNKNOWN:
        return Variant("unknown", "unknown", because=because, conflict=conflict)
    if combined.exact is None:
        return Variant("unknown", _range_text(combined), because=because, conflict=conflict)
    python = _python(combined, combined.exact)
    inferred = tuple(_inferred(python, weighed.strong))
    return exact_variant(python, because)._replace(inferred=inferred, conflict=conflict)


def _inferred(python: Python, strong: Constraint) -> Iterator[Fact]:
    """Yield the facts about the Python that strong evidence alone does not give."""
    if strong.exact is None:
        yield "version"
    # A dependency on `python 3.9.*` means CPython unless something says otherwise.
    if (strong.implementation or "cpython", strong.release or "") != (python.implementation, python.release):
        yield "implementation"
    if strong.free_threaded != python.free_threaded:
        yield "threading"


def override_variant(text: str) -> Variant:
    """Return the variant for the value of `--python`. Raises UsageError if it names no Python."""
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


class _Weighed(NamedTuple):
    """What all evidence says together (`combined`), what the strong evidence says (`strong`), and the first
    contradiction.

    `undecided`: the strong evidence contradicts itself. Otherwise a weak piece contradicted the others, and was left
    out of `combined`.
    """

    combined: Constraint
    strong: Constraint
    conflict: str = ""
    undecided: bool = False


def _weigh(evidence: Sequence[Evidence]) -> _Weighed:
    """Combine evidence, which is sorted by strength."""
    combined = strong = Constraint()
    conflict = ""
    used: list[Evidence] = []
    for piece in evidence:
        if piece.says.versions == frozenset():
            return _Weighed(combined, strong, f"{piece.text!r} allows no Python", undecided=True)
        says = piece.says
        if piece.weak and says.implementation == UNKNOWN and combined.implementation is not None:
            says = says._replace(implementation=None)
        both = combined & says
        if both is None:
            against = next((other for other in used if other.says & says is None), used[-1])
            contradiction = f"{against.text!r} contradicts {piece.text!r}"
            if not piece.weak:
                return _Weighed(combined, strong, contradiction, undecided=True)
            conflict = conflict or contradiction
        elif not (piece.weak and _is_range(combined)):
            combined = both
            strong = strong if piece.weak else both
            used.append(piece)
    return _Weighed(combined, strong, conflict)


def _is_range(combined: Constraint) -> bool:
    """Return whether several Pythons are allowed and there is an upper bound: the package may be for each of them."""
    return combined.versions is not None and len(combined.versions) > 1 and max(combined.versions) < (3, _NEWEST)


def _is_open(evidence: Sequence[Evidence]) -> bool:
    """Return whether weaker evidence may still say which Python it is."""
    weighed = _weigh(evidence)
    return not weighed.undecided and weighed.combined.exact is None and not _is_range(weighed.combined)


def _python(combined: Constraint, version: Version) -> Python:
    implementation = combined.implementation or "cpython"
    threading = combined.free_threaded if implementation == "cpython" and version >= FIRST_FREE_THREADED else None
    release = combined.release if implementation == "graalpy" else None
    return Python(implementation, *version, threading, release or "")


def _range_text(combined: Constraint) -> str:
    """Return the versions as people write them: `3.10 to 3.12`, `3.9 or later`, `2.7, 3.6 or later`, `unknown`."""
    if combined.versions is None or len(combined.versions) == len(VERSIONS):
        return "unknown"
    runs: list[list[Version]] = []
    for at, version in enumerate(VERSIONS):
        if version in combined.versions:
            if at and VERSIONS[at - 1] in combined.versions and VERSIONS[at - 1][0] == version[0]:
                runs[-1].append(version)
            else:
                runs.append([version])
    return ", ".join(_run_text(run[0], run[-1]) for run in runs)


def _run_text(low: Version, high: Version) -> str:
    first, last = (f"{major}.{minor}" for major, minor in (low, high))
    if high >= (3, _NEWEST):
        return f"{first} or later"
    return first if low == high else f"{first} to {last}"
