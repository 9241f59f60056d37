"""Which Python a package is for: evidence, strongest first, contradictions, and what decides nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.errors import UsageError
from conda_prune.judgement.variant.detect import detect_variant, override_variant
from conda_prune.judgement.variant.evidence import recorded_level

Index = Mapping[str, Any]
Texts = Mapping[str, bytes]

RUN_EXPORT = "python >=3.11,<3.12.0a0"
ABI = "python_abi 3.11.* *_cp311"
RENDERED = "info/recipe/rendered_recipe.yaml"
USED = "info/recipe/conda_build_config.yaml"
META = "info/recipe/meta.yaml"


def package(*depends: str, build: str = "h123abc4_0", name: str = "demo", **rest: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "build": build, "depends": list(depends), **rest}


def interpreter(name: str, version: str, build: str, *depends: str, **rest: Any) -> dict[str, Any]:
    return package(*depends, name=name, version=version, build=build, **rest)


def hash_input(**variant: Any) -> dict[str, bytes]:
    return {"info/hash_input.json": json.dumps(variant).encode()}


def rendered(version: str, build: str, *specs: str, variant: str = "{}") -> dict[str, bytes]:
    """Return rattler-build's rendered recipe with this python in the host environment, required by these specs."""
    text = (
        f"build_configuration:\n  variant: {variant}\n"
        f"finalized_dependencies:\n  host:\n    specs: [{', '.join(specs)}]\n    resolved:\n"
        "    - {name: zlib, version: 1.3.1, build: h1_0}\n"
        f"    - name: python\n      version: {version}\n      build: {build}\n"
    )
    return {RENDERED: text.encode()}


DIRECT = "{variant: python, spec: python 3.11.*}"
"""The host requirement `python`, as rattler-build writes it after rendering."""
TRANSITIVE = "{source: pip}"
HOST_META = b"requirements:\n  host:\n  - python 3.11.9 hb806964_0_cpython\n  - pip 24.0\n"
"""The solved host environment in the meta.yaml that conda-build packs."""


def kind_and_python(index: Index, texts: Texts | None = None) -> str:
    """Return the variant's kind and Python in two words, or only its kind if the Python adds nothing."""
    variant = detect_variant(index, texts or {})
    return variant.kind if variant.kind in ("any", "none", "contradictory") else f"{variant.kind} {variant.python}"


@pytest.mark.parametrize(
    ("index", "texts"),
    [
        pytest.param(package(), {}, id="no-dependencies"),
        pytest.param({}, {}, id="an-empty-index"),
        pytest.param(package("libgcc-ng >=7.3.0", "python-dateutil", "pythia8"), {}, id="names-like-it"),
        pytest.param(package(build="py399_0"), {}, id="conda's-own-test-package-py399"),
        pytest.param(package(build="mypy311_0"), {}, id="a-token-in-a-word"),
        pytest.param(package(build="py3_0"), {}, id="a-token-without-minor-version"),
        pytest.param(package(), {USED: b"python: '2.7'\nnumpy: '1.11'\n"}, id="conda-build's-variant-in-real-zlib"),
        pytest.param(package(), {META: HOST_META, USED: b"python: '3.9'\n"}, id="host-of-conda-build's-recipe"),
        pytest.param(package(), rendered("3.11.9", "0_cpython", DIRECT), id="host-of-rattler-build's-recipe"),
        pytest.param(package(), hash_input(target_platform="linux-64"), id="hash-input-without-python"),
        pytest.param(package(noarch="generic"), {}, id="noarch-generic"),
    ],
)
def test_no_python_is_named(index: Index, texts: Texts) -> None:
    variant = detect_variant(index, texts)
    assert (variant.kind, variant.python, variant.tags, variant.trees) == ("none", "none", None, None)
    assert variant.because == ()


