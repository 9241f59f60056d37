"""Where a package holds a whole interpreter, recognized by the files that CPython itself looks for.

A directory's name proves little. CPython's `Modules/getpath.py` finds its installation by landmarks, and so does this
module: the standard library's `os.py`, `pyvenv.cfg`, and on Windows `python3*.dll` and `python*._pth`. If a file
merely has such a name, bytecode is kept that could have been dropped, and nothing worse happens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

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
    found = _Found()
    for path in paths:
        found.add(path)
    return found.interpreters()


class _Found:
    """The files that may be landmarks, collected from a package's paths; what they mean is known when all were seen."""

    def __init__(self) -> None:
        self._roots: dict[str, set[Version]] = {}
        self._libraries: set[str] = set()
        self._compiled_libraries: set[str] = set()
        self._with_encodings: set[str] = set()
        self._executables: set[str] = set()

    def add(self, path: str) -> None:
        """Note what a path may be a landmark of."""
        directory, _, name = path.rpartition("/")
        if name in ("os.py", "os.pyc"):
            self._libraries.add(directory)
        elif name.startswith("os.") and directory.endswith("/__pycache__"):
            self._add_compiled_os(directory.removesuffix("/__pycache__"), name)
        elif name[:2] in ("py", "Py", "PY"):
            if match := _IN_ROOT.fullmatch(name):
                versions = _version(match[1] or match[3], match[2] or match[4])
                self._roots.setdefault(directory, set()).update(versions)
            elif (directory == "bin" or directory.endswith("/bin")) and _EXECUTABLE.fullmatch(name):
                self._executables.add(path)
        if directory.endswith(_ENCODINGS):
            head = directory.removesuffix("/__pycache__").removesuffix("encodings")
            if head.endswith("/"):
                self._with_encodings.add(head[:-1])

    def _add_compiled_os(self, library: str, name: str) -> None:
        match = _COMPILED_OS.fullmatch(name)
        python = tag_python(match[1]) if match else None
        if python is not None and library.endswith(f"{python.major}.{python.minor}"):
            self._compiled_libraries.add(library)

    def interpreters(self) -> Mapping[str, frozenset[Version]]:
        """Return the directories that hold an interpreter, with the versions that their landmarks state."""
        prefixes = {path.rpartition("/")[0].removesuffix("bin").rstrip("/") for path in self._executables}
        roots = {root: set(versions) for root, versions in self._roots.items()}
        for directory in self._libraries | self._compiled_libraries:
            match = _STANDARD_LIBRARY.fullmatch(directory)
            prefix = (match["prefix"] or "") if match else ""
            if self._is_library(directory, match, prefix, prefixes):
                versions = _version(match["major"], match["minor"]) if match else ()
                roots.setdefault(directory, set()).update(versions)
                if prefix in prefixes:
                    roots.setdefault(prefix, set()).update(versions)
        roots.pop("", None)
        return {root: frozenset(versions) for root, versions in roots.items()}

    def _is_library(self, directory: str, match: re.Match[str] | None, prefix: str, prefixes: Collection[str]) -> bool:
        """Return whether a directory with an `os` module is a standard library."""
        has_source = directory in self._libraries
        if has_source and directory in self._with_encodings:
            return True
        is_versioned = match is not None and match["major"] is not None
        if match is None or not (is_versioned or has_source):
            return False
        if prefix:
            return is_versioned or prefix in prefixes
        return is_versioned and has_source and f"bin/{directory.rpartition('/')[2]}" in self._executables


def _version(major: str | None, minor: str | None) -> tuple[Version, ...]:
    """Return the version with these digits, or nothing if there is no such Python."""
    version = known_version(major, minor) if major and minor else None
    return (version,) if version else ()
