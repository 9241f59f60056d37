"""What a bytecode file says about itself: its name (PEP 3147, PEP 488) and its header (PEP 552).

Names are read from the right, since a module's name may hold dots where compileall wrote it. Short or strange headers
say nothing; they never fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .python import Magic, is_tag, magic_python

_FILE = re.compile(r"(?P<stem>.+)\.(?P<ending>py[co])(?:\.(?P<leftover>\d+))?", re.DOTALL)
_OPTIMIZED = re.compile(r"(?P<rest>.+)\.opt-(?P<level>[0-9A-Za-z]+)", re.DOTALL)
_PYTEST = re.compile(r"(?P<rest>.+\.[a-z]+\d*-?\d+)-pytest-[^/]+")

HEADER = 16
"""Bytes of the longest header there is."""


@dataclass(frozen=True, slots=True)
class Bytecode:
    """A bytecode file's name, taken apart.

    `cached`: it stands directly inside a `__pycache__` directory. `tag` is its cache tag, empty where it has none; a
    tag counts only for cached files. `optimized` is the text after `.opt-`, or `pyo`. `leftover`: an interrupted
    atomic write left it (`m.cpython-311.pyc.140234567890`). `pytest`: pytest's assertion rewriter wrote it.
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
    """Return what a path says as the name of a bytecode file, or None where it is no such name."""
    if ".py" not in path[-48:]:
        return None
    directory, slash, name = path.rpartition("/")
    match = _FILE.fullmatch(name)
    if not match:
        return None
    directory += slash
    cached = directory.endswith("__pycache__/") and directory[-13:-12] in ("", "/")
    stem, optimized, tag, pytest = match["stem"], "pyo" if match["ending"] == "pyo" else "", "", False
    if cached:
        directory = directory[: -len("__pycache__/")]
        if level := _OPTIMIZED.fullmatch(stem):
            stem, optimized = level["rest"], level["level"]
        if rewritten := _PYTEST.fullmatch(stem):
            stem, pytest = rewritten["rest"], True
        module, dot, last = stem.rpartition(".")
        if dot and module and is_tag(last):
            stem, tag = module, last
    return Bytecode(path, directory, stem, tag, cached, optimized, match["leftover"] is not None, pytest)


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a bytecode file say. None where the file is too short, or its Python is unknown.

    `flags` are PEP 552's: 0 for a time stamp (`mtime` in seconds, `size` in bytes, both modulo 2**32), 1 and 3 for
    `digest`, the source's hash. `stamp` is where the time stamp stands.
    """

    magic: int
    python: Magic | None
    flags: int | None = None
    mtime: int | None = None
    size: int | None = None
    digest: bytes | None = None


def parse_header(head: bytes) -> Header | None:
    """Return what a file's first bytes say as a bytecode header, or None where they are too few or none."""
    if len(head) < 4 or head[2:4] != b"\r\n":
        return None
    magic = int.from_bytes(head[:2], "little")
    python = magic_python(magic)
    if python is None or len(head) < python.header:
        return Header(magic, python)
    if python.header == 8:
        return Header(magic, python, 0, _u32(head, 4))
    if python.header == 12:
        return Header(magic, python, 0, _u32(head, 4), _u32(head, 8))
    flags = _u32(head, 4)
    if flags == 0:
        return Header(magic, python, flags, _u32(head, 8), _u32(head, 12))
    return Header(magic, python, flags, digest=head[8:16])


def _u32(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")
