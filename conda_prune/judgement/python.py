"""The Pythons that exist, and what each writes: cache tags, versioned trees, magic numbers. Data, no decisions.

Sources: PEP 3147 (tags), PEP 703 and python/cpython's sysmodule.c (free threading has no tag of its own), CFEP 27
(unversioned trees from 3.15 on), pycore_magic_number.h and PyPy's pycode.py (magic numbers).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Python(NamedTuple):
    """One Python: `free_threaded` is None where that is not known or makes no difference."""

    implementation: str
    major: int
    minor: int
    free_threaded: bool | None = None

    def __str__(self) -> str:
        prefix = "" if self.implementation == "cpython" else self.implementation
        return f"{prefix}{self.major}.{self.minor}{'t' if self.free_threaded else ''}"


VERSIONS = (*((2, minor) for minor in range(3, 8)), *((3, minor) for minor in range(30)))
"""Every minor version that can exist: what a number in a build string may mean."""

FIRST_FREE_THREADED = (3, 13)

_OVERRIDE = re.compile(r"(?:cpython|python)?-?(pypy|graalpy)?(\d)\.(\d{1,2})(t?)")
_TAG = re.compile(
    r"(?:(cpython)-(\d)(\d{1,2}))|(?:(pypy)(\d)(\d{1,2}))|(?:(pypy)3?-\d{2})|(?:(graalpy)\d*-(\d)(\d{1,2})(?:-dev)?)"
    r"|(?:(graalpython|jython|ironpython|pyston|cinder|rustpython|micropython)-?\w+)"
)
_TREE = re.compile(r"(?:lib|lib64)/((python|pypy)(\d)\.(\d{1,2})(t?))/")


def parse_python(text: str) -> Python | None:
    """Return the Python that a user wrote (`3.11`, `3.13t`, `pypy3.9`), or None where it is none."""
    match = _OVERRIDE.fullmatch(text.strip())
    if not match or (int(match[2]), int(match[3])) not in VERSIONS:
        return None
    version = int(match[2]), int(match[3])
    if match[4] and (match[1] or version < FIRST_FREE_THREADED):
        return None
    threading = bool(match[4]) if not match[1] and version >= FIRST_FREE_THREADED else None
    return Python(match[1] or "cpython", *version, threading)


def tags_of(python: Python) -> tuple[str, ...]:
    """Return the cache tags of bytecode that this Python imports, as glob patterns."""
    number = f"{python.major}{python.minor}"
    if python.implementation == "pypy":
        # Until 7.3, PyPy named its own version there, not the language's.
        return (f"pypy{number}", "pypy3-*") if python[1:3] <= (3, 6) else (f"pypy{number}",)
    if python.implementation == "graalpy":
        return (f"graalpy*-{number}", f"graalpy*-{number}-dev")
    return (f"cpython-{number}",)


def trees_of(python: Python) -> tuple[str, ...]:
    """Return the versioned directories of `lib/` that this Python imports from."""
    version = f"{python.major}.{python.minor}"
    if python.implementation == "pypy":
        return f"python{version}", f"pypy{version}"
    trees = [f"python{version}"]
    if python.implementation == "cpython" and python[1:3] >= FIRST_FREE_THREADED:
        trees = [f"python{version}t"] if python.free_threaded else trees
        if python.free_threaded is None:
            trees.append(f"python{version}t")
    if python[1:3] >= (3, 10):
        # Old installers took 3.10 and later for 3.1; conda-forge's python has that directory on its path.
        trees.append("python3.1")
    return tuple(trees)


def tag_python(tag: str) -> Python | None:
    """Return the Python that a cache tag names, or None where it names none with a version of the language."""
    match = _TAG.fullmatch(tag)
    if not match:
        return None
    for at in (1, 4, 8):
        if match[at]:
            return Python(match[at], int(match[at + 1]), int(match[at + 2]))
    return None


def is_tag(text: str) -> bool:
    """Return whether a text is a cache tag of some Python."""
    return _TAG.fullmatch(text) is not None


def versioned_tree(path: str) -> str | None:
    """Return the versioned Python tree at the package's root that a path is in (`python3.11`), or None."""
    match = _TREE.match(path)
    return match[1] if match else None


class Magic(NamedTuple):
    """Magic numbers `first` to `last` are one Python's; its bytecode files have a header of `header` bytes."""

    first: int
    last: int
    implementation: str
    major: int
    minor: int
    header: int


MAGIC_NUMBERS = (
    Magic(62171, 62211, "cpython", 2, 7, 8),
    Magic(3000, 3131, "cpython", 3, 0, 8),
    Magic(3141, 3151, "cpython", 3, 1, 8),
    Magic(3160, 3180, "cpython", 3, 2, 8),
    Magic(3190, 3230, "cpython", 3, 3, 12),
    Magic(3250, 3310, "cpython", 3, 4, 12),
    Magic(3320, 3351, "cpython", 3, 5, 12),
    Magic(3360, 3379, "cpython", 3, 6, 12),
    Magic(3390, 3399, "cpython", 3, 7, 16),
    Magic(3400, 3419, "cpython", 3, 8, 16),
    Magic(3420, 3429, "cpython", 3, 9, 16),
    Magic(3430, 3449, "cpython", 3, 10, 16),
    *(Magic(2900 + 50 * minor, 2949 + 50 * minor, "cpython", 3, minor, 16) for minor in range(11, 18)),
    Magic(62218, 62218, "pypy", 2, 7, 8),
    Magic(64, 64, "pypy", 3, 3, 12),
    Magic(112, 112, "pypy", 3, 5, 12),
    Magic(160, 207, "pypy", 3, 6, 12),
    Magic(224, 255, "pypy", 3, 7, 16),
    Magic(256, 319, "pypy", 3, 8, 16),
    Magic(320, 383, "pypy", 3, 9, 16),
    Magic(384, 399, "pypy", 3, 10, 16),
    Magic(400, 447, "pypy", 3, 11, 16),
)
"""Sorted by nobody's order but the history's. From 3.11 on every minor version has fifty numbers, from 2900 + 50 n."""


def magic_python(number: int) -> Magic | None:
    """Return the row that a magic number belongs to, or None: an unknown number proves nothing."""
    return next((row for row in MAGIC_NUMBERS if row.first <= number <= row.last), None)
