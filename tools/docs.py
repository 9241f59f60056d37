"""Runs the commands that README.md and docs/ show, and writes their real output into the pages.

    python -m tools.docs

does so for every page, draws the pictures again (tools/screenshots.py), and writes the gallery of errors
(tools/error_gallery.py). Run it after a change of wording, and read the difference before you commit it. Tests compare
everything that it writes, except for times and the sizes of compressed data.

A block that starts with ```console is run. The blocks of a page run one after the other in a directory that holds
testdata/seed. In docs/errors.md, each section runs in a directory that tools/situations.py prepares. A block with a
title, such as ```toml title="pyproject.toml", is written to the file of this name first.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conda_prune.rewrite.libarchive import INSTALL_HINT
from tests.command_lines import run_conda_prune
from tools.situations import SITUATIONS

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]

ERRORS = "errors.md"
"""The page whose sections run in directories of their own."""
HOME = "/home/you/project"
"""What pages show instead of the directory that their commands run in."""

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## ", re.MULTILINE)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')

# What differs between two runs, or with another version of a compressor.
_VARYING = (
    (re.compile(r"\b\d+\.\d s\b"), "0.0 s"),
    (re.compile(r'"seconds": \d+\.\d+'), '"seconds": 0.0'),
    (re.compile(r"\d+\.\d KiB → \d+\.\d KiB"), "0.0 KiB → 0.0 KiB"),
)
_CRAFTED = (
    (re.compile(r"(\.conda|\.tar\.bz2) +\d+\.\d KiB"), r"\1 0.0 KiB"),
    (re.compile(r"[+−]\d+%"), "+0%"),
    (re.compile(r"\b\d+ bytes follow"), "0 bytes follow"),
)


@dataclass(frozen=True)
class Block:
    """A code block: its language, the title after it, and its text."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Shown:
    """A command on a page, and the output that the page shows. A line `...` matches any number of lines."""

    command: str
    output: str


def blocks(text: str) -> Iterator[Block]:
    """Yield every code block of a page, the fenced ones first."""
    for language, rest, body in FENCE.findall(text):
        title = _TITLE.search(rest)
        yield Block(language, title[1] if title else "", body)
    for match in _INDENTED.finditer(FENCE.sub("", text)):
        yield Block("", "", re.sub(r"^    ", "", match[0], flags=re.MULTILINE))


def shown(block: str) -> Iterator[Shown]:
    """Yield the commands of a console block with their outputs."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Shown(command, output.rstrip("\n"))


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the heading and the text of each part of a page that has its own directory: a section, or the page."""
    text = page.read_text(encoding="utf-8")
    if page.name != ERRORS:
        yield "", text
        return
    for section in _HEADING.split(text)[1:]:
        if "```console" not in section:
            continue
        heading, _, body = section.partition("\n")
        yield heading, body


def play(page: Path, directory: Path) -> Iterator[tuple[Shown, str]]:
    """Run the console blocks of a page in a directory. Yield each command with its real output."""
    for number, (heading, text) in enumerate(sections(page)):
        place = directory / str(number)
        place.mkdir()
        if heading:
            SITUATIONS[heading](place)
        else:
            shutil.copytree(REPOSITORY / "testdata" / "seed", place / "testdata" / "seed")
        code = 0
        for block in blocks(text):
            if block.title:
                (place / block.title).write_text(block.text, encoding="utf-8")
            for step in shown(block.text) if block.language == "console" else ():
                if step.command == "echo $?":
                    yield step, str(code)
                    continue
                code, output = run(step.command, place)
                yield step, output


def run(command: str, directory: Path) -> tuple[int, str]:
    """Run a command of a page; return its exit code and its output, with its errors and warnings if it failed."""
    program, *arguments = shlex.split(command)
    if program != "conda-prune":
        raise ValueError(f"only conda-prune is run here, not {program}")
    done = run_conda_prune(arguments, directory)
    output = done.stdout
    if done.returncode > 1 or not output:
        output += done.stderr
    for here in (str(directory.resolve()), str(directory)):
        output = output.replace(here, HOME)
    output = (
        output.replace("python -m conda_prune", "conda-prune").replace(f"warning: {INSTALL_HINT}\n", "").rstrip("\n")
    )
    # Windows has another path separator, and JSON escapes it.
    return done.returncode, re.sub(r"\\+", "/", output) if os.sep == "\\" else output


def same(expected: str, real: str, *, crafted: bool = False) -> bool:
    """Return whether an output is what the page shows, except for times and sizes.

    `crafted`: the packages were written for this run, so their sizes depend on the version of zstd.
    """
    for pattern, replacement in (*_VARYING, *(_CRAFTED if crafted else ())):
        expected, real = pattern.sub(replacement, expected), pattern.sub(replacement, real)
    parts = re.split(r"^\s*\.\.\.$", expected, flags=re.MULTILINE)
    return re.fullmatch(".*".join(re.escape(part) for part in parts), real, re.DOTALL) is not None


def write_outputs(page: Path) -> None:
    """Replace the outputs on a page with the real ones, if they differ by more than times and sizes."""
    text = page.read_text(encoding="utf-8")
    position = 0
    with tempfile.TemporaryDirectory(prefix="conda-prune-docs-") as directory:
        for step, real in play(page, Path(directory)):
            old, new = (f"$ {step.command}\n" + (f"{output}\n" if output else "") for output in (step.output, real))
            if same(step.output, real, crafted=page.name == ERRORS):
                new = old
            start = text.index(old, position)
            text = text[:start] + new + text[start + len(old) :]
            position = start + len(new)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Write everything that is generated from the program's output."""
    from tools import error_gallery, screenshots

    for page in PAGES:
        write_outputs(page)
    screenshots.write_all()
    error_gallery.PAGE.write_text(error_gallery.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
