"""What a package's metadata says of its Python: every piece of evidence, strongest first, each with what it allows.

Reading a recipe is worth its time only where nothing stronger names one Python: `recipe_evidence` stands apart for
that. Sources: CEP 17 (python_site_packages_path), CEP 20 (noarch python on a platform), CEP 34 (index.json,
hash_input.json), CEP 40 (info/recipe).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .python import FIRST_FREE_THREADED, known_version, version_of
from .specs import Constraint, build_constraint, constraint_of, only, split_spec

_NAMES = re.compile(r"python|python_abi|cpython|python-gil|python-freethreading|pypy[\d.]*|graalpy")
_SITE_PACKAGES = re.compile(r"lib/python(\d\.\d{1,2})(t?)/", re.ASCII)
_TOKEN = re.compile(r"(?<![a-z])py([23])(\d{1,2})(?!\d)", re.ASCII)
_RENDERED = "info/recipe/rendered_recipe.yaml"
_USED_VARIANT = "info/recipe/conda_build_config.yaml"
_META = "info/recipe/meta.yaml"
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place that speaks of the package's Python: `text` shows it to people, `says` is what it allows.

    `weak` evidence tells with which Python the package was built. It does not narrow a range of several Pythons.
    """

    text: str
    says: Constraint
    weak: bool = False


def interpreter_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what an interpreter's own package says of itself; nothing for any other package.

    What built an interpreter is no evidence: PyPy's is translated by another Python.
    """
    name, version, build = (str(index.get(key) or "") for key in ("name", "version", "build"))
    if name == "python":
        yield Evidence(f"python {version}", only(version_of(version)))
        yield from _build_evidence(build)
        yield from _site_packages_evidence(index.get("python_site_packages_path"))
    elif name == "graalpy" or re.fullmatch(r"pypy[\d.]*", name):
        yield Evidence(f"{name} {version}", only(version_of(name[4:]), name.rstrip("0123456789.")))
    else:
        return
    yield from dependency_evidence(index, constrained=True)


def dependency_evidence(index: Mapping[str, Any], *, constrained: bool = False) -> list[Evidence]:
    """Return what the dependencies say of the Python, python_abi before the others.

    `constrained`: python_abi counts in `constrains`, too, where interpreters until 3.12 have it.
    """
    specs = _strings(index.get("depends"))
    if constrained:
        specs += [spec for spec in _strings(index.get("constrains")) if split_spec(spec)[0] == "python_abi"]
    said = [
        (name, Evidence(" ".join(spec.split()), says))
        for spec in specs
        for name, rest in [split_spec(spec)]
        if (says := constraint_of(name, rest)) is not None
    ]
    return [evidence for _, evidence in sorted(said, key=lambda pair: pair[0] != "python_abi")]


def names_python(index: Mapping[str, Any]) -> bool:
    """Return whether the metadata names Python at all, however vaguely."""
    specs = [*_strings(index.get("depends")), *_strings(index.get("constrains"))]
    return any(_NAMES.fullmatch(split_spec(spec)[0]) for spec in specs)


def hash_input_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield what `info/hash_input.json` says: for packages that pixi built, all there is beside the dependencies."""
    try:
        variant = json.loads(texts.get("info/hash_input.json", b"{}"))
    except (ValueError, RecursionError):
        return
    yield from _variant_evidence("info/hash_input.json", variant)


def build_string_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what the build string's `pyXY` token says, unless it has several or the number is no Python's."""
    build = str(index.get("build") or "")
    said = {known_version(*digits) for digits in _TOKEN.findall(build)}
    version = said.pop() if len(said) == 1 else None
    if version is not None:
        yield Evidence(f"build string {build}", only(version), weak=True)


def recipe_evidence(texts: Mapping[str, bytes], named: bool) -> Iterator[Evidence]:
    """Yield what the recipe in the package says: rattler-build's resolved host, conda-build's variant and host.

    `named`: the metadata names Python. Where neither it nor the recipe's host does, conda-build's variant is no
    evidence: it holds the `python` of the whole build, in zlib's package as well.
    """
    rendered = _yaml(texts, _RENDERED)
    for record in _items(_at(rendered, "finalized_dependencies", "host", "resolved")):
        if _at(record, "name") == "python":
            pin = f"{_at(record, 'version')} {_at(record, 'build') or ''}".strip()
            yield from _pin_evidence(f"{_RENDERED}: host python {pin}", pin)
    yield from _variant_evidence(_RENDERED, _at(rendered, "build_configuration", "variant"))
    for spec in _strings(_at(_yaml(texts, _META), "requirements", "host")):
        name, pin = split_spec(spec)
        if name == "python":
            named = True
            yield from _pin_evidence(f"{_META}: host {spec}", pin)
    if named:
        yield from _variant_evidence(_USED_VARIANT, _yaml(texts, _USED_VARIANT))


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


def _variant_evidence(where: str, variant: object) -> Iterator[Evidence]:
    """Yield what a build variant's `python` says, with its `python_impl` where it has one; several say nothing."""
    values = _listed(_at(variant, "python"))
    for value in _strings(values) if len(values) == 1 else ():
        implementation = _at(variant, "python_impl")
        for evidence in _pin_evidence(f"{where}: python {value}", value):
            known = implementation if implementation in ("cpython", "pypy", "graalpy") else None
            says = evidence.says & Constraint(known if isinstance(known, str) else None)
            yield Evidence(evidence.text, says or evidence.says, weak=True)


def _pin_evidence(text: str, pin: str) -> Iterator[Evidence]:
    """Yield what a pin of a build's Python says, where it names one minor version: `3.11`, `3.11.9 h1_0_cpython`."""
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
    """Return a YAML document with every scalar as its text, as written; None where it cannot be read, or is several.

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