@pytest.mark.parametrize(
    ("index", "texts", "text"),
    [
        pytest.param(package("python"), {}, "unknown", id="bare"),
        pytest.param(package("python *"), {}, "unknown", id="star"),
        pytest.param(package("cpython >=3.10"), {}, "3.10 or later", id="the-metapackage-cpython"),
        pytest.param(package(constrains=["python <3.13"]), {}, "unknown", id="named-in-constrains"),
        pytest.param(package("python ^3.11"), {}, "unknown", id="unparsable"),
        pytest.param(package("python 3.11.*; if linux"), {}, "unknown", id="conditional"),
        pytest.param(package("python >=3.9"), {}, "3.9 or later", id="open"),
        pytest.param(package("python >=3.7,<4"), {}, "3.7 or later", id="open-below-4"),
        pytest.param(package("python >=3.10,<3.13.0a0"), {}, "3.10 to 3.12", id="range"),
        pytest.param(package("python <3.5"), {}, "2.6 to 2.7, 3.3 to 3.4", id="range-over-both-majors"),
        pytest.param(package("python 3.9.*|3.11.*"), {}, "3.9, 3.11", id="range-with-a-hole"),
        pytest.param(
            package("python >=3.10,<3.13.0a0", build="py311_0"), hash_input(python="3.11.*"), "3.10 to 3.12",
            id="what-built-it-does-not-narrow-a-range",
        ),
        pytest.param(
            package("python >=3.11,<3.13.0a0", build="py311_0"), {}, "3.11 to 3.12", id="a-range-of-two-is-one"
        ),
        pytest.param(
            package("python"), {USED: b"python: '3.11'\n---\npython: '3.11'\n"}, "unknown", id="two-documents"
        ),
        pytest.param(package("python_abi * *_cp399"), {}, "unknown", id="an-abi-that-cannot-exist"),
        pytest.param(package("python", build="py399_0"), {}, "unknown", id="a-token-that-cannot-exist"),
        pytest.param(package("python", build="py310_py311_0"), {}, "unknown", id="two-tokens"),
        pytest.param(package("graalpy >=23.0.0"), {}, "unknown", id="an-implementation-without-version"),
        pytest.param(interpreter("python", "3.99.99", "0"), {}, "unknown", id="conda's-own-test-package-python-3.99"),
        pytest.param(interpreter("pypy", "7.3.15", "0"), hash_input(python="2.7"), "unknown", id="what-built-pypy"),
        pytest.param(package("python"), {RENDERED: b"[" * 100_000}, "unknown", id="a-recipe-of-brackets"),
        pytest.param(package("python"), {USED: b"\xff\xfe\0"}, "unknown", id="a-recipe-of-garbage"),
        pytest.param(package("python"), {USED: b"python: [3.10, 3.11\n"}, "unknown", id="a-recipe-cut-short"),
        pytest.param(package("python"), {"info/hash_input.json": b"{"}, "unknown", id="hash-input-cut-short"),
        pytest.param(package("python"), {"info/hash_input.json": b"[" * 9999}, "unknown", id="hash-input-of-brackets"),
        pytest.param(package("python"), {"info/hash_input.json": b"[1]"}, "unknown", id="hash-input-of-another-type"),
        pytest.param(package("python"), hash_input(python=3.11), "unknown", id="hash-input-with-a-number"),
        pytest.param(package("python"), hash_input(python="3.99.*"), "unknown", id="hash-input-that-cannot-be"),
        pytest.param(package("python"), {USED: b"python:\n- '3.10'\n- '3.11'\n"}, "unknown", id="a-list-of-several"),
        pytest.param(package("python", constrains=[ABI]), {}, "unknown", id="an-abi-that-is-no-dependency"),
        pytest.param(package("python"), {USED: b"python: 3.11.* *_cpython\n"}, "unknown", id="conda-build-config"),
        pytest.param(
            package("python"), {USED: b"python:\n- 3.11.* *_cpython\n"}, "unknown", id="conda-build-config-list"
        ),
        pytest.param(package("python"), {META: HOST_META}, "unknown", id="meta-yaml-host"),
        pytest.param(
            package("python"), {META: b"requirements:\n  host: [python]\n", USED: b"python: '3.11'\n"}, "unknown",
            id="meta-yaml-host-and-conda-build-config",
        ),
        pytest.param(
            package("python"), rendered("3.11.9", "0_cpython", variant="{python: 3.11.*}"), "unknown",
            id="rendered-variant-without-a-requirement",
        ),
        pytest.param(
            package("python"), rendered("3.11.9", "0_cpython", TRANSITIVE), "unknown", id="transitive-host-python"
        ),
        pytest.param(
            package("python"), rendered("3.11.9", "0_cpython", "{run_export: cmake, spec: python 3.11.*}"), "unknown",
            id="host-python-of-a-run-export",
        ),
        pytest.param(
            package("python"), rendered("3.11.9", "0_cpython", "!RunExport {spec: python 3.11.*, from: build}"),
            "unknown", id="host-python-of-a-run-export-in-2023",
        ),
        pytest.param(
            package("python >=3.8,<3.13.0a0"), rendered("3.11.9", "0_cpython", DIRECT), "3.8 to 3.12",
            id="host-python-does-not-narrow-a-range",
        ),
        pytest.param(
            package("python >=3.8,<3.9.0a0", "python_abi 3.8 *_23_pyston", build="py38h1_0"),
            hash_input(python="3.8.* *_cpython"), "unknown", id="an-abi-of-pyston",
        ),
        pytest.param(package("python 3.8.* *_23_pyston"), {}, "unknown", id="a-pin-of-pyston"),
        pytest.param(
            package("python_abi 3.8 *_23_pyston", "python 3.8.* *_cpython"), {}, "unknown", id="pyston-and-cpython"
        ),
        pytest.param(interpreter("python", "3.8.12", "0_23_pyston"), {}, "unknown", id="pyston-as-python"),
        pytest.param(
            package("python"), hash_input(python="3.8.* *_23_pyston"), "unknown", id="what-built-it-is-pyston"
        ),
        pytest.param(
            package("python"), hash_input(python="3.8", python_impl="pyston"), "unknown", id="python_impl-is-pyston"
        ),
    ],
)  # fmt: skip
def test_the_python_is_unknown(index: Index, texts: Texts, text: str) -> None:
    variant = detect_variant(index, texts)
    assert (variant.kind, variant.python, variant.tags, variant.trees) == ("unknown", text, None, None)


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(package("python >=3.9", noarch="python"), id="noarch"),
        pytest.param(package("python >=3.11,<3.12", noarch="python"), id="noarch-for-one-python"),
        pytest.param(
            package("python", "cpython >=3.10", "_python_abi3_support 1.*", build="py310h70157a2_1", noarch="python",
                    subdir="linux-64"),
            id="CEP-20",
        ),
    ],
)  # fmt: skip
def test_noarch_python_works_with_any_python(index: Index) -> None:
    variant = detect_variant(index, hash_input(python="3.10.* *_cpython"))
    assert (variant.kind, variant.tags, variant.trees, variant.because) == ("any", (), (), ("noarch: python",))


