"""Predicts where the members of a tar are, before it is read, in the layout of rattler's tars.

A listing names the files of a package with their sizes, and rattler writes the members in the order of the listing. So
the offset of each member follows from the listing. Nothing may rely on that: a `PredictedTar` is compared with the tar
while it is read.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Component, File, FileKind
from .tar import Spans
from .tar_header import BLOCK, padded

_NAME_FIELD = 100
"""Bytes of the field for a name. A longer name is in a GNU long name ('L') before the header, followed by a NUL."""
_END = 2 * BLOCK


class UnexpectedLayout(Exception):
    """A member is not where it was predicted to be."""


def predict(name: str, files: Iterable[File], size: int) -> Component | None:
    """Return the component of `size` bytes with these files.

    Its spans have no names, which would be kept in memory with them. Returns None if rattler's tar of these files would
    not have this size. Directories and hard links are not predicted: rattler writes none of them to a payload.
    """
    spans = Spans()
    known: list[File] = []
    at = 0
    for file in files:
        if file.kind not in (FileKind.FILE, FileKind.SYMLINK) or (file.kind is FileKind.FILE and file.size is None):
            return None
        length = len(file.path.encode("utf-8", "surrogateescape"))
        content = at + BLOCK + (BLOCK + padded(length + 1) if length > _NAME_FIELD else 0)
        stop = content + (padded(file.size or 0) if file.kind is FileKind.FILE else 0)
        if stop > size:  # A listing may state any number.
            return None
        spans.append("", at, content, stop)
        known.append(file)
        at = stop
    return Component(name, tuple(known), spans, size) if at + _END == size else None
