"""Computes what a disk may contain after a power failure: every loss that the rules allow during a recorded run.

Bytes are safe after their file was synced, and names after their directory was. Until then, each of them may be on the
disk or not, in any combination, and bytes may also be there in part or as zeros. A rename is atomic, but may reach the
disk before the bytes. No single file system loses as much as this.
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
    """One system call for the file `inode` at `path`. For renames and links, `other` is the old name."""

    call: str
    inode: int
    path: str
    other: str
    offset: int
    data: bytes


@dataclass
class Content:
    """A file's bytes: the synced content, and the calls since then."""

    synced: bytes = b""
    unsynced: list[Event] = field(default_factory=list)

    def now(self) -> bytes:
        return applied(self.synced, self.unsynced)


def recorded(log: Path) -> list[Event]:
    """Return the calls that the shim logged."""
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
    """Yield what may be on the disk of a file: everything, only what was synced, and parts of the rest."""
    yield content.now()
    if not content.unsynced:
        return
    yield content.synced
    yield bytes(len(content.now()))
    for _ in range(2):
        yield applied(content.synced, [event for event in content.unsynced if rng.random() < 0.5])
    torn = bytearray(content.now())
    for start in range(0, len(torn), SECTOR):
        if rng.random() < 0.3:
            torn[start : start + SECTOR] = bytes(len(torn[start : start + SECTOR]))
    yield bytes(torn)


def after_power_failure(
    before: dict[str, bytes], events: Sequence[Event], *, when_done: bool = False
) -> Iterator[dict[str, bytes]]:
    """Yield every state (contents by name) that a power failure at any moment may leave.

    With `when_done`, only the states after the last call.
    """
    rng = random.Random(0)
    contents = {-number: Content(data) for number, data in enumerate(before.values(), 1)}
    names = {path: -number for number, path in enumerate(before, 1)}
    of_inode: dict[int, int] = {}
    unsynced_names: list[tuple[Event, int]] = []
    for number, event in enumerate([*events, Event("end", 0, "", "", 0, b"")]):
        if event.call == "end" or not when_done:
            yield from _states(names, unsynced_names, contents, rng)
        if event.call == "create":
            contents[number] = Content()
            of_inode[event.inode] = number
            unsynced_names.append((event, number))
        elif event.call in ("write", "truncate"):
            contents[of_inode[event.inode]].unsynced.append(event)
        elif event.call in ("rename", "link", "unlink"):
            unsynced_names.append((event, 0))
        elif event.call == "fsync" and event.inode in of_inode:
            file = contents[of_inode[event.inode]]
            file.synced, file.unsynced = file.now(), []
        elif event.call == "fsync":
            names = _renamed(names, unsynced_names)
            unsynced_names = []


def _states(
    names: dict[str, int], unsynced: list[tuple[Event, int]], contents: dict[int, Content], rng: random.Random
) -> Iterator[dict[str, bytes]]:
    for chosen in itertools.product((False, True), repeat=len(unsynced)):
        some = [change for change, keep in zip(unsynced, chosen, strict=True) if keep]
        kept = _renamed(names, some, [change for change in unsynced if change not in some])
        for variants in zip(*(_cycled(contents[file], rng) for file in kept.values()), strict=True):
            yield dict(zip(kept, variants, strict=True))


def _cycled(content: Content, rng: random.Random) -> list[bytes]:
    """Return six possible contents of a file, or six times the same if everything was synced."""
    variants = list(damaged(content, rng))
    return list(itertools.islice(itertools.cycle(variants), 6))


def _renamed(
    names: dict[str, int], changes: list[tuple[Event, int]], lost: Sequence[tuple[Event, int]] = ()
) -> dict[str, int]:
    """Return the names after some changes. A file whose creation was lost may still have been renamed later."""
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