@pytest.mark.parametrize(
    ("index", "python"),
    [
        pytest.param(interpreter("python", "2.7.18", "h42bf7aa_3"), "2.7", id="python-2"),
        pytest.param(interpreter("python", "3.11.5", "h955ad1f_0"), "3.11", id="defaults"),
        pytest.param(
            interpreter("python", "3.11.9", "hb806964_0_cpython", constrains=["python_abi 3.11.* *_cp311"]), "3.11",
            id="conda-forge-until-3.12",
        ),
        pytest.param(
            interpreter("python", "3.14.0", "habeac84_101_cp314", "python_abi 3.14.* *_cp314",
                        python_site_packages_path="lib/python3.14/site-packages"),
            "3.14", id="conda-forge-since-3.13",
        ),
        pytest.param(
            interpreter("python", "3.14.0", "h92d6c8b_100_cp314t", python_site_packages_path="lib/python3.14t/x"),
            "3.14t", id="free-threaded",
        ),
        pytest.param(
            interpreter("python", "3.13.0", "0", python_site_packages_path="lib/python3.13t/site-packages"), "3.13t",
            id="free-threaded-by-path",
        ),
        pytest.param(
            interpreter("python", "3.15.0", "h1_0_cp315", python_site_packages_path="lib/python/site-packages"), "3.15",
            id="CFEP-27",
        ),
        pytest.param(
            interpreter("python", "3.12.4", "h1_0_cpython", python_site_packages_path="Lib/site-packages"), "3.12",
            id="windows",
        ),
        pytest.param(interpreter("python", "3.14.0", "h1_0_debug_cp314"), "3.14", id="debug"),
        pytest.param(interpreter("python", "3.16.0a1", "0_asan_cp316"), "3.16", id="cpython's-own-recipe"),
        pytest.param(interpreter("python", "3.9.18", "0_73_pypy", "pypy3.9 7.3.15.*"), "pypy3.9", id="pypy-as-python"),
        pytest.param(
            interpreter("python", "3.10.8", "0_native230_graalpy", "python_abi 3.10.* *_graalpy230_310_native"),
            "graalpy3.10", id="graalpy-as-python",
        ),
        pytest.param(interpreter("pypy3.9", "7.3.15", "h9557127_1"), "pypy3.9", id="pypy"),
        pytest.param(
            interpreter("pypy", "7.3.15", "0", constrains=["python_abi 3.9.* *_pypy39_pp73"]), "pypy3.9",
            id="pypy-by-constrains",
        ),
        pytest.param(
            interpreter("graalpy", "23.0.0", "0_standalone_native", "python_abi 3.10.* *_graalpy230_310_native"),
            "graalpy3.10", id="graalpy",
        ),
    ],
)  # fmt: skip
def test_an_interpreter_is_for_its_own_version(index: Index, python: str) -> None:
    # The Python that built an interpreter is not evidence: PyPy is translated by Python 2.7.
    assert kind_and_python(index, {**hash_input(python="2.7.*"), USED: b"python: '3.8'"}) == f"exact {python}"


