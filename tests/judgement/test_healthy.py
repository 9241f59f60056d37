"""No file is dropped from healthy packages of conda-forge, even with less evidence or in other layouts."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conda_prune import check, fix
from conda_prune.judgement.contents import Contents
from conda_prune.judgement.rules import RULES
from conda_prune.judgement.variant.detect import detect_variant
from conda_prune.model import (
    Action,
    File,
    Finding,
    Variant,
)

from ..corpus.packages import FORMATS, PackageSpec, write_package
from ..corpus.packages import Format as PackageFormat
from ..seed import CLEAN, Seed

Package = dict[str, Any]

LIST = Path(__file__).parents[2] / "testdata" / "healthy.jsonl.gz"


def read() -> Iterator[Package]:
    with gzip.open(LIST, "rt", encoding="utf-8") as lines:
        for line in lines:
            package = json.loads(line)
            package["paths"] = [path.replace("\\", "/") for path in package["paths"]]
            yield package


HEALTHY = tuple(read())
WITH_BYTECODE = tuple(package for package in HEALTHY if any(path.endswith(".pyc") for path in package["paths"]))
UNKNOWN = Variant("unknown", "unknown")

packages = pytest.mark.parametrize("package", HEALTHY, ids=lambda package: package["name"])
with_bytecode = pytest.mark.parametrize("package", WITH_BYTECODE, ids=lambda package: package["name"])


def contents_of(package: Package) -> Contents:
    return Contents({path: File(path, size=9) for path in package["paths"]}, package, {}, None, complete=False)


def findings(package: Package, variant: Variant | None = None) -> list[Finding]:
    """Return what all rules find, including those on request."""
    contents = contents_of(package)
    judged = detect_variant(package, {}) if variant is None else variant
    return [finding for rule in RULES if rule.phase != "remainder" for finding in rule.find(contents, judged)]


def dropped(package: Package, variant: Variant | None = None) -> list[str]:
    return [f"{finding.kind} {finding.path}" for finding in findings(package, variant) if finding.action is Action.DROP]


def test_the_list_is_complete() -> None:
    assert {package["name"] for package in WITH_BYTECODE} == {"menuinst", "numpy", "python", "scipy"}
    assert sum(path.endswith(".pyc") for package in HEALTHY for path in package["paths"]) == 1843


@packages
def test_no_rule_finds_anything_in_a_healthy_package(package: Package) -> None:
    """This includes the rules on request."""
    assert not findings(package)


@packages
def test_nothing_is_dropped_if_the_variant_is_unknown(package: Package) -> None:
    assert not dropped(package, UNKNOWN)


@with_bytecode
def test_the_same_bytecode_is_dropped_for_another_python(package: Package) -> None:
    """So the lists do contain bytecode that a rule could find."""
    other = {**package, "name": "other", "build": "h0_0", "depends": ["python_abi 3.10.* *_cp310"], "constrains": []}
    if package["name"] == "python":
        assert not dropped(other), "a whole interpreter stays"
        other["paths"] = [path for path in package["paths"] if path != "lib/python3.11/os.py"]
    dropped_paths = {line.split(" ", 1)[1] for line in dropped(other)}
    assert {path for path in package["paths"] if path.endswith(".pyc")} <= dropped_paths


@with_bytecode
def test_paths_with_backslashes_are_not_stray(package: Package) -> None:
    windows = {**package, "paths": [path.replace("/", "\\") for path in package["paths"]]}
    assert not dropped(windows)


def thinned(package: Package) -> Iterator[Package]:
    """Yield the package with each subset of its evidence, including none."""
    depends = [spec for spec in package.get("depends", []) if spec.startswith("python")]
    for count in range(len(depends) + 1):
        for kept in itertools.combinations(depends, count):
            for build, constrained in itertools.product((package["build"], "h123abc4_0"), (True, False)):
                constrains = package.get("constrains", []) if constrained else []
                yield {**package, "depends": list(kept), "build": build, "constrains": constrains}


@with_bytecode
def test_nothing_is_dropped_with_less_evidence(package: Package) -> None:
    kinds = set()
    for less in thinned(package):
        variant = detect_variant(less, {})
        kinds.add(variant.kind)
        assert not dropped(less), variant.because
        # The same without the interpreter's name, and with another subdir.
        assert not dropped({**less, "name": "renamed", "subdir": "linux-64"})
    assert "exact" in kinds


def moved(tree: str, tag: str) -> Callable[[str], str]:
    def move(path: str) -> str:
        path = re.sub(r"^(?:lib/python3\.11|Lib)/", f"{tree}/", path)
        if path.endswith(".pyc"):
            return re.sub(r"\.cpython-311\.pyc$", f".{tag}.pyc", path)
        # Unlike cache tags, suffixes of extension modules differ between free-threaded and other Pythons.
        return re.sub(r"\.(?:cpython-|cp)311\b", f".{tag}t" if tree.endswith("t") else f".{tag}", path)

    return move


LAYOUTS = [
    pytest.param("lib/python2.7", "cpython-27", "2.7.18", "h1_0", "python_abi 2.7.* *_cp27mu", id="2.7"),
    pytest.param("lib/python3.7", "cpython-37", "3.7.12", "h1_0_cpython", "python_abi 3.7.* *_cp37m", id="cp37m"),
    pytest.param("lib/python3.13", "cpython-313", "3.13.1", "h1_0_cp313", "python_abi 3.13.* *_cp313", id="gil"),
    pytest.param("lib/python3.13t", "cpython-313", "3.13.1", "h1_0_cp313t", "python_abi 3.13.* *_cp313t", id="cp313t"),
    pytest.param("lib/python", "cpython-315", "3.15.0", "h1_0_cp315", "python_abi 3.15.* *_cp315", id="CFEP-27"),
    pytest.param(
        "lib/python3.16", "cpython-316", "3.16.0", "0_asan_cp316", "python_abi 3.16.* *_asan_cp316", id="asan"
    ),
    pytest.param("Lib", "cpython-312", "3.12.4", "h1_0_cpython", "python_abi 3.12.* *_cp312", id="windows"),
    pytest.param("lib/python3.9", "pypy39", "3.9.18", "0_73_pypy", "python_abi 3.9.* *_pypy39_pp73", id="pypy"),
    pytest.param(
        "lib/pypy3.9", "pypy39", "3.9.18", "0_73_pypy", "python_abi 3.9.* *_pypy39_pp73", id="pypy's-own-tree"
    ),
    pytest.param(
        "lib/python3.10",
        "graalpy230-310",
        "3.10.8",
        "0_native230_graalpy",
        "python_abi 3.10.* *_graalpy230_310_native",
        id="graalpy",
    ),
]


@pytest.mark.parametrize(("tree", "tag", "version", "build", "abi"), LAYOUTS)
@with_bytecode
def test_nothing_is_dropped_in_other_layouts(
    package: Package, tree: str, tag: str, version: str, build: str, abi: str
) -> None:
    move = moved(tree, tag)
    paths = [move(path) for path in package["paths"]]
    bytecode = [path for path in paths if path.endswith(".pyc")]
    assert bytecode
    assert all(path.startswith(f"{tree}/") and f".{tag}." in path for path in bytecode)
    common = {"paths": paths, "constrains": []}
    itself = {**common, "name": "python", "version": version, "build": build}
    for index in (
        {**common, "name": "demo", "version": "1", "build": "h1_0", "depends": [abi]},
        {**common, "name": "demo", "version": "1", "build": "h1_0", "depends": [abi, "python >=2.7"]},
        {**itself, "depends": [abi]},
        {**itself, "depends": []},
    ):
        assert detect_variant(index, {}).kind == "exact"
        assert not dropped(index)


@pytest.mark.parametrize("format", FORMATS)
@with_bytecode
def test_fix_does_not_touch_a_healthy_package(package: Package, format: PackageFormat, tmp_path: Path) -> None:
    spec = PackageSpec(
        package["name"],
        package["version"],
        package["build"],
        package["subdir"],
        tuple(package.get("depends", ())),
        {path: b"x" if not path.endswith(".pyc") else b"\xa7\r\r\n" + bytes(12) for path in package["paths"]},
        {"constrains": package.get("constrains", [])},
    )
    path = write_package(spec, tmp_path, format=format)
    before = path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns
    for select in ((), ("all",)):
        result = check(path, deep=True, select=select)
        assert (result.status, [f for f in result.findings if f.action is not Action.REPORT]) == ("clean", [])
        assert fix(path, in_place=True, select=select).status == "clean"
    assert (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("seed", CLEAN, ids=lambda seed: seed.id)
def test_fix_does_not_touch_real_packages_of_rattler_build(seed: Seed, tmp_path: Path) -> None:
    path = seed.copy(tmp_path)
    before = path.read_bytes(), path.stat().st_ino
    assert fix(path, in_place=True).status == "clean"
    assert (path.read_bytes(), path.stat().st_ino) == before
