"""Explains each kind of finding. The text is the docstring of the kind's rule, and is written nowhere else.

A docstring starts with what the kind means. Then come the sections `Causes:`, `Fix:`, `Safe:` and `Prevention:`.
Indented text is an example and keeps its line breaks.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
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


def kind_list(width: int = 80) -> Iterator[str]:
    """Yield a line for each kind: when `fix` acts on it, its name, and the first sentence of its meaning.

    A sentence that is too long ends with an ellipsis.
    """
    longest = max(map(len, _KINDS))
    for kind in kinds():
        explanation = _KINDS[kind]
        sentence = re.split(r"(?<=[^.])[.:] |\.$|:$", " ".join(explanation.meaning.split()), maxsplit=1)[0]
        line = f"{kind:<{longest}}  {'default' if explanation.default else 'request'}  {sentence}"
        yield line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def explanation_lines(explanation: Explanation, width: int = 80) -> list[str]:
    """Return the lines that explain a kind. Only examples may be longer than `width` columns."""
    when = "looked for by default" if explanation.default else "on request, with --extend-select"
    if explanation.on_request:
        when = "reported; fixed with --extend-select"
    lines = [f"{explanation.kind}   ({when})", *_paragraphs(explanation.meaning, width)]
    for heading, text in explanation.sections:
        lines += ["", f"  {heading}", *_paragraphs(text, width)]
    return lines


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for index, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if index:
            yield ""
        if paragraph.startswith(("    ", "\t")):
            yield from (f"    {line}".rstrip() for line in textwrap.dedent(paragraph).split("\n"))
        else:
            # A path or an option must not be broken at a hyphen.
            yield from textwrap.wrap(
                " ".join(paragraph.split()),
                width,
                initial_indent="    ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
