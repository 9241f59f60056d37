"""What README.md and docs/ say is true: links work, commands exist, and the output that they show is the real one.

After a change of wording, `python -m tools.docs` writes the new output into the pages and draws the pictures again.
Read the difference before you commit it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest

from conda_prune import (
    Action,
    Result,
    check,
    fix,
)
from conda_prune.cli import cli
from conda_prune.cli.exit_codes import ExitCode
from conda_prune.judgement.options import KINDS
from conda_prune.judgement.rules import RULES
from conda_prune.model import Source
from conda_prune.report.json_report import as_object
from tools import screenshots
from tools.docs import (
    DOCS,
    ERRORS,
    FENCE,
    PAGES,
    REPOSITORY,
    Block,
    blocks,
    play,
    same,
    sections,
    shown,
    write_outputs,
)
from tools.situations import SITUATIONS

from .command_lines import find_commands, parse, run_conda_prune
from .corpus.packages import write_package
from .corpus.scenarios import SCENARIOS

SEED = "testdata/seed/pyproject_hooks-1.3.3-py311h48b7412_0.conda"

_SPAN = re.compile(r"`([^`\n]+)`")
_COPIED = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SNIPPET = re.compile(r"(?<!-->\n)^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Code that is not copied from an example, which has tests of its own."""

on_a_terminal = pytest.mark.skipif(os.name != "posix", reason="the standard library of Windows has no pseudo-terminals")


def page_blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    return list(blocks(page.read_text(encoding="utf-8")))


def spans(page: Path) -> list[str]:
    """Return the code spans in a page's running text."""
    return _SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> list[str]:
    """Return the arguments of every `conda-prune` command on a page, without those that are there to fail."""
    failing = {
        step.command.removeprefix("conda-prune ")
        for block in page_blocks(page)
        for step in shown(block.text)
        if step.output.startswith("error: ")
    }
    texts = [*(block.text for block in page_blocks(page)), *spans(page)]
    return [command for text in texts for command in find_commands(text) if command not in failing]


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading, without the two header rows."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists_and_takes_its_options(page: Path) -> None:
    for command in commands(page):
        parse(command, page.name)


def test_a_command_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Say `conda-prune mend x`.\n\n    conda-prune fix --where x\n\n```sh\nconda-prune fix y\n```\n")
    assert sorted(commands(page)) == ["fix --where x", "fix y", "mend x"]
    for command in ("fix --where x", "fix --select everything x", "mend x"):
        with pytest.raises(pytest.fail.Exception, match=r"page\.md: "):
            parse(command, page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_running_text_exists(page: Path) -> None:
    known = {"--help"}
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            known |= {option for parameter in command.params for option in parameter.opts}
    written = {span.split()[0].partition("=")[0] for span in spans(page) if span.startswith("--")}
    assert written <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_output_is_the_real_output(page: Path, tmp_path: Path) -> None:
    for step, real in play(page, tmp_path):
        equal = same(step.output, real, crafted=page.name == ERRORS)
        assert equal, f"{page.name}: {step.command} prints\n{real}\n(python -m tools.docs)"


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", DOCS / "python.md"], ids=lambda page: page.name)
def test_python_snippets_run(page: Path, tmp_path: Path) -> None:
    snippets = _SNIPPET.findall(page.read_text(encoding="utf-8"))
    assert snippets
    for snippet in snippets:
        for path in re.findall(r'"([^"]+\.conda)"', snippet):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / SEED, tmp_path / path)
        environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-c", snippet]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_the_page_of_errors_shows_every_situation(tmp_path: Path) -> None:
    assert [heading for heading, _ in sections(DOCS / ERRORS)] == list(SITUATIONS)
    assert len(SITUATIONS) >= 15
    outputs = [step.output for block in page_blocks(DOCS / ERRORS) for step in shown(block.text)]
    assert all(outputs)


def test_new_output_replaces_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ conda-prune check testdata/seed --quiet\n$ echo $?\n0\n$ echo $?\n1\n```\n\n"
        '```toml title="pyproject.toml"\n[tool.conda-prune]\nquiet = 1\n```\n\n'
        "```console\n$ conda-prune check testdata/seed\n...\n$ echo $?\n7\n```\n"
    )
    write_outputs(page)
    text = page.read_text(encoding="utf-8")
    assert "--quiet\n$ echo $?\n1\n$ echo $?\n1\n```" in text
    assert text.endswith("check testdata/seed\n...\n$ echo $?\n2\n```\n")


