"""Limits on the resources that one package may use. The defaults allow every real package and stop bombs early."""

from __future__ import annotations

from dataclasses import dataclass, replace

_FREE_TEXT = 1 << 23
"""Bytes of metadata and names that every component may have, even a tiny one."""
_LINE = 64
"""Bytes of metadata per file that a listing may name."""


@dataclass(frozen=True)
class Limits:
    """Limits for one package. Exceeding one ends the work on the package.

    Attributes:
        unpacked: Bytes of a component's tar stream.
        members: Number of files in a component.
        text: Bytes of metadata and names that are held in memory.
        window: Bytes of the window of zstd.
        ratio: Bytes of the metadata and names of a component for each compressed byte, beyond the first 8 MiB. Real
            packages need 10. The most regular listing that could be constructed (empty files, named by number in a deep
            directory) needs 219 as bz2: of 200,000 such files, 4.7 MiB are beyond the ratio. A bomb needs 10,000.
        text_option: The option that error messages about `text` name.
    """

    unpacked: int = 1 << 36
    members: int = 2_000_000
    text: int = 1 << 29
    window: int = 1 << 27
    ratio: int = 200
    text_option: str = "--max-text"

    def within(self, packed: int) -> Limits:
        """Return the limits for a component of `packed` compressed bytes, with the option that would raise `text`."""
        text = _FREE_TEXT + self.ratio * packed
        return self if text >= self.text else replace(self, text=text, text_option="--max-ratio")

    @property
    def listed(self) -> int:
        """How many files a listing may name. An entry takes five times as much memory as a short line of text."""
        return min(self.members, self.text // _LINE)
