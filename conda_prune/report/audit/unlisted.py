"""Decides which sources no run could list. A source was listed later if one of its packages is in the lines after it.

The files of shards may be joined in any order. So if a run was for a shard, only packages of that shard count. To find
them, the lines after such a source are read again, because the shards are not known when the packages are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..malformed import ERRORS
from .key import in_shard
from .row import Row, row_of

if TYPE_CHECKING:
    from .lines import Entry


def source_of(row: Row) -> str:
    """Return what the key of a source has in the place of a hash."""
    number, count = row.shard or (0, 0)
    return f"{number}/{count} {'' if row.channel else row.path}"


class Listed:
    """The sources that could not be listed and those that could, taken in from the last line to the first."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()
        self._left: list[Entry] = []
        self._undecided: list[Entry] = []

    def add_package(self, row: Row) -> None:
        """Take in a package."""
        self._places.add((row.channel, row.subdir))

    def add_source(self, entry: Entry) -> None:
        """Take in a source that could not be listed."""
        row = entry.row
        if not any(_is_of(row, *place) for place in self._places):
            self._left.append(entry)
        elif row.shard is not None:
            self._undecided.append(entry)

    def files_to_read(self, count: int) -> range:
        """Return which of so many files must be read again, in this order."""
        return range(min((entry.file for entry in self._undecided), default=count), count)

    def read(self, file: BinaryIO, number: int) -> None:
        """Read a file again, to find packages of the shards."""
        earlier = any(entry.file < number for entry in self._undecided)
        offset = 0 if earlier else min((entry.offset for entry in self._undecided if entry.file == number), default=0)
        file.seek(offset)
        while self._undecided and (line := file.readline()):
            if (row := _package(line)) is not None:
                self._undecided = [
                    entry
                    for entry in self._undecided
                    if not ((entry.file, entry.offset) < (number, offset) and _shows(row, entry.row))
                ]
            offset += len(line)

    def left(self) -> Iterator[Entry]:
        """Yield the sources that could not be listed, each once for all its shards."""
        found: dict[tuple[str, str, str], Entry] = {}
        for entry in sorted((*self._left, *self._undecided), key=lambda entry: (entry.row.path, entry.row.reason)):
            row = entry.row
            found.setdefault((row.channel, row.subdir, "" if row.channel else row.path), entry)
        yield from found.values()


def _shows(package: Row, source: Row) -> bool:
    """Return whether a package shows that a shard of a source was listed."""
    in_it = source.shard is None or in_shard(package.file_name, *source.shard)
    return in_it and _is_of(source, package.channel, package.subdir)


def _is_of(source: Row, channel: str, subdir: str) -> bool:
    """Return whether packages of this channel and subdir are of a source, which may be a directory with subdirs."""
    return bool(source.channel) and source.channel == channel and source.subdir in ("", subdir)


def _package(line: bytes) -> Row | None:
    try:
        row = row_of(json.loads(line))
    except ERRORS:
        return None
    return row if row.file_name else None