@pytest.mark.parametrize(
    ("index", "texts", "python"),
    [
        pytest.param(package(ABI), {}, "3.11", id="abi"),
        pytest.param(package(ABI, "python >=3.9"), {}, "3.11", id="abi-and-requires-python"),
        pytest.param(package("python_abi * *_cp313"), {}, "3.13", id="abi-without-version"),
        pytest.param(package("python_abi 3.9 2_cp39"), {}, "3.9", id="abi-with-exact-build"),
        pytest.param(package("python_abi 3.7.* *_cp37m"), {}, "3.7", id="cp37m"),
        pytest.param(package("python_abi 3.13.* *_cp313t"), {}, "3.13t", id="cp313t"),
        pytest.param(package("python_abi 3.16.* *_asan_cp316"), {}, "3.16", id="asan"),
        pytest.param(package("python_abi 3.16.* *_tsan_cp316t"), {}, "3.16t", id="tsan"),
        pytest.param(
            package("pypy3.9 >=7.3.11", "python >=3.9,<3.10.0a0", "python_abi 3.9 *_pypy39_pp73", build="py39h1_0"), {},
            "pypy3.9", id="pypy-whose-build-string-looks-like-cpython's",
        ),
        pytest.param(
            package("python >=3.10,<3.11.0a0", "graalpy >=23.0", "python_abi 3.10.* *_graalpy230_310_native"), {},
            "graalpy3.10", id="graalpy",
        ),
        pytest.param(package(RUN_EXPORT), {}, "3.11", id="run-export-alone"),
        pytest.param(package("python >=2.7,<2.8.0a0", build="py27_0"), {}, "2.7", id="python-2"),
        pytest.param(package("python 3.11.* *_cpython"), {}, "3.11", id="pin-with-build"),
        pytest.param(package("python 3.9.* *_73_pypy"), {}, "pypy3.9", id="pin-with-pypy's-build"),
        pytest.param(package("python >=3.9", "python <3.10"), {}, "3.9", id="two-specs-that-leave-one"),
        pytest.param(
            package("python >=3.9,<3.12.0a0", "python 3.10.*"), {}, "3.10", id="a-spec-that-narrows-another-s-range"
        ),
        pytest.param(
            package("python >=3.13,<3.14.0a0", "python >=3.13,<3.14.0a0 *_cp313", build="py313h1_0"), {}, "3.13",
            id="two-agreeing-specs-of-a-cross-build",
        ),
        pytest.param(package("python"), hash_input(python="3.11.* *_cpython"), "3.11", id="hash-input"),
        pytest.param(package("python >=3.10"), hash_input(python="3.11"), "3.11", id="pixi-without-python-abi"),
        pytest.param(package(), hash_input(python="3.13.* *_cp313t"), "3.13t", id="hash-input-alone"),
        pytest.param(
            package("python"), hash_input(python="3.9.*", python_impl="pypy"), "pypy3.9", id="hash-input-with-impl"
        ),
        pytest.param(package("python >=3.13,<3.14.0a0"), hash_input(python="3.13.* *_cp313t"), "3.13t",
                     id="hash-input-fills-in-free-threading"),
        pytest.param(package("cpython >=3.11,<3.12.0a0"), {}, "3.11", id="pin-of-the-metapackage-cpython"),
        pytest.param(package("cpython 3.13.* *_cp313t"), {}, "3.13t", id="free-threaded-cpython"),
        pytest.param(package("python"), rendered("3.11.9", "hb806964_0_cpython", DIRECT), "3.11", id="host"),
        pytest.param(
            package("python >=3.8"), rendered("3.11.9", "0_cpython", TRANSITIVE, "{source: python >=3.9}"), "3.11",
            id="host-without-a-variant",
        ),
        pytest.param(
            package("python"), rendered("3.11.9", "0_cpython", "!Raw {spec: conda-forge::python >=3.9}"), "3.11",
            id="host-in-2023",
        ),
        pytest.param(package("python"), rendered("3.10", "0", DIRECT), "3.10", id="a-version-that-YAML-takes-for-3.1"),
        pytest.param(
            package(constrains=["python >=3.8"]), rendered("3.11.9", "0_cpython", DIRECT), "3.11",
            id="host-of-a-package-that-constrains-python",
        ),
        pytest.param(
            package("python_abi 3.8 2_cp38"), hash_input(python="3.8.* *_23_pyston"), "3.8",
            id="what-built-it-does-not-overrule-the-abi",
        ),
        pytest.param(package("python", build="py311h123abc4_0"), {}, "3.11", id="build-string"),
        pytest.param(package(build="py310h44b86e0_2", name="icu"), {}, "3.10", id="build-string-alone"),
        pytest.param(package("python", build="cuda126_mkl_py311_h5dc7ac5_309"), {}, "3.11", id="build-string-middle"),
        pytest.param(package("python", build="np110py35_0"), {}, "3.5", id="build-string-behind-numpy"),
        pytest.param(package("python", build="qt6_py313heb7e125_608"), {}, "3.13", id="build-string-behind-qt"),
    ],
)  # fmt: skip
def test_evidence_names_one_python(index: Index, texts: Texts, python: str) -> None:
    assert kind_and_python(index, texts) == f"exact {python}"


