"""No dropped file can ever be imported by the Python that the package is for, according to importlib itself.

Generated packages are written to disk. The import system of the running interpreter, with its cache tag set to that of
the package's Python, finds the files that it would open. None of this uses the rules, or shares a table with them.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import FileFinder, SourceFileLoader, SourcelessFileLoader
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from conda_prune import check
from conda_prune.model import Action, Result

from ..corpus.entries import AnyEntry
from ..corpus.packages import (
    File,
    PackageSpec,
    Symlink,
    write_package,
)

posix = pytest.mark.skipif(os.name != "posix", reason="the packages have the layout and links of POSIX systems")


@dataclass(frozen=True)
class Interpreter:
    """A Python: the dependencies that name it, its cache tag, its magic number, and the versioned trees on its path."""

    name: str
    depends: tuple[str, ...]
    cache_tag: str
    magic: int
    trees: tuple[str, ...]


INTERPRETERS = (
    Interpreter("3.7", ("python_abi 3.7.* *_cp37m",), "cpython-37", 3394, ("lib/python3.7",)),
    Interpreter("3.9", ("python >=3.9,<3.10.0a0",), "cpython-39", 3425, ("lib/python3.9",)),
    Interpreter("3.10", ("python_abi 3.10.* *_cp310",), "cpython-310", 3439, ("lib/python3.10",)),
    Interpreter("3.11", ("python >=3.11", "python_abi 3.11.* *_cp311"), "cpython-311", 3495, ("lib/python3.11",)),
    Interpreter("3.13", ("python_abi 3.13.* *_cp313",), "cpython-313", 3571, ("lib/python3.13",)),
    Interpreter("3.13t", ("python_abi 3.13.* *_cp313t",), "cpython-313", 3571, ("lib/python3.13t",)),
    Interpreter("3.15", ("python_abi 3.15.* *_cp315",), "cpython-315", 3666, ("lib/python3.15", "lib/python")),
    Interpreter("pypy3.9", ("python_abi 3.9 *_pypy39_pp73",), "pypy39", 336, ("lib/python3.9", "lib/pypy3.9")),
    Interpreter(
        "graalpy3.10", ("python_abi 3.10.* *_graalpy230_310_native",), "graalpy230-310", 21270, ("lib/python3.10",)
    ),
)
TAGS = sorted({interpreter.cache_tag for interpreter in INTERPRETERS} | {"cpython-27", "pypy3-72", "rustpython-01"})
MAGIC_NUMBERS = sorted({interpreter.magic for interpreter in INTERPRETERS} | {62211, 59999, 0})
VERSIONED = (
    "lib/python2.7",
    "lib/python3.7",
    "lib/python3.9",
    "lib/python3.10",
    "lib/python3.11",
    "lib/python3.13",
    "lib/python3.13t",
    "lib/python3.15",
    "lib/pypy3.9",
)
DIRECTORIES = (
    *VERSIONED,
    *(f"{tree}/site-packages" for tree in VERSIONED),
    *(f"{tree}/site-packages/q" for tree in VERSIONED),
    "lib64/python3.10/site-packages",
    "lib/python/site-packages/q",
    "Lib/site-packages/q",
    "site-packages/q",
    "bin",
    "share/q",
    "opt/app/lib/python3.9/q",
    "share/blender/4.2/python/lib/python3.10",
    "lib/python3.11/site-packages/q/test/bytecode_3.9",
)
LINKS = (
    ("lib/python3.11/site-packages/linked", "../../python3.10/site-packages/q"),
    ("lib/python3.9/site-packages/linked", "../../python3.11/site-packages"),
    ("share/linked", "../lib/python3.13t"),
)


def names_of_bytecode(module: str, tags: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just(f"{module}.pyc"),
        st.just(f"{module}.pyo"),
        tags.map(lambda tag: f"__pycache__/{module}.{tag}.pyc"),
        tags.map(lambda tag: f"__pycache__/{module}.{tag}.opt-1.pyc"),
        tags.map(lambda tag: f"__pycache__/{module}.{tag}-pytest-8.0.0.pyc"),
        tags.map(lambda tag: f"__pycache__/{module}.{tag}.pyc.140234567890"),
        tags.map(lambda tag: f"{module}.{tag}.pyc"),
        st.just(f"__pycache__/{module}.pyc"),
    )


@st.composite
def file_trees(draw: st.DrawFn, interpreter: Interpreter | None = None) -> dict[str, AnyEntry]:
    """A few modules in a few directories: with or without source, with bytecode of any tag, name and header.

    An interpreter's own directories, tag and magic number are drawn more often than others.
    """
    tags, magic_numbers, directories = (
        st.sampled_from(TAGS),
        st.sampled_from(MAGIC_NUMBERS),
        st.sampled_from(DIRECTORIES),
    )
    if interpreter is not None:
        own = [f"{tree}{rest}" for tree in interpreter.trees for rest in ("", "/site-packages", "/site-packages/q")]
        tags, magic_numbers = tags | st.just(interpreter.cache_tag), magic_numbers | st.just(interpreter.magic)
        directories |= st.sampled_from(own)
    files: dict[str, AnyEntry] = {}
    for directory in draw(st.lists(directories, min_size=1, max_size=6, unique=True)):
        for module in draw(
            st.lists(st.sampled_from(["a", "b", "__init__", "a.b"]), min_size=1, max_size=3, unique=True)
        ):
            if draw(st.sampled_from([True, True, False])):
                files[f"{directory}/{module}.py"] = File(b"x = 1\n")
            for name in draw(st.lists(names_of_bytecode(module, tags), max_size=4)):
                length = draw(st.sampled_from([16, 16, 16, 12, 4, 2, 0]))
                files[f"{directory}/{name}"] = File(
                    struct.pack("<H2s3I", draw(magic_numbers), b"\r\n", 0, 1, 6)[:length]
                )
    for path, target in draw(st.lists(st.sampled_from(LINKS), max_size=2, unique=True)):
        if not any(other.startswith(f"{path}/") for other in files):
            files[path] = Symlink(target)
    return files


packages = st.sampled_from(INTERPRETERS).flatmap(lambda python: st.tuples(st.just(python), file_trees(python)))
Package = tuple[Interpreter, dict[str, AnyEntry]]


def write_files(files: dict[str, AnyEntry], root: Path) -> None:
    for path, entry in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Symlink):
            (root / path).symlink_to(entry.target)
        elif isinstance(entry, File):
            (root / path).write_bytes(entry.data)


def is_below(path: str, trees: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).is_relative_to(tree) for tree in trees)


def second_site_packages(interpreter: Interpreter) -> tuple[str, ...]:
    """Return the site-packages that a free-threaded Python searches after its own; nothing for other Pythons."""
    return tuple(f"{tree[:-1]}/site-packages" for tree in interpreter.trees if tree.endswith("t"))


def path_entries(root: Path, interpreter: Interpreter) -> Iterator[str]:
    """Yield every directory that this Python might search, absolute.

    That is every directory, also through links, since a program may extend sys.path. Only the versioned trees of other
    Pythons at the root are left out.
    """
    others = tuple(
        tree for tree in (*VERSIONED, "lib64/python3.10") if tree.replace("lib64", "lib") not in interpreter.trees
    )
    for directory, names, _ in os.walk(root, followlinks=True):
        here = os.path.relpath(directory, root)
        names[:] = [name for name in names if not is_below(os.path.normpath(f"{here}/{name}"), others)]
        yield directory


def modules_found(directory: str) -> dict[str, str]:
    """Return the modules that importlib finds in a directory, with the file that it loads each from."""
    loaders = (SourceFileLoader, [".py"]), (SourcelessFileLoader, [".pyc"])
    finder = FileFinder(directory, *loaders)
    found = {}
    for name in {name.partition(".")[0] for name in os.listdir(directory)}:
        spec = finder.find_spec(name)
        if spec is not None and spec.origin is not None and spec.has_location:
            found[name] = spec.origin
    return found


def imported_files(root: Path, interpreter: Interpreter) -> set[str]:
    """Return every bytecode file that this Python might load, as paths in the package."""
    loaded = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.implementation, "cache_tag", interpreter.cache_tag)
        for directory in path_entries(root, interpreter):
            for origin in modules_found(directory).values():
                loaded.add(origin)
                if origin.endswith(".py"):
                    loaded |= {importlib.util.cache_from_source(origin, optimization=o) for o in ("", 1, 2)}
    return {os.path.relpath(os.path.realpath(path), os.path.realpath(root)) for path in loaded if os.path.exists(path)}


def dropped(result: Result) -> set[str]:
    return {finding.path for finding in result.findings if finding.action is Action.DROP}


def judged(root: Path, depends: tuple[str, ...], files: dict[str, AnyEntry], **index: str) -> set[str]:
    """Return what the default rules drop from a package with these files, read from the package itself."""
    spec = PackageSpec("demo", depends=depends, files=files, index_extra=index)
    return dropped(check(write_package(spec, root, level=1), deep=True))


@posix
@settings(max_examples=200, deadline=None)
@given(packages)
def test_a_dropped_file_can_never_be_imported(package: Package) -> None:
    interpreter, files = package
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        write_files(files, root)
        lost = judged(Path(directory), interpreter.depends, files)
        loaded = imported_files(root, interpreter)
        event(f"drops: {bool(lost)}, bytecode is imported: {any(path.endswith('.pyc') for path in loaded)}")
        assert not lost & loaded


@posix
@settings(max_examples=100, deadline=None)
@given(packages)
def test_every_module_is_found_as_before(package: Package) -> None:
    """After the drops, importlib loads every module from the same file as before."""
    interpreter, files = package
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        write_files(files, root)
        before = {entry: modules_found(entry) for entry in path_entries(root, interpreter)}
        for path in judged(Path(directory), interpreter.depends, files):
            (root / path).unlink()
        assert {entry: modules_found(entry) for entry in path_entries(root, interpreter)} == before


@posix
@settings(max_examples=100, deadline=None)
@given(packages)
def test_own_bytecode_is_kept_and_other_bytecode_is_dropped(package: Package) -> None:
    """importlib splits the name of a cached file into source and tag, and makes the same name only for its own tag."""
    interpreter, files = package
    with tempfile.TemporaryDirectory() as directory:
        lost = judged(Path(directory), interpreter.depends, files)
    linked = any(isinstance(entry, Symlink) for entry in files.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.implementation, "cache_tag", interpreter.cache_tag)
        for path in files:
            try:
                source = importlib.util.source_from_cache(path)
            except ValueError:
                continue
            if not path.endswith(".pyc") or PurePosixPath(path).name.split(".")[1] not in TAGS:
                # Not a tag of a known Python: it may be part of the module's name.
                continue
            own = path in {importlib.util.cache_from_source(source, optimization=o) for o in ("", 1)}
            if own and is_below(path.replace("lib64", "lib"), second_site_packages(interpreter)):
                continue  # Whether it is dropped depends on the other files: see test_shadowing.py.
            tree = next((tree for tree in VERSIONED if is_below(path.replace("lib64", "lib"), (tree,))), None)
            if own and (tree is None or tree in interpreter.trees):
                assert path not in lost
            elif (
                tree is not None and not linked and (tree not in interpreter.trees or (not own and "test" not in path))
            ):
                # Files that a link leads to are kept.
                assert path in lost


@posix
@settings(max_examples=100, deadline=None)
@given(files=file_trees())
def test_a_package_for_any_python_loses_no_module(files: dict[str, AnyEntry]) -> None:
    """Any Python finds the same modules as before, and compiles those whose bytecode was dropped."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        write_files(files, root)
        everywhere = [entry for entry, _, _ in os.walk(root, followlinks=True)]
        before = {entry: modules_found(entry) for entry in everywhere}
        for path in judged(Path(directory), ("python",), files, noarch="python"):
            assert PurePosixPath(path).parent.name == "__pycache__"
            (root / path).unlink()
        assert {entry: modules_found(entry) for entry in everywhere} == before


