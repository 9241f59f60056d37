"""Collects the evidence in a package's metadata: statements about the Python that the package is for.

Strong evidence names the Python that the package runs with: an interpreter's own version, and the dependencies. Weak
evidence names the Python that it was built with: hash_input.json, the recipe, the build string. A package may be built
with one Python and installed next to another.

A recipe is read only if nothing else names one Python, since parsing its YAML takes longer than the rest of a check.
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
"""How deep a recipe's lists and mappings may be nested."""
_MOST = 100
"""How many dependencies on Python are read. Packages have two or three; parsing one takes up to a few milliseconds."""


class Evidence(NamedTuple):
    """One statement about the package's Python.

    `text` is the statement as it is shown, `constraint` is what it allows. `weak` evidence names the Python that built
    the package. It does not narrow down a range of several Pythons.
    """

    text: str
    constraint: Constraint
    weak: bool = False


def interpreter_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield the evidence in an interpreter's own package; nothing for any other package.

    The Python that an interpreter was built with is not evidence: PyPy is translated by another Python.
    """
    name, version, build = (str(index.get(key) or "") for key in ("name", "version", "build"))
    if name == "python":
        yield Evidence(f"python {version}", only(version_of(version)))
        yield from _build_evidence(build)
        yield from _site_packages_evidence(index.get("python_site_packages_path"))
    elif name == "graalpy" or re.fullmatch(r"pypy[\d.]*", name):
        release = _GRAALPY_RELEASE.match(version) if name == "graalpy" else None
        constraint = only(version_of(name[4:]), name.rstrip("0123456789."))
        constraint = constraint._replace(release="".join(release.groups()) if release else None)
        yield Evidence(f"{name} {version}", constraint)
    else:
        return
    yield from dependency_evidence(index, constrained=True)


def dependency_evidence(index: Mapping[str, Any], *, constrained: bool = False) -> list[Evidence]:
    """Return the evidence in the dependencies, python_abi first.

    `constrained`: python_abi in `constrains` also counts; interpreters up to 3.12 have it there. Raises BadMetadata if
    there are more than _MOST dependencies on Python.
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
    evidence = [
        (name, Evidence(" ".join(spec.split()), constraint))
        for spec, name, rest in named
        if (constraint := constraint_of(name, rest)) is not None
    ]
    return [piece for _, piece in sorted(evidence, key=lambda pair: pair[0] != "python_abi")]


def names_python(index: Mapping[str, Any]) -> bool:
    """Return whether `depends` or `constrains` names Python, in any version."""
    specs = [*_strings(index.get("depends")), *_strings(index.get("constrains"))]
    return any(_NAMES.fullmatch(split_spec(spec)[0]) for spec in specs)


def index_names_python(index: Mapping[str, Any]) -> bool:
    """Return whether info/index.json names Python: in `depends`, `constrains` or the build string."""
    return names_python(index) or any(True for _ in build_string_evidence(index))


def hash_input_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield the evidence in `info/hash_input.json`. Packages built by pixi have only this and their dependencies."""
    try:
        variant = json.loads(texts.get("info/hash_input.json", b"{}"))
    except (ValueError, RecursionError):
        return
    values = _as_list(_value_at(variant, "python"))
    # Several values are the whole build matrix, not the Python that this package was built with.
    for value in _strings(values) if len(values) == 1 else ():
        for evidence in _pin_evidence(f"info/hash_input.json: python {value}", value):
            constraint = evidence.constraint & _implementation(_value_at(variant, "python_impl"))
            yield Evidence(evidence.text, constraint or evidence.constraint, weak=True)


def build_string_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield the evidence in the build string: `pyXY`, unless there are different ones or there is no such Python."""
    build = str(index.get("build") or "")
    versions = {known_version(*digits) for digits in _TOKEN.findall(build)}
    version = versions.pop() if len(versions) == 1 else None
    if version is not None:
        yield Evidence(f"build string {build}", only(version), weak=True)


