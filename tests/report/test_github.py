"""`--format github`: annotations that GitHub parses correctly, and a table in the step summary."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from conda_prune import check, fix
from conda_prune.model import Result
from conda_prune.report.github import (
    FAIL_ON,
    MAX_ANNOTATIONS,
    MAX_SUMMARY,
    GithubReport,
    escape_markdown,
    summary,
)
from conda_prune.report.output import Style

from ..executable import run
from ..seed import CLEAN, SEED, STRAY


def unescaped(line: str) -> tuple[str, dict[str, str], str]:
    """Parse a workflow command like the runner of GitHub: level, properties, message."""
    match = re.fullmatch(r"::(\w+)(?: ([^:]*))?::(.*)", line)
    assert match, line
    properties = {}
    for pair in (match[2] or "").split(","):
        key, _, value = pair.partition("=")
        for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            value = value.replace(code, character)
        properties[key.strip()] = value
    message = match[3].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return match[1], properties, message


def annotated(*results: Result, quiet: bool = False) -> list[tuple[str, dict[str, str], str]]:
    stream = io.StringIO()
    report = GithubReport(stream, Style("check", quiet=quiet))
    for result in results:
        report.add(result)
    report.end()
    return [unescaped(line) for line in stream.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("CONDA_PRUNE_FAIL_ON", raising=False)


def test_a_clean_package_is_not_annotated() -> None:
    assert annotated(check(CLEAN[0].path)) == []


def test_a_finding_is_an_error_at_the_package() -> None:
    ((level, properties, message),) = annotated(check(STRAY[0].path))
    assert level == "error"
    assert properties["file"] == str(STRAY[0].path)
    assert STRAY[0].path.name in properties["title"]
    assert f"−{len(STRAY[0].stray)} files" in properties["title"]
    kind, advice, *_ = message.split("\n")
    assert kind.startswith("foreign-path")
    assert advice.endswith(")")
    assert "conda-prune fix --in-place" in advice


def test_a_repair_is_a_notice(tmp_path: Path) -> None:
    ((level, _, message),) = annotated(fix(STRAY[0].path, output_dir=tmp_path))
    assert level == "notice"
    assert "→" in message


@pytest.mark.parametrize("status", ["error", "refused"])
def test_a_failure_is_an_error(status: str) -> None:
    result = Result("a/x,y:z%.conda", status, error="100% broken\r\n::error::no, it: is")  # type: ignore[arg-type]
    ((level, properties, message),) = annotated(result, quiet=True)
    assert level == "error"
    assert properties["file"] == "a/x,y:z%.conda"
    assert message == "100% broken\\x0d\\x0a::error::no, it: is"


@pytest.mark.parametrize(
    ("fail_on", "status", "expected"),
    [
        ("never", "findings", "warning"),
        ("never", "error", "warning"),
        ("never", "refused", "warning"),
        ("error", "findings", "warning"),
        ("error", "error", "error"),
        ("error", "refused", "error"),
        ("findings", "findings", "error"),
        ("", "findings", "error"),
    ],
)
def test_only_what_fails_the_step_is_an_error(
    monkeypatch: pytest.MonkeyPatch, fail_on: str, status: str, expected: str
) -> None:
    monkeypatch.setenv("CONDA_PRUNE_FAIL_ON", fail_on)
    ((level, _, _),) = annotated(Result("a.conda", status, error="why"))  # type: ignore[arg-type]
    assert level == expected


@pytest.mark.parametrize("requested", ["github", "github=notes.txt"])
def test_another_value_of_fail_on_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, requested: str
) -> None:
    monkeypatch.setenv("CONDA_PRUNE_FAIL_ON", "foo")
    monkeypatch.chdir(tmp_path)
    done = run("check", "--format", "json=results.json", "--format", requested, STRAY[0].path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: CONDA_PRUNE_FAIL_ON foo: use findings, error or never;")
    assert list(tmp_path.iterdir()) == []
    assert run("check", STRAY[0].path).returncode == 1  # The variable is for the format github only.


def test_the_values_of_fail_on_are_those_of_the_action() -> None:
    action = (Path(__file__).resolve().parents[2] / "action.yml").read_text("utf-8")
    assert f"{'|'.join(FAIL_ON)})" in action.replace(" ", "")


def test_quiet_prints_only_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_PRUNE_FAIL_ON", "error")
    assert annotated(check(STRAY[0].path), quiet=True) == []


@pytest.mark.parametrize("count", [1, MAX_ANNOTATIONS - 1, MAX_ANNOTATIONS, MAX_ANNOTATIONS + 1, 50])
def test_annotations_fit_githubs_limit_and_none_is_lost(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("CONDA_PRUNE_FAIL_ON", "error")
    results = [Result(f"{number}.conda", "error", error="why") for number in range(count)]
    found = annotated(*results, Result("w.conda", "findings"))
    errors = [message for level, _, message in found if level == "error"]
    assert len(errors) == min(count, MAX_ANNOTATIONS)
    assert [level for level, _, _ in found].count("warning") == 1
    if count > MAX_ANNOTATIONS:
        assert errors[-1].startswith(f"{count - MAX_ANNOTATIONS + 1} more packages")
    else:
        assert set(errors) == {"why"}


def test_the_summary_has_a_row_per_package_with_findings(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", "utf-8")
    broken = tmp_path / "broken.conda"
    broken.write_bytes(b"PK")
    assert run("check", SEED, broken, "--format", "github", GITHUB_STEP_SUMMARY=str(path)).returncode == 3
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "before"
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert len(rows) == len(STRAY) + 1
    for seed in STRAY:
        assert sum(seed.path.name in row.replace("\\", "") for row in rows) == 1
    assert f"{len(CLEAN)} clean" in "\n".join(lines)
    assert any("| error |" in row for row in rows)


def test_a_summary_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    for _ in range(2):
        run("check", SEED, "--format", "github", GITHUB_STEP_SUMMARY=str(path))
    assert path.read_text("utf-8").count("### conda-prune") == 2


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    done = run("check", CLEAN[0].path, "--format", "github", GITHUB_STEP_SUMMARY=str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.startswith("warning: GITHUB_STEP_SUMMARY ")


def test_a_summary_fits_githubs_limit() -> None:
    results = [Result(f"{'x' * 200}-{number}.conda", "error", error="y" * 300) for number in range(4000)]
    table = summary(results)
    assert MAX_SUMMARY // 2 < len(table.encode()) <= MAX_SUMMARY
    shown = table.count("\n| x")
    assert f"{4000 - shown} more packages are not shown." in table


@pytest.mark.parametrize("text", ["a|b", "`x`", "<img>", "[a](b)", "a\\|b", "*b*", "a_b_c", "~~x~~", "@user", "#1"])
def test_markdown_in_names_is_escaped(text: str) -> None:
    shown = escape_markdown(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", shown) == text
    assert re.search(r"(?<!\\)(?:\\\\)*[|`<\[*_~@#]", shown) is None
