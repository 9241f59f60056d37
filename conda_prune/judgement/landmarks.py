"""Where a package holds a whole interpreter, recognized by the files that CPython itself looks for.

A directory's name proves little. CPython's `Modules/getpath.py` finds its installation by landmarks, and so does this
module: the standard library's `os.py`, `pyvenv.cfg`, and on Windows `python3*.dll` and `python*._pth`. If a file
merely has such a name, bytecode is kept that could have been dropped, and nothing worse happens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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


def find_interpreters(paths: Iterable[str]) -> Mapping[str, frozenset[Version]]:
    """Return the directories that hold an interpreter, each with the versions that its landmarks state, if any.

    A directory counts with `pyvenv.cfg`, `python3*.dll` or `python*._pth` in it, and as a standard library with `os`
    next to `encodings/`. In `PREFIX/lib/python3.10`, CPython's own place for it, `os` alone is enough, even compiled,
    unless PREFIX is the package's root: there it takes `bin/python3.10` and `os.py`. With `PREFIX/bin/python` next to
    such a library, PREFIX counts as well. The root never does: it is the prefix that the package is installed into.
    """
    found: dict[str, set[Version]] = {}
    libraries: set[str] = set()
    compiled: set[str] = set()
    encodings: set[str] = set()
    executables: set[str] = set()
    for path in paths:
        directory, _, name = path.rpartition("/")
        if name in ("os.py", "os.pyc"):
            libraries.add(directory)
        elif name.startswith("os.") and directory.endswith("/__pycache__") and (match := _COMPILED_OS.fullmatch(name)):
            python, library = tag_python(match[1]), directory.removesuffix("/__pycache__")
            if python is not None and library.endswith(f"{python.major}.{python.minor}"):
                compiled.add(library)
        elif name[:2] in ("py", "Py", "PY"):
            if match := _IN_ROOT.fullmatch(name):
                found.setdefault(directory, set()).update(_version(match[1] or match[3], match[2] or match[4]))
            elif (directory == "bin" or directory.endswith("/bin")) and _EXECUTABLE.fullmatch(name):
                executables.add(path)
        if directory.endswith(_ENCODINGS):
            head = directory.removesuffix("/__pycache__").removesuffix("encodings")
            if head.endswith("/"):
                encodings.add(head[:-1])
    prefixes = {path.rpartition("/")[0].removesuffix("bin").rstrip("/") for path in executables}
    for directory in libraries | compiled:
        match = _STANDARD_LIBRARY.fullmatch(directory)
        prefix = (match["prefix"] or "") if match else ""
        versioned = match is not None and match["major"] is not None
        if directory in encodings and directory in libraries:
            is_library = True
        elif match is None or (not versioned and directory not in libraries):
            is_library = False
        elif prefix:
            is_library = versioned or prefix in prefixes
        else:
            is_library = versioned and f"bin/{directory.rpartition('/')[2]}" in executables and directory in libraries
        if is_library:
            version = _version(match["major"], match["minor"]) if match else ()
            found.setdefault(directory, set()).update(version)
            if prefix in prefixes:
                found.setdefault(prefix, set()).update(version)
    found.pop("", None)
    return {root: frozenset(versions) for root, versions in found.items()}


def _version(major: str | None, minor: str | None) -> tuple[Version, ...]:
    """Return the version with these digits, or nothing if there is no such Python."""
    version = known_version(major, minor) if major and minor else None
    return (version,) if version else ()
