"""Tables of the Pythons that exist and of the cache tags, versioned trees and magic numbers that each uses.

Sources: PEP 3147 (tags), PEP 703 and python/cpython's sysmodule.c (free-threaded builds have the same tag), CFEP 27
(unversioned trees from 3.15 on), pycore_magic_number.h, PyPy's pycode.py and GraalPy's compiler (magic numbers).
Only ASCII digits count in names, since Pythons use no others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, TypeAlias

Version: TypeAlias = tuple[int, int]
"""A minor version: `(3, 11)`."""


class Python(NamedTuple):
    """One minor version of one implementation of Python.

    `free_threaded` is None if it is not known or makes no difference. `release` is GraalPy's own version as in its
    cache tags (`230` for 23.0); it is empty if not known, and for all other implementations.
    """

    implementation: str
    major: int
    minor: int
    free_threaded: bool | None = None
    release: str = ""

    @property
    def version(self) -> Version:
        """The minor version."""
        return self.major, self.minor

    def __str__(self) -> str:
        prefix = "" if self.implementation == "cpython" else self.implementation
        return f"{prefix}{self.major}.{self.minor}{'t' if self.free_threaded else ''}"


VERSIONS: tuple[Version, ...] = ((2, 6), (2, 7), *((3, minor) for minor in range(3, 30)))
"""Every minor version that conda has had or may get. Other numbers in a spec or build string mean no Python."""

FIRST_FREE_THREADED = (3, 13)
"""The first minor version with free-threaded builds."""

_VERSION = re.compile(r"(\d)\.(\d{1,2})(?!\d)", re.ASCII)
_OVERRIDE = r"(?a)(?:cpython|python)?-?(pypy|graalpy)?(\d\.\d{1,2})(t?)"
_TAG = re.compile(
    r"(cpython)-(\d)(\d{1,2})|(pypy)(\d)(\d{1,2})|(graalpy)(?:thon|\d*)-(\d)(\d{1,2})(?:-dev)?"
    r"|pypy3?-\d{2,3}|(?:graalpython|jython|ironpython|pyston|cinder|rustpython|micropython)(?:-\w+)*",
    re.ASCII,
)
_EXTENSION = r"(?a)(cp|cpython-|pypy|graalpy\d*-)(\d)(\d{1,2})([a-z]*)(?:-[\w-]+)?"
"""Patterns that few packages need are strings: compiling takes 0.1 ms, which every start would pay."""
_TREE = re.compile(r"lib(?:64)?/((?:python|pypy)\d\.\d{1,2}t?)/", re.ASCII)


def version_of(text: str) -> Version | None:
    """Return the minor version at the beginning of a text (`3.11.9`), or None if there is no such Python."""
    match = _VERSION.match(text)
    return known_version(match[1], match[2]) if match else None


def known_version(major: str, minor: str) -> Version | None:
    """Return the minor version with these digits, or None if there is no such Python."""
    version = int(major), int(minor)
    return version if version in VERSIONS else None


def parse_python(text: str) -> Python | None:
    """Return the Python that a user names (`3.11`, `3.13t`, `pypy3.9`), or None if there is no such Python."""
    match = re.fullmatch(_OVERRIDE, text.strip())
    version = version_of(match[2]) if match else None
    if not match or version is None:
        return None
    implementation, free_threaded = match[1] or "cpython", bool(match[3])
    has_both_builds = implementation == "cpython" and version >= FIRST_FREE_THREADED
    if free_threaded and not has_both_builds:
        return None
    return Python(implementation, *version, free_threaded if has_both_builds else None)


def tags_of(python: Python) -> tuple[str, ...]:
    """Return the cache tags of bytecode that this Python imports, as glob patterns."""
    number = f"{python.major}{python.minor}"
    if python.implementation == "pypy":
        # Before 7.3, PyPy's tags had its own version instead of the language's.
        older = ("pypy3-*",) if (3, 0) <= python.version <= (3, 6) else ("pypy-*",) if python.major == 2 else ()
        return f"pypy{number}", *older
    if python.implementation == "graalpy":
        # Every release has its own tags: GraalPy 23.1 ignores bytecode of 23.0, though both are Python 3.10.
        tag = f"graalpy{python.release or '*'}-{number}"
        return tag, f"{tag}-dev"
    return (f"cpython-{number}",)


def trees_of(python: Python) -> tuple[str, ...]:
    """Return the versioned directories of `lib/` that this Python imports from."""
    version = f"{python.major}.{python.minor}"
    if python.implementation == "pypy":
        return f"python{version}", f"pypy{version}"
    trees = [f"python{version}"]
    if python.implementation == "cpython" and python.version >= FIRST_FREE_THREADED:
        trees = [f"python{version}t"] if python.free_threaded else trees
        if python.free_threaded is None:
            trees.append(f"python{version}t")
    if python.version >= (3, 10):
        # Old installers took 3.10 and later for 3.1. So conda-forge's python has a link from that directory to its own.
        trees.append("python3.1")
    return tuple(trees)


@lru_cache(64)
def tag_python(tag: str) -> Python | None:
    """Return the Python in a cache tag, or None if the tag does not contain a version of the language."""
    match = _TAG.fullmatch(tag)
    named = [group for group in match.groups() if group] if match else []
    return Python(named[0], int(named[1]), int(named[2])) if named else None


@lru_cache(256)
def is_tag(text: str) -> bool:
    """Return whether a text is a cache tag of some Python."""
    return _TAG.fullmatch(text) is not None


def extension_python(path: str) -> Python | None:
    """Return the Python in an extension module's suffix (`m.cp311-win_amd64.pyd`), or None if there is none."""
    stem, _, ending = path[path.rfind("/") + 1 :].rpartition(".")
    module, _, suffix = stem.rpartition(".")
    match = re.fullmatch(_EXTENSION, suffix) if module and ending in ("so", "pyd") else None
    if not match:
        return None
    name = match[1].rstrip("0123456789-")
    implementation = "cpython" if name == "cp" else name
    version = int(match[2]), int(match[3])
    has_both_builds = implementation == "cpython" and version >= FIRST_FREE_THREADED
    return Python(implementation, *version, "t" in match[4] if has_both_builds else None)