def recipe_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield the Python of rattler-build's host environment, if the recipe itself requires python there.

    Without such a requirement, the environment contains python only because a library needs it, which says nothing
    about this package. That is also why conda-build's recipe is never read. In its rendered meta.yaml,
    `requirements/host` lists the whole solved environment. In its conda_build_config.yaml, `python` is the feedstock's
    value, whether it was used or not. For example, glib 2.74.1 for win-64 was built with 3.11 and configured with 3.9,
    and works with any Python.
    """
    host = _value_at(_yaml(texts, _RENDERED), "finalized_dependencies", "host")
    if any(map(_requires_python, _items(_value_at(host, "specs")))):
        for record in _items(_value_at(host, "resolved")):
            if _value_at(record, "name") == "python":
                pin = f"{_value_at(record, 'version')} {_value_at(record, 'build') or ''}".strip()
                yield from _pin_evidence(f"{_RENDERED}: host python {pin}", pin)


def _requires_python(requirement: object) -> bool:
    """Return whether an entry of rattler-build's `host.specs` is the recipe's own requirement on python.

    The recipe's own entries have `source: python >=3.9`, or `variant: python` and `spec: python 3.11.*`. Run exports of
    the build environment have `run_export` and a `spec`, or `from` in older versions.
    """
    if _value_at(requirement, "run_export") is not None or _value_at(requirement, "from") is not None:
        return False
    spec = _value_at(requirement, "spec") or _value_at(requirement, "source")
    return isinstance(spec, str) and split_spec(spec)[0] == "python"


def recorded_level(texts: Mapping[str, bytes]) -> int | None:
    """Return the compression level that rattler-build recorded in the package, or None if there is none (CEP 40)."""
    level = _value_at(_yaml(texts, _RENDERED), "packaging_settings", "compression_level")
    return int(level) if isinstance(level, str) and re.fullmatch(r"-?\d{1,4}", level, re.ASCII) else None


def _build_evidence(build: str) -> Iterator[Evidence]:
    """Yield the evidence in an interpreter's own build string."""
    constraint = build_constraint(build)
    if constraint != Constraint():
        yield Evidence(f"build string {build}", constraint)


def _site_packages_evidence(path: object) -> Iterator[Evidence]:
    """Yield the evidence in `python_site_packages_path` of an interpreter's index (CEP 17)."""
    match = _SITE_PACKAGES.match(path) if isinstance(path, str) else None
    version = version_of(match[1]) if match else None
    if match and version:
        threading = bool(match[2]) if version >= FIRST_FREE_THREADED else None
        yield Evidence(f"python_site_packages_path {path}", only(version)._replace(free_threaded=threading))


def _implementation(name: object) -> Constraint:
    """Return the constraint in conda-forge's variant key `python_impl`."""
    if not isinstance(name, str):
        return Constraint()
    return Constraint(name if name in ("cpython", "pypy", "graalpy") else UNKNOWN)


def _pin_evidence(text: str, pin: str) -> Iterator[Evidence]:
    """Yield weak evidence if a pin allows one minor version only: `3.11`, `3.11.9 h1_0_cpython`."""
    version, _, build = " ".join(pin.split()).partition(" ")
    minor = version_of(version)
    constraint = constraint_of("python", f"{minor[0]}.{minor[1]}.* {build}".strip() if minor else pin)
    if constraint is not None and constraint.exact is not None:
        yield Evidence(text, constraint, weak=True)


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _value_at(value: object, *keys: str) -> object:
    """Return the value that a sequence of keys leads to in nested mappings, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _yaml(texts: Mapping[str, bytes], name: str) -> object:
    """Return a YAML document with every scalar as a string, as it was written. Versions such as 3.10 stay as they are.

    Returns None if the text is not one valid document. The value is built from the parser's events, since PyYAML's own
    composer recurses, and a deeply nested document would overflow the stack.
    """
    if name not in texts:
        return None
    import yaml

    root: list[Any] = []
    stack: list[list[Any]] = [root]  # The open lists and mappings, mappings as lists of keys and values in turn.
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