@posix
@settings(max_examples=100, deadline=None)
@given(files=file_trees())
def test_a_package_without_python_loses_no_importable_file(files: dict[str, AnyEntry]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        write_files(files, root)
        lost = judged(Path(directory), (), files)
        for interpreter in INTERPRETERS:
            assert not lost & imported_files(root, interpreter)


@settings(max_examples=100, deadline=None)
@given(files=file_trees(), depends=st.sampled_from(["python", "python >=3.9", "python >=3.9,<3.13.0a0", "python ^3.9"]))
def test_nothing_is_dropped_if_the_python_is_not_known(files: dict[str, AnyEntry], depends: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert not judged(Path(directory), (depends,), files)


@posix
@settings(max_examples=100, deadline=None)
@given(files=file_trees(), depends=st.sampled_from([(), ("python",), ("python >=3.9",)]))
def test_weak_evidence_drops_files_in_versioned_trees_only(files: dict[str, AnyEntry], depends: tuple[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        write_files(files, root)
        lost = judged(Path(directory), depends, files, build="py311h1234567_0")
        event(f"drops: {bool(lost)}")
        assert all(is_below(path.replace("lib64", "lib"), VERSIONED) for path in lost)
        assert not lost & imported_files(root, next(python for python in INTERPRETERS if python.name == "3.11"))


@settings(max_examples=50, deadline=None)
@given(files=file_trees())
def test_nothing_is_dropped_if_the_evidence_is_contradictory(files: dict[str, AnyEntry]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert not judged(Path(directory), ("python_abi 3.10.* *_cp310", "python_abi 3.11.* *_cp311"), files)
