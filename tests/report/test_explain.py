"""`explain`: every kind has a page that answers a maintainer's questions, made from the docstring of its rule."""

from __future__ import annotations

import inspect

import pytest

from conda_prune.judgement.options import KINDS
from conda_prune.judgement.rules import RULES
from conda_prune.report.explanation import HEADINGS, explain, explanation_lines, kinds

from ..executable import run

INTERFACE = (
    "foreign-tag", "foreign-path", "noarch-bytecode", "no-variant", "stale-listing", "orphan", "foreign-tree",
    "nested-path", "foreign-extension", "leftover", "optimized", "stale-stamp", "misnamed", "sourceless", "embedded",
    "unknown-variant",
)  # fmt: skip
NEVER_FIXED = {"misnamed", "sourceless", "embedded", "unknown-variant"}
"""Kinds that fix only reports, so their pages need no section on safety."""


def test_every_kind_can_be_explained() -> None:
    assert set(kinds()) == set(KINDS) == set(INTERFACE)


@pytest.mark.parametrize("kind", INTERFACE)
def test_a_page_has_every_section(kind: str) -> None:
    explanation = explain(kind)
    assert len(explanation.meaning) > 30
    answered = [heading for heading, _ in explanation.sections]
    assert answered == [heading for heading in HEADINGS.values() if heading in answered]
    assert set(HEADINGS.values()) - set(answered) <= ({HEADINGS["Safe"]} if kind in NEVER_FIXED else set())
    for heading, text in explanation.sections:
        assert len(text) > 10, heading
        assert text[0] == text[0].upper() or not text.split()[0].isalpha(), heading


@pytest.mark.parametrize("kind", INTERFACE)
def test_prevention_covers_every_build_tool(kind: str) -> None:
    prevention = dict(explain(kind).sections)[HEADINGS["Prevention"]]
    examples = [line.split()[0] for line in prevention.splitlines() if line.startswith("    ")]
    assert examples in ([], ["rattler-build", "pixi", "conda-build"])


@pytest.mark.parametrize("kind", INTERFACE)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_page_is_the_docstring_wrapped_to_the_terminal(kind: str, width: int) -> None:
    lines = explanation_lines(explain(kind), width)
    docstring = inspect.cleandoc(next(rule.find.__doc__ or "" for rule in RULES if rule.kind == kind))
    printed = " ".join(lines).lower().split()
    for word in docstring.lower().split():
        assert word in printed or word.removesuffix(":") in {"causes", "fix", "safe", "prevention"}, word
    examples = {line.strip() for line in docstring.splitlines() if line.startswith("    ")}
    assert all(len(line) <= width or len(line.split()) == 1 or line.strip() in examples for line in lines)


def test_examples_keep_their_columns() -> None:
    lines = explanation_lines(explain("foreign-path"))
    (row,) = [line for line in lines if line.strip().startswith("rattler-build ")]
    assert row.startswith("    rattler-build   build:")


def test_explain_prints_a_page() -> None:
    done = run("explain", "foreign-path")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("foreign-path ")
    for heading in HEADINGS.values():
        assert f"\n  {heading}\n" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("foreign-path", "looked for by default"),
        ("nested-path", "reported; fixed with --extend-select"),
        ("foreign-tree", "on request, with --extend-select"),
    ],
)
def test_a_page_says_when_a_kind_applies(kind: str, how: str) -> None:
    assert explanation_lines(explain(kind))[0] == f"{kind}   ({how})"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_without_a_kind_all_are_listed(width: int) -> None:
    done = run("explain", COLUMNS=str(width))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(INTERFACE)
    assert all(len(line) <= min(width, 100) for line in lines)
    by_kind = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert by_kind["foreign-path"][0] == "default"
    assert by_kind["foreign-tree"][0] == "request"
    assert by_kind["foreign-tag"][1].startswith("Bytecode of another interpreter")


def test_explain_all_prints_every_page() -> None:
    done = run("explain", "--all")
    assert done.returncode == 0
    heads = [line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert sorted(heads) == sorted(INTERFACE)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("dust",), id="no-such-kind"),
        pytest.param(("foreign-path", "--all"), id="one-and-all"),
        pytest.param(("\033[2J",), id="control-characters"),
    ],
)
def test_an_unknown_kind_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = run("explain", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "\033" not in done.stderr
    for kind in INTERFACE:
        assert kind in done.stderr
