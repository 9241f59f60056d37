"""Parses the names (PEP 3147, PEP 488) and headers (PEP 552) of bytecode files.

Names are read from the right, since compileall also compiles modules with dots in their names. Nothing here raises an
error: a name or header that no Python writes is not evidence.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .variant.pythons import Magic, is_tag, magic_python

_FILE = r"(?as)(?P<stem>.+)\.(?P<ending>py[co])(?:\.(?P<process>\d+))?"
_OPTIMIZED = re.compile(r"opt-([0-9A-Za-z]+)")
_LAST = "co0123456789"
"""The last characters of names that _FILE matches."""
_CACHE = "__pycache__/"
_PYTEST_OLD = "-PYTEST"
"""What pytest wrote after the tag up to version 3; newer versions write `-pytest-VERSION`."""

HEADER = 16
"""Length of the longest header, in bytes."""


class Bytecode(NamedTuple):
    """The parts of a bytecode file's name.

    `directory` is the source's: empty, or with a final `/`. `cached`: the file is directly inside a `__pycache__`
    directory. `tag` is the cache tag, empty if there is none; only cached files have tags. `optimized` is the text
    after `.opt-`, or `pyo`. `leftover`: an interrupted atomic write left the file behind
    (`m.cpython-311.pyc.140234567890`). `pytest`: pytest's assertion rewriter wrote it.
    """

    path: str
    directory: str
    module: str
    tag: str
    cached: bool
    optimized: str
    leftover: bool
    pytest: bool

    @property
    def source(self) -> str:
        """The path of the source that it was compiled from."""
        return f"{self.directory}{self.module}.py"


def parse_bytecode(path: str) -> Bytecode | None:
    """Return the parts of a bytecode file's name, or None if the path is not the name of one."""
    # Most paths end here. What may follow `.py` is at most a few digits.
    if path[-1:] not in _LAST or ".py" not in path[-48:]:
        return None
    directory, slash, name = path.rpartition("/")
    directory += slash
    if name.endswith(".pyc") and len(name) > 4:  # Nearly all others end here.
        leftover, stem, optimized = False, name[:-4], ""
    elif match := re.fullmatch(_FILE, name):
        leftover, stem = match["process"] is not None, match["stem"]
        optimized = "pyo" if match["ending"] == "pyo" else ""
    else:
        return None
    if directory != _CACHE and not directory.endswith("/" + _CACHE):
        return Bytecode(path, directory, stem, "", False, optimized, leftover, False)
    module, tag, level, pytest = _parse_cached(stem)
    directory = directory[: -len(_CACHE)]
    return Bytecode(path, directory, module, tag, True, level or optimized, leftover, pytest)


def _parse_cached(stem: str) -> tuple[str, str, str, bool]:
    """Return the module, tag and optimization level of a name without its ending, and whether pytest wrote the file."""
    level = ""
    before, _, last = stem.rpartition(".")
    if before and is_tag(last):  # Nearly all end here.
        return before, last, level, False
    if before and (match := _OPTIMIZED.fullmatch(last)):
        stem, level = before, match[1]
    # pytest adds to the tag: `t.cpython-311-pytest-8.0.0`.
    without_pytest = stem.removesuffix(_PYTEST_OLD) if stem.endswith(_PYTEST_OLD) else stem.rpartition("-pytest-")[0]
    for name, pytest in ((stem, False), (without_pytest, True)):
        module, _, tag = name.rpartition(".")
        if module and is_tag(tag):
            return module, tag, level, pytest
    return stem, "", level, False


class Header(NamedTuple):
    """The header of a bytecode file. The fields after `python` are None if the file is too short or its Python unknown.

    `flags` are those of PEP 552. If bit 0 is set, the header holds `digest`, the hash of the source. Otherwise it holds
    a time stamp: `mtime` in seconds and `size` in bytes, both modulo 2**32. Pythons before 3.3 wrote no size. If the
    flags are ones that no Python writes, all three are None.
    """

    magic: int
    python: Magic | None = None
    flags: int | None = None
    mtime: int | None = None
    size: int | None = None
    digest: bytes | None = None


def parse_header(head: bytes | None) -> Header | None:
    """Return the header in a file's first bytes, or None if they were not read or are not a bytecode header."""
    if head is None or head[2:4] != b"\r\n":
        return None
    magic = int.from_bytes(head[:2], "little")
    python = magic_python(magic)
    if python is None or len(head) < python.header:
        return Header(magic, python)
    if python.header < 16:
        return Header(magic, python, 0, _u32(head, 4), _u32(head, 8) if python.header == 12 else None)
    flags = _u32(head, 4)
    if flags & ~0b11:
        return Header(magic, python, flags)
    if flags & 1:
        return Header(magic, python, flags, digest=head[8:16])
    return Header(magic, python, flags, _u32(head, 8), _u32(head, 12))


def _u32(raw: bytes, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 4], "little")
