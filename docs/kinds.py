"""Puts the explanation of every kind of finding into the page that asks for it: the rules' own words, written once."""

from __future__ import annotations

from collections.abc import Iterator

from conda_prune.report.explanation import explain, kinds

MARK = "<!-- conda-prune explain --all -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page's text with the explanations where its mark is; mkdocs calls this for every page."""
    return markdown.replace(MARK, "\n\n".join(line for kind in kinds() for line in explanation(kind)))


def explanation(kind: str) -> Iterator[str]:
    """Yield the paragraphs about a kind, as Markdown."""
    told = explain(kind)
    yield f"### {kind}"
    yield from paragraphs(told.meaning)
    for heading, text in told.sections:
        yield f"*{heading}.*"
        yield from paragraphs(text)


def paragraphs(text: str) -> Iterator[str]:
    """Yield a text's paragraphs, each on one line: one that wraps before `#718` would become a heading there."""
    for paragraph in text.split("\n\n"):
        yield paragraph if paragraph.startswith("    ") else " ".join(paragraph.split())
