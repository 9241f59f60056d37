"""What README.md and docs/ say is so: links lead somewhere, commands exist, and output that is shown is what comes out.

A block that starts with ```console is run, a page's blocks one after the other in a directory that holds testdata/.
After a change of wording, `python -m tests.test_docs` writes the new output into the pages; read the difference before
committing it.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
from conda_prune.report.explanation import explain, kinds
from conda_prune.report.json_report import as_object

from .command_lines import find_commands, parse, run_conda_prune
from .corpus.packages import write_package
from .corpus.scenarios import SCENARIOS

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]
SEED = "testdata/seed/pyproject_hooks-1.3.3-py311h48b7412_0.conda"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_COPIED = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

# What differs between two runs, or with another version of a compressor.
_VARYING = (
    (re.compile(r"\b\d+\.\d s\b"), "0.0 s"),
    (re.compile(r'"seconds": \d+\.\d+'), '"seconds": 0.0'),
    (re.compile(r"\d+\.\d KiB → \d+\.\d KiB"), "0.0 KiB → 0.0 KiB"),
)


@dataclass(frozen=True)
class Shown:
    """A command on a page, and the output that the page shows. A line `...` matches any number of lines."""

    command: str
    output: str


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of every code block."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield match[1], match[2]
    for match in _INDENTED.finditer(_FENCE.sub("", text)):
        yield "", re.sub(r"^    ", "", match[0], flags=re.MULTILINE)


def spans(page: Path) -> list[str]:
    """Return the code spans in a page's running text."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> list[str]:
    """Return the arguments of every `conda-prune` command on a page."""
    return [
        command for text in [*(block for _, block in blocks(page)), *spans(page)] for command in find_commands(text)
    ]


def shown(block: str) -> Iterator[Shown]:
    """Yield the commands of a console block with their outputs."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Shown(command, output.rstrip("\n"))


def play(page: Path, directory: Path) -> Iterator[tuple[Shown, str]]:
    """Run the console blocks of a page in a directory with test data. Yield each command with its real output."""
    shutil.copytree(REPOSITORY / "testdata" / "seed", directory / "testdata" / "seed")
    code = 0
    for language, block in blocks(page):
        for step in shown(block) if language == "console" else ():
            if step.command == "echo $?":
                yield step, str(code)
                continue
            program, *arguments = shlex.split(step.command)
            assert program == "conda-prune", f"{page.name}: only conda-prune is run here, not {program}"
            done = run_conda_prune(arguments, directory)
            code = done.returncode
            # Windows has another path separator, and JSON escapes it.
            yield step, re.sub(r"\\+", "/", done.stdout.rstrip("\n")) if os.sep == "\\" else done.stdout.rstrip("\n")


def same(expected: str, real: str) -> bool:
    """Return whether an output is what the page shows, except for times and sizes."""
    for pattern, replacement in _VARYING:
        expected, real = pattern.sub(replacement, expected), pattern.sub(replacement, real)
    parts = re.split(r"^\s*\.\.\.$", expected, flags=re.MULTILINE)
    return re.fullmatch(".*".join(re.escape(part) for part in parts), real, re.DOTALL) is not None


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
    known: set[str] = set()
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
        assert same(step.output, real), f"{page.name}: {step.command} prints\n{real}\n(python -m tests.test_docs)"


def test_the_start_page_shows_output() -> None:
    steps = [step for language, block in blocks(DOCS / "index.md") if language == "console" for step in shown(block)]
    assert len(steps) >= 4
    assert all(step.output for step in steps if "--quiet" not in step.command)


@pytest.mark.parametrize(
    ("expected", "real", "equal"),
    [
        pytest.param("fixed a", "fixed b", False, id="another word"),
        pytest.param("a\n...\nc", "a\nc", False, id="an ellipsis stands for at least one line"),
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning is a failure."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return directory


def test_the_site_has_every_page_and_loads_nothing_external(site: Path) -> None:
    assert {path.name for path in site.glob("*.html")} >= {"index.html"}
    assert not list(site.rglob("*.py"))
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert {path.parent.name for path in site.glob("*/index.html")} >= pages
    loaded = re.compile(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"(https?:)?//")
    assert not [path.name for path in site.rglob("*.html") if loaded.search(path.read_text(encoding="utf-8"))]


def test_the_site_has_the_explanation_of_every_kind(site: Path) -> None:
    page = (site / "what-is-dropped" / "index.html").read_text(encoding="utf-8")
    words = " ".join(re.sub(r"[`*\\]", "", html.unescape(re.sub(r"<[^>]*>", "", page))).split())
    for kind in kinds():
        explanation = explain(kind)
        assert f'<h3 id="{kind}">' in page
        for text in (explanation.meaning, *(text for _, text in explanation.sections)):
            assert " ".join(re.sub(r"[`*\\]", "", text).split()) in words, kind


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


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals between processes")
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


def write_outputs(page: Path) -> None:
    """Replace the outputs on a page with the real ones, if they differ by more than times and sizes."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="conda-prune-docs-") as directory:
        for step, real in play(page, Path(directory)):
            if not same(step.output, real):
                old = f"$ {step.command}\n" + (f"{step.output}\n" if step.output else "")
                text = text.replace(old, f"$ {step.command}\n{real}\n", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for written in PAGES:
        write_outputs(written)
