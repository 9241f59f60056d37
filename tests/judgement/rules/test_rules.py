"""What holds for all rules: their kinds, their explanations, and that they take linear time."""

from __future__ import annotations

import pytest

from conda_prune.judgement.contents import Contents
from conda_prune.judgement.rules import RULES
from conda_prune.judgement.rules.rule import Rule
from conda_prune.judgement.variant.detect import override_variant
from conda_prune.model import File, FileKind
from conda_prune.report.explanation import HEADINGS, explain

from ...clock import cpu_time
from ..builders import DEFAULT, DROPPING, MAGIC_310, SITE, SITE310, contents_with, in_cache, paths_found, pyc_head


def test_a_link_to_bytecode_is_bytecode_itself() -> None:
    contents = contents_with(
        links={f"{SITE310}/b.pyc": "a.pyc", in_cache(SITE, "b.cpython-310.pyc"): "a.cpython-311.pyc"}
    )
    assert paths_found("foreign-path", "3.11", contents) == {f"{SITE310}/b.pyc"}
    assert paths_found("foreign-tag", "3.11", contents) == {in_cache(SITE, "b.cpython-310.pyc")}


def test_no_rule_finds_a_directory() -> None:
    files = {
        SITE310: File(SITE310, FileKind.DIRECTORY),
        f"{SITE310}/x.pyc": File(f"{SITE310}/x.pyc", FileKind.DIRECTORY),
    }
    contents = Contents(files, {}, {}, None, complete=True)
    for rule in RULES:
        if rule.phase != "remainder":
            assert not list(rule.find(contents, override_variant("3.11")))


def test_defaults_and_order_of_the_rules() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
    assert {rule.kind for rule in RULES if rule.default} - set(DEFAULT) == {
        "nested-path", "unknown-variant", "misnamed", "sourceless", "embedded", "stale-listing",
    }  # fmt: skip
    assert {rule.kind for rule in RULES if rule.on_request} == {"nested-path"}
    assert {rule.kind for rule in RULES if not rule.default} == {
        "foreign-tree", "foreign-extension", "leftover", "optimized", "orphan", "stale-stamp",
    }  # fmt: skip
    assert [rule.kind for rule in RULES][: len(DEFAULT)] == list(DEFAULT), "the others judge what these leave"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_each_rule_explains_itself(rule: Rule) -> None:
    explained = explain(rule.kind)
    sections = dict(explained.sections)
    assert explained.meaning
    assert list(sections) == [heading for heading in HEADINGS.values() if heading in sections], "in this order"
    assert {HEADINGS["Causes"], HEADINGS["Fix"], HEADINGS["Prevention"]} <= set(sections)
    assert all(sections.values())
    if rule.kind in DROPPING:
        assert HEADINGS["Safe"] in sections
        assert (rule.default and not rule.on_request) or "on request" in sections[HEADINGS["Fix"]].lower()


def package_of(count: int) -> Contents:
    """Return a package of this many files: sources, own, foreign and embedded bytecode, and documentation."""
    files = []
    for number in range(count // 6):
        package = f"{SITE}/sub{number % 97}"
        files += [f"{package}/m{number}.py", in_cache(package, f"m{number}.cpython-311.pyc")]
        files += [in_cache(package, f"m{number}.cpython-310.pyc"), in_cache(SITE310, f"m{number}.cpython-311.pyc")]
        files += [
            in_cache(f"opt/lib/python3.9/d{number % 97}", f"m{number}.cpython-39.pyc"),
            f"share/doc/f{number}.html",
        ]
    return contents_with(*files)


@pytest.mark.parametrize("python", ["3.11", "any", "none"])
def test_the_time_grows_in_proportion_to_the_files(python: str) -> None:
    variant = override_variant(python)

    def seconds(count: int) -> float:
        best = 9.0
        for _ in range(3):
            contents = package_of(count)
            started = cpu_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, cpu_time() - started)
        return best

    # Sixteen times the files: a quadratic rule takes 256 times as long.
    assert seconds(19_200) < 64 * max(seconds(1200), 1e-3)


@pytest.mark.parametrize("part", ["a/", "python3.9/", "1.", "test", ".cp310", ".cpython-310-a", "py", "é", "\x1b"])
def test_a_path_of_a_megabyte_takes_linear_time(part: str) -> None:
    variant = override_variant("3.11")

    def seconds(size: int) -> float:
        best = 9.0
        for _ in range(3):
            start = part * (size // len(part))
            names = [
                f"{start}/__pycache__/m.cpython-39.pyc",
                f"{start}.so",
                f"lib/python3.10/{start}.pyc",
                f"{start}/m.py",
            ]
            contents = contents_with(*names, heads={f"{start}/m.pyc": pyc_head(MAGIC_310)})
            started = cpu_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, cpu_time() - started)
        return best

    # Sixteen times the length: a quadratic rule takes 256 times as long. Below a few milliseconds the clock decides.
    assert seconds(1 << 20) < 80 * max(seconds(1 << 16), 3e-3)
