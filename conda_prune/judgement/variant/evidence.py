"""The evidence in a package's metadata: what each piece says about the package's Python.

Strong evidence says what the package runs with: an interpreter's own version, and the dependencies. Weak evidence says
what it was built with: hash_input.json, the recipe, the build string. A package may be built with one Python and
installed next to another.

Parsing a recipe's YAML takes longer than the rest of a check, so it is read only if nothing else names one Python.
Sources: CEP 17 (python_site_packages_path), CEP 20 (noarch python on a platform), CEP 34 (index.json,
hash_input.json), CEP 40 (info/recipe).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import BadMetadata
from .pythons import FIRST_FREE_THREADED, known_version, version_of
from .specs import (
    UNKNOWN,
    Constraint,
    build_constraint,
    constraint_of,
    only,
    split_spec,
)

_NAMES = re.compile(r"python|python_abi|cpython|python-gil|python-freethreading|pypy[\d.]*|graalpy")
_SITE_PACKAGES = re.compile(r"lib/python(\d\.\d{1,2})(t?)/", re.ASCII)
_TOKEN = re.compile(r"(?<![a-z])py([23])(\d{1,2})(?!\d)", re.ASCII)
_GRAALPY_RELEASE = re.compile(r"(\d+)\.(\d)(?!\d)", re.ASCII)
_RENDERED = "info/recipe/rendered_recipe.yaml"
_DEEPEST = 64
_MOST = 100
"""Dependencies on Python that are read: packages have two or three, and parsing one takes up to a few milliseconds."""


class Evidence(NamedTuple):
    """One statement about the package's Python. `text` is for people, `says` is what the statement allows.

    `weak` evidence says which Python built the package. It does not narrow down a range of several Pythons.
    """

    text: str
    says: Constraint
    weak: bool = False


def interpreter_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what an interpreter's own package says about itself; nothing for any other package.

    What built an interpreter is not evidence: PyPy is translated by another Python.
    """
    name, version, build = (str(index.get(key) or "") for key in ("name", "version", "build"))
    if name == "python":
        yield Evidence(f"python {version}", only(version_of(version)))
        yield from _build_evidence(build)
        yield from _site_packages_evidence(index.get("python_site_packages_path"))
    elif name == "graalpy" or re.fullmatch(r"pypy[\d.]*", name):
        release = _GRAALPY_RELEASE.match(version) if name == "graalpy" else None
        says = only(version_of(name[4:]), name.rstrip("0123456789."))
        yield Evidence(f"{name} {version}", says._replace(release="".join(release.groups()) if release else None))
    else:
        return
    yield from dependency_evidence(index, constrained=True)


def dependency_evidence(index: Mapping[str, Any], *, constrained: bool = False) -> list[Evidence]:
    """Return what the dependencies say about the Python, python_abi first.

    `constrained`: python_abi also counts in `constrains`, where interpreters up to 3.12 have it.
    """
    specs = _strings(index.get("depends"))
    if constrained:
        specs += [spec for spec in _strings(index.get("constrains")) if split_spec(spec)[0] == "python_abi"]
    named = [(spec, *split_spec(spec)) for spec in specs]
    named = [(spec, name, rest) for spec, name, rest in named if _NAMES.fullmatch(name)]
    if len(named) > _MOST:
        raise BadMetadata(
            f"info/index.json has {len(named)} dependencies on Python, and more than {_MOST} are not read"
        )
    said = [
        (name, Evidence(" ".join(spec.split()), says))
        for spec, name, rest in named
        if (says := constraint_of(name, rest)) is not None
    ]
    return [evidence for _, evidence in sorted(said, key=lambda pair: pair[0] != "python_abi")]


def names_python(index: Mapping[str, Any]) -> bool:
    """Return whether `depends` or `constrains` names Python, in whatever version."""
    specs = [*_strings(index.get("depends")), *_strings(index.get("constrains"))]
    return any(_NAMES.fullmatch(split_spec(spec)[0]) for spec in specs)


def index_names_python(index: Mapping[str, Any]) -> bool:
    """Return whether info/index.json names Python: in `depends`, `constrains` or the build string."""
    return names_python(index) or any(True for _ in build_string_evidence(index))