@pytest.mark.parametrize(
    ("index", "texts", "pieces"),
    [
        pytest.param(
            package(ABI, "python_abi 3.10.* *_cp310"), {}, (ABI, "python_abi 3.10.* *_cp310"), id="two-abis"
        ),
        pytest.param(package(ABI, "python >=3.12"), {}, (ABI, "python >=3.12"), id="abi-and-range"),
        pytest.param(package(RUN_EXPORT, "python 3.10.*"), {}, (RUN_EXPORT, "python 3.10.*"), id="two-pins"),
        pytest.param(package(ABI, "pypy3.9"), {}, (ABI, "pypy3.9"), id="two-implementations"),
        pytest.param(
            package("python_abi 3.13.* *_cp313t", "python 3.13.* *_cp313"), {},
            ("python_abi 3.13.* *_cp313t", "python 3.13.* *_cp313"), id="gil-and-free-threaded",
        ),
        pytest.param(package(RUN_EXPORT, "cpython 3.10.*"), {}, (RUN_EXPORT, "cpython 3.10.*"), id="two-packages"),
        pytest.param(
            package("python_abi 3.10.* *_graalpy230_310_native", "python 3.10.* *_native231_graalpy"), {},
            ("python_abi 3.10.* *_graalpy230_310_native", "python 3.10.* *_native231_graalpy"), id="graalpy-releases",
        ),
        pytest.param(package("python_abi 3.11.* *_cp310"), {}, ("python_abi 3.11.* *_cp310",), id="abi-itself"),
        pytest.param(package("python 9.9.*"), {}, ("python 9.9.*",), id="no-such-python"),
        pytest.param(
            interpreter("python", "3.11.9", "h1_0_cp312"), {}, ("python 3.11.9", "build string h1_0_cp312"),
            id="interpreter",
        ),
        pytest.param(
            interpreter("python", "3.13.0", "0_cp313", python_site_packages_path="lib/python3.13t/site-packages"), {},
            ("build string 0_cp313", "lib/python3.13t/site-packages"), id="interpreter's-path",
        ),
    ],
)  # fmt: skip
def test_contradictory_evidence_decides_nothing(index: Index, texts: Texts, pieces: tuple[str, ...]) -> None:
    variant = detect_variant(index, texts)
    assert (variant.kind, variant.tags, variant.trees) == ("contradictory", None, None)
    for piece in pieces:
        assert piece in variant.conflict, "both are shown"
        assert any(piece in shown for shown in variant.because)


