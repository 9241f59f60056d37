"""Names from packages cannot control a terminal or a CI system, in any output format."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune.judgement.options import Options
from conda_prune.model import (
    Action,
    Compression,
    File,
    Finding,
    Format,
    Identity,
    IndexRecord,
    Package,
    Plan,
    Result,
    Size,
    Variant,
)
from conda_prune.operations.show import show_package
from conda_prune.report import merged
from conda_prune.report.escape import encodable, escaped
from conda_prune.report.github import GithubReport, summary
from conda_prune.report.json_report import (
    JsonLinesReport,
    JsonReport,
    as_object,
    dumps,
)
from conda_prune.report.output import Style
from conda_prune.report.sarif import SarifReport
from conda_prune.report.show import show_lines, show_object
from conda_prune.report.text_report import TextReport

from ..corpus.packages import PackageSpec, write_package
from ..executable import EXECUTABLE
from ..wine import IS_WINE

EVIL = ("\033[2J\033]0;owned\a", "a\nb", "a\r::error::b", "::error file=x::y", "##[error]z", "##vso[task.setvariable]",
        "\u202egnp.exe", "\u2066\u200b", "\udcff\udc80", "\x00\x7f\x9b31m", "\u2028line", " ::warning::",
        "a|b`c`<script>", "%0A::error::", "[x](http://example.org)", "\ue000\U000e0041")  # fmt: skip
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
ANNOTATION = re.compile(r"::(?:error|warning|notice)(?: file=[^,:]*,)? ?title=[^,:]*::.*")
COMMAND = re.compile(r"\s*::|.*##[a-z]*\[")

names = st.one_of(
    st.sampled_from(EVIL),
    st.text(st.characters(codec=None), max_size=12),
    st.builds("".join, st.lists(st.sampled_from((*EVIL, "lib/", ".pyc", " ")), max_size=4)),
)


@st.composite
def results(draw: st.DrawFn) -> Result:
    findings = st.builds(
        Finding, st.sampled_from(("foreign-path", "misnamed")), names, st.integers(0, 9), names,
        st.sampled_from(Action), st.booleans(),
    )  # fmt: skip
    variants = st.builds(
        Variant, st.sampled_from(("exact", "any", "none", "unknown", "contradictory")), names,
        st.lists(names, max_size=2).map(tuple), st.lists(names, max_size=2).map(tuple),
        st.lists(names, max_size=2).map(tuple), names,
    )  # fmt: skip
    return Result(
        path=draw(names),
        status=draw(st.sampled_from(("clean", "findings", "fixed", "refused", "error", "indexed"))),
        format=Format.CONDA,
        name=draw(names),
        version=draw(names),
        build=draw(names),
        subdir=draw(names),
        variant=draw(st.none() | variants),
        findings=tuple(draw(st.lists(findings, max_size=3))),
        notes=tuple(draw(st.lists(names, max_size=2))),
        before=Size(draw(st.integers(0, 1 << 40)), ""),
        after=draw(st.none() | st.just(Size(1, "0" * 64))),
        output=draw(st.none() | names),
        compression=Compression("zstd", 15, "assumed"),
        error=draw(st.none() | names),
        warnings=tuple(draw(st.lists(names, max_size=1))),
        records=tuple(draw(st.lists(st.builds(IndexRecord, names, st.just(""), st.just("0" * 64)), max_size=1))),
    )


def raw(text: str) -> list[str]:
    return [character for character in text if character != "\n" and unicodedata.category(character) in HIDDEN]


def printed(report: type[TextReport | GithubReport | JsonReport | JsonLinesReport | SarifReport], style: Style,
            found: list[Result]) -> str:  # fmt: skip
    stream = io.StringIO()
    made = report(stream, style)
    made.begin([result.path for result in found])
    for result in found:
        made.add(result)
    made.end()
    return stream.getvalue()


def test_ordinary_names_are_not_escaped() -> None:
    for name in ("lib/python3.11/a b.py", "share/man/man3/Foo::Bar.3", "ü/日本.py", "a#b", "## title", "C++"):
        assert escaped(name) == name


@pytest.mark.parametrize("name", EVIL)
def test_an_escaped_name_is_one_harmless_line(name: str) -> None:
    text = escaped(name)
    assert raw(text) == []
    assert "\n" not in text
    assert not COMMAND.match(text)


@settings(max_examples=300, deadline=None)
@given(names)
def test_escaping_holds_for_any_text(name: str) -> None:
    text = escaped(name)
    assert raw(text) == []
    assert "\n" not in text
    assert not COMMAND.match(text)
    assert escaped(text) == text


@pytest.mark.parametrize("command", ["check", "fix"])
@settings(max_examples=60, deadline=None)
@given(found=st.lists(results(), max_size=3))
def test_text_has_no_raw_control_characters(command: str, found: list[Result]) -> None:
    text = printed(TextReport, Style(command, False, False, True, "--keep x"), found)
    assert raw(text) == []
    assert not any(COMMAND.match(line) for line in text.splitlines())
    assert text.isascii() or encodable(text, "ascii").isascii()


@settings(max_examples=60, deadline=None)
@given(found=st.lists(results(), max_size=14))
def test_github_output_has_only_our_commands(found: list[Result]) -> None:
    text = printed(GithubReport, Style("check", False), found)
    assert raw(text) == []
    for line in text.splitlines():
        assert ANNOTATION.fullmatch(line), line
    for level in ("error", "warning", "notice"):
        assert sum(line.startswith(f"::{level} ") for line in text.splitlines()) <= 10
    table = summary(found)
    assert raw(table) == []
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 6 for row in rows)
    assert "<script>" not in table


def test_half_a_surrogate_pair_in_a_path_is_printable() -> None:
    from conda_prune.report.sarif import _location

    assert _location("\ud800.conda")["artifactLocation"]["uri"].isascii()


@settings(max_examples=60, deadline=None)
@given(found=st.lists(results(), max_size=3))
def test_json_and_sarif_are_printable_ascii(found: list[Result]) -> None:
    for report in (JsonReport, JsonLinesReport, SarifReport):
        text = printed(report, Style("check", verbose=True), found)
        assert text.isascii()
        assert raw(text) == []
        for document in text.splitlines() if report is JsonLinesReport else [text]:
            json.loads(document)


@settings(max_examples=60, deadline=None)
@given(found=st.lists(results(), max_size=3), run=names)
def test_merged_tables_have_no_raw_control_characters(found: list[Result], run: str) -> None:
    lines = "\n".join(dumps(as_object(result)) for result in found)
    table = merged.merge([(run, merged.read_results(lines)), ("other", [])])
    assert len(table.rows) <= len(found)
    for page in (merged.as_text(table), merged.as_markdown(table), merged.as_html(table)):
        assert raw(page) == []
        assert not any(COMMAND.match(line) for line in page.splitlines())
    assert "<script>" not in merged.as_html(table) + merged.as_markdown(table)


@settings(max_examples=60, deadline=None)
@given(result=results(), paths=st.lists(names, max_size=4))
def test_show_has_no_raw_control_characters(result: Result, paths: list[str]) -> None:
    files = {path: File(path, size=1) for path in paths}
    package = Package(result.path, Format.CONDA, Identity(0, 0, 0, 0), (), True)
    plan = Plan(package, result.variant or Variant("none"), result.findings, "clean", edits={})
    text = "\n".join(show_lines(result, plan, files))
    assert raw(text) == []
    assert not any(COMMAND.match(line) for line in text.splitlines())
    assert raw(dumps(show_object(result, plan, files))) == []


SPEC = PackageSpec(
    "evil",
    build="py311h1234567_0",
    depends=("python_abi 3.11.* *_cp311",),
    files={
        "lib/python3.11/site-packages/\033[2J\n::error::x.py": b"",
        "lib/python3.11/site-packages/__pycache__/\033[2J\n::error::x.cpython-310.pyc": bytes(20),
        "lib/python3.10/\u202egnp.pyc": bytes(20),
    },
)


@pytest.mark.parametrize("name", ["\033[31m\n::error::a.conda", "\u202ea.conda", "\udcff.conda"])
def test_a_real_package_prints_no_raw_control_characters(name: str, tmp_path: Path) -> None:
    if IS_WINE and "\udcff" in name:
        pytest.skip("Wine stores names in UTF-8, which has no halves of surrogate pairs")
    if os.name == "nt" and "\n" in name:
        pytest.skip("Windows has no files with control characters in their names")
    made = write_package(SPEC, tmp_path)
    path = made.rename(tmp_path / name)
    summary_file = tmp_path / "summary.md"
    commands: tuple[list[str | Path], ...] = (
        ["check", path, "-v"],
        ["check", path, "--deep", "--format", "github", "--format", f"sarif={tmp_path}/a.sarif"],
        ["check", path, tmp_path / "absent\033.conda", "--format", "json"],
        ["check", path, "--format", "jsonl"],
        ["show", path],
        ["show", path, "--deep", "--format", "json"],
        ["fix", path, "-o", tmp_path / "out"],
        ["fix", path, "--in-place", "--backup", "a/\033[2J"],
        ["check", path, "--select", "\033[2J"],
        ["check", path, "--color", "\033[2J"],
        ["check", "--files-from", tmp_path / "\033[2J"],
        ["check", path, "--format", f"json={tmp_path}/\033[2J/report"],
    )
    for arguments in commands:
        done = subprocess.run(
            [EXECUTABLE, *(os.fspath(argument) for argument in arguments)],
            capture_output=True,
            env={**os.environ, "GITHUB_STEP_SUMMARY": str(summary_file), "NO_COLOR": "1"},
            timeout=120,
            check=False,
        )
        message = (done.stdout + done.stderr).decode("utf-8")
        assert message, arguments
        assert raw(message) == [], arguments
        assert "Traceback" not in message
        lines = message.splitlines()
        assert not any(COMMAND.match(line) and not ANNOTATION.fullmatch(line) for line in lines), arguments
    assert raw(summary_file.read_text("utf-8")) == []
    assert raw((tmp_path / "a.sarif").read_text("utf-8")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows does not allow these characters in names")
def test_a_warning_prints_no_raw_control_characters(tmp_path: Path) -> None:
    path = write_package(SPEC, tmp_path).rename(tmp_path / "\033[31m\n::error::a.conda")
    os.link(path, tmp_path / "other")
    done = subprocess.run([EXECUTABLE, "fix", "--in-place", path], capture_output=True, text=True, check=False)
    assert "had another name" in done.stderr
    assert raw(done.stderr) == []
    assert not any(COMMAND.match(line) for line in done.stderr.splitlines())


def test_show_lists_a_file_with_a_hostile_name(tmp_path: Path) -> None:
    result, plan, files = show_package(str(write_package(SPEC, tmp_path)), Options())
    dropped = [line for line in show_lines(replace(result), plan, files) if line.startswith("  drop ")]
    assert len(dropped) == 2
    assert any("\\x1b[2J\\x0a::error::x" in line for line in dropped)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_every_line_can_be_printed_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    path = write_package(SPEC, tmp_path)
    commands: tuple[list[str | Path], ...] = (
        ["check", path],
        ["fix", path, "-o", tmp_path / "out"],
        ["show", path],
        ["explain", "--all"],
    )
    for command in commands:
        done = subprocess.run(
            [EXECUTABLE, *(os.fspath(argument) for argument in command)],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        text = done.stdout.decode(encoding)
        assert text
        assert ("→" in text or "−" in text) <= (encoding == "utf-8")
