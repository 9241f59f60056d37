"""What a package's metadata says of its Python: every piece of evidence, strongest first, each with what it allows.

Reading a recipe is worth its time only where nothing stronger names one Python: `recipe_evidence` stands apart for
that. Sources: CEP 17 (python_site_packages_path), CEP 20 (noarch python on a platform), CEP 34 (index.json,
hash_input.json).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .python import VERSIONS
from .specs import Constraint, build_constraint, constraint_of, split_spec

_INTERPRETER = re.compile(r"(python)|(pypy)(\d\.\d+)?|(graalpy)")
_TOKEN = re.compile(r"(?<![a-z])py([23])(\d{1,2})(?![0-9])")
_PREFIXES = {"pypy": "pypy", "graalpy": "graalpy"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place that speaks of the package's Python: `text` shows it to people, `says` is what it allows.

    `weak` evidence tells with which Python the package was built. It does not narrow a range of several Pythons.
    """

    text: str
    says: Constraint
    weak: bool = False


def own_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what an interpreter's own package says of itself."""
    name, version, build = (str(index.get(key) or "") for key in ("name", "version", "build"))
    match = _INTERPRETER.fullmatch(name)
    if not match:
        return
    says = build_constraint(build)
    if match[3]:
        language = _minor(match[3])
        says = Constraint("pypy", frozenset({language}) if language else None)
    elif name == "python" and (minor := _minor(version)):
        # Until 3.12 the build says only `_cpython`; free threading came later and says `_cp313t`.
        says = Constraint(says.implementation or "cpython", frozenset({minor}), says.free_threaded)
    elif match[2] or match[4]:
        says = Constraint(_PREFIXES[name], says.versions)
    yield Evidence(f"{name} {version} {build}".strip(), says)
    site_packages = index.get("python_site_packages_path")
    if name == "python" and isinstance(site_packages, str):
        if tree := re.search(r"python(\d\.\d+)(t?)/", site_packages):
            version_said = _minor(tree[1])
            threading = bool(tree[2]) if version_said and version_said >= (3, 13) else None
            said = Constraint(None, frozenset({version_said}) if version_said else None, threading)
            yield Evidence(f"python_site_packages_path {site_packages}", said)


def dependency_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what the dependencies say, python_abi before the others."""
    specs = _strings(index.get("depends"))
    for wanted in ("python_abi", ""):
        for spec in specs:
            name, rest = split_spec(spec)
            if (name == "python_abi") is (wanted == "python_abi") and (says := constraint_of(name, rest)) is not None:
                yield Evidence(" ".join(spec.split()), says)


def names_python(index: Mapping[str, Any]) -> bool:
    """Return whether the metadata names Python at all, however vaguely."""
    specs = [*_strings(index.get("depends")), *_strings(index.get("constrains"))]
    names = {split_spec(spec)[0] for spec in specs}
    return any(name in ("python", "python_abi", "cpython") or name.startswith(("pypy", "graalpy")) for name in names)


def hash_input_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield what `info/hash_input.json` says: for packages that pixi built, all there is beside the dependencies."""
    try:
        variant = json.loads(texts.get("info/hash_input.json", b"{}"))
    except (ValueError, RecursionError):
        return
    if isinstance(variant, dict):
        yield from _variant_evidence("info/hash_input.json", variant)


def build_string_evidence(index: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield what the build string's `pyXY` token says, unless it has several or the number is no Python's."""
    build = str(index.get("build") or "")
    said = {(int(major), int(minor)) for major, minor in _TOKEN.findall(build)}
    if len(said) == 1 and said <= set(VERSIONS):
        yield Evidence(f"build string {build}", Constraint(versions=frozenset(said)), weak=True)


def recipe_evidence(texts: Mapping[str, bytes]) -> Iterator[Evidence]:
    """Yield what the recipe in the package says: rattler-build's resolved host, conda-build's variant and host."""
    rendered = _yaml(texts, "info/recipe/rendered_recipe.yaml")
    if rendered:
        name = "info/recipe/rendered_recipe.yaml"
        for record in _items(_at(rendered, "finalized_dependencies", "host", "resolved")):
            if isinstance(record, dict) and record.get("name") == "python":
                pin = f"{record.get('version')} {record.get('build') or ''}".strip()
                yield from _pin_evidence(f"{name}: host python {pin}", pin)
        variant = _at(rendered, "build_configuration", "variant")
        if isinstance(variant, dict):
            yield from _variant_evidence(name, variant)
    used = _yaml(texts, "info/recipe/conda_build_config.yaml")
    if isinstance(used, dict):
        yield from _variant_evidence("info/recipe/conda_build_config.yaml", used)
    meta = _yaml(texts, "info/recipe/meta.yaml")
    for spec in _strings(_at(meta, "requirements", "host")):
        name, rest = split_spec(spec)
        if name == "python" and rest:
            yield from _pin_evidence(f"info/recipe/meta.yaml: host {spec}", rest)


def recorded_level(texts: Mapping[str, bytes]) -> int | None:
    """Return the compression level that rattler-build wrote into the package, or None (CEP 40)."""
    level = _at(_yaml(texts, "info/recipe/rendered_recipe.yaml"), "packaging_settings", "compression_level")
    return level if isinstance(level, int) and not isinstance(level, bool) else None


def _variant_evidence(where: str, variant: Mapping[Any, Any]) -> Iterator[Evidence]:
    pin = variant.get("python")
    for value in [pin] if isinstance(pin, str | float) else _items(pin)[:1]:
        # YAML reads 3.10 as a number; the writers quote it.
        if isinstance(value, str):
            yield from _pin_evidence(f"{where}: python {value}", value)


def _pin_evidence(text: str, pin: str) -> Iterator[Evidence]:
    version, _, build = " ".join(pin.split()).partition(" ")
    minor = _minor(version)
    rest = f"{minor[0]}.{minor[1]}.* {build}".strip() if minor and version[0].isdigit() else pin
    says = constraint_of("python", rest)
    if says is not None and says.exact is not None:
        yield Evidence(text, says, weak=True)


def _minor(version: str) -> tuple[int, int] | None:
    match = re.match(r"(\d)\.(\d{1,2})(?![0-9])", version)
    return (int(match[1]), int(match[2])) if match else None


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _yaml(texts: Mapping[str, bytes], name: str) -> object:
    if name not in texts:
        return None
    import yaml

    try:
        return yaml.load(texts[name], getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
