"""What to say about a name that does not exist: the similar one that was probably meant, or all that there are."""

from __future__ import annotations

from collections.abc import Collection


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return that there is no such thing, with the one that was probably meant, or with all of them."""
    suggestion = did_you_mean(name, known) or f"choose from {', '.join(known)}"
    return f"there is no {what} {name!r}; {suggestion}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a suggestion, empty where nothing that is known is similar."""
    from difflib import get_close_matches

    similar = get_close_matches(name, known, 1)
    return f"did you mean `{similar[0]}`?" if similar else ""