@pytest.mark.parametrize(
    ("index", "texts", "python", "pieces"),
    [
        pytest.param(
            package(ABI, RUN_EXPORT, build="py310_0"), {}, "exact 3.11", (ABI, "build string py310_0"),
            id="build-string",
        ),
        pytest.param(
            package(RUN_EXPORT), hash_input(python="3.10.* *_cpython"), "exact 3.11",
            (RUN_EXPORT, "info/hash_input.json"), id="hash-input",
        ),
        pytest.param(
            package(ABI, build="py310_0"), hash_input(python="3.9"), "exact 3.11", (ABI, "info/hash_input.json"),
            id="the-first-of-several",
        ),
        pytest.param(
            package("python >=3.12", build="py310_0"), {}, "unknown 3.12 or later", ("python >=3.12", "py310"),
            id="open-range",
        ),
        pytest.param(
            package("python >=3.10,<3.13.0a0", build="py39_0"), {}, "unknown 3.10 to 3.12", ("python >=3.10", "py39"),
            id="range",
        ),
        pytest.param(
            package("python", build="py310_0"), rendered("3.11.9", "hb806964_0_cpython", DIRECT), "exact 3.11",
            ("host python 3.11.9", "build string py310_0"), id="recipe-and-build-string",
        ),
        pytest.param(
            package("python_abi 3.13.* *_cp313"), hash_input(python="3.13.* *_cp313t"), "exact 3.13",
            ("python_abi 3.13.* *_cp313", "*_cp313t"), id="threading",
        ),
    ],
)  # fmt: skip
def test_weak_evidence_overrules_nothing(index: Index, texts: Texts, python: str, pieces: tuple[str, ...]) -> None:
    variant = detect_variant(index, texts)
    assert f"{variant.kind} {variant.python}" == python
    for piece in pieces:
        assert piece in variant.conflict, "both are shown"
        assert any(piece in shown for shown in variant.because)


