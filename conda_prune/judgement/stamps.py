"""Whether Python will accept the bytecode that a package keeps: what it records of its source, and what is true.

The rules are those of `importlib` (`SourceLoader.get_code`, PEP 552): a time stamp must be the source's own, in whole
seconds and modulo 2**32, and so must its size; a checked hash must be the source's. What a package's sources are dated
on disk is what its tar says, from 1980 on; before that installers differ, and no stamp can be right. Fractions of a
second (conda-build's PAX headers) are cut off, as Python does with what conda unpacks; rattler rounds them.
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
"""1980-01-01T00:00:00Z: rattler gives files that are dated earlier this time, conda their own (measured)."""
_FIRST_CACHE_DIRECTORY = (3, 2)
"""Pythons before this one keep bytecode beside the source."""
_UNCHECKED = 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the header of one bytecode file says of its source, judged.

    `file` holds its content, which it may share with others through hard links. `fault` is what is wrong with the
    stamp, empty where nothing is; `is_ignored`: Python will compile the source instead of loading the file.
    """

    path: str
    file: File
    header: Header
    source: File
    fault: str = ""
    is_ignored: bool = False
    is_repairable: bool = False


def stamps(contents: Contents) -> list[Stamp]:
    """Return the bytecode that is some Python's cache of a source in the package, with what is to be said of its stamp.

    Source hashes are judged where the source was read whole.
    """
    found = []
    for bytecode in contents.bytecode:
        if bytecode.leftover or bytecode.pytest or bytecode.path in contents.links:
            continue
        file = content_of(contents.members, bytecode.path)
        source = opened_file(contents.files, bytecode.source, contents.symlinks)
        header = parse_header(file.content) if file is not None else None
        if file is not None and source is not None and header is not None and _is_cache(bytecode, header):
            found.append(_judged(Stamp(bytecode.path, file, header, source), contents))
    return _reject_conflicting(found)


def _reject_conflicting(found: list[Stamp]) -> list[Stamp]:
    """Return the stamps, with those made unrepairable whose file is, through hard links, the cache of several sources
    with different times: one header cannot be right for all of them.
    """
    wishes: dict[str, set[bytes]] = {}
    for stamp in found:
        if stamp.is_repairable or not stamp.fault:
            wishes.setdefault(stamp.file.path, set()).add(new_header(stamp))
    fault = "it is one file with the bytecode of another source"
    return [
        replace(stamp, fault=fault, is_repairable=False)
        if stamp.is_repairable and len(wishes[stamp.file.path]) > 1
        else stamp
        for stamp in found
    ]


def _is_cache(bytecode: Bytecode, header: Header) -> bool:
    """Return whether the Python that wrote a file looks for it there, under this name."""
    if header.python is None or header.flags is None:
        return False
    if not bytecode.cached:
        return header.python.version < _FIRST_CACHE_DIRECTORY
    named = tag_python(bytecode.tag) if bytecode.tag else None
    return named is not None and named[:3] == header.python[2:5]


def _judged(stamp: Stamp, contents: Contents) -> Stamp:
    header, source = stamp.header, stamp.source
    if header.mtime is None:
        return _judged_hash(stamp)
    if header.size is not None and header.size != (source.size or 0) % _MODULUS:
        return replace(stamp, fault="its source has another size than it records", is_ignored=True)
    times = {(source.mtime or 0) % _MODULUS, max(source.mtime or 0, _FIRST_CERTAIN_TIME) % _MODULUS}
    if contents.placeholder(source.path) is not None:
        return replace(stamp, fault="installers change its source (build prefix)", is_ignored=True)
    if header.mtime in times:
        return stamp
    if len(times) > 1:
        return replace(stamp, fault="its source is dated before 1980", is_ignored=True)
    if header.size is None:
        return replace(stamp, fault="its source has another time, and no size is recorded", is_ignored=True)
    return replace(stamp, fault="its source has another time than it records", is_ignored=True, is_repairable=True)


def _judged_hash(stamp: Stamp) -> Stamp:
    header, source = stamp.header, stamp.source
    if header.digest is None or header.python is None:
        return replace(stamp, fault=f"no Python knows its flags {header.flags}", is_ignored=True)
    content = source.whole if source.size else b""
    true = source_hash(header.magic, header.python, content) if content is not None else None
    if true is None or true == header.digest:
        return stamp
    if header.flags == _UNCHECKED:
        # PEP 552: nobody compares; the bytecode runs, whatever the source says.
        return replace(stamp, fault="it is of another source, and Python runs it unchecked")
    return replace(stamp, fault="the hash of its source is another than it records", is_ignored=True)


def new_header(stamp: Stamp) -> bytes:
    """Return the header of a time stamp with the time and size of its source."""
    head = stamp.file.content or b""
    length = stamp.header.python.header if stamp.header.python is not None else 0
    source = stamp.source
    times = [(source.mtime or 0) % _MODULUS, (source.size or 0) % _MODULUS]
    return head[: length - 8] + b"".join(number.to_bytes(4, "little") for number in times)


def content_needed(contents: Contents) -> frozenset[str]:
    """Return the files whose whole content is needed to judge the stamps, and to write new ones, and is not there."""
    wanted = set()
    for stamp in stamps(contents):
        if stamp.is_repairable and stamp.file.whole is None:
            wanted.add(stamp.file.path)
        if stamp.header.digest is not None and stamp.source.size and stamp.source.whole is None:
            wanted.add(stamp.source.path)
    return frozenset(wanted)
