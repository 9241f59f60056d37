"""What a bytecode file says about itself: its name (PEP 3147, PEP 488) and its header (PEP 552).

Names are read from the right, since compileall also compiles modules whose names hold dots. Headers that are too short
or unknown are no evidence, and never an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .variant.pythons import Magic, is_tag, magic_python

_FILE = re.compile(r"(?P<stem>.+)\.(?P<ending>py[co])(?:\.(?P<process>\d+))?", re.ASCII | re.DOTALL)
_OPTIMIZED = re.compile(r"opt-([0-9A-Za-z]+)")
_CACHE = "__pycache__/"
_PYTEST_OLD = "-PYTEST"
"""What pytest 3 and its contemporaries wrote after the tag; newer versions write `-pytest-VERSION` instead."""

HEADER = 16
"""Bytes of the longest header there is."""


class Bytecode(NamedTuple):
    """The parts of a bytecode file's name.

    `cached`: it is directly inside a `__pycache__` directory. `tag` is the cache tag, empty if there is none; only
    cached files have tags. `optimized` is the text after `.opt-`, or `pyo`. `leftover`: an interrupted atomic write
    left the file behind (`m.cpython-311.pyc.140234567890`). `pytest`: pytest's assertion rewriter wrote it.
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
    if ".py" not in path[-48:]:
        return None
    directory, slash, name = path.rpartition("/")
    match = _FILE.fullmatch(name)
    if not match:
        return None
    directory += slash
    leftover, stem = match["process"] is not None, match["stem"]
    optimized = "pyo" if match["ending"] == "pyo" else ""
    if directory != _CACHE and not directory.endswith("/" + _CACHE):
        return Bytecode(path, directory, stem, "", False, optimized, leftover, False)
    module, tag, level, pytest = _parse_cached(stem)
    directory = directory[: -len(_CACHE)]
    return Bytecode(path, directory, module, tag, True, level or optimized, leftover, pytest)


def _parse_cached(stem: str) -> tuple[str, str, str, bool]:
    """Return the module, tag and optimization level of a name without its ending, and whether pytest wrote the file."""
    level = ""
    rest, _, last = stem.rpartition(".")
    if rest and (match := _OPTIMIZED.fullmatch(last)):
        stem, level = rest, match[1]
    rewritten = stem.removesuffix(_PYTEST_OLD) if stem.endswith(_PYTEST_OLD) else stem.rpartition("-pytest-")[0]
    for text, pytest in ((stem, False), (rewritten, True)):
        module, _, tag = text.rpartition(".")
        if module and is_tag(tag):
            return module, tag, level, pytest
    return stem, "", level, False


class Header(NamedTuple):
    """The header of a bytecode file. A field is None if the file is too short, or if its Python is unknown.

    `flags` are defined by PEP 552: with bit 0, the header holds `digest`, the hash of the source, and otherwise a time
    stamp (`mtime` in seconds and `size` in bytes, both modulo 2**32; Pythons before 3.3 wrote no size). All of these
    are None if the flags are ones that no Python writes.
    """

    magic: int
    python: Magic | None = None
    flags: int | None = None
    mtime: int | None = None
    size: int | None = None
    digest: bytes | None = None


def parse_header(head: bytes | None) -> Header | None:
    """Parse the first bytes of a file as a bytecode header. Return None if they were not read or are not a header."""
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


def _u32(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")
