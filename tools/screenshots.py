"""Draws the pictures of README.md and docs/: what the commands really print on a terminal, as SVG.

    python -m tools.screenshots

Each command runs in a pseudo-terminal, and rich turns what it shows into a picture. Nothing in a picture is loaded from
elsewhere, and every line has its width as an attribute, so it looks the same with every font. A test runs the commands
again and compares the text. Times, progress and compressed sizes vary, and are not compared.
"""

from __future__ import annotations

import html
import io
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.bytecode import modules
from tests.corpus.entries import AnyEntry, File
from tests.corpus.packages import PackageSpec, write_package
from tests.corpus.scenario import conda_forge
from tools.terminal import Recording, record

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES = REPOSITORY / "docs" / "pictures"
SEED = REPOSITORY / "testdata" / "seed"

_FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{
font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px;
line-height: {line_height}px;
white-space: pre;
}}
.{unique_id}-title {{ font-size: 18px; font-family: system-ui, sans-serif; }}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_TEXT = re.compile(r'<text class="[^"]*-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>')
_PROGRESS = re.compile(r"(?<![−+\d])\d+ ?%")
"""What only a line of a progress display has: a share that is done, and not a change of size."""
_VARYING = (
    (re.compile(r"\d+(?:\.\d+)? (?:B|KiB|MiB) → \d+(?:\.\d+)? (?:B|KiB|MiB), −\d+%"), "SIZE → SIZE"),
    (re.compile(r"\b\d+\.\d s\b"), "TIME"),
)


@dataclass(frozen=True)
class Picture:
    """A command, the width of its terminal, and what fills the directory that it runs in.

    `lines` are how many lines the picture has at most; the rest is cut off, with an ellipsis. `progress`: the picture
    shows a moment in the middle of the work.
    """

    name: str
    command: str
    columns: int
    prepare: Callable[[Path], object]
    lines: int = 60
    progress: bool = False

    @property
    def path(self) -> Path:
        """The picture's file."""
        return PICTURES / f"{self.name}.svg"


def _seed(directory: Path) -> None:
    target = directory / "output" / "linux-64"
    target.mkdir(parents=True)
    for package in SEED.glob("*.conda"):
        shutil.copy(package, target)


def _large(directory: Path) -> None:
    """Write the packages of three variants, large enough that a repair takes a few seconds."""
    target = directory / "output" / "linux-64"
    target.mkdir(parents=True)
    words = [f"{random.Random(number).getrandbits(40):x}" for number in range(5000)]
    for number, minor in enumerate((11, 12, 13)):
        files: dict[str, AnyEntry] = {}
        for earlier in range(10, minor + 1):
            site = f"lib/python3.{earlier}/site-packages"
            files |= modules(site, *(f"hello/m{index}" for index in range(250)), tags=(f"cpython-3{earlier}",))
        choose = random.Random(number)
        for index in range(5):
            files[f"share/hello/{index}.txt"] = File(" ".join(choose.choices(words, k=80_000)).encode())
        spec = PackageSpec("hello", build=f"py3{minor}h1234567_0", depends=conda_forge(f"3.{minor}"), files=files)
        write_package(spec, target, level=15)


SHOWN = "output/linux-64/pyproject_hooks-1.3.3-py311h48b7412_0.conda"
ALL = (
    Picture("check", "conda-prune check output/", 100, _seed),
    Picture("fix", "conda-prune fix output/ --in-place", 100, _large, progress=True),
    Picture("show", f"conda-prune show --only drop {SHOWN}", 100, _seed),
    Picture("explain", "conda-prune explain foreign-path", 80, _seed),
)


def run(picture: Picture) -> Recording:
    """Run the command of a picture in a directory of its own."""
    program, *arguments = picture.command.split()
    if program != "conda-prune":
        raise ValueError(f"only conda-prune is run here, not {program}")
    with tempfile.TemporaryDirectory(prefix="conda-prune-picture-") as directory:
        picture.prepare(Path(directory))
        command = [sys.executable, "-m", "conda_prune", *arguments]
        return record(command, Path(directory), picture.columns, frames=picture.progress)


def lines_of(picture: Picture, recording: Recording) -> list[str]:
    """Return the lines that a picture shows, with color codes: those of the end, or of the middle of the work."""
    lines = recording.final.styled()
    if picture.progress:
        moments = [number for number, text in enumerate(recording.frames) if any(map(_PROGRESS.search, text))]
        if not moments:
            raise RuntimeError(f"{picture.command} has shown no progress")
        # Late enough that some packages are done.
        lines = recording.styled_frames[moments[len(moments) * 2 // 3]]
    if len(lines) > picture.lines:
        lines = [*lines[: picture.lines], "…"]
    return lines


def draw(picture: Picture, lines: list[str]) -> str:
    """Return the picture of these lines as SVG."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        record=True,
        width=picture.columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(Text.assemble(("$ ", "green"), (picture.command, "bold")), no_wrap=True, crop=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    svg = console.export_svg(title="", code_format=_FORMAT, unique_id=picture.name)
    # Nothing is wider than the terminal, and the clips cut off underscores.
    svg = re.sub(r' clip-path="[^"]*"', "", svg)
    svg = svg.replace("<title>TITLE</title>", f"<title>{html.escape(picture.command)}</title>", 1)
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def text_of(svg: str) -> list[str]:
    """Return the lines of text in a picture, with single spaces."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, content in _TEXT.findall(svg):
        rows.setdefault(float(y), []).append((float(x), html.unescape(content)))
    texts = ["".join(content for _, content in sorted(row)) for _, row in sorted(rows.items())]
    return [" ".join(text.split()) for text in texts]


def split_progress(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines before a progress display, and those of the display, which is always at the end."""
    start = next((number for number, line in enumerate(lines) if _PROGRESS.search(line)), len(lines))
    return lines[:start], lines[start:]


def steady(lines: list[str]) -> list[str]:
    """Return the lines without what varies between two runs: times, compressed sizes and the progress display."""
    kept = []
    for line in split_progress(lines)[0]:
        for pattern, replacement in _VARYING:
            line = pattern.sub(replacement, line)
        kept.append(line)
    return kept


def progress_shapes(lines: list[str]) -> set[str]:
    """Return what the lines of a progress display have apart from numbers, bars and spaces."""
    return {re.sub(r"[\d\W_]", "", line) for line in split_progress(lines)[1]}


def write_all() -> None:
    """Draw every picture whose text has changed."""
    for picture in ALL:
        svg = draw(picture, lines_of(picture, run(picture)))
        if not picture.path.exists() or steady(text_of(svg)) != steady(text_of(picture.path.read_text("utf-8"))):
            picture.path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    write_all()
