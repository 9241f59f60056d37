"""What a file's path says about it: whether it is in another Python's tree, next to its source, or test data.

Whatever looks like test data or like a source is treated as such: a file that is kept by mistake costs a few bytes, but
one that is dropped by mistake may break a program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

from ..model import Variant
from .bytecode import Bytecode, Header, parse_header
from .contents import Contents
from .variant.pythons import (
    Magic,
    Python,
    Version,
    known_version,
    parse_python,
    versioned_tree,
)

_UNVERSIONED_TREES = ("Lib/", "lib/python/", "lib64/python/", "site-packages/")
_LONGEST_TREE = len("lib64/python3.10t/")
_NESTED_TREE = r"/lib(?:64)?/((?:python|pypy)\d\.\d{1,2}t?)(?=/)"
_DATA = r"(?ais)tests?|testing|test[-_]?data|data|samples?|fixtures?|examples?|corpus|.*(?<!\d)\d\.\d{1,2}"
_NO_SOURCES = frozenset({"pyc", "pyo", "pyi", "so", "pyd", "dll", "dylib"})


def fits(tag: str, variant: Variant) -> bool:
    """Return whether the variant's Python imports bytecode with this tag."""
    return _fits(tag, variant.tags or ())


def foreign_tags(contents: Contents, variant: Variant) -> frozenset[str]:
    """Return the cache tags in the package that its Python does not import. A package has few, but many files."""
    return frozenset(tag for tag in contents.tags if not fits(tag, variant))


@lru_cache(maxsize=256)
def _fits(tag: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in patterns)


def can_judge(variant: Variant, path: str) -> bool:
    """Return whether the variant is certain enough to judge a file.

    A Python that is only inferred from the build counts in versioned trees only. Files elsewhere may be imported by
    another Python, if the package is installed next to one.
    """
    inferred = "version" in variant.inferred or "implementation" in variant.inferred
    return not inferred or versioned_tree(path) is not None


def own_python(variant: Variant) -> Python | None:
    """Return the one Python that the package is for, or None. Its `free_threaded` is None if both builds fit."""
    python = parse_python(variant.python) if variant.kind == "exact" else None
    if python is not None and not python.free_threaded and f"python{variant.python}t" in (variant.trees or ()):
        return python._replace(free_threaded=None)
    return python


def root_tree(path: str, contents: Contents) -> str | None:
    """Return the versioned Python tree at the package's root that a path is in (`python3.11`), or None.

    On Windows, names are not case-sensitive: `Lib/python3.10/` is `lib/python3.10/`.
    """
    if contents.is_windows:
        return versioned_tree(path[:_LONGEST_TREE].lower())
    return versioned_tree(path) if path.startswith("lib") else None


def foreign_tree_of(path: str, contents: Contents, variant: Variant) -> str | None:
    """Return the other Python's tree at the package's root that a path is in (`lib/python3.10`), or None."""
    tree = root_tree(path, contents)
    if tree is None or variant.trees is None or tree in variant.trees:
        return None
    return "/".join(path.split("/", 2)[:2])


def nested_tree_of(path: str, contents: Contents, variant: Variant) -> str | None:
    """Return the other Python's tree in another install prefix that a path is in, or None.

    For example, `opt/ros/humble/lib/python3.10` for `opt/ros/humble/lib/python3.10/site-packages/m.py` in a package for
    Python 3.11. If a path is in several, the outermost is returned.
    """
    if variant.kind != "exact" or variant.trees is None:
        return None
    if path.find("/py", len("lib/")) < 0 and not contents.is_windows:
        return None  # A quick test: most paths end here.
    for match in re.finditer(_NESTED_TREE, path, re.ASCII | (re.IGNORECASE if contents.is_windows else 0)):
        if match[1].lower() not in variant.trees:
            return path[: match.end()]
    return None


def tree_version(tree: str) -> Version | None:
    """Return the version at the end of a versioned tree's name, or None if there is no such Python."""
    match = re.search(r"(\d)\.(\d{1,2})t?\Z", tree, re.ASCII | re.IGNORECASE)
    return known_version(match[1], match[2]) if match else None


def in_python_tree(path: str, contents: Contents) -> bool:
    """Return whether a path is in a Python's tree at the package's root, versioned or not."""
    if root_tree(path, contents) is not None or path.startswith(_UNVERSIONED_TREES):
        return True
    return contents.is_windows and path[:4].lower() == "lib/"


def ships_several_pythons(contents: Contents) -> bool:
    """Return whether files other than bytecode are in the trees of several Pythons, which is intended."""
    bytecode = {parsed.path for parsed in contents.bytecode}
    trees = {root_tree(path, contents) for path in contents.files if path not in bytecode}
    return len(trees - {None}) > 1


def has_source(bytecode: Bytecode, contents: Contents) -> bool:
    """Return whether the source is in the package: `m.py`, or `m.pyw` as on Windows."""
    return bytecode.source in contents.files or f"{bytecode.source}w" in contents.files


def without_source(cached: Iterable[Bytecode], contents: Contents) -> Iterator[Bytecode]:
    """Yield the bytecode that was compiled from no file of the package.

    importlib ignores the extension of a source: `m.hy` is also cached as `__pycache__/m.TAG.pyc` (cache_from_source).
    So every file `m.*` counts as a source, except those that Python imports directly, such as `m.so`.
    """
    candidates = [bytecode for bytecode in cached if not has_source(bytecode, contents)]
    if not candidates:
        return
    stems = {f"{bytecode.directory}{bytecode.module}" for bytecode in candidates}
    with_source = set()
    for path in contents.files:
        stem, _, extension = path.rpartition(".")
        if stem in stems and extension.lower() not in _NO_SOURCES and "/" not in extension:
            with_source.add(stem)
    yield from (bytecode for bytecode in candidates if f"{bytecode.directory}{bytecode.module}" not in with_source)


def is_legacy(bytecode: Bytecode, contents: Contents) -> bool:
    """Return whether a file is an untagged `m.pyc` next to its `m.py`: only its magic number says who wrote it.

    Pairs below a directory that is named like test data do not count: decompilers ship some to read them by name.
    """
    if bytecode.cached or bytecode.leftover or not has_source(bytecode, contents):
        return False
    return not is_data(bytecode.path, contents)


def is_data(path: str, contents: Contents) -> bool:
    """Return whether a directory around a file is named like test data, or ends with a version (`bytecode_3.9`).

    The tree at the package's root, such as `lib/python3.11`, is not considered.
    """
    directories = path.split("/")[:-1]
    return any(
        re.fullmatch(_DATA, directory)
        for directory in (directories[2:] if root_tree(path, contents) is not None else directories)
    )


def header_of(bytecode: Bytecode, contents: Contents) -> tuple[Header, Magic] | None:
    """Return a file's header and the Python that writes it, or None if either is unknown."""
    header = parse_header(contents.files[bytecode.path].content)
    return (header, header.python) if header is not None and header.python is not None else None
