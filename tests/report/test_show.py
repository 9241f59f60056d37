"""`show`: the variant, each piece of evidence, and what `fix` would do with every file and why."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conda_prune.judgement.listings.line_lists import is_installed_list
from conda_prune.judgement.options import Options
from conda_prune.operations.fix import FixOptions, fix_package
from conda_prune.operations.show import show_package
from conda_prune.report.show import file_outcomes, show_lines

from ..corpus.packages import read_tar_members, write_package
from ..corpus.scenario import Scenario
from ..corpus.scenarios import SCENARIOS
from ..executable import run
from ..seed import CLEAN, STRAY, Seed


def shown(path: Path, *arguments: str) -> dict[str, object]:
    value = json.loads(run("show", path, "--format", "json", *arguments).stdout)
    assert isinstance(value, dict)
    return value


def outcomes(path: Path, *arguments: str) -> dict[str, dict[str, object]]:
    files = shown(path, *arguments)["files"]
    assert isinstance(files, list)
    return {file["path"]: file for file in files}


def test_every_file_of_a_clean_package_is_kept() -> None:
    assert {file["action"] for file in outcomes(CLEAN[0].path, "--deep").values()} == {"keep"}


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.id)
@pytest.mark.parametrize("deep", [(), ("--deep",)], ids=["listing", "payload"])
def test_exactly_the_stray_files_are_dropped(seed: Seed, deep: tuple[str, ...]) -> None:
    found = outcomes(seed.path, *deep)
    assert sorted(path for path, file in found.items() if file["action"] == "drop") == sorted(seed.stray)
    for path in seed.stray:
        assert found[path]["kind"] == "foreign-path"
        assert found[path]["reason"]
    own = [path for path in found if path.endswith(".pyc") and path not in seed.stray]
    assert own
    assert all(str(found[path]["reason"]).startswith("Python 3.") for path in own)


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.id)
def test_every_member_is_listed(seed: Seed) -> None:
    names = {
        name.removeprefix("./").rstrip("/") for members in read_tar_members(seed.path).values() for name, _ in members
    }
    assert set(outcomes(seed.path, "--deep")) == names


def test_edited_files_are_distinguished_from_dropped_ones() -> None:
    found = outcomes(STRAY[-1].path, "--deep")
    edited = {path for path, file in found.items() if file["action"] == "edit"}
    assert "info/paths.json" in edited
    assert all(path == "info/paths.json" or path.endswith("/RECORD") for path in edited)
    assert all(found[path]["reason"] for path in edited)


def test_the_text_has_variant_evidence_and_trees() -> None:
    lines = run("show", STRAY[0].path).stdout.splitlines()
    assert lines[0] == STRAY[0].path.name
    facts = [line.split(maxsplit=1) for line in lines[1:] if line.startswith("  ") and line[2] != " "]
    labels = [fact[0] for fact in facts]
    python = STRAY[0].facts["python"]
    assert ["python", f"Python {python}"] in facts
    assert labels.count("because") >= 3
    assert any(fact[0] == "tags" and f"cpython-{python.replace('.', '')}" in fact[1] for fact in facts)
    assert any(fact[0] == "trees" and f"lib/python{python}" in fact[1] for fact in facts)


def test_what_was_not_read_is_not_claimed() -> None:
    conda = next(seed for seed in STRAY if seed.path.suffix == ".conda")
    assert shown(conda.path)["compression"] is None
    assert shown(conda.path)["deep"] is False
    assert "payload not read" in " ".join(run("show", conda.path).stdout.split())
    deep = shown(conda.path, "--deep")
    assert deep["deep"] is True
    assert deep["compression"] == {
        "codec": "zstd", "level": 15, "source": "reproduced", "reused_bytes": None, "recompressed_bytes": None,
    }  # fmt: skip
    assert "compression zstd 15 (reproduced)" in " ".join(run("show", conda.path, "--deep").stdout.split())


def test_a_contradiction_is_shown_and_exits_3(tmp_path: Path) -> None:
    scenario = next(scenario for scenario in SCENARIOS if scenario.id == "contradiction-two-abis")
    path = write_package(scenario.spec, tmp_path, stem=scenario.stem)
    done = run("show", path)
    assert done.returncode == 3
    assert any(line.startswith("  conflict ") for line in done.stdout.splitlines())
    variant = shown(path)["variant"]
    assert isinstance(variant, dict)
    assert variant["kind"] == "contradictory"
    assert variant["conflict"]


def test_what_is_inferred_from_the_build_is_shown(tmp_path: Path) -> None:
    scenario = next(one for one in SCENARIOS if one.id == "evidence-weak-outside-of-versioned-trees")
    path = write_package(scenario.spec, tmp_path, stem=scenario.stem)
    assert "inferred    version: from what built the package; counts in lib/pythonX.Y only" in run("show", path).stdout
    variant = shown(path)["variant"]
    assert isinstance(variant, dict)
    assert (variant["kind"], variant["inferred"]) == ("exact", ["version"])
    reason = outcomes(path)["share/tool/__pycache__/run.cpython-312.pyc"]
    assert (reason["action"], reason["kind"]) == ("keep", "unknown-variant")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_show_predicts_what_fix_does_in_every_scenario(scenario: Scenario, tmp_path: Path) -> None:
    path = write_package(scenario.spec, tmp_path, stem=scenario.stem)
    before = read_tar_members(path)
    _, plan, files = show_package(str(path), Options())
    outcomes_by_path = {outcome.path: outcome.action for outcome in file_outcomes(plan, files)}
    fix_package(str(path), Options(), FixOptions())
    after = read_tar_members(path)
    for component, members in before.items():
        left = dict(after[component])
        for name, raw in members:
            outcome = outcomes_by_path[name.removeprefix("./").rstrip("/")]
            if name not in left:
                assert outcome == "drop", name
            elif left[name] != raw:
                assert outcome in ("edit", "restamp"), name
            else:
                assert outcome in ("keep", "correct"), name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_show_of_metadata_alone_names_all_listings_that_fix_edits(scenario: Scenario, tmp_path: Path) -> None:
    path = write_package(scenario.spec, tmp_path, stem=scenario.stem)
    before = read_tar_members(path)
    _, plan, files = show_package(str(path), Options(), deep=False)
    edited = {outcome.path for outcome in file_outcomes(plan, files, ["edit"])}
    fix_package(str(path), Options(), FixOptions())
    after = read_tar_members(path)
    changed = {
        name
        for component, members in before.items()
        for name, raw in members
        if name in dict(after[component]) and dict(after[component])[name] != raw
    }
    listings = {name for name in changed if name.startswith("info/") or is_installed_list(name)}
    if not scenario.stale:  # Only the payload shows that a listing is wrong.
        assert listings <= edited
    assert {name for name in edited if name.startswith("info/")} <= listings


def test_a_missing_package_is_one_error_in_text_and_json(tmp_path: Path) -> None:
    done = run("show", tmp_path / "absent.conda", "--format", "json")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(done.stdout)["status"] == "error"


def test_several_packages_are_shown_one_after_the_other() -> None:
    done = run("show", STRAY[0].path, CLEAN[0].path)
    assert done.returncode == 0
    names = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert names == [STRAY[0].path.name, CLEAN[0].path.name]


@pytest.mark.parametrize("groups", [("drop",), ("edit",), ("keep",), ("drop", "edit"), ()])
def test_only_lists_the_chosen_files(groups: tuple[str, ...]) -> None:
    """Together, the groups are all files, so each is compared with what it should be of the whole."""
    flags = [word for group in groups for word in ("--only", group)]
    everything = json.loads(run("show", "--deep", STRAY[0].path, "--format", "json").stdout)["files"]
    shown = json.loads(run("show", "--deep", STRAY[0].path, "--format", "json", *flags).stdout)["files"]
    assert shown == [file for file in everything if not groups or file["action"] in groups]
    assert shown, "each group has a file"
    lines = run("show", "--deep", STRAY[0].path, *flags).stdout.splitlines()
    assert {line.split()[0] for line in lines if re.match("  (drop|edit|keep) ", line)} == {
        file["action"] for file in shown
    }


def test_several_packages_are_one_json_object_per_line() -> None:
    done = run("show", "--format", "jsonl", "absent.conda", STRAY[0].path)
    assert done.returncode == 3
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["error", "findings"]
    assert done.stderr == "error: absent.conda: there is no such file; check the path\n"


def test_json_of_several_packages_is_refused_with_the_other_format() -> None:
    done = run("show", "--format", "json", STRAY[0].path, CLEAN[0].path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --format json shows one package; use --format jsonl for several\n"


def test_a_path_that_does_not_fit_gets_its_own_line() -> None:
    options = Options(None, frozenset({"foreign-path"}), frozenset(), ())
    shown = show_package(str(STRAY[0].path), options, deep=False)
    wide, narrow = (list(show_lines(*shown, width=width)) for width in (0, 80))
    assert len(narrow) > len(wide)
    assert sorted(word for line in narrow for word in line.split()) == sorted(
        word for line in wide for word in line.split()
    )
    assert all(len(line) <= 80 for line in narrow if line.startswith(("  drop", "  keep", "  edit")))
