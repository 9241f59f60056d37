"""Bytecode files with true headers, of content that looks like marshal but that nobody runs."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import random
import struct

from .entries import BUILD_TIME, AnyEntry, File

#: Last released magic number per cache tag (CPython's pycore_magic_number.h, PyPy's pycode.py, GraalPy).
MAGIC_NUMBERS = {
    "cpython-27": 62211,
    "cpython-36": 3379,
    "cpython-37": 3394,
    "cpython-38": 3413,
    "cpython-39": 3425,
    "cpython-310": 3439,
    "cpython-311": 3495,
    "cpython-312": 3531,
    "cpython-313": 3571,
    "cpython-314": 3627,
    "cpython-315": 3666,
    "pypy39": 336,
    "graalpy230-310": 21270,
}
#: Belongs to no Python there is.
UNKNOWN_MAGIC = 59999

TOKENS = (
    b"\xe3\0\0\0\0",
    b"\x97\0d\0",
    b"S\0)",
    b"\xda\x08__init__",
    b"\xa9\0r\x03\0\0\0",
    b"\xf3\x0c",
    b"N",
)


def header(tag: str, source: bytes = b"", magic: int | None = None) -> bytes:
    """The header a Python with this cache tag writes: 8 bytes for 2.7, 12 for 3.6, else 16 (PEP 552)."""
    number = MAGIC_NUMBERS[tag] if magic is None else magic
    stamp = struct.pack("<II", BUILD_TIME, len(source))
    if tag == "cpython-27":
        return struct.pack("<H2s", number, b"\r\n") + stamp[:4]
    if tag == "cpython-36":
        return struct.pack("<H2s", number, b"\r\n") + stamp
    return struct.pack("<H2sI", number, b"\r\n", 0) + stamp


def pyc(tag: str, seed: str = "", *, size: int | None = None, source: bytes = b"", magic: int | None = None) -> bytes:
    """A bytecode file of `size` bytes; the seed chooses the content, and the size when none is given."""
    chance = random.Random(f"{tag} {seed}")
    if size is None:
        size = chance.choice([chance.randint(40, 400), chance.randint(400, 4000), chance.randint(4000, 20000)])
    content = bytearray(header(tag, source, magic))
    while len(content) < size:
        content += chance.choice(TOKENS) + chance.randbytes(chance.randint(1, 12))
    return bytes(content[:size])


def python_of(tag: str) -> str:
    """The part of a tag that names the interpreter: cpython-311 of cpython-311-pytest-8.0.0."""
    return max((known for known in MAGIC_NUMBERS if tag.startswith(known)), key=len)


def source_of(path: str) -> bytes:
    """A small module whose text depends on its path."""
    return f'"""{posixpath.basename(path)!r}."""\n\nANSWER = {len(path)}\n'.encode("utf-8", "surrogateescape")


def cached(path: str, tag: str) -> str:
    """The path of the bytecode that Python caches for the module at `path` (PEP 3147)."""
    directory, name = posixpath.split(path)
    return posixpath.join(directory, "__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc")


def modules(tree: str, *names: str, tags: tuple[str, ...] = (), sources: bool = True) -> dict[str, AnyEntry]:
    """Modules below `tree`, named without .py, each with bytecode for every tag, with or without source."""
    files: dict[str, AnyEntry] = {}
    for name in names:
        path = posixpath.join(tree, f"{name}.py")
        source = source_of(path)
        if sources:
            files[path] = File(source)
        for tag in tags:
            bytecode = cached(path, tag)
            files[bytecode] = File(pyc(python_of(tag), bytecode, source=source))
    return files


def record(site_packages: str, files: dict[str, AnyEntry], own: str) -> File:
    """The RECORD that pip writes (PEP 376): digests for sources, only names for bytecode and itself."""
    lines = []
    for path, entry in files.items():
        name = posixpath.relpath(path, site_packages)
        if isinstance(entry, File) and not path.endswith(".pyc"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(entry.data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(entry.data)}")
        else:
            lines.append(f"{name},,")
    return File("".join(f"{line}\n" for line in [*lines, f"{own},,"]).encode())
