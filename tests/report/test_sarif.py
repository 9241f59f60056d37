"""`--format sarif` is valid SARIF 2.1.0 and contains the remaining findings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from conda_prune import check, fix
from conda_prune.model import Result
from conda_prune.report.output import Style
from conda_prune.report.sarif import as_log

from ..corpus.packages import write_package
from ..corpus.scenario import Scenario
from ..corpus.scenarios import SCENARIOS
from ..executable import run
from ..seed import CLEAN, SEED, STRAY

SCHEMA = json.loads((SEED.parent / "sarif" / "sarif-2.1.0-rtm.5.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def log_of(*results: Result, verbose: bool = False) -> Any:
    log = as_log(results, Style("check", verbose=verbose, version="1.2.3"))
    VALIDATOR.validate(log)
    (run_,) = log["runs"]
    for result in run_["results"]:
        assert run_["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for location in result["locations"]:
            # Errata 01 adds this to the schema.
            assert {"startLine", "charOffset", "byteOffset"} & location["physicalLocation"]["region"].keys()
    return run_


def test_the_schema_rejects_a_wrong_log() -> None:
    log = as_log([check(STRAY[0].path)], Style("check"))
    log["runs"][0]["results"][0]["level"] = "catastrophe"
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(log)


def test_a_clean_package_has_no_results() -> None:
    found = log_of(check(CLEAN[0].path))
    assert found["results"] == []
    assert found["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_findings_are_results() -> None:
    seed = STRAY[-1]
    (result,) = log_of(check(seed.path))["results"]
    assert result["ruleId"] == "foreign-path"
    assert result["level"] == "warning"
    assert sorted(result["properties"]["paths"]) == seed.stray
    assert seed.path.name in result["message"]["text"]


def test_a_repair_is_a_notification_and_not_a_result(tmp_path: Path) -> None:
    found = log_of(fix(STRAY[0].path, output_dir=tmp_path))
    assert found["results"] == []
    note, *_ = found["invocations"][0]["toolExecutionNotifications"]
    assert note["level"] == "note"
    assert note["message"]["text"].startswith("fixed ")


def test_a_failure_is_a_notification_and_the_run_failed() -> None:
    found = log_of(Result("x.conda", "error", error="it is damaged"), check(STRAY[0].path))
    assert len(found["results"]) == 1
    assert found["invocations"][0]["executionSuccessful"] is False
    note, *_ = found["invocations"][0]["toolExecutionNotifications"]
    assert note == {
        "level": "error",
        "message": {"text": "it is damaged"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "x.conda"}}}],
    }


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        pytest.param("output/linux-64/a-1-0.conda", "output/linux-64/a-1-0.conda", id="relative"),
        pytest.param("/builds/a b.conda", "file:///builds/a%20b.conda", id="absolute"),
        pytest.param("a:b#c?d.conda", "a%3Ab%23c%3Fd.conda", id="what-has-a-meaning-in-uris"),
        pytest.param(
            "\udcff\x1b[.conda",
            "%FF%1B%5B.conda",
            id="no-utf-8",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no file names in bytes"),
        ),
    ],
)
def test_paths_become_uris(path: str, uri: str) -> None:
    found = log_of(Result(path, "error", error="why"))
    location = found["invocations"][0]["toolExecutionNotifications"][0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert unquote(uri, errors="surrogateescape").endswith(path)


def test_a_name_never_becomes_a_link() -> None:
    found = log_of(Result("x.conda", "error", error="[click](https://example.org)"))
    text = found["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert text == "\\[click\\](https://example.org)"


def test_fingerprints_identify_a_package_across_runs(tmp_path: Path) -> None:
    found = log_of(*(check(seed.path) for seed in STRAY))
    prints = [result["partialFingerprints"]["package/kind/v1"] for result in found["results"]]
    assert len(set(prints)) == len(prints) == len(STRAY)
    (moved,) = log_of(check(STRAY[0].copy(tmp_path)))["results"]
    assert moved["partialFingerprints"]["package/kind/v1"] == prints[0]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_every_scenario_makes_a_log(scenario: Scenario, tmp_path: Path) -> None:
    package = write_package(scenario.spec, tmp_path, stem=scenario.stem)
    result = check(package, deep=True, select=["all"])
    found = log_of(result, verbose=True)
    assert {entry["ruleId"] for entry in found["results"]} == {finding.kind for finding in result.findings}
    assert sum(entry["properties"]["files"] for entry in found["results"]) == len(result.findings)


def test_sarif_is_written_in_addition_to_text(tmp_path: Path) -> None:
    path = tmp_path / "results.sarif"
    done = run("check", SEED, "--format", f"sarif={path}")
    assert done.returncode == 1
    assert "foreign-path" in done.stdout
    log = json.loads(path.read_text("utf-8"))
    VALIDATOR.validate(log)
    assert len(log["runs"][0]["results"]) == len(STRAY)
    assert log["runs"][0]["tool"]["driver"]["semanticVersion"]
