"""The rules: each turns a package's facts into findings, and its docstring is what `explain` and the documentation say.

A rule drops only what the package's Python can never import, and says what it leaves. A file belongs to the first
rule that finds it, so the order of RULES is part of their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from ..model import Action, FileKind, Finding, Variant
from .bytecode import Bytecode, parse_header
from .contents import Contents
from .python import tag_python, versioned_tree

Rows = Iterator[Finding]


def foreign_path(contents: Contents, variant: Variant) -> Rows:
    """Bytecode under another Python's tree: `lib/python3.10/**` in a package for Python 3.11, whatever its tag.

    Causes: one build directory or host prefix served several Python variants, and what the earlier ones installed was
    packed with the later ones (prefix-dev/pixi #4878). Fix: the files are dropped. Python 3.11 never looks below
    `lib/python3.10`, so nothing that runs changes. Prevention: build every variant in a directory of its own (pixi
    0.60 and later do), or end the recipe's script with `conda-prune prefix --fix`.
    """
    if variant.kind != "exact" or variant.trees is None:
        return
    for bytecode in contents.bytecode:
        tree = versioned_tree(bytecode.path)
        if tree is not None and tree not in variant.trees:
            yield _drop("foreign-path", contents, bytecode.path, _tree_directory(bytecode.path))


def foreign_tag(contents: Contents, variant: Variant) -> Rows:
    """Bytecode of another interpreter: `__pycache__/m.cpython-310.pyc` in a package for Python 3.11.

    Causes: the build environment's Python compiled what the host's Python will import; an upstream archive shipped
    its own `__pycache__`; an earlier variant's files stayed in the tree. Fix: the files are dropped. An interpreter
    imports from `__pycache__` only what carries its own tag (PEP 3147). An untagged `m.pyc` counts where `m.py` is
    beside it and its magic number belongs to another Python. Interpreters that the package embeds keep theirs.
    Prevention: compile with the host's Python, and keep `__pycache__` out of source archives.
    """
    if variant.kind != "exact" or variant.tags is None:
        return
    for bytecode in contents.bytecode:
        if bytecode.tag and not fits(bytecode.tag, variant) and not is_embedded(bytecode):
            yield _drop("foreign-tag", contents, bytecode.path, bytecode.tag)
        elif is_legacy(bytecode, contents):
            head = contents.files[bytecode.path].content
            header = parse_header(head) if head is not None else None
            row = header.python if header is not None else None
            if header is not None and row is not None and not _is_inside_other_python(bytecode.path, row[3:5]):
                if not _same_python(row.implementation, row[3:5], variant):
                    detail = f"magic number {header.magic} of {row.implementation} {row.major}.{row.minor}"
                    yield _drop("foreign-tag", contents, bytecode.path, detail)


def noarch_bytecode(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode in a package that works with any Python, whose source is in the package.

    Causes: the package was built with bytecode compilation on, or repacked from a platform's package.
    Fix: the files are dropped. Installers compile noarch packages themselves (CEP 20), and tagged bytecode of the
    building Python is ignored by all others. Bytecode without its source stays. Prevention: `noarch: python` in
    rattler-build and conda-build leaves bytecode out; set PYTHONDONTWRITEBYTECODE=1 in custom scripts.
    """
    if variant.kind != "any":
        return
    for bytecode in contents.bytecode:
        if bytecode.tag and bytecode.source in contents.files and not is_embedded(bytecode):
            yield _drop("noarch-bytecode", contents, bytecode.path, bytecode.tag)


def no_variant(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode in a Python tree of a package that names no Python and does not ship the source.

    Causes: a Python started during the build of a package that has nothing to do with Python, and wrote its cache
    into the prefix that was packed (conda-forge/gdal-feedstock #1199, prefix-dev/rattler-build #2481). Fix: the files
    are dropped. Cached bytecode without its source is never imported, and it clobbers the file of the package that
    owns the module. Prevention: set PYTHONDONTWRITEBYTECODE=1 in the build script, or end it with `conda-prune prefix
    --fix`.
    """
    if variant.kind != "none":
        return
    for bytecode in contents.bytecode:
        if bytecode.tag and bytecode.source not in contents.files and in_python_tree(bytecode.path):
            yield _drop("no-variant", contents, bytecode.path, bytecode.tag)


def foreign_tree(contents: Contents, variant: Variant) -> Rows:
    """Files other than bytecode under another Python's tree: sources, data, extensions and `.dist-info`.

    Causes: those of foreign-path; these files are what its bytecode leaves behind.
    Fix: on request, the rest of the tree is dropped. The package's Python never imports from it, but a program may
    read files there by name, which is why this is no default. Prevention: as for foreign-path.
    """
    if variant.kind != "exact" or variant.trees is None:
        return
    bytecode = {parsed.path for parsed in contents.bytecode}
    for path, file in contents.files.items():
        tree = versioned_tree(path)
        if tree is not None and tree not in variant.trees and path not in bytecode:
            if file.kind is not FileKind.DIRECTORY:
                yield _drop("foreign-tree", contents, path, _tree_directory(path))


def foreign_extension(contents: Contents, variant: Variant) -> Rows:
    """Extension modules of another Python: `m.cpython-310-x86_64-linux-gnu.so` in a package for Python 3.11.

    Causes: a build directory that served an earlier variant, or a wheel that carries several.
    Fix: on request, the files are dropped. Python imports an extension only by a suffix of its own; modules for the
    stable ABI (`.abi3.so`) and without a suffix stay. Prevention: build every variant in a directory of its own.
    """
    if variant.kind != "exact":
        return
    for path in contents.files:
        match = _EXTENSION.search(path)
        if match and not _is_inside_other_python(path, (int(match[2]), int(match[3]))):
            implementation = "pypy" if match[1].startswith("pypy") else "cpython"
            threading = "t" in match[4] if implementation == "cpython" else None
            version = int(match[2]), int(match[3])
            if not _same_python(implementation, version, variant, threading):
                yield _drop("foreign-extension", contents, path, match[0].lstrip("."))


def leftover(contents: Contents, variant: Variant) -> Rows:
    """The temporary file of an interrupted bytecode write: `m.cpython-311.pyc.140234567890`.

    Causes: a Python was killed, or two wrote the same file, while bytecode was being compiled.
    Fix: on request, the files are dropped. No Python reads a file of that name.
    Prevention: compile bytecode in one process, after the installation.
    """
    for bytecode in contents.bytecode:
        if bytecode.leftover and (bytecode.cached or bytecode.source in contents.files):
            yield _drop("leftover", contents, bytecode.path, "interrupted write")


def optimized(contents: Contents, variant: Variant) -> Rows:
    """Bytecode compiled with -O: `.opt-1`, `.opt-2` and the `.pyo` files of old Pythons.

    Causes: something compiled all levels (`python -m compileall -o 0 -o 1 -o 2`).
    Fix: on request, the files are dropped. They are imported only by `python -O`, which compiles them again where it
    may. Prevention: compile level 0 only, as conda-build and rattler-build do.
    """
    for bytecode in contents.bytecode:
        if bytecode.optimized and not bytecode.leftover and (bytecode.cached or bytecode.source in contents.files):
            yield _drop("optimized", contents, bytecode.path, bytecode.optimized)


def orphan(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode with the right tag whose source is not in the package.

    Causes: bytecode of a dependency was compiled during the build and taken for the package's own (conda/conda-build
    #718). Fix: on request, the files are dropped. Python never imports cached bytecode without its source; but where
    another package has that source, this file is its cache, which is why this is no default. Prevention: set
    PYTHONDONTWRITEBYTECODE=1 while the build runs other packages' code.
    """
    if variant.kind != "exact":
        return
    for bytecode in contents.bytecode:
        if bytecode.tag and fits(bytecode.tag, variant) and bytecode.source not in contents.files:
            yield _drop("orphan", contents, bytecode.path, f"no {bytecode.source}")


def unknown_variant(contents: Contents, variant: Variant) -> Rows:
    """There is bytecode, but which Python the package is for cannot be told.

    Causes: the dependencies name no Python, or a range of several.
    Fix: nothing is done. `--python 3.11` tells what the package is for.
    Prevention: depend on `python_abi`, as the run exports of conda-forge's python do.
    """
    if variant.kind == "unknown":
        for bytecode in contents.bytecode:
            yield Finding("unknown-variant", bytecode.path, contents.size(bytecode.path), bytecode.tag)


def misnamed(contents: Contents, variant: Variant) -> Rows:
    """The header's magic number belongs to another Python than the name says.

    Causes: bytecode was renamed or copied over, or a pre-release of the Python wrote it.
    Fix: nothing is done: Python ignores the file and compiles the source again.
    Prevention: let the Python that will import the files write them.
    """
    for bytecode in contents.bytecode:
        named = tag_python(bytecode.tag) if bytecode.tag else None
        head = contents.files[bytecode.path].content
        header = parse_header(head) if head is not None else None
        if named is None or header is None or header.python is None or bytecode.leftover:
            continue
        row = header.python
        if (row.implementation, row.major, row.minor) != named[:3]:
            detail = f"its magic number {header.magic} is {row.implementation} {row.major}.{row.minor}'s"
            yield Finding("misnamed", bytecode.path, contents.size(bytecode.path), detail)


def sourceless(contents: Contents, variant: Variant) -> Rows:
    """A module without its source: `m.pyc` and no `m.py` beside it.

    Causes: the package ships compiled code only, often on purpose (prefix-dev/rattler-build #1191).
    Fix: never dropped: it is the only copy of the module, and Python imports it.
    Prevention: none needed.
    """
    for bytecode in contents.bytecode:
        if not bytecode.cached and not bytecode.leftover and bytecode.source not in contents.files:
            yield Finding("sourceless", bytecode.path, contents.size(bytecode.path), "", Action.REPORT, quiet=True)


def embedded(contents: Contents, variant: Variant) -> Rows:
    """Bytecode of an interpreter inside the package, as blender or a bundled application has one.

    Causes: the package brings its own Python, in a directory that says so.
    Fix: never dropped: that interpreter imports it.
    Prevention: none needed.
    """
    if variant.kind == "exact":
        for bytecode in contents.bytecode:
            if bytecode.tag and not fits(bytecode.tag, variant) and is_embedded(bytecode):
                size = contents.size(bytecode.path)
                yield Finding("embedded", bytecode.path, size, bytecode.tag, Action.REPORT, quiet=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding: whether it applies without being asked for, and the function that finds it."""

    kind: str
    default: bool
    find: Callable[[Contents, Variant], Rows]
    needs: Literal["names", "heads"] = "names"


RULES = (
    Rule("foreign-path", True, foreign_path),
    Rule("foreign-tag", True, foreign_tag),
    Rule("noarch-bytecode", True, noarch_bytecode),
    Rule("no-variant", True, no_variant),
    Rule("foreign-tree", False, foreign_tree),
    Rule("foreign-extension", False, foreign_extension),
    Rule("leftover", False, leftover),
    Rule("optimized", False, optimized),
    Rule("orphan", False, orphan),
    Rule("unknown-variant", True, unknown_variant),
    Rule("misnamed", True, misnamed, needs="heads"),
    Rule("sourceless", True, sourceless),
    Rule("embedded", True, embedded),
)

_EXTENSION = re.compile(
    r"\.(cpython-|cp|pypy)(\d)(\d{1,2})([a-z]*)(?:-pp\d+)?(?:-[\w.-]+)?\.(?:so|pyd|dylib)\Z", re.ASCII
)
_PYTHON_DIRECTORY = re.compile(
    r"(?:python|pypy|py|graalpy|cp)-?(\d)\.?(\d{1,2})(?:t|[.-].*)?", re.ASCII | re.IGNORECASE
)
_UNVERSIONED_TREES = ("Lib/", "lib/python/", "site-packages/", "lib64/python/")


def fits(tag: str, variant: Variant) -> bool:
    """Return whether the variant's Python imports bytecode with this tag."""
    return any(fnmatchcase(tag, pattern) for pattern in variant.tags or ())


def is_legacy(bytecode: Bytecode, contents: Contents) -> bool:
    """Return whether it is an untagged `m.pyc` beside its `m.py`: only its magic number tells whose it is."""
    return not bytecode.cached and not bytecode.leftover and bytecode.source in contents.files


def in_python_tree(path: str) -> bool:
    """Return whether a path is in a Python's tree at the package's root, versioned or not."""
    return versioned_tree(path) is not None or path.startswith(_UNVERSIONED_TREES)


def is_embedded(bytecode: Bytecode) -> bool:
    """Return whether the file is an embedded interpreter's: a directory around it says the Python that its tag says."""
    python = tag_python(bytecode.tag)
    return python is not None and _is_inside_other_python(bytecode.path, (python.major, python.minor))


def _is_inside_other_python(path: str, version: tuple[int, int]) -> bool:
    """Return whether a directory of the path, the root's own Python tree aside, is named after that version."""
    parts = path.split("/")[:-1]
    if versioned_tree(path) is not None:
        parts = parts[2:]
    for part in parts:
        match = _PYTHON_DIRECTORY.fullmatch(part)
        if match and (int(match[1]), int(match[2])) == version:
            return True
        # `share/blender/4.2/python/lib/…` says it in two directories, or not at all.
    return False


def _same_python(
    implementation: str, version: tuple[int, int], variant: Variant, free_threaded: bool | None = None
) -> bool:
    named = variant.python
    prefix = "" if implementation == "cpython" else implementation
    wanted = f"{prefix}{version[0]}.{version[1]}"
    if free_threaded is None or version < (3, 13):
        return named.rstrip("t") == wanted
    if free_threaded:
        return named == wanted + "t" or (named == wanted and f"python{named}t" in (variant.trees or ()))
    return named == wanted


def _tree_directory(path: str) -> str:
    return "/".join(path.split("/", 2)[:2])


def _drop(kind: str, contents: Contents, path: str, detail: str) -> Finding:
    return Finding(kind, path, contents.size(path), detail, Action.DROP)
