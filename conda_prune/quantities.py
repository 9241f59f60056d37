"""Counts and sizes as text, for notes and reports."""

from __future__ import annotations


def size_text(size: int) -> str:
    """Return a size in binary units with one decimal."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if round(value, 1) < 1024:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"
