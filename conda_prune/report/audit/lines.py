"""Reads the results of audits, the last line of each package first.

Results files are only appended to, and where a package has several lines, the last one counts, even if their hashes
differ: the package may have been repaired in between. Reading a file from its end makes that the first one met: one
pass is enough, and only the keys of the packages are held in memory, never their results. `unlisted` decides which
sources count.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO, NamedTuple

from ..malformed import ERRORS, reason_of
from .key import key_of
from .row import Row, row_of
from .unlisted import Listed, source_of

_PIECE = 1 << 20
_LONGEST = 1 << 28
"""Bytes of a line at most: one with 500,000 findings takes about 100 MB."""


class Entry(NamedTuple):
    """A result as the file has it, what a report needs of it, and where it begins in which file."""

    value: dict[str, Any]
    row: Row
    file: int
    offset: int


class BadLine(NamedTuple):
    """A line that is not a result of an audit: where it begins in which file, what is wrong; `others` are like it."""

    file: int
    offset: int
    reason: str
    others: int = 0


class CannotRead(Exception):
    """A file cannot be read to its beginning: which one, and why."""

    def __init__(self, file: int, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason


def is_audit(file: BinaryIO) -> bool:
    """Return whether a file holds the results of an audit, by its first line. The file must be seekable."""
    first = file.readline(_LONGEST)
    file.seek(0)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and {"judged_from", "file_name"} <= value.keys()


def entries(files: Sequence[Callable[[], AbstractContextManager[BinaryIO]]]) -> Iterator[Entry | BadLine]:
    """Yield the last result of each package, from the last line of the last file to the first line of the first.

    Sources that no run could list come at the end. Each file is opened when it is read, at most twice. What a run that
    was killed left of its last line is not a line, and is left out. Raises CannotRead.
    """
    seen: set[bytes] = set()
    listed = Listed()
    for number in range(len(files) - 1, -1, -1):
        with _naming(number), files[number]() as file:
            for entry in _entries(file, number):
                if isinstance(entry, Entry):
                    row = entry.row
                    key = key_of(row.channel, row.subdir, row.file_name, None if row.file_name else source_of(row))
                    if key in seen:
                        continue
                    seen.add(key)
                    if not row.file_name:
                        listed.add_source(entry)
                        continue
                    listed.add_package(row)
                yield entry
    for number in listed.files_to_read(len(files)):
        with _naming(number), files[number]() as file:
            listed.read(file, number)
    yield from listed.left()


@contextmanager
def _naming(file: int) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CannotRead(file, getattr(error, "strerror", None) or str(error)) from error


def _entries(file: BinaryIO, number: int) -> Iterator[Entry | BadLine]:
    for offset, line in _backwards(file):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            row = row_of(value)
        except ERRORS as error:
            if line.endswith(b"\n"):
                yield BadLine(number, offset, reason_of(error))
        else:
            yield Entry(value, row, number, offset)


def line_number(file: BinaryIO, offset: int) -> int:
    """Return the number of the line that begins at an offset, counted from 1."""
    file.seek(0)
    number = 1
    while offset > 0 and (piece := file.read(min(_PIECE, offset))):
        number += piece.count(b"\n")
        offset -= len(piece)
    return number


def _backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the text of each line, the last one first. Raises ValueError for a line that is too long."""
    position = file.seek(0, os.SEEK_END)
    rest: list[bytes] = []  # The pieces of a line whose beginning was not reached yet, the last one first.
    held = 0
    while position > 0:
        start = max(0, position - _PIECE)
        file.seek(start)
        lines = io.BytesIO(file.read(position - start)).readlines()
        end = position
        for line in reversed(lines):
            if line.endswith(b"\n") and rest:
                yield end, b"".join(reversed(rest))
                rest.clear()
                held = 0
            rest.append(line)
            end -= len(line)
            held += len(line)
            if held > _LONGEST:
                raise ValueError(f"a line is longer than {_LONGEST} bytes")
        position = start
    if rest:
        yield 0, b"".join(reversed(rest))
