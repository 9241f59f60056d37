"""The line lists that name a package's files, edited as bytes: what names a dropped file goes, the rest stays as it
was.

`info/files`, `info/no_link` and `info/has_prefix` are conda-build's; `RECORD` is a wheel's (PyPA, recording installed
projects), and `installed-files.txt` an egg's.
"""

from __future__ import annotations

import csv
import posixpath
import shlex
from collections.abc import Callable, Collection, Iterator

INFO_LISTS = ("info/files", "info/no_link", "info/has_prefix")
NameOf = Callable[[str], str]


def is_installed_list(path: str) -> bool:
    """Return whether a path is a RECORD or an installed-files.txt, whose names are relative."""
    return path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt"))


def without_lines(path: str, raw: bytes, dropped: Collection[str]) -> bytes:
    """Return the list in the file `path` without the lines that name a dropped file."""
    name_of = _name_reader(path)
    return b"".join(line for line in _lines(raw) if name_of(_text(line)) not in dropped)


def _name_reader(path: str) -> NameOf:
    if path == "info/has_prefix":
        return _prefix_name
    if path.endswith("/RECORD"):
        # Names count from the directory that holds the .dist-info; eggs' from the .egg-info itself.
        site_packages = posixpath.dirname(posixpath.dirname(path))
        return lambda line: _joined(site_packages, _first_field(line))
    if path.endswith("/installed-files.txt"):
        egg = posixpath.dirname(path)
        return lambda line: _joined(egg, line)
    return lambda line: line


def _lines(raw: bytes) -> Iterator[bytes]:
    """Yield the lines with their ends, as they are; only line feeds end one."""
    at = 0
    while at < len(raw):
        stop = raw.find(b"\n", at) + 1 or len(raw)
        yield raw[at:stop]
        at = stop


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _prefix_name(line: str) -> str:
    """Return the path in a has_prefix line: alone, or behind the placeholder and the mode, perhaps in quotes."""
    try:
        fields = shlex.split(line, posix=False)
    except ValueError:
        return line
    name = fields[2] if len(fields) == 3 else line
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def _first_field(line: str) -> str:
    try:
        return next(csv.reader([line]), [""])[0] if line else ""
    except (csv.Error, IndexError):
        return ""


def _joined(directory: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(directory, name.replace("\\", "/"))) if name else ""