@pytest.mark.parametrize(
    ("index", "texts", "inferred"),
    [
        pytest.param(package(ABI, RUN_EXPORT, build="py311_0"), hash_input(python="3.11.*"), (), id="abi"),
        pytest.param(package("python 3.9.*"), hash_input(python="3.9.* *_cpython"), (), id="a-pin-means-cpython"),
        pytest.param(package("python 3.9.*", build="py310_0"), {}, (), id="a-contradiction"),
        pytest.param(interpreter("python", "3.11.9", "0_cpython"), {}, (), id="interpreter"),
        pytest.param(package("python"), hash_input(python="3.11.*"), ("version",), id="bare-python"),
        pytest.param(package("python >=3.8", build="py311_0"), {}, ("version",), id="open-range"),
        pytest.param(package(build="py311_0"), {}, ("version",), id="no-dependency"),
        pytest.param(package("python"), rendered("3.11.9", "0_cpython", DIRECT), ("version",), id="recipe"),
        pytest.param(
            package("python"), hash_input(python="3.13.* *_cp313t"), ("version", "threading"), id="free-threaded"
        ),
        pytest.param(package("python 3.13.*"), hash_input(python="3.13.* *_cp313t"), ("threading",), id="threading"),
        pytest.param(
            package("python 3.9.*"), hash_input(python="3.9", python_impl="pypy"), ("implementation",), id="pypy"
        ),
        pytest.param(
            package("python 3.10.* *_graalpy"), hash_input(python="3.10.* *_native230_graalpy"), ("implementation",),
            id="graalpy-release",
        ),
    ],
)  # fmt: skip
def test_facts_from_weak_evidence_alone_are_inferred(index: Index, texts: Texts, inferred: tuple[str, ...]) -> None:
    variant = detect_variant(index, texts)
    assert (variant.kind, variant.inferred) == ("exact", inferred)


@pytest.mark.parametrize(
    ("index", "tags"),
    [
        (package("python_abi 3.10.* *_graalpy231_310_native"), ("graalpy231-310", "graalpy231-310-dev")),
        (package("python 3.10.* *_native230_graalpy"), ("graalpy230-310", "graalpy230-310-dev")),
        (package("graalpy", "python 3.11.*"), ("graalpy*-311", "graalpy*-311-dev")),
        (
            interpreter("graalpy", "24.1.2", "0", "python_abi 3.11.* *_graalpy241_311_native"),
            ("graalpy241-311", "graalpy241-311-dev"),
        ),
        (interpreter("graalpy", "24.1.2", "0", "python 3.11.*"), ("graalpy241-311", "graalpy241-311-dev")),
    ],
)
def test_each_graalpy_release_has_its_own_tags(index: Index, tags: tuple[str, ...]) -> None:
    assert detect_variant(index, {}).tags == tags


def test_evidence_is_shown_strongest_first() -> None:
    index = package("numpy", "python", "python_abi * *_cp311", build="py311h1_0")
    assert detect_variant(index, hash_input(python="3.11.*")).because == (
        "python_abi * *_cp311",
        "python",
        "info/hash_input.json: python 3.11.*",
        "build string py311h1_0",
    )
    assert detect_variant(package("python", build="py311h1_0"), rendered("3.11.9", "0_cpython", DIRECT)).because == (
        "python",
        f"{RENDERED}: host python 3.11.9 0_cpython",
        "build string py311h1_0",
    )


