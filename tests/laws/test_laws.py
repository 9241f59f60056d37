"""The laws that hold for every package, tested with every scenario, format and writer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conda_prune import check, fix

from ..corpus.packages import (
    Format,
    Writer,
    read_tar_members,
    write_package,
)
from ..corpus.scenario import Scenario
from ..corpus.scenarios import SCENARIOS

COMBINATIONS: tuple[tuple[Format, Writer], ...] = (
    (".conda", "rattler"),
    (".conda", "conda-build"),
    (".conda", "cph1"),
    (".tar.bz2", "rattler"),
    (".tar.bz2", "conda-build"),
)
CASES = [
    pytest.param(
        scenario,
        format_,
        writer,
        id=f"{scenario.id}-{writer}{format_}",
        # The short tests take two combinations for each scenario, in turn; the long ones take all.
        marks=() if (index - turn) % len(COMBINATIONS) in (0, 2) else pytest.mark.long,
    )
    for turn, scenario in enumerate(SCENARIOS)
    for index, (format_, writer) in enumerate(COMBINATIONS)
]


def written(scenario: Scenario, directory: Path, format_: Format, writer: Writer) -> Path:
    return write_package(scenario.spec, directory, format=format_, writer=writer, stem=scenario.stem)


def state(path: Path) -> tuple[bytes, int, int]:
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns


@pytest.mark.parametrize(("scenario", "format_", "writer"), CASES)
def test_the_laws_hold(scenario: Scenario, format_: Format, writer: Writer, tmp_path: Path) -> None:
    package = written(scenario, tmp_path, format_, writer)
    before = state(package)
    members_before = read_tar_members(package)
    judged = check(package, deep=True)
    assert state(package) == before, "check writes nothing"

    result = fix(package, in_place=True)
    assert os.listdir(tmp_path) == [package.name], "nothing else is in the directory"
    assert [(f.kind, f.path, f.action) for f in result.findings] == [
        (f.kind, f.path, f.action) for f in judged.findings
    ], "check and fix report the same findings"

    dropped = {finding.path for finding in result.findings if finding.action.value == "drop"}
    if scenario.refused:
        assert (judged.status, result.status) == ("refused", "refused")
        assert state(package) == before
        return
    if scenario.clean:
        assert (judged.status, result.status) == ("clean", "clean")
        assert state(package) == before, "a clean package is not written"
        return

    assert result.status == "fixed"
    members_after = read_tar_members(package)
    assert members_after.keys() == members_before.keys()
    changed: set[str] = set()
    removed: set[str] = set()
    for component, members in members_before.items():
        after = dict(members_after[component])
        kept = [name for name, _ in members if name in after]
        assert kept == [name for name, _ in members_after[component]], "the order is kept"
        for name, raw in members:
            if name not in after:
                removed.add(name.removeprefix("./").rstrip("/"))
            elif after[name] != raw:
                changed.add(name.removeprefix("./"))
    linked = removed - dropped - set(scenario.emptied)
    assert dropped | linked == set(scenario.drops), "exactly the expected files are removed"
    listings = {"info/paths.json", "info/files", "info/has_prefix", "info/no_link"}
    assert changed - listings == set(scenario.edited) | (changed & set(scenario.promoted))

    fixed = state(package)
    again = check(package, deep=True)
    assert again.status == "clean", "a fixed package checks clean"
    assert check(package).status == "clean"
    assert fix(package, in_place=True).status == "clean"
    assert state(package) == fixed, "a second fix writes nothing"


def test_the_json_of_every_result_is_valid(tmp_path: Path) -> None:
    from conda_prune.report.json_report import as_object, dumps

    for scenario in SCENARIOS:
        (tmp_path / scenario.id).mkdir()
        result = check(written(scenario, tmp_path / scenario.id, ".conda", "rattler"))
        text = dumps(as_object(result))
        assert text.isascii()
        assert json.loads(text)["status"] == result.status
