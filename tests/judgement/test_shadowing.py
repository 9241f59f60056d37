"""Free-threaded Pythons import modules in `lib/pythonX.Y/site-packages` that nothing shadows."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune import check
from conda_prune.model import Action

from ..corpus.entries import AnyEntry
from ..corpus.packages import File, PackageSpec, write_package
from ..corpus.scenario import conda_forge
from .builders import contents_with, findings_of, in_cache, paths_found

OWN = "lib/python3.13t/site-packages"
GIL = "lib/python3.13/site-packages"
TAG = "cpython-313"


def bytecode(directory: str, *modules: str) -> list[str]:
    """Return sources and bytecode of modules, given as paths from the directory."""
    files = []
    for module in modules:
        parent, _, name = f"{directory}/{module}".rpartition("/")
        files += [f"{parent}/{name}.py", in_cache(parent, f"{name}.{TAG}.pyc")]
    return files


@pytest.mark.parametrize(
    ("own", "module"),
    [
        pytest.param([], "m", id="nothing"),
        pytest.param([f"{OWN}/other.py"], "m", id="another-module"),
        pytest.param([f"{OWN}/p/other.py"], "p/m", id="namespace-package-without-the-module"),
        pytest.param([f"{OWN}/p/q/other.py"], "p/q/m", id="namespace-in-a-namespace"),
        pytest.param([f"{OWN}/p/data.txt"], "p/m", id="directory-of-data"),
        pytest.param([f"{OWN}/m/sub.py"], "m", id="namespace-package-of-the-module's-name"),
        pytest.param([f"{OWN}/m.txt", f"{OWN}/m.pyi"], "m", id="data-and-stubs-of-that-name"),
        pytest.param([in_cache(OWN, f"m.{TAG}.pyc")], "m", id="cached-bytecode-without-source"),
        pytest.param(["lib/python3.13t/m.py"], "m", id="not-in-site-packages"),
        pytest.param([f"{OWN}/p/m.py", f"{GIL}/p/__init__.py"], "p/m", id="a-regular-package-beats-a-namespace"),
    ],
)
def test_a_module_that_nothing_shadows_is_kept_and_reported(own: Collection[str], module: str) -> None:
    files = bytecode(GIL, module)
    contents = contents_with(*own, *files)
    findings = {finding.path: finding for finding in findings_of("foreign-path", "3.13t", contents)}
    assert findings[files[1]].action is Action.REPORT
    assert "3.13t also searches" in findings[files[1]].detail
    assert files[0] not in paths_found("foreign-tree", "3.13t", contents)


@pytest.mark.parametrize(
    ("own", "module"),
    [
        pytest.param([f"{OWN}/m.py"], "m", id="module"),
        pytest.param([f"{OWN}/m.pyc"], "m", id="sourceless-module"),
        pytest.param([f"{OWN}/m.cpython-313t-x86_64-linux-gnu.so"], "m", id="extension-module"),
        pytest.param([f"{OWN}/m/__init__.py"], "m", id="package-instead-of-a-module"),
        pytest.param([f"{OWN}/p/__init__.py"], "p/m", id="regular-package-without-the-module"),
        pytest.param([f"{OWN}/p/__init__.abi3.so"], "p/q/m", id="package-by-extension-module"),
        pytest.param([f"{OWN}/p.py"], "p/m", id="module-instead-of-a-package"),
        pytest.param([f"{OWN}/p/m.py"], "p/m", id="module-in-a-namespace-package"),
        pytest.param([f"{OWN}/p/q/__init__.py"], "p/q/m", id="regular-package-in-a-namespace"),
        pytest.param([f"{OWN}/p/__init__.py"], "p/__init__", id="the-package-itself"),
    ],
)
def test_a_shadowed_module_is_dropped(own: Collection[str], module: str) -> None:
    files = bytecode(GIL, module)
    contents = contents_with(*own, *files)
    (finding,) = findings_of("foreign-path", "3.13t", contents)
    assert (finding.path, finding.action) == (files[1], Action.DROP)
    assert files[0] in paths_found("foreign-tree", "3.13t", contents)


def test_metadata_of_the_same_name_is_shadowed() -> None:
    """importlib.metadata also takes the first distribution of a name on the path."""
    both = [f"{site}/{name}.dist-info/RECORD" for site, name in ((OWN, "p-1"), (GIL, "p-1"), (GIL, "q-1"))]
    assert paths_found("foreign-tree", "3.13t", contents_with(*both)) == {f"{GIL}/p-1.dist-info/RECORD"}


@pytest.mark.parametrize(
    ("python", "path", "is_dropped"),
    [
        pytest.param("3.13t", in_cache("lib/python3.13", f"m.{TAG}.pyc"), True, id="outside-site-packages"),
        pytest.param("3.13t", in_cache("lib/python3.13/site-packages", "m.cpython-312.pyc"), False, id="any-tag"),
        pytest.param("3.13t", in_cache("lib/python3.1/site-packages", f"m.{TAG}.pyc"), None, id="the-old-alias"),
        pytest.param("3.13t", in_cache("lib/python3.12/site-packages", f"m.{TAG}.pyc"), True, id="another-version"),
        pytest.param("3.14t", in_cache("lib/python3.13/site-packages", f"m.{TAG}.pyc"), True, id="the-version-before"),
        pytest.param("3.14t", in_cache("lib/python3.14/site-packages", "m.cpython-314.pyc"), False, id="3.14t"),
        pytest.param("3.13", in_cache("lib/python3.13t/site-packages", f"m.{TAG}.pyc"), True, id="the-other-way-round"),
        pytest.param("3.13t", in_cache("lib64/python3.13/site-packages", f"m.{TAG}.pyc"), False, id="lib64"),
    ],
)
def test_which_trees_a_free_threaded_python_imports_from(python: str, path: str, is_dropped: bool | None) -> None:
    actions = [finding.action for finding in findings_of("foreign-path", python, contents_with(path))]
    assert actions == ([] if is_dropped is None else [Action.DROP if is_dropped else Action.REPORT])


def test_another_tag_is_dropped_even_if_nothing_shadows_it() -> None:
    path = in_cache(GIL, "m.cpython-312.pyc")
    assert paths_found("foreign-tag", "3.13t", contents_with(f"{GIL}/m.py", path)) == {path}


NAMES = ("a", "b", "__init__")
DIRECTORIES = ("", "a/", "b/", "a/b/", "a/a/")
ENTRIES = st.sampled_from(
    [f"{where}{name}.py" for where in DIRECTORIES for name in NAMES if f"{where}{name}" != "__init__"]
)


def importable(entries: list[str]) -> Iterator[str]:
    """Yield the file of every module that importlib finds on a path, including those in packages."""
    pending = [entries]
    while pending:
        path = pending.pop()
        for name in ("a", "b"):
            spec = PathFinder.find_spec(name, path)
            if spec is None:
                continue
            if spec.origin is not None and spec.has_location:
                yield spec.origin
            if spec.submodule_search_locations is not None:
                pending.append(list(spec.submodule_search_locations))


@pytest.mark.skipif(os.name != "posix", reason="free-threaded Pythons have their own tree on POSIX systems only")
@settings(max_examples=150, deadline=None)
@given(own=st.sets(ENTRIES, max_size=6), gil=st.sets(ENTRIES, min_size=1, max_size=6))
def test_no_module_that_importlib_finds_is_dropped(own: set[str], gil: set[str]) -> None:
    paths = [f"{site}/{name}" for site, names in ((OWN, own), (GIL, gil)) for name in names]
    files: dict[str, AnyEntry] = {path: File(b"x = 1\n") for path in paths}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setattr(sys.implementation, "cache_tag", TAG)
        caches = [importlib.util.cache_from_source(path) for path in paths]
        files |= {path: File(bytes(16)) for path in caches}
        root = Path(directory, "root")
        for path, entry in files.items():
            assert isinstance(entry, File)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(entry.data)
        sys.path_importer_cache.clear()
        loaded = set(importable([str(root / OWN), str(root / GIL)]))
        imported = {os.path.relpath(importlib.util.cache_from_source(origin), root) for origin in loaded}
        spec = PackageSpec("demo", depends=conda_forge("3.13", "cp313t"), files=files)
        result = check(write_package(spec, Path(directory), level=1))
    dropped = {finding.path for finding in result.findings if finding.action is Action.DROP}
    assert not dropped & imported
    shadowed = {path for path in caches if path.startswith(GIL)} - imported
    # Some shadowed files are kept as well: a regular package may shadow only a part of the other one.
    assert dropped <= shadowed
