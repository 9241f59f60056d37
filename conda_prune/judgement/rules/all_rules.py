"""The rules: each turns a package's facts into findings, and its docstring is what `explain` and the documentation say.

A rule drops only what the package's Python can never import, and says what it leaves. A file belongs to the first
rule that finds it, so the order of RULES is part of their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ...model import Action, Finding, Variant
from ..bytecode import Bytecode, Header
from ..contents import Contents
from ..locations import (
    decides,
    fits,
    has_source,
    header_of,
    in_python_tree,
    interpreters_in,
    is_legacy,
    own_python,
    ships_several,
    without_source,
)
from ..variant.evidence import index_names_python
from ..variant.pythons import (
    Magic,
    Python,
    extension_python,
    versioned_tree,
)
from .reports import (
    embedded,
    misnamed,
    sourceless,
    unknown_variant,
)
from .stale_listing import stale_listing
from .stale_stamp import stale_stamp
from .trees import foreign_path, foreign_tree, nested_path

Rows = Iterator[Finding]


def foreign_tag(contents: Contents, variant: Variant) -> Rows:
    """Bytecode of another interpreter: `__pycache__/m.cpython-310.pyc` in a package for Python 3.11.

    An untagged `m.pyc` counts where `m.py` is beside it and its header's magic number belongs to another Python.

    Causes: the build environment's Python compiled what the host's Python will import; an upstream archive or wheel
    shipped its own `__pycache__`; an earlier variant's files stayed in the tree.

    Fix: the files are dropped. Those of an interpreter inside the package stay (`embedded`), and so does test data.

    Safe: an interpreter imports from `__pycache__` only what carries its own tag (PEP 3147); beside a source it ignores
    an `m.pyc`, or, as Python 2 does, ignores it for its magic number.

    Prevention: let the host's Python compile, and keep `__pycache__` out of source archives.

        rattler-build   build: {files: {exclude: ["**/*.cpython-310.pyc"]}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     have python in requirements/host only; build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    own = own_python(variant)
    if own is None:
        return
    judged = [bytecode for bytecode in contents.bytecode if decides(variant, bytecode.path)]
    tagged = [bytecode for bytecode in judged if bytecode.tag and not fits(bytecode.tag, variant)]
    legacy = list(_foreign_legacy((bytecode for bytecode in judged if not bytecode.tag), contents, own))
    if not (tagged or legacy):
        return
    interpreters = interpreters_in(contents, variant)
    for bytecode in tagged:
        if not (interpreters.imports(bytecode) or interpreters.is_nested_tree_of(bytecode)):
            yield _drop("foreign-tag", contents, bytecode.path, bytecode.tag)
    for bytecode, header, writer in legacy:
        if not interpreters.is_around(bytecode.path, writer.version):
            detail = f"magic number {header.magic} of {writer.implementation} {writer.major}.{writer.minor}"
            yield _drop("foreign-tag", contents, bytecode.path, detail)


def _foreign_legacy(
    found: Iterable[Bytecode], contents: Contents, own: Python
) -> Iterator[tuple[Bytecode, Header, Magic]]:
    """Yield the untagged bytecode next to a source that another Python wrote, with its header and that Python."""
    for bytecode in found:
        if is_legacy(bytecode, contents) and (said := header_of(bytecode, contents)) is not None:
            header, writer = said
            if (writer.implementation, writer.version) != (own.implementation, own.version):
                yield bytecode, header, writer


def noarch_bytecode(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode in a package that works with any Python (noarch python, or the stable ABI), beside its source.

    Causes: another tool than conda-build and rattler-build made the package, which both leave bytecode out, or it was
    repacked from a platform's.

    Fix: the files are dropped. Bytecode without its source stays: it may be the module.

    Safe: installers compile the sources of such packages for the Python that is there (CEP 20); of the tags that were
    packed, that Python would ignore all but one.

    Prevention: leave compiling to the installer.

        rattler-build   build: {noarch: python} or {python: {version_independent: true}} drops bytecode by itself
        pixi            [package.build.config] noarch = true, or abi3 = true
        conda-build     build: {noarch: python} drops bytecode by itself
    """
    if variant.kind != "any":
        return
    if cached := [found for found in contents.bytecode if found.tag and has_source(found, contents)]:
        interpreters = interpreters_in(contents, variant)
        for bytecode in cached:
            if not interpreters.imports(bytecode):
                yield _drop("noarch-bytecode", contents, bytecode.path, bytecode.tag)


def no_variant(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode in a Python's tree of a package whose index names no Python and that does not ship the source.

    Causes: a Python started during the build of a package that has nothing to do with Python, and wrote its cache into
    the prefix that was packed (conda-forge/gdal-feedstock #1199, prefix-dev/rattler-build #2481).

    Fix: the files are dropped. Outside of a Python's tree they are reported and stay. Packages that ship the sources,
    or files for several Pythons, keep their bytecode.

    Safe: cached bytecode is imported by way of its source only. The package that owns the module brings its own.

    Prevention: keep Python from writing bytecode while the package is built.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    # A Python that only info/hash_input.json names took part in the build; the package does not ask for one.
    unnamed = variant.kind == "none" or ("version" in variant.inferred and not index_names_python(contents.index))
    if not unnamed or ships_several(contents):
        return
    lonely = list(without_source((found for found in contents.bytecode if found.tag), contents))
    if not lonely:
        return
    interpreters = interpreters_in(contents, variant)
    for bytecode in lonely:
        if not interpreters.imports(bytecode):
            path, tag = bytecode.path, bytecode.tag
            if in_python_tree(path, contents):
                yield _drop("no-variant", contents, path, tag)
            elif variant.kind == "none" or fits(tag, variant):  # Otherwise it is an unknown-variant.
                yield Finding("no-variant", path, contents.size(path), tag)


def foreign_extension(contents: Contents, variant: Variant) -> Rows:
    """Extension modules of another Python: `m.cpython-310-x86_64-linux-gnu.so` in a package for Python 3.11.

    Causes: a build directory that served an earlier variant, or a wheel that carries modules for several Pythons.

    Fix: on request, the files are dropped. Modules for the stable ABI (`.abi3.so`) and without a suffix stay.

    Safe: Python imports an extension module only by a suffix of its own. Other programs may load it by name, which is
    why this is no default.

    Prevention: build every variant in a clean source directory.

        rattler-build   build: {files: {exclude: ["**/*.cpython-310-*.so"]}}
        pixi            pixi publish --clean
        conda-build     remove the source's build/ directory in build/script before building
    """
    own = own_python(variant)
    if own is None:
        return
    interpreters = interpreters_in(contents, variant)
    for path in contents.files:
        python = extension_python(path)
        if python is not None and decides(variant, path):
            certain = "threading" not in variant.inferred or versioned_tree(path) is not None
            threads = certain and {own.free_threaded, python.free_threaded} == {True, False}
            if (python[:3] != own[:3] or threads) and not interpreters.is_around(path, python.version):
                yield _drop("foreign-extension", contents, path, f"of {python}")


def leftover(contents: Contents, variant: Variant) -> Rows:
    """The temporary file of an interrupted bytecode write: `m.cpython-311.pyc.140234567890`.

    Causes: a Python was killed, or several wrote the same file, while bytecode was being compiled (pybind11 #5838).

    Fix: on request, the files are dropped.

    Safe: no Python reads a file of that name. Other tools might number their files so, which is why this is no default.

    Prevention: compile once, when everything is installed, as the build tools do by themselves; keep tests that run
    during the build from writing bytecode with PYTHONDONTWRITEBYTECODE=1.
    """
    for bytecode in contents.bytecode:
        if bytecode.leftover and (bytecode.cached or has_source(bytecode, contents)):
            yield _drop("leftover", contents, bytecode.path, "interrupted write")


def optimized(contents: Contents, variant: Variant) -> Rows:
    """Bytecode compiled with -O: `.opt-1`, `.opt-2` and the `.pyo` files of old Pythons.

    Causes: something compiled all levels (`python -m compileall -o 0 -o 1 -o 2`), or ran with PYTHONOPTIMIZE.

    Fix: on request, the files are dropped. A `.pyo` without its source stays, and so do those of embedded interpreters.

    Safe: only `python -O` imports them, and it compiles the source again. That takes time at every start where it
    cannot write, which is why this is no default.

    Prevention: compile level 0 only, as conda-build and rattler-build do.

        rattler-build   build: {files: {exclude: ["**/*.opt-*.pyc"]}}
        pixi            [package.build.config] env = { PYTHONOPTIMIZE = "" }
        conda-build     nothing to do: it drops them by itself
    """
    interpreters = interpreters_in(contents, variant)
    for bytecode in contents.bytecode:
        if bytecode.optimized and not bytecode.leftover and not interpreters.imports(bytecode):
            if bytecode.cached or has_source(bytecode, contents):
                yield _drop("optimized", contents, bytecode.path, bytecode.optimized)


def orphan(contents: Contents, variant: Variant) -> Rows:
    """Cached bytecode with the right tag whose source is not in the package.

    Causes: bytecode of a dependency was compiled during the build and taken for the package's own (conda/conda-build
    #718).

    Fix: on request, the files are dropped.

    Safe: Python never imports cached bytecode without its source. Where another package has that source, this file is
    its cache, which is why this is no default.

    Prevention: keep Python from writing bytecode while the build runs other packages' code.

        rattler-build   build: {script: {env: {PYTHONDONTWRITEBYTECODE: "1"}}}
        pixi            [package.build.config] env = { PYTHONDONTWRITEBYTECODE = "1" }
        conda-build     build: {script_env: [PYTHONDONTWRITEBYTECODE=1]}
    """
    if variant.kind == "exact":
        own = (found for found in contents.bytecode if found.tag and fits(found.tag, variant))
        for bytecode in without_source((found for found in own if decides(variant, found.path)), contents):
            yield _drop("orphan", contents, bytecode.path, f"no {bytecode.source}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding: whether it is looked for without being asked for, and the function that finds it.

    `of_rest`: it judges what is left when the files are dropped that the other rules found. `on_request`: what it finds
    is reported, and repaired when it is asked for only. `needs_pth`: it depends on the `.pth` files in the payload.
    `chosen` says what decides whether it applies: the kinds that the user selects and ignores, only those that are
    ignored, or nothing.
    """

    kind: str
    default: bool
    find: Callable[[Contents, Variant], Rows]
    of_rest: bool = False
    on_request: bool = False
    needs_pth: bool = False
    chosen: Literal["by kind", "unless ignored", "always"] = "by kind"


RULES = (
    Rule("foreign-path", True, foreign_path, needs_pth=True),
    Rule("foreign-tag", True, foreign_tag),
    Rule("noarch-bytecode", True, noarch_bytecode),
    Rule("no-variant", True, no_variant),
    Rule("nested-path", True, nested_path, on_request=True, needs_pth=True),
    Rule("foreign-tree", False, foreign_tree, needs_pth=True),
    Rule("foreign-extension", False, foreign_extension),
    Rule("leftover", False, leftover),
    Rule("optimized", False, optimized),
    Rule("orphan", False, orphan),
    Rule("unknown-variant", True, unknown_variant, chosen="always"),
    Rule("misnamed", True, misnamed),
    Rule("sourceless", True, sourceless),
    Rule("embedded", True, embedded),
    Rule("stale-listing", True, stale_listing, of_rest=True, chosen="unless ignored"),
    Rule("stale-stamp", False, stale_stamp, of_rest=True),
)


def rule_of(kind: str) -> Rule:
    """Return the rule that finds a kind. Raises KeyError for one that is none."""
    return _BY_KIND[kind]


_BY_KIND = {rule.kind: rule for rule in RULES}


def _drop(kind: str, contents: Contents, path: str, detail: str) -> Finding:
    return Finding(kind, path, contents.size(path), detail, Action.DROP)