def test_the_start_page_shows_output() -> None:
    blocks_of_it = page_blocks(DOCS / "index.md")
    steps = [step for block in blocks_of_it if block.language == "console" for step in shown(block.text)]
    assert len(steps) >= 4
    assert all(step.output for step in steps if "--quiet" not in step.command)


@pytest.mark.parametrize(
    ("expected", "real", "equal"),
    [
        pytest.param("fixed a", "fixed b", False, id="another word"),
        pytest.param("a\n...\nc", "a\nc", False, id="an ellipsis is at least one line"),
        pytest.param("−2 files   4.0 KiB → 2.0 KiB", "−3 files   4.0 KiB → 2.0 KiB", False, id="a number of files"),
        pytest.param("−2 files   4.0 KiB → 2.0 KiB", "−2 files   4.0 KiB", False, id="a size that is not there"),
        pytest.param("4.0 KiB → 2.0 KiB   0.1 s", "4.0 KiB → 2.1 KiB   1.3 s", True, id="what varies"),
        pytest.param("a\n...\nc", "a\nb\nb\nc", True, id="an ellipsis"),
    ],
)
def test_outputs_are_compared(expected: str, real: str, equal: bool) -> None:
    assert same(expected, real) is equal


def test_snippets_are_copied_from_the_examples() -> None:
    copied = [match for page in PAGES for match in _COPIED.findall(page.read_text(encoding="utf-8"))]
    assert len(copied) >= 5
    for example, block in copied:
        lines = iter([line.strip() for line in (REPOSITORY / example).read_text(encoding="utf-8").splitlines()])
        for line in block.splitlines():
            assert line.strip() in lines, f"{example} has no (further) line: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_to_existing_files(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith(("https://", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link
    for span in spans(page):
        if re.match(r"(examples|testdata|recipe|docs|tests)/", span):
            assert (REPOSITORY / span.partition("::")[0]).exists(), span


@on_a_terminal
@pytest.mark.parametrize("picture", screenshots.ALL, ids=lambda picture: picture.name)
def test_pictures_show_what_is_printed(picture: screenshots.Picture) -> None:
    """If not, run `python -m tools.docs`."""
    drawn = screenshots.text_of(picture.path.read_text(encoding="utf-8"))
    recording = screenshots.run(picture)
    assert recording.code == int(picture.name == "check")
    if not picture.progress:
        current = screenshots.text_of(screenshots.draw(picture, screenshots.lines_of(picture, recording)))
        assert screenshots.steady(drawn) == screenshots.steady(current)
        return
    # The picture is one of a moment in the work: its other lines are the first ones at the end.
    final = screenshots.text_of(screenshots.draw(picture, recording.final.styled()))
    lines = screenshots.steady(drawn)
    assert len(lines) >= 2
    assert lines == screenshots.steady(final)[: len(lines)]
    assert screenshots.progress_shapes(drawn)
    shapes = set().union(*map(screenshots.progress_shapes, recording.frames))
    # A fast machine is done before a progress display is due.
    assert not shapes or (screenshots.progress_shapes(drawn) & shapes) - {""}


def test_the_plot_shows_the_recorded_numbers() -> None:
    """If not, run `python benchmarks/plot.py`."""
    benchmarks = REPOSITORY / "benchmarks"
    svg = (benchmarks / "comparison.svg").read_text(encoding="utf-8")
    (alternative,) = re.findall(r"!\[([^]]*)\]\(benchmarks/comparison\.svg\)", PAGES[0].read_text(encoding="utf-8"))
    rows = json.loads((benchmarks / "comparison.json").read_text(encoding="utf-8"))
    for row in rows:
        assert f"<!-- {row['title']} -->" in svg
        assert f"<!-- conda-prune fix: {row['ours']} s, " in svg
        assert f"<!-- {row['instead']}: {row['theirs']} s -->" in svg
        assert f"{row['ours']} s instead of {row['theirs']} s" in alternative


