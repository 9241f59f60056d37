"""Which Python a package is for, and so which bytecode belongs in it: the evidence, weighed.

Weaker evidence fills in what stronger evidence leaves open and never overrules it. What only weak evidence says counts
inside versioned trees only (`Variant.inferred`): the package may also be installed next to another Python. If strong
evidence contradicts itself, nothing is decided. A range decides nothing either: it may mean several Pythons on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import UsageError
from ...model import Fact, Variant
from . import evidence as found
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
    """Return the variant that a package's metadata gives, with the evidence, strongest first.

    `index` is info/index.json, `texts` the other files of info/ by path. Recipes are read only if the index names
    Python and nothing else gives its version. Never fails: what cannot be read says nothing.
    """
    if evidence := list(found.interpreter_evidence(index)):
        return _variant(evidence)
    if index.get("noarch") == "python":
        return Variant("any", "any", (), (), ("noarch: python",))
    named = found.names_python(index)
    evidence = found.dependency_evidence(index)
    evidence += found.hash_input_evidence(texts)
    if named and _is_open(evidence):
        evidence += found.recipe_evidence(texts)
    evidence += found.build_string_evidence(index)
    return _variant(evidence) if named or evidence else Variant("none", "none")


def _variant(evidence: Sequence[Evidence]) -> Variant:
    """Return the variant that the evidence gives."""
    weighed = _weigh(evidence)
    said, conflict = weighed.said, weighed.conflict
    because = tuple(piece.text for piece in evidence)
    if weighed.undecided:
        return Variant("contradictory", "contradictory", because=because, conflict=conflict)
    if said.implementation == UNKNOWN:
        return Variant("unknown", "unknown", because=because, conflict=conflict)
    if said.exact is None:
        return Variant("unknown", _range_text(said), because=because, conflict=conflict)
    python = _python(said, said.exact)
    inferred = tuple(_inferred(python, weighed.strong))
    return exact_variant(python, because)._replace(inferred=inferred, conflict=conflict)


def _inferred(python: Python, strong: Constraint) -> Iterator[Fact]:
    """Yield what strong evidence alone does not say about the Python."""
    if strong.exact is None:
        yield "version"
    # A dependency on `python 3.9.*` means CPython unless something says otherwise.
    if (strong.implementation or "cpython", strong.release or "") != (python.implementation, python.release):
        yield "implementation"
    if strong.free_threaded != python.free_threaded:
        yield "threading"


def override_variant(text: str) -> Variant:
    """Return the variant for what a user wrote after `--python`; raise UsageError if it names no Python."""
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
    """What evidence says together (`said`), what its strong part says (`strong`), and the first contradiction.

    `undecided`: the strong part contradicts itself. Otherwise the contradiction is that of a weak piece, which was left
    out of `said`.
    """

    said: Constraint
    strong: Constraint
    conflict: str = ""
    undecided: bool = False


def _weigh(evidence: Sequence[Evidence]) -> _Weighed:
    """Combine evidence, which is sorted by strength."""
    said = strong = Constraint()
    conflict = ""
    used: list[Evidence] = []
    for piece in evidence:
        if piece.says.versions == frozenset():
            return _Weighed(said, strong, f"{piece.text!r} allows no Python", undecided=True)
        says = piece.says
        if piece.weak and says.implementation == UNKNOWN and said.implementation is not None:
            says = says._replace(implementation=None)
        both = said & says
        if both is None:
            against = next((other for other in used if other.says & says is None), used[-1])
            contradiction = f"{against.text!r} contradicts {piece.text!r}"
            if not piece.weak:
                return _Weighed(said, strong, contradiction, undecided=True)
            conflict = conflict or contradiction
        elif not (piece.weak and _is_range(said)):
            said = both
            strong = strong if piece.weak else both
            used.append(piece)
    return _Weighed(said, strong, conflict)


def _is_range(said: Constraint) -> bool:
    """Return whether several Pythons are allowed and there is an upper bound: the package may be for each of them."""
    return said.versions is not None and len(said.versions) > 1 and max(said.versions) < (3, _NEWEST)


def _is_open(evidence: Sequence[Evidence]) -> bool:
    """Return whether weaker evidence may still say which Python it is."""
    weighed = _weigh(evidence)
    return not weighed.undecided and weighed.said.exact is None and not _is_range(weighed.said)


def _python(said: Constraint, version: Version) -> Python:
    implementation = said.implementation or "cpython"
    threading = said.free_threaded if implementation == "cpython" and version >= FIRST_FREE_THREADED else None
    release = said.release if implementation == "graalpy" else None
    return Python(implementation, *version, threading, release or "")


def _range_text(said: Constraint) -> str:
    """Return the versions as people write them: `3.10 to 3.12`, `3.9 or later`, `2.7, 3.6 or later`, `unknown`."""
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
