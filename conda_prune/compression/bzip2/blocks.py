"""Decides which blocks of a bz2 stream are copied and which content is compressed again. Pure: it sees only numbers.

No block depends on another. So a block without a splice is copied, even if all blocks around it change. Of a block with
a splice, the content that remains is compressed again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeAlias

from ...model import Splice


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the whole block."""


@dataclass(frozen=True, slots=True)
class Compress:
    """Compress the bytes `start` to `stop` of the block's content."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Insert:
    """Compress new content."""

    new: bytes


Range: TypeAlias = Copy | Compress | Insert


def block_ranges(start: int, stop: int, splices: Sequence[Splice]) -> list[Range]:
    """Return what becomes of the block with the content `start` to `stop`; an empty list if it is removed.

    `splices` are those of the whole stream; they are sorted and do not overlap. Content inserted at the start of a
    block counts as part of that block's result, but the block itself is still copied.
    """
    first = bisect_left(splices, start, key=attrgetter("start"))
    at = min(max(start, splices[first - 1].stop), stop) if first else start
    ranges: list[Range] = []
    for number in range(first, len(splices)):
        splice = splices[number]
        if splice.start >= stop:
            break
        if splice.start > at:
            ranges.append(Compress(at - start, splice.start - start))
        if splice.new:
            ranges.append(Insert(splice.new))
        at = min(splice.stop, stop)
    if at < stop:
        ranges.append(Copy() if at == start else Compress(at - start, stop - start))
    return ranges


def inserted_at_end(size: int, splices: Sequence[Splice]) -> bytes:
    """Return what is inserted after the last byte; raise ValueError if a splice lies outside the stream."""
    if splices and splices[-1].stop > size:
        raise ValueError("a splice reaches beyond the end of its stream")
    return b"".join(splice.new for splice in splices if splice.start == size)