def test_pictures_load_nothing_and_are_used() -> None:
    texts = " ".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in screenshots.ALL:
        svg = picture.path.read_text(encoding="utf-8")
        assert not re.search(r"url\(|<image|<script|href=|@font-face", svg)
        assert f"pictures/{picture.name}.svg" in texts


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", DOCS / "output.md"], ids=lambda page: page.name)
def test_documented_exit_codes_match_the_code(page: Path) -> None:
    rows = table(page, "exit code" if page.name == "README.md" else "code")
    assert [(int(code), meaning.replace("`", "")) for code, meaning in rows] == [
        (code, code.meaning) for code in ExitCode
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["check", "clean"], 0, id="nothing to do"),
        pytest.param(["fix", "--in-place", "stray.conda"], 0, id="repaired"),
        pytest.param(["check", "stray.conda"], 1, id="something would be dropped"),
        pytest.param(["fix", "--dry-run", "--in-place", "stray.conda"], 1, id="dry run"),
        pytest.param(["check"], 2, id="wrong usage"),
        pytest.param(["check", "empty"], 2, id="no package"),
        pytest.param(["check", "none.conda", "stray.conda"], 3, id="a failure outweighs findings"),
        pytest.param(["check", "--python", "never", "none.conda"], 2, id="wrong usage outweighs all"),
    ],
)
def test_commands_exit_as_documented(arguments: list[str], code: int, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / SEED, tmp_path / "stray.conda")
    (tmp_path / "clean").mkdir()
    (tmp_path / "empty").mkdir()
    shutil.copy(REPOSITORY / SEED.replace("py311h48b7412", "py310h8e7c8fa"), tmp_path / "clean")
    assert run_conda_prune(arguments, tmp_path).returncode == code


@pytest.mark.skipif(os.name != "posix", reason="Windows does not send signals to other processes")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_has_its_exit_code(number: signal.Signals, code: int) -> None:
    assert code in {int(row[0]) for row in table(DOCS / "output.md", "code")}
    command = [sys.executable, "-X", "importtime", "-m", "conda_prune", "check", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        # This is the last module that it imports before it waits for paths.
        while "conda_prune.cli.package_search" not in process.stderr.readline():
            pass
        # Python swallows a KeyboardInterrupt that arrives in a callback of the import system.
        for _ in range(100):
            process.send_signal(number)
            try:
                process.wait(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == code


def test_every_key_of_the_json_is_documented(tmp_path: Path) -> None:
    package = tmp_path / Path(SEED).name
    shutil.copy(REPOSITORY / SEED, package)
    real = json.loads(json.dumps(as_object(fix(package, in_place=True))))
    rows = {key: value for keys, value in table(DOCS / "output.md", "key") for key in _SPAN.findall(keys)}
    assert rows.keys() == real.keys()
    for key, value in real.items():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            assert inner.keys() <= set(_SPAN.findall(rows[key])), key


def test_every_json_value_is_documented() -> None:
    rows = {key: value for keys, value in table(DOCS / "output.md", "key") for key in _SPAN.findall(keys)}
    assert set(_SPAN.findall(rows["status"])) == set(get_args(get_type_hints(Result)["status"]))
    assert {action.value for action in Action} <= set(_SPAN.findall(rows["findings"]))
    assert set(get_args(Source)) <= set(_SPAN.findall(rows["compression"]))


def test_every_kind_of_finding_is_documented(tmp_path: Path) -> None:
    rows = {_SPAN.findall(kind)[0]: default for kind, default, _ in table(DOCS / "what-is-dropped.md", "kind")}
    assert rows.keys() == set(KINDS)
    for rule in RULES:
        assert (rows[rule.kind] != "no") is rule.default, rule.kind
    words = {"drop": "dropped", "correct": "corrected", "restamp": "re-stamped", "report": "reported"}
    seen: dict[str, set[str]] = {}
    for scenario in SCENARIOS:
        directory = tmp_path / scenario.id
        directory.mkdir()
        package = write_package(scenario.spec, directory, format=".conda", writer="rattler", stem=scenario.stem)
        for finding in check(package, deep=True).findings:
            seen.setdefault(finding.kind, set()).add(words[finding.action.value])
    assert len(seen) >= 5
    for kind, actions in seen.items():
        assert rows[kind] in actions, kind