@pytest.mark.parametrize("key", ["name", "version", "build", "depends", "constrains", "noarch", "subdir"])
@pytest.mark.parametrize("value", [None, 1, 3.11, True, [], {}, ["\x1b[31m"], "\0", "py311" * 9, {"python": "3.11"}])
def test_odd_metadata_never_fails(key: str, value: object) -> None:
    index = {**package(ABI, RUN_EXPORT, build="py311_0"), "unknown_key": {"a": 1}, key: value}
    assert detect_variant(index, {}).kind in ("exact", "any", "none", "unknown", "contradictory")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([ABI, RUN_EXPORT]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["python", "a"]), inner, max_size=3),
    max_leaves=8,
)


@given(
    index=st.dictionaries(
        st.sampled_from(["name", "version", "build", "depends", "constrains", "noarch", "python_site_packages_path"]),
        json_values | st.sampled_from(["python", "pypy3.9", "py311_0", "lib/python3.11/site-packages"]),
    ),
    variant=json_values,
    recipe=st.binary(max_size=60) | st.text(alphabet="python: 3.1*\n-[]{}&*!|>", max_size=60).map(str.encode),
)
def test_any_metadata_gives_a_variant(index: dict[str, Any], variant: object, recipe: bytes) -> None:
    texts = {"info/hash_input.json": json.dumps(variant).encode(), RENDERED: recipe, USED: recipe, META: recipe}
    variant_found = detect_variant(index, texts)
    assert (variant_found.kind == "exact") == bool(variant_found.tags)
    assert variant_found.kind != "contradictory" or variant_found.conflict
    recorded_level(texts)


@pytest.mark.parametrize(
    ("text", "kind", "tags", "trees"),
    [
        pytest.param("none", "none", None, None, id="none"),
        pytest.param("any", "any", (), (), id="any"),
        pytest.param("3.9", "exact", ("cpython-39",), ("python3.9",), id="cpython"),
        pytest.param("3.13t", "exact", ("cpython-313",), ("python3.13t", "python3.1"), id="free-threaded"),
        pytest.param("pypy3.9", "exact", ("pypy39",), ("python3.9", "pypy3.9"), id="pypy"),
    ],
)
def test_the_user_decides(text: str, kind: str, tags: tuple[str, ...] | None, trees: tuple[str, ...] | None) -> None:
    variant = override_variant(text)
    assert (variant.kind, variant.tags, variant.trees) == (kind, tags, trees)
    assert variant.because == (f"--python {text}",)


@pytest.mark.parametrize("text", ["", "3", "3.99", "python", "3.11t", "3.11.4", "cp311", "\x1b"])
def test_an_unknown_python_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no such Python"):
        override_variant(text)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"packaging_settings:\n  compression_level: default\n", None, id="no-number"),
        pytest.param(b"packaging_settings:\n  compression_level: 15\n", 15, id="number"),
        pytest.param(b"packaging_settings:\n  compression_level: -7\n", -7, id="negative"),
    ],
)
def test_the_level_that_rattler_build_records(text: bytes, level: int | None) -> None:
    assert recorded_level({RENDERED: text}) == level


def test_a_recipe_is_not_read_if_stronger_evidence_decides() -> None:
    code = (
        "import sys\n"
        "from conda_prune.judgement.variant.detect import detect_variant\n"
        f"texts = {{{RENDERED!r}: b'recipe: 3.11'}}\n"
        f"detect_variant({{'depends': [{ABI!r}, {RUN_EXPORT!r}, 'python >=3.9'], 'build': 'py311_0'}}, texts)\n"
        "detect_variant({'depends': ['zlib'], 'build': 'h1_0'}, texts)\n"
        f"hashed = {{**texts, **{hash_input(python='3.11.*')!r}}}\n"
        "detect_variant({'depends': ['python'], 'build': 'h1_0'}, hashed)\n"
        "assert not {'yaml', 'rattler'} & set(sys.modules)\n"
        "detect_variant({'depends': ['python'], 'build': 'py311_0'}, texts)\n"
        "assert 'yaml' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
