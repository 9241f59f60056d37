"""Where a package holds a whole interpreter, recognized by the files that CPython itself looks for.

A directory's name proves little. CPython's `Modules/getpath.py` finds its installation by landmarks, and so does this
module: the standard library's `os.py`, `pyvenv.cfg`, and on Windows `python3*.dll` and `python*._pth`. If a file
merely has such a name, bytecode is kept that could have been dropped, and nothing worse happens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from .variant.pythons import Version, known_version, tag_python

_IN_ROOT = re.compile(
    r"pyvenv\.cfg|python(\d)(\d{1,2})?t?(?:_d)?\.dll|python(?:(\d)(\d{1,2})?)?t?\._pth", re.ASCII | re.IGNORECASE
)
_EXECUTABLE = re.compile(r"(?:python|pypy)(?:\d(?:\.\d{1,2}t?)?)?(?:\.exe)?", re.ASCII | re.IGNORECASE)
_STANDARD_LIBRARY = re.compile(
    r"(?:(?P<prefix>.+)/)?lib(?:64)?(?:/(?:python|pypy)(?P<major>\d)\.(?P<minor>\d{1,2})t?)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_COMPILED_OS = re.compile(r"os\.([\w-]+)(?:\.opt-\w+)?\.pyc", re.ASCII)
_ENCODINGS = ("encodings", "encodings/__pycache__")


class _Landmarks(NamedTuple):
    """What was found in one pass over the paths. All directories are without the final `/`.

    `roots` are directories with `pyvenv.cfg` or one of Windows' files, each with the versions in the files' names.
    `with_os` hold `os.py` or `os.pyc`, `with_cached_os` a compiled `os` whose tag agrees with the directory's name, and
    `with_encodings` an `encodings/`. `executables` are the paths of `bin/python3.10` and the like.
    """

    roots: dict[str, set[Version]]
    with_os: set[str]
    with_cached_os: set[str]
    with_encodings: set[str]
    executables: set[str]


def find_interpreters(paths: Iterable[str]) -> Mapping[str, frozenset[Version]]:
    """Return the directories that hold an interpreter, each with the versions that its landmarks state, if any.

    A directory counts with `pyvenv.cfg`, `python3*.dll` or `python*._pth` in it, and as a standard library with `os`
    next to `encodings/`. In `PREFIX/lib/python3.10`, CPython's own place for it, `os` alone is enough, even compiled,
    unless PREFIX is the package's root: there it takes `bin/python3.10` and `os.py`. With `PREFIX/bin/python` next to
    such a library, PREFIX counts as well. The root never does: it is the prefix that the package is installed into.
    """
    landmarks = _collect(paths)
    prefixes = {path.rpartition("/")[0].removesuffix("bin").rstrip("/") for path in landmarks.executables}
    roots = landmarks.roots
    for directory in landmarks.with_os | landmarks.with_cached_os:
        match = _STANDARD_LIBRARY.fullmatch(directory)
        if _is_standard_library(directory, match, landmarks, prefixes):
            version = _version(match["major"], match["minor"]) if match else ()
            roots.setdefault(directory, set()).update(version)
            prefix = (match["prefix"] or "") if match else ""
            if prefix in prefixes:
                roots.setdefault(prefix, set()).update(version)
    roots.pop("", None)
    return {root: frozenset(versions) for root, versions in roots.items()}


def _collect(paths: Iterable[str]) -> _Landmarks:
    """Return the landmarks among a package's paths."""
    landmarks = _Landmarks({}, set(), set(), set(), set())
    for path in paths:
        directory, _, name = path.rpartition("/")
        if name in ("os.py", "os.pyc"):
            landmarks.with_os.add(directory)
        elif name.startswith("os.") and directory.endswith("/__pycache__"):
            if (library := _library_of_cached_os(directory, name)) is not None:
                landmarks.with_cached_os.add(library)
        elif name[:2] in ("py", "Py", "PY"):  # Most names end here.
            if match := _IN_ROOT.fullmatch(name):
                version = _version(match[1] or match[3], match[2] or match[4])
                landmarks.roots.setdefault(directory, set()).update(version)
            elif (directory == "bin" or directory.endswith("/bin")) and _EXECUTABLE.fullmatch(name):
                landmarks.executables.add(path)
        if directory.endswith(_ENCODINGS):
            parent = directory.removesuffix("/__pycache__").removesuffix("encodings")
            if parent.endswith("/"):
                landmarks.with_encodings.add(parent[:-1])
    return landmarks


def _library_of_cached_os(directory: str, name: str) -> str | None:
    """Return the directory around `__pycache__` if its name ends with the version of a compiled `os`, or None."""
    match = _COMPILED_OS.fullmatch(name)
    python = tag_python(match[1]) if match else None
    library = directory.removesuffix("/__pycache__")
    return library if python is not None and library.endswith(f"{python.major}.{python.minor}") else None


def _is_standard_library(
    directory: str, match: re.Match[str] | None, landmarks: _Landmarks, prefixes: Collection[str]
) -> bool:
    """Return whether a directory with `os` is a standard library.

    `match` is that of _STANDARD_LIBRARY; `prefixes` are the directories with `bin/python`.
    """
    has_os = directory in landmarks.with_os
    if has_os and directory in landmarks.with_encodings:
        return True
    is_versioned = match is not None and match["major"] is not None
    if match is None or not (is_versioned or has_os):
        return False
    if match["prefix"]:
        return is_versioned or match["prefix"] in prefixes
    # At the package's root, an earlier variant leaves `lib/python3.10` as well: only a whole interpreter counts.
    return is_versioned and has_os and f"bin/{directory.rpartition('/')[2]}" in landmarks.executables


def _version(major: str | None, minor: str | None) -> tuple[Version, ...]:
    """Return the version with these digits, or nothing if there is no such Python."""
    version = known_version(major, minor) if major and minor else None
    return (version,) if version else ()
