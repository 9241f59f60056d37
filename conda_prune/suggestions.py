"""Messages about a name that does not exist: they suggest a similar name, or list all names."""

from __future__ import annotations

from collections.abc import Collection


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return a message that a name does not exist, with a similar name or all known names."""
    suggestion = did_you_mean(name, known) or f"choose from {', '.join(known)}"
    return f"there is no {what} {name!r}; {suggestion}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a question that suggests a similar name; empty if there is none."""
    from difflib import get_close_matches

    similar = get_close_matches(name, known, 1)
    return f"did you mean `{similar[0]}`?" if similar else ""