def hash_input_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield what `info/hash_input.json` says; a package that pixi built has only this and its dependencies."""
    try:
        variant = json.loads(texts.get("info/hash_input.json", b"{}"))
    except (ValueError, RecursionError):
        return
    values = _listed(_at(variant, "python"))
    # Several values are the whole build matrix, not what this package was built with.
    for value in _strings(values) if len(values) == 1 else ():
        for evidence in _pin_evidence(f"info/hash_input.json: python {value}", value):
            says = evidence.says & _implementation(_at(variant, "python_impl"))
            yield Evidence(evidence.text, says or evidence.says, weak=True)


def build_string_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what the build string's `pyXY` token says, unless there are several or there is no such Python."""
    build = str(index.get("build") or "")
    said = {known_version(*digits) for digits in _TOKEN.findall(build)}
    version = said.pop() if len(said) == 1 else None
    if version is not None:
        yield Evidence(f"build string {build}", only(version), weak=True)


def recipe_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield the Python of rattler-build's host environment, if the recipe itself asks for python there.

    Without a direct requirement, the environment's python is there because some library needs it, and says nothing
    about this package. For the same reason conda-build's recipe is never read: the `requirements/host` of its rendered
    meta.yaml lists the whole solved environment, and the `python` of its conda_build_config.yaml is the feedstock's
    value, used or not (glib 2.74.1 for win-64: built with 3.11, configured with 3.9, and works with any Python).
    """
    host = _at(_yaml(texts, _RENDERED), "finalized_dependencies", "host")
    if any(map(_requires_python, _items(_at(host, "specs")))):
        for record in _items(_at(host, "resolved")):
            if _at(record, "name") == "python":
                pin = f"{_at(record, 'version')} {_at(record, 'build') or ''}".strip()
                yield from _pin_evidence(f"{_RENDERED}: host python {pin}", pin)


def _requires_python(requirement: object) -> bool:
    """Return whether an entry of rattler-build's `host.specs` is the recipe's own requirement on python.

    The recipe's own entries are `source: python >=3.9`, or `variant: python` and `spec: python 3.11.*`; the run exports
    of the build environment are `run_export: ...` with a `spec`, or in older versions `from: ...`.
    """
    if _at(requirement, "run_export") is not None or _at(requirement, "from") is not None:
        return False
    spec = _at(requirement, "spec") or _at(requirement, "source")
    return isinstance(spec, str) and split_spec(spec)[0] == "python"


def recorded_level(texts: Mapping[str, bytes]) -> int | None:
    """Return the compression level that rattler-build wrote into the package, or None (CEP 40)."""
    level = _at(_yaml(texts, _RENDERED), "packaging_settings", "compression_level")
    return int(level) if isinstance(level, str) and re.fullmatch(r"-?\d{1,4}", level, re.ASCII) else None


def _build_evidence(build: str) -> Iterator[Evidence]:
    says = build_constraint(build)
    if says != Constraint():
        yield Evidence(f"build string {build}", says)


def _site_packages_evidence(path: object) -> Iterator[Evidence]:
    match = _SITE_PACKAGES.match(path) if isinstance(path, str) else None
    version = version_of(match[1]) if match else None
    if match and version:
        threading = bool(match[2]) if version >= FIRST_FREE_THREADED else None
        yield Evidence(f"python_site_packages_path {path}", only(version)._replace(free_threaded=threading))


def _implementation(name: object) -> Constraint:
    """Return what conda-forge's variant key `python_impl` says."""
    if not isinstance(name, str):
        return Constraint()
    return Constraint(name if name in ("cpython", "pypy", "graalpy") else UNKNOWN)


def _pin_evidence(text: str, pin: str) -> Iterator[Evidence]:
    """Yield what a pin of a build's Python says, if it allows one minor version: `3.11`, `3.11.9 h1_0_cpython`."""
    version, _, build = " ".join(pin.split()).partition(" ")
    minor = version_of(version)
    says = constraint_of("python", f"{minor[0]}.{minor[1]}.* {build}".strip() if minor else pin)
    if says is not None and says.exact is not None:
        yield Evidence(text, says, weak=True)


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _yaml(texts: Mapping[str, bytes], name: str) -> object:
    """Return a YAML document, every scalar as the text that was written; None for several documents or broken ones.

    Composed from the parser's events: PyYAML's own composer overflows the stack of a document that nests deeply.
    """
    if name not in texts:
        return None
    import yaml

    root: list[Any] = []
    stack: list[list[Any]] = [root]
    try:
        for event in yaml.parse(texts[name], getattr(yaml, "CLoader", yaml.Loader)):
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append([])
            elif isinstance(event, yaml.CollectionEndEvent):
                items = stack.pop()
                mapping = isinstance(event, yaml.MappingEndEvent)
                stack[-1].append(_mapping(items) if mapping else items)
            elif isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                stack[-1].append(getattr(event, "value", None))
            if len(stack) > _DEEPEST:
                return None
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return root[0] if len(root) == 1 else None


def _mapping(items: list[Any]) -> dict[str, Any]:
    return {key: value for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, str)}
