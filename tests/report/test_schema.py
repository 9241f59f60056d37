"""The JSON output matches its schema for every possible result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conda_prune import PruneError, check, fix
from conda_prune.model import IndexRecord, Result
from conda_prune.report.json_report import (
    SCHEMA_VERSION,
    as_object,
    dumps,
    schema_text,
)

from ..corpus.hostile import HOSTILE, Hostile
from ..corpus.packages import FORMATS, write_package
from ..corpus.scenario import Scenario
from ..corpus.scenarios import SCENARIOS
from ..executable import run
from ..seed import SEED, SEEDS, STRAY

SCHEMA = json.loads(schema_text())


def closed(schema: Any) -> Any:
    """The schema, made strict. Programs must accept unknown keys, but we must not print any."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: closed(value) for key, value in schema.items()}
    if "properties" in changed and changed.get("type") == "object":
        changed.setdefault("additionalProperties", False)
    return changed


VALIDATOR = jsonschema.Draft202012Validator(closed(SCHEMA))


def validate(value: object) -> None:
    VALIDATOR.validate(json.loads(dumps(value)))


def validate_result(result: Result) -> dict[str, Any]:
    object_ = as_object(result)
    validate(object_)
    return object_


def test_the_schema_is_valid_and_has_the_current_version() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["result"]["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_every_key_is_explained() -> None:
    def check_described(schema: dict[str, Any], place: str) -> None:
        assert schema.get("description") or "$ref" in schema, place
        for key, value in schema.get("properties", {}).items():
            check_described(value, f"{place}.{key}")

    for name, definition in SCHEMA["$defs"].items():
        check_described(definition, name)


def test_schema_prints_the_schema() -> None:
    done = run("schema")
    assert done.returncode == 0
    assert done.stdout == schema_text()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": "good"}, id="status"),
        pytest.param({"schema_version": 2}, id="version"),
        pytest.param({"findings": [{}]}, id="finding"),
        pytest.param({"before": {"size": -1, "sha256": None}}, id="size"),
        pytest.param({"after": {"size": 1, "sha256": "abc"}}, id="sha256"),
        pytest.param({"surprise": 1}, id="unknown-key"),
    ],
)
def test_the_schema_rejects_a_wrong_object(change: dict[str, object]) -> None:
    object_ = as_object(check(STRAY[0].path))
    validate(object_)
    with pytest.raises(jsonschema.ValidationError):
        validate(object_ | change)
    missing = {key: value for key, value in object_.items() if key not in change}
    if missing != object_:
        with pytest.raises(jsonschema.ValidationError):
            validate(missing)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_results_of_check_and_fix_validate(scenario: Scenario, format_: str, tmp_path: Path) -> None:
    package = write_package(scenario.spec, tmp_path, format=format_, stem=scenario.stem)  # type: ignore[arg-type]
    validate_result(check(package))
    judged = validate_result(check(package, deep=True, select=["all"]))
    dry = validate_result(fix(package, dry_run=True))
    fixed = validate_result(fix(package, in_place=True))
    assert judged["deep"] is dry["deep"] is True
    expected = "refused" if scenario.refused else "clean" if scenario.clean else "fixed"
    assert fixed["status"] == expected
    assert (fixed["after"] is not None) is (expected == "fixed")
    assert (fixed["error"] is not None) is (expected == "refused")
    assert all(
        finding["fixed"] is (expected == "fixed") for finding in fixed["findings"] if finding["action"] != "report"
    )
    if expected == "fixed":
        assert fixed["before"]["sha256"] != fixed["after"]["sha256"]
        assert fixed["output"] == str(package)
    assert fixed["summary"]["dropped"] == sum(finding["action"] == "drop" for finding in fixed["findings"])
    validate_result(check(package))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: f"{hostile.id}{hostile.format}")
def test_an_error_is_an_object(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    try:
        validate_result(fix(path, in_place=True))
    except (PruneError, OSError) as error:
        object_ = validate_result(Result(str(path), "error", error=str(error)))
        assert object_["package"] is object_["before"] is object_["after"] is None


def test_an_index_is_an_object() -> None:
    records = (IndexRecord("a.conda", "0" * 64, "f" * 64), IndexRecord("b.conda", "", "f" * 64))
    object_ = validate_result(Result("output/linux-64/repodata.json", "indexed", records=records))
    assert [record["before"] for record in object_["records"]] == ["0" * 64, None]


def test_an_unknown_sha256_is_null() -> None:
    shallow = validate_result(check(STRAY[0].path))
    assert shallow["before"] == {"size": STRAY[0].path.stat().st_size, "sha256": None}


def test_names_that_are_not_utf_8_validate() -> None:
    result = check(STRAY[0].path)
    odd = tuple(finding._replace(path="lib/\udcff\x1b\x7f\u202e") for finding in result.findings)
    text = dumps(validate_result(replace(result, findings=odd, path="\udcff.conda")))
    assert text.isascii()
    assert text.isprintable()


def test_the_output_of_every_command_validates(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conda"
    broken.write_bytes(b"PK not a zip")
    array = json.loads(run("check", SEED, broken, "--format", "json").stdout)
    lines = [json.loads(line) for line in run("check", SEED, broken, "--format", "jsonl").stdout.splitlines()]
    VALIDATOR.validate(array)
    for line in lines:
        VALIDATOR.validate(line)
    assert [object_ | {"seconds": 0} for object_ in array] == [object_ | {"seconds": 0} for object_ in lines]
    assert [object_["status"] for object_ in array].count("error") == 1
    fixed = json.loads(run("fix", SEED, "-o", tmp_path / "out", "--format", "json").stdout)
    VALIDATOR.validate(fixed)
    assert {object_["status"] for object_ in fixed} == {"fixed", "clean"}
    for seed in SEEDS:
        VALIDATOR.validate(json.loads(run("show", seed.path, "--deep", "--format", "json").stdout))
    VALIDATOR.validate(json.loads(run("show", broken, "--format", "json").stdout))
    VALIDATOR.validate(json.loads(run("check", tmp_path / "out", "--format", "json").stdout))