def versioned_tree(path: str) -> str | None:
    """Return the versioned Python tree at the package's root that a path is in (`python3.11`), or None."""
    match = _TREE.match(path)
    return match[1] if match else None


class Magic(NamedTuple):
    """The magic numbers `first` to `last` of one Python. Its bytecode files have a header of `header` bytes."""

    first: int
    last: int
    implementation: str
    major: int
    minor: int
    header: int

    @property
    def version(self) -> Version:
        """The minor version that writes these numbers."""
        return self.major, self.minor


MAGIC_NUMBERS = (
    Magic(64, 64, "pypy", 3, 3, 12),
    Magic(112, 112, "pypy", 3, 5, 12),
    Magic(160, 192, "pypy", 3, 6, 12),
    Magic(224, 240, "pypy", 3, 7, 16),
    Magic(256, 256, "pypy", 3, 8, 16),
    Magic(320, 336, "pypy", 3, 9, 16),
    Magic(384, 384, "pypy", 3, 10, 16),
    Magic(400, 432, "pypy", 3, 11, 16),
    Magic(3000, 3131, "cpython", 3, 0, 8),
    Magic(3141, 3151, "cpython", 3, 1, 8),
    Magic(3160, 3180, "cpython", 3, 2, 8),
    Magic(3190, 3230, "cpython", 3, 3, 12),
    Magic(3250, 3310, "cpython", 3, 4, 12),
    Magic(3320, 3351, "cpython", 3, 5, 12),
    Magic(3360, 3379, "cpython", 3, 6, 12),
    Magic(3390, 3391, "cpython", 3, 7, 12),
    Magic(3392, 3394, "cpython", 3, 7, 16),
    Magic(3400, 3413, "cpython", 3, 8, 16),
    Magic(3420, 3425, "cpython", 3, 9, 16),
    Magic(3430, 3439, "cpython", 3, 10, 16),
    *(Magic(2900 + 50 * minor, 2949 + 50 * minor, "cpython", 3, minor, 16) for minor in range(11, 18)),
    Magic(21270, 21270, "graalpy", 3, 10, 16),
    Magic(62171, 62211, "cpython", 2, 7, 8),
    Magic(62218, 62218, "pypy", 2, 7, 8),
)
"""Sorted by number. From 3.11 on, each minor version 3.n has the fifty numbers from 2900 + 50 n. For earlier versions,
the last number is the last one released. GraalPy's later numbers are left out, since several versions share them."""


@lru_cache(64)  # A package has thousands of files with few different numbers.
def magic_python(number: int) -> Magic | None:
    """Return the row of MAGIC_NUMBERS that contains a magic number, or None if it is unknown."""
    return next((row for row in MAGIC_NUMBERS if row.first <= number <= row.last), None)
