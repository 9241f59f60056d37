"""What a kind of finding means, read from the docstring of its rule, the only place where that is written.

A docstring starts with a paragraph on the meaning, followed by sections that `Causes:`, `Fix:`, `Safe:` and
`Prevention:` open. Indented text is an example and is kept as written.
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
"""The words that open a section of a docstring, and the headings that people read."""

_OPENING = re.compile(rf"(?:^|(?<=[.)] )|(?<=\n))({'|'.join(HEADINGS)}): ?")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A kind: its meaning, and its sections by heading, in the docstring's order.

    `default`: it is on by default. `on_request`: by default it is only reported, and repaired on request.
    """

    kind: str
    default: bool
    meaning: str
    sections: tuple[tuple[str, str], ...]
    on_request: bool = False


def explain(kind: str) -> Explanation:
    """Return what a kind means. Raises KeyError for an unknown kind."""
    return _KINDS[kind]


def kinds() -> tuple[str, ...]:
    """Return every kind that can be explained, those that are on by default first."""
    return tuple(sorted(_KINDS, key=lambda kind: not _KINDS[kind].default))


def _explanation(rule: Rule) -> Explanation:
    meaning, *rest = _OPENING.split(docstring_of(rule.find))
    sections = zip(rest[::2], rest[1::2], strict=True)
    texts = ((HEADINGS[opening], text.strip("\n ")) for opening, text in sections)
    told = tuple((head, _sentence(text)) for head, text in texts)
    return Explanation(rule.kind, rule.default, meaning.strip(), told, rule.on_request)


def _sentence(text: str) -> str:
    """Return a text that starts like a sentence, unless it starts with the name of a tool."""
    first = text.split(maxsplit=1)[0] if text else ""
    return text[:1].upper() + text[1:] if first.isalpha() else text


_KINDS = {rule.kind: _explanation(rule) for rule in RULES}
