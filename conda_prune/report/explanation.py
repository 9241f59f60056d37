"""Formats an explanation for the terminal: paragraphs are wrapped, examples keep their lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from .documentation import Explanation


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
