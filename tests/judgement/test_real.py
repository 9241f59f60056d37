"""Every drop from 1,094 real packages with bytecode was reviewed: testdata/real-drops.tsv."""

from __future__ import annotations

import csv
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conda_prune.judgement.options import Options
from conda_prune.judgement.plan import make_plan
from conda_prune.model import (
    Action,
    Component,
    File,
    Finding,
    Format,
    Identity,
    Package,
    Plan,
)

TESTDATA = Path(__file__).parents[2] / "testdata"

Index = dict[str, Any]


def read() -> Iterator[Index]:
    with lzma.open(TESTDATA / "real.jsonl.xz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_drops() -> dict[str, dict[str, str]]:
    with open(TESTDATA / "real-drops.tsv", encoding="utf-8", newline="") as lines:
        return {row["package"]: row for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}


REAL = tuple(read())
DROPS = read_drops()


def name_of(index: Index) -> str:
    return f"{index.get('subdir', 'unknown')}/{index['name']}-{index['version']}-{index['build']}"


def plan_of(index: Index, **options: Any) -> Plan:
    """Return the plan for a package of which only the metadata is known, as in an audit of a channel."""
    facts = {key: value for key, value in index.items() if key != "paths"}
    listing = "".join(f"{path}\n" for path in index["paths"])
    texts = {"info/index.json": json.dumps(facts).encode(), "info/files": listing.encode()}
    files = tuple(File(path, size=len(text), content=text) for path, text in texts.items())
    component = Component("info", files, (), 0)
    package = Package(f"{name_of(index)}.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=False)
    return make_plan(package, Options(**options))


def dropped(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.action is Action.DROP]


def test_the_list_is_complete() -> None:
    assert len(REAL) == 1094
    assert all(any(".pyc" in path for path in index["paths"]) for index in REAL)
    assert len({name_of(index) for index in REAL}) == len(REAL)


def test_every_drop_was_reviewed() -> None:
    seen = {}
    for index in REAL:
        plan = plan_of(index)
        assert plan.status in ("clean", "findings"), name_of(index)
        if drops := dropped(plan):
            seen[name_of(index)] = (Counter(finding.kind for finding in drops), {finding.path for finding in drops})
    assert seen.keys() == DROPS.keys()
    for name, (kinds, paths) in seen.items():
        row = DROPS[name]
        assert kinds == {row["kind"]: int(row["files"])}
        assert row["example"] in paths
        assert row["verdict"].startswith("stray: ")
    assert sum(int(row["files"]) for row in DROPS.values()) == 496


def test_every_dropped_file_has_a_source_and_own_bytecode() -> None:
    """The package's own Python has its own bytecode of the same module."""
    for index in REAL:
        if name_of(index) in DROPS:
            paths = {path.replace("\\", "/") for path in index["paths"]}
            plan = plan_of(index)
            (tag,) = plan.variant.tags or ()
            for finding in dropped(plan):
                assert re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc", r"\1.py", finding.path) in paths
                assert re.sub(r"\.cpython-\d+\.pyc", f".{tag}.pyc", finding.path) in paths


@pytest.mark.parametrize("depends", [["python"], ["python >=3.8"]])
def test_nothing_is_dropped_with_a_range_of_pythons(depends: list[str]) -> None:
    for index in REAL:
        if index["name"] != "python":
            assert not dropped(plan_of(index | {"depends": depends, "constrains": [], "build": "0"})), name_of(index)


def test_weak_evidence_drops_no_additional_file() -> None:
    for index in REAL:
        weak = plan_of(index | {"depends": ["python"], "constrains": []})
        if drops := dropped(weak):
            assert {finding.path for finding in drops} <= {finding.path for finding in dropped(plan_of(index))}
