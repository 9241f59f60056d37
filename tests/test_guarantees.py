"""The page of promises names tests that exist, and every module of tests about loss is named there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))

ABOUT_LOSS = (
    "audit/test_audit",
    "audit/test_cluster",
    "audit/test_faults",
    "audit/test_results",
    "audit/test_resumed_reports",
    "audit/test_sources",
    "cli/test_output_directories",
    "cli/test_select",
    "cli/test_package_search",
    "cli/test_config_file",
    "operations/test_arguments",
    "channel/test_published",
    "report/audit/test_report",
    "channel/test_sidecars",
    "report/test_files",
    "test_scaling",
    "compression/test_determinism",
    "faults/test_every_byte",
    "faults/test_power_failure",
    "faults/test_prefix",
    "faults/test_syscalls",
    "faults/test_attacks",
    "rewrite/test_attributes",
    "rewrite/test_backup",
    "cli/test_jobs",
    "channel/test_refresh",
    "channel/test_concurrency",
    "channel/test_hostile",
    "channel/test_shards",
    "cli/test_cli",
    "rewrite/test_concurrency",
    "rewrite/test_following",
    "archive/test_container",
    "operations/test_fix",
    "operations/test_one_pass",
    "judgement/test_hard_links",
    "judgement/test_healthy",
    "laws/test_hostile",
    "judgement/test_interpreters",
    "integrations/test_conda",
    "test_isolation",
    "laws/test_laws",
    "test_limits",
    "judgement/test_links",
    "judgement/listings/test_line_lists",
    "judgement/test_never_imported",
    "rewrite/test_output_entry",
    "judgement/listings/test_paths_json",
    "judgement/test_plan",
    "judgement/test_closure",
    "judgement/rules/test_stale_listing",
    "environment/test_prefix",
    "laws/test_readers",
    "judgement/test_real",
    "judgement/variant/test_recipe_evidence",
    "test_regular_files",
    "report/test_escape",
    "judgement/test_reachability",
    "judgement/rules/test_nested_path",
    "judgement/rules/test_unknown_variant",
    "judgement/test_shadowing",
    "cli/test_signals",
    "rewrite/test_staging",
    "cli/test_streams",
    "archive/test_tar",
    "judgement/variant/test_detect",
    "rewrite/test_verify",
    "archive/test_zip",
    "test_windows",
    "test_windows_examples",
    "laws/test_other_clients",
)


def functions(module: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_every_promise_names_a_test_that_exists(module: str, name: str) -> None:
    assert name in functions(REPOSITORY / module)


def test_every_row_of_the_tables_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "Proved by" not in line]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


@pytest.mark.parametrize("module", ABOUT_LOSS)
def test_no_module_about_loss_is_left_out(module: str) -> None:
    assert f"tests/{module}.py" in {named for named, _ in NAMED}


@pytest.mark.parametrize("module", [module for module in ABOUT_LOSS if module.startswith("faults/")])
def test_every_kind_of_fault_is_promised_to_be_survived(module: str) -> None:
    path = f"tests/{module}.py"
    tests = {name for name in functions(REPOSITORY / path) if name.startswith("test_")}
    # What tests the tests promises nothing.
    assert {name for name in tests if not name.startswith("test_the_replay_")} == {
        name for named, name in NAMED if named == path
    }


def test_every_named_module_is_about_loss() -> None:
    assert {module for module, _ in NAMED} == {f"tests/{module}.py" for module in ABOUT_LOSS}


def test_the_limits_are_the_defaults() -> None:
    from conda_prune import Limits

    limits = Limits()
    row = re.compile(r"^\| .*? \| ([^|]+) \| `--max-(\w+)` \|", re.MULTILINE)
    said = {option: default for default, option in row.findall(PAGE)}
    assert said == {
        "unpacked": f"{limits.unpacked >> 30} GiB",
        "members": f"{limits.members:_}".replace("_", " "),
        "text": f"{limits.text >> 20} MiB",
        "window": f"{limits.window >> 20} MiB",
        "ratio": str(limits.ratio),
    }
