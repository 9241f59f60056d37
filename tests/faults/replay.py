"""What a disk may hold after a power failure: every legal loss of a recorded run.

Bytes count as safe once their file was synced, names once their directory was. Until then, any of them may be there or
not, in any combination, written bytes also in part or as zeros; a rename is atomic, but may reach the disk without the
bytes. That is more than any one file system does.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


@dataclass(frozen=True)
class Event:
    """One system call: of the file `inode`, at `path`, for renames and links from `other`."""

    call: str
    inode: int
    path: str
    other: str
    offset: int
    data: bytes


@dataclass
class Content:
    """A file's bytes: what is safe, and the calls since."""

    safe: bytes = b""
    loose: list[Event] = field(default_factory=list)

    def now(self) -> bytes:
        return applied(self.safe, self.loose)


def recorded(log: Path) -> list[Event]:
    """Return the calls that the shim wrote down."""
    raw = log.read_bytes()
    events, at = [], 0
    while at < len(raw):
        line = raw.index(b"\n", at)
        call, inode, path, other, offset, size = raw[at:line].decode().split("\t")
        at = line + 1 + int(size)
        events.append(Event(call, int(inode), path, other, int(offset), raw[line + 1 : at]))
    return events


def applied(content: bytes, events: Sequence[Event]) -> bytes:
    """Return the content after these writes and truncations."""
    made = bytearray(content)
    for event in events:
        if event.call == "truncate":
            made = made[: event.offset].ljust(event.offset, b"\0")
        else:
            made[len(made) :] = bytes(max(0, event.offset - len(made)))
            made[event.offset : event.offset + len(event.data)] = event.data
    return bytes(made)


def damaged(content: Content, rng: random.Random) -> Iterator[bytes]:
    """Yield what may be on the disk of a file: everything, nothing, and parts of what was not synced."""
    yield content.now()
    if not content.loose:
        return
    yield content.safe
    yield bytes(len(content.now()))
    for _ in range(2):
        yield applied(content.safe, [event for event in content.loose if rng.random() < 0.5])
    torn = bytearray(content.now())
    for start in range(0, len(torn), SECTOR):
        if rng.random() < 0.3:
            torn[start : start + SECTOR] = bytes(len(torn[start : start + SECTOR]))
    yield bytes(torn)


def after_power_failure(
    before: dict[str, bytes], events: Sequence[Event], *, when_done: bool = False
) -> Iterator[dict[str, bytes]]:
    """Yield every state of the files that a power failure at any moment may leave, with its names and contents.

    With `when_done`, only those of a failure after the last call.
    """
    rng = random.Random(0)
    contents = {-number: Content(data) for number, data in enumerate(before.values(), 1)}
    names = {path: -number for number, path in enumerate(before, 1)}
    of_inode: dict[int, int] = {}
    loose_names: list[tuple[Event, int]] = []
    for number, event in enumerate([*events, Event("end", 0, "", "", 0, b"")]):
        if event.call == "end" or not when_done:
            yield from _states(names, loose_names, contents, rng)
        if event.call == "create":
            contents[number] = Content()
            of_inode[event.inode] = number
            loose_names.append((event, number))
        elif event.call in ("write", "truncate"):
            contents[of_inode[event.inode]].loose.append(event)
        elif event.call in ("rename", "link", "unlink"):
            loose_names.append((event, 0))
        elif event.call == "fsync" and event.inode in of_inode:
            synced = contents[of_inode[event.inode]]
            synced.safe, synced.loose = synced.now(), []
        elif event.call == "fsync":
            names = _renamed(names, loose_names)
            loose_names = []


def _states(
    names: dict[str, int], loose: list[tuple[Event, int]], contents: dict[int, Content], rng: random.Random
) -> Iterator[dict[str, bytes]]:
    for chosen in itertools.product((False, True), repeat=len(loose)):
        some = [change for change, keep in zip(loose, chosen, strict=True) if keep]
        kept = _renamed(names, some, [change for change in loose if change not in some])
        for variants in zip(*(_cycled(contents[file], rng) for file in kept.values()), strict=True):
            yield dict(zip(kept, variants, strict=True))


def _cycled(content: Content, rng: random.Random) -> list[bytes]:
    """Return six contents a file may have, the same one where nothing is loose."""
    variants = list(damaged(content, rng))
    return list(itertools.islice(itertools.cycle(variants), 6))


def _renamed(
    names: dict[str, int], changes: list[tuple[Event, int]], lost: Sequence[tuple[Event, int]] = ()
) -> dict[str, int]:
    """Return the names after some changes; the files of lost creations still exist for the renames that follow."""
    made = dict(names)
    created = {event.path: file for event, file in lost if event.call == "create"}
    for event, file in changes:
        if event.call == "create":
            made[event.path] = file
        elif event.call == "unlink":
            made.pop(event.path, None)
        else:
            source = made.get(event.other, created.get(event.other))
            if source is not None:
                made[event.path] = source
            if event.call == "rename":
                made.pop(event.other, None)
    return made
