"""What one package may make us do at most. The defaults are generous for real packages and small for bombs."""

from __future__ import annotations

from dataclasses import dataclass, replace

_FREE_TEXT = 1 << 22
"""Bytes of metadata and names that a component may have, however small it is."""
_LINE = 64
"""Bytes of metadata for each file that a listing may name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a package may make us do; exceeding one ends the work on it.

    `unpacked`, `text` and `window` are bytes: of a component's content, of the texts and names held in memory, and of
    what zstd holds to decompress. `ratio` bounds the texts and names of a component by its compressed size, beyond the
    first 4 MiB. Listings of real packages come to 10, and the most regular one that could be made (a million empty
    files, named by number) to 137; a bomb comes to 10,000.
    """

    unpacked: int = 1 << 36
    members: int = 2_000_000
    text: int = 1 << 29
    window: int = 1 << 27
    ratio: int = 200
    text_option: str = "--max-text"

    def within(self, packed: int) -> Limits:
        """Return the limits for what takes so many bytes compressed, with the option that raises its `text`."""
        text = _FREE_TEXT + self.ratio * packed
        return self if text >= self.text else replace(self, text=text, text_option="--max-ratio")

    @property
    def listed(self) -> int:
        """How many files a listing may name: an entry takes five times the memory of a short line of text."""
        return min(self.members, self.text // _LINE)
