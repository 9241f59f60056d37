"""Explains each kind of finding. The text is the docstring of the kind's rule, and is written nowhere else.

A docstring starts with what the kind means. Then come the sections `Causes:`, `Fix:`, `Safe:` and `Prevention:`.
Indented text is an example and keeps its line breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..judgement.rules import RULES
from ..judgement.rules.rule import Rule
from .docstrings import docstring_of

HEADINGS = {
    "Causes": "Common causes",
    "Fix": "What fix does",
    "Safe": "Why that is safe",
    "Prevention": "How to prevent it",
}
"""The word that starts each section of a docstring, and the heading that users see instead."""

_SECTION_START = re.compile(rf"(?:^|(?<=[.)] )|(?<=\n))({'|'.join(HEADINGS)}): ?")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A kind of finding: what it means, and its sections as pairs of heading and text, in the docstring's order.

    `default`: the kind is on by default. `on_request`: it is reported by default, and repaired only on request.
    """

    kind: str
    default: bool
    meaning: str
    sections: tuple[tuple[str, str], ...]
    on_request: bool = False


def explain(kind: str) -> Explanation:
    """Return the explanation of a kind. Raises KeyError for an unknown kind."""
    return _KINDS[kind]


def kinds() -> tuple[str, ...]:
    """Return every kind; those that are on by default come first."""
    return tuple(sorted(_KINDS, key=lambda kind: not _KINDS[kind].default))


def _explanation(rule: Rule) -> Explanation:
    meaning, *rest = _SECTION_START.split(docstring_of(rule.find))
    sections = zip(rest[::2], rest[1::2], strict=True)
    with_headings = tuple((HEADINGS[word], _sentence(text.strip("\n "))) for word, text in sections)
    return Explanation(rule.kind, rule.default, meaning.strip(), with_headings, rule.on_request)


def _sentence(text: str) -> str:
    """Return the text with a capital first letter, unless it starts with a name such as `conda-build`."""
    first = text.split(maxsplit=1)[0] if text else ""
    return text[:1].upper() + text[1:] if first.isalpha() else text


_KINDS = {rule.kind: _explanation(rule) for rule in RULES}
