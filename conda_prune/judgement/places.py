"""Where a file stands, and what that makes of it: another Python's tree, an interpreter inside the package, test data.

What looks like an interpreter's own or like test data counts as such: a file that is kept for the wrong reason costs a
few bytes, one that is dropped for the wrong reason may be missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from ..model import Variant
from .bytecode import Bytecode, Header, parse_header
from .contents import Contents
from .links import parents, trail
from .python import Magic, Python, Version, known_version, parse_python, tag_python, versioned_tree

_UNVERSIONED_TREES = ("Lib/", "lib/python/", "lib64/python/", "site-packages/")
_INTERPRETER = re.compile(
    r"(?:cpython|python|pypy|graalpy|py|cp)[-_]?(\d)\.?(\d{1,2})t?(?:[.-].*)?", re.ASCII | re.DOTALL | re.IGNORECASE
)
_DATA = re.compile(
    r"tests?|testing|test[-_]?data|data|samples?|fixtures?|examples?|corpus|.*(?<!\d)\d\.\d{1,2}",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_NO_SOURCES = frozenset({"pyc", "pyo", "pyi", "so", "pyd", "dll", "dylib"})


def fits(tag: str, variant: Variant) -> bool:
    """Return whether the variant's Python imports bytecode with this tag."""
    return any(fnmatchcase(tag, pattern) for pattern in variant.tags or ())


def decides(variant: Variant, path: str) -> bool:
    """Return whether the variant says whose a file is.

    What is only inferred from the build counts in versioned trees: elsewhere, the Python that the package is installed
    with may be another one, and reads the file.
    """
    inferred = "version" in variant.inferred or "implementation" in variant.inferred
    return not inferred or versioned_tree(path) is not None


def own_python(variant: Variant) -> Python | None:
    """Return the package's only Python, or None; `free_threaded` is None where both kinds of it fit."""
    python = parse_python(variant.python) if variant.kind == "exact" else None
    both = python is not None and not python.free_threaded and f"python{variant.python}t" in (variant.trees or ())
    return python._replace(free_threaded=None) if python is not None and both else python


def foreign_tree_of(path: str, variant: Variant) -> str | None:
    """Return the other Python's tree at the package's root that a path is in (`lib/python3.10`), or None."""
    tree = versioned_tree(path)
    if tree is None or variant.trees is None or tree in variant.trees:
        return None
    return "/".join(path.split("/", 2)[:2])


def in_python_tree(path: str) -> bool:
    """Return whether a path is in a Python's tree at the package's root, versioned or not."""
    return versioned_tree(path) is not None or path.startswith(_UNVERSIONED_TREES)


def linked_directories(contents: Contents, variant: Variant) -> Mapping[str, list[str]]:
    """Return what symbolic links outside other Pythons' trees lead to, each with the links, as paths in the package."""
    links = (path for path, file in contents.links.items() if file.link and foreign_tree_of(path, variant) is None)
    leading: dict[str, list[str]] = {}
    for path in links:
        for passed in trail(contents.files, path):
            if passed != path:
                leading.setdefault(passed, []).append(path)
    return leading


def is_reached(path: str, leading: Mapping[str, list[str]], variant: Variant) -> bool:
    """Return whether a link leads to a directory around a path, and makes it stand elsewhere than in a foreign tree.

    Behind `lib64 -> lib`, another Python's tree is still one.
    """
    return bool(leading) and any(
        foreign_tree_of(link + path[len(parent) :], variant) is None
        for parent in parents(path)
        for link in leading.get(parent, ())
    )


def ships_several(contents: Contents) -> bool:
    """Return whether files other than bytecode stand in the trees of more than one Python: that is on purpose."""
    bytecode = {parsed.path for parsed in contents.bytecode}
    trees = {versioned_tree(path) for path in contents.files if path not in bytecode}
    return len(trees - {None}) > 1


def has_source(bytecode: Bytecode, contents: Contents) -> bool:
    """Return whether the source is in the package: `m.py`, or `m.pyw` of Windows."""
    return bytecode.source in contents.files or f"{bytecode.source}w" in contents.files


def without_source(found: Iterable[Bytecode], contents: Contents) -> Iterator[Bytecode]:
    """Yield the cached bytecode for which the package holds nothing that it could have been compiled from.

    importlib does not look at a source's ending: the cache of `m.hy` is `__pycache__/m.TAG.pyc` (cache_from_source).
    So every file `m.*` counts that is no module by itself.
    """
    lacking = [bytecode for bytecode in found if not has_source(bytecode, contents)]
    if not lacking:
        return
    wanted = {f"{bytecode.directory}{bytecode.module}" for bytecode in lacking}
    there = set()
    for path in contents.files:
        stem, _, ending = path.rpartition(".")
        if stem in wanted and ending.lower() not in _NO_SOURCES and "/" not in ending:
            there.add(stem)
    yield from (bytecode for bytecode in lacking if f"{bytecode.directory}{bytecode.module}" not in there)


def is_legacy(bytecode: Bytecode, contents: Contents) -> bool:
    """Return whether it is an untagged `m.pyc` next to its `m.py`: only its magic number says whose it is.

    Below a directory that is named like test data, such pairs are shipped to be read by name.
    """
    if bytecode.cached or bytecode.leftover or not has_source(bytecode, contents):
        return False
    return not any(map(_DATA.fullmatch, _directories(bytecode.directory)))


def is_embedded(bytecode: Bytecode) -> bool:
    """Return whether the file is an embedded interpreter's: a directory around it says the Python that its tag says."""
    if not bytecode.tag:
        return False
    python, around = tag_python(bytecode.tag), _interpreters(bytecode.directory)
    return bool(around) if python is None else python.version in around


def is_inside(path: str, version: Version) -> bool:
    """Return whether a directory around a file is named after an interpreter of that version."""
    return version in _interpreters(path[: path.rfind("/") + 1])


def header_of(bytecode: Bytecode, contents: Contents) -> tuple[Header, Magic] | None:
    """Return a file's header with the Python that writes it, or None where either is not known."""
    header = parse_header(contents.files[bytecode.path].content)
    return (header, header.python) if header is not None and header.python is not None else None


@lru_cache(maxsize=1024)
def _interpreters(directory: str) -> frozenset[Version | None]:
    """Return the versions that directories on the way are named after; None for one that is no Python's."""
    matches = (_INTERPRETER.fullmatch(name) for name in _directories(directory))
    return frozenset(known_version(match[1], match[2]) for match in matches if match)


def _directories(directory: str) -> list[str]:
    """Return the names of the directories on the way to one that ends with `/`, the root's own Python tree aside."""
    names = directory.split("/")
    return names[2:] if versioned_tree(directory) is not None else names
