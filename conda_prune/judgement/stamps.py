"""Judges whether Python will load the bytecode that a package keeps, or ignore it and compile the source again.

The rules are those of `importlib` (`SourceLoader.get_code`, PEP 552). A time stamp must agree with the source's time,
in whole seconds, and with its size, both modulo 2**32. A checked hash must be that of the source.

A source's time after installation is the one in the tar, if that is 1980 or later. For earlier times, installers
differ, so no stamp can be right for all of them. Fractions of a second (in conda-build's PAX headers) are cut off, as
Python does with files that conda unpacked; rattler rounds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import File
from .bytecode import Bytecode, Header, parse_header
from .contents import Contents
from .links import content_of, opened_file
from .source_hash import source_hash
from .variant.pythons import tag_python

_MODULUS = 1 << 32
_FIRST_CERTAIN_TIME = 315_532_800
"""1980-01-01T00:00:00Z. Measured: rattler gives this time to files with an earlier one, conda keeps the earlier one."""
_FIRST_WITH_CACHE_DIRECTORY = (3, 2)
"""The first Python with `__pycache__` directories (PEP 3147). Earlier ones keep bytecode next to the source."""
_UNCHECKED = 1
"""The flags of a hash that Python does not compare with the source."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the header of a bytecode file records of its source, and whether that is right.

    `file` is the regular file with the content; hard links may give it several paths. `source` is the source as it is
    in the package. `fault` is what is wrong with the stamp, empty if nothing is. `is_ignored`: Python will compile the
    source instead of loading this file. `is_repairable`: writing the source's time and size makes the stamp right.
    """

    path: str
    file: File
    header: Header
    source: File
    fault: str = ""
    is_ignored: bool = False
    is_repairable: bool = False


def stamps(contents: Contents) -> list[Stamp]:
    """Return the stamps of all bytecode that a Python looks for as the cache of a source in the package.

    A source hash is judged only if the source was read whole. Raises Unsupported if a hard link leads to nothing.
    """
    judged = []
    for bytecode in contents.bytecode:
        if bytecode.leftover or bytecode.pytest or bytecode.path in contents.links:
            continue
        file = content_of(contents.members, bytecode.path)
        source = opened_file(contents.files, bytecode.source, contents.symlinks)
        header = parse_header(file.content) if file is not None else None
        if file is not None and source is not None and header is not None and _is_cache(bytecode, header):
            judged.append(_judge(Stamp(bytecode.path, file, header, source), contents))
    return _reject_conflicting(judged)


def _reject_conflicting(judged: list[Stamp]) -> list[Stamp]:
    """Return the stamps, with those that conflict marked as not repairable.

    Hard links may make one file the cache of several sources. If the sources have different times or sizes, one header
    cannot be right for all of them.
    """
    right_headers: dict[str, set[bytes]] = {}
    for stamp in judged:
        if stamp.is_repairable or not stamp.fault:
            right_headers.setdefault(stamp.file.path, set()).add(new_header(stamp))
    fault = "a hard link makes it the bytecode of another source as well"
    return [
        replace(stamp, fault=fault, is_repairable=False)
        if stamp.is_repairable and len(right_headers[stamp.file.path]) > 1
        else stamp
        for stamp in judged
    ]


def _is_cache(bytecode: Bytecode, header: Header) -> bool:
    """Return whether the Python that wrote a file looks for it in this directory under this name."""
    if header.python is None or header.flags is None:
        return False
    if not bytecode.cached:
        return header.python.version < _FIRST_WITH_CACHE_DIRECTORY
    named = tag_python(bytecode.tag) if bytecode.tag else None
    return named is not None and named[:3] == header.python[2:5]


def _judge(stamp: Stamp, contents: Contents) -> Stamp:
    """Return the stamp with its fault, if it has one."""
    header, source = stamp.header, stamp.source
    if header.mtime is None:
        return _judge_hash(stamp)
    if header.size is not None and header.size != (source.size or 0) % _MODULUS:
        return replace(stamp, fault="its source does not have the size that it records", is_ignored=True)
    # The times that the source may have after installation.
    times = {(source.mtime or 0) % _MODULUS, max(source.mtime or 0, _FIRST_CERTAIN_TIME) % _MODULUS}
    if contents.placeholder(source.path) is not None:
        return replace(stamp, fault="installers change its source (build prefix)", is_ignored=True)
    if header.mtime in times:
        return stamp
    if len(times) > 1:
        return replace(stamp, fault="its source is dated before 1980", is_ignored=True)
    if header.size is None:
        return replace(
            stamp, fault="its source does not have the time that it records, and no size is recorded", is_ignored=True
        )
    return replace(
        stamp, fault="its source does not have the time that it records", is_ignored=True, is_repairable=True
    )


def _judge_hash(stamp: Stamp) -> Stamp:
    """Return the stamp with its fault, if it has one. Its header holds no time stamp."""
    header, source = stamp.header, stamp.source
    if header.digest is None or header.python is None:
        return replace(stamp, fault=f"its flags {header.flags} are not valid (PEP 552)", is_ignored=True)
    content = source.whole if source.size else b""
    digest = source_hash(header.magic, header.python, content) if content is not None else None
    if digest is None or digest == header.digest:
        return stamp
    if header.flags == _UNCHECKED:
        # PEP 552: Python does not compare the hash, and loads the bytecode of the wrong source.
        return replace(stamp, fault="it records the hash of another source, and Python loads it unchecked")
    return replace(stamp, fault="it records the hash of another source", is_ignored=True)


def new_header(stamp: Stamp) -> bytes:
    """Return the file's header with the time and size of its source. For headers with a time stamp only."""
    head = stamp.file.content or b""
    length = stamp.header.python.header if stamp.header.python is not None else 0
    source = stamp.source
    times = [(source.mtime or 0) % _MODULUS, (source.size or 0) % _MODULUS]
    return head[: length - 8] + b"".join(number.to_bytes(4, "little") for number in times)


def content_needed(contents: Contents) -> frozenset[str]:
    """Return the files that are needed whole to judge the stamps and to write new ones, and were not kept."""
    needed = set()
    for stamp in stamps(contents):
        if stamp.is_repairable and stamp.file.whole is None:
            needed.add(stamp.file.path)
        if stamp.header.digest is not None and stamp.source.size and stamp.source.whole is None:
            needed.add(stamp.source.path)
    return frozenset(needed)
