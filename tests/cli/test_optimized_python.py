"""`python -OO` strips docstrings, but users still see their text."""

from __future__ import annotations

import json

import pytest

from ..executable import run
from ..seed import STRAY


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        *((command, "--help") for command in ("check", "fix", "show", "prefix", "explain", "report", "schema")),
        ("completion", "--help"),
        ("explain", "--all"),
    ],
    ids=" ".join,
)
def test_text_is_the_same_without_docstrings(arguments: tuple[str, ...]) -> None:
    usual = run(*arguments, check=True)
    for level in ("1", "2"):
        done = run(*arguments, PYTHONOPTIMIZE=level)
        assert (done.returncode, done.stdout, done.stderr) == (0, usual.stdout, "")


def test_sarif_is_the_same_without_docstrings() -> None:
    usual, stripped = (
        json.loads(run("check", STRAY[0].path, "--format", "sarif", PYTHONOPTIMIZE=level).stdout) for level in ("", "2")
    )
    assert stripped == usual
    rules = stripped["runs"][0]["tool"]["driver"]["rules"]
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"].count("\n") > 5 for rule in rules)
