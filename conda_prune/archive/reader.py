"""Reads a package once and keeps facts: names, kinds, sizes, hashes, places and the few texts that were asked for."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Damaged, LimitExceeded, Unsupported
from ..model import Component, Package
from .codecs import DECOMPRESS
from .container import Archive, Part
from .tar import TarReader

Keep = Callable[[str], int]
"""Tells how many leading bytes of a member's content to keep; a reader of names only says 0."""
Progress = Callable[[int], None]
"""Is called with the bytes of content done since the last call."""


def read_package(archive: Archive, keep: Keep, *, payload: bool, progress: Progress = lambda done: None) -> Package:
    """Return the facts of a package: of a .conda its info component only, unless `payload` is set.

    Raises Damaged, Unsupported or LimitExceeded; a package that returns was read to its last byte.
    """
    components: list[Component] = []
    for part in archive.parts:
        if part.component != "pkg" or payload:
            components.append(_read_component(archive, part, keep, progress))
    _check_namesakes(components)
    complete = payload or archive.part("pkg") is None
    return Package(archive.path, archive.format, archive.identity, tuple(components), complete, tuple(archive.notes))


def _read_component(archive: Archive, part: Part, keep: Keep, progress: Progress) -> Component:
    archive.check_crc(part)
    reader = TarReader(keep, archive.limits)
    size = 0
    for piece in DECOMPRESS[part.codec](part.extent):
        size += len(piece)
        if size > archive.limits.unpacked:
            raise LimitExceeded(
                f"it unpacks to more than {archive.limits.unpacked} bytes",
                "raise the limit if it is trustworthy",
            )
        reader.feed(piece)
        progress(len(piece))
    return reader.finish(part.component)


def _check_namesakes(components: list[Component]) -> None:
    seen: set[str] = set()
    for component in components:
        names = {file.path for file in component.files}
        if both := seen & names - {"."}:
            raise Unsupported(f"{min(both)!r} is in both of the package's components")
        seen |= names
        if component.name == "info" and (strangers := [name for name in names if not _in_info(name)]):
            raise Damaged(f"the info component holds {min(strangers)!r}, which is not below info/ (CEP 35)")


def _in_info(name: str) -> bool:
    return name in ("info", ".") or name.startswith("info/")
