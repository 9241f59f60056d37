"""Times conda-prune against what one would use instead, in one run, on real payloads, and prints ratios.

    python benchmarks/compare.py DIR [--runs N] [--level 19] [--only NAME …] [--plot]

DIR is filled by benchmarks/payloads.py where it is empty. Every comparison alternates the two commands and quotes the
median of the ratios, so that a machine whose speed drifts does not decide; peak memory is the largest process's, MiB.
Ratios, not seconds, are what is worth keeping: the seconds belong to the machine of the run.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import payloads
import plot
import zstandard

HERE = Path(__file__).resolve().parent
SEED = HERE.parent / "testdata" / "seed"
Command = list[str]


@dataclass(frozen=True)
class Measured:
    """One run of a command: seconds, and the peak memory of its largest process in MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Comparison:
    """Ours against theirs. `scale` multiplies the ratio; `limit` is what it is to stay below.

    `title` is for the plot: the package, and what one would do instead. A comparison without it is not drawn.
    """

    name: str
    ours: Callable[[Path], Command]
    theirs: Callable[[Path], Command]
    package: Path
    limit: float
    runs: int
    scale: float = 1.0
    exits: tuple[int, ...] = (0,)
    title: tuple[str, str] | None = None


@dataclass
class Row:
    """One line of the table."""

    name: str
    ratio: float
    limit: float
    ours: float
    theirs: float
    memory: float
    notes: list[str] = field(default_factory=list)


def measure(command: Command, exits: Sequence[int] = (0,)) -> Measured:
    """Run a command to its end and return what it took; raise RuntimeError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=compiled())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exits:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Measured(seconds, usage.ru_maxrss / 1024)


@cache
def compiled() -> dict[str, str]:
    """Return an environment in which modules are compiled once, as they are where pip installed them."""
    caches = tempfile.mkdtemp(prefix="conda-prune-benchmark-")
    atexit.register(shutil.rmtree, caches)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": caches}


def prune(*arguments: str | Path) -> Command:
    """Return the command line of conda-prune."""
    return [sys.executable, "-m", "conda_prune", *map(str, arguments)]


def instead(*arguments: str | Path) -> Command:
    """Return the command line of an alternative."""
    return [sys.executable, str(HERE / "alternatives.py"), *map(str, arguments)]


def compare(comparison: Comparison) -> Row:
    """Alternate the two commands, each on a copy of its own, and return medians."""
    ratios, ours, theirs, memory = [], [], [], []
    for turn in range(comparison.runs + 1):
        pair = []
        for command in (comparison.ours, comparison.theirs):
            with tempfile.TemporaryDirectory(dir=comparison.package.parent) as folder:
                package = copied(comparison.package, Path(folder))
                exits = comparison.exits if command is comparison.ours else (0,)
                pair.append(measure(command(package), exits))
        if turn:  # The first pair warms the caches up.
            ours.append(pair[0].seconds)
            theirs.append(pair[1].seconds)
            memory.append(pair[0].memory)
            ratios.append(pair[0].seconds / pair[1].seconds * comparison.scale)
    median = statistics.median
    return Row(comparison.name, median(ratios), comparison.limit, median(ours), median(theirs), max(memory))


def copied(package: Path, folder: Path) -> Path:
    """Copy a package, or a folder of them, with the facts next to it."""
    if package.is_dir():
        return Path(shutil.copytree(package, folder / package.name))
    facts = package.with_name(package.name + ".json")
    if facts.exists():
        shutil.copy(facts, folder)
    return Path(shutil.copy(package, folder))


def comparisons(folder: Path, level: int, runs: int) -> list[Comparison]:
    """Return every comparison, its packages built."""
    numba = sorted(payloads.build_numba_cuda(folder / "numba-cuda"))
    last_conda = next(path for path in reversed(numba) if path.suffix == ".conda")
    last_bz2 = next(path for path in reversed(numba) if path.suffix == ".bz2")
    torch = payloads.build_torch(folder / "torch", level)
    small = next(iter(sorted(SEED.glob("*.conda"))))
    kept = fixed(last_conda, folder / "kept")
    many = multiplied(small, folder / "many", 10_000)
    four = gathered(numba, folder / "four")
    slow = max(1, runs // 3)

    def fix(package: Path) -> Command:
        return prune("fix", package, "--in-place")

    def check(package: Path) -> Command:
        return prune("check", package)

    return [
        Comparison(
            f"fix torch ({level}) / decompressing its payload", fix, lambda p: instead("decompress", p), torch, 4, runs
        ),
        Comparison(
            f"fix torch ({level}) / the same with cph",
            fix,
            lambda p: instead("repair-with-cph", p, str(level)),
            torch,
            1 / 20,
            slow,
            title=(
                f"torch, .conda with {unpacked(torch) / 1e6:.0f} MB of files",
                "unpack, delete and pack again with cph",
            ),
        ),
        Comparison(
            f"fix torch ({level}) / compressing it again, two threads",
            fix,
            lambda p: instead("compress-again", p, str(level), "2"),
            torch,
            1 / 15 if level == 19 else 1,
            slow,
        ),
        Comparison(
            "fix numba-cuda .conda / compressing its kept bytes again",
            fix,
            lambda _: instead("compress-again", kept, "15", "2"),
            last_conda,
            1.3,
            runs,
            title=(f"numba-cuda, .conda of {last_conda.stat().st_size / 1e6:.1f} MB", "compress what is kept again"),
        ),
        Comparison(
            "fix numba-cuda .tar.bz2 / bzip2 -dc | bzip2 -9",
            fix,
            lambda p: ["sh", "-c", 'bzip2 -dc "$0" | bzip2 -9 > "$0.again"', str(p)],
            last_bz2,
            0.5,
            runs,
            title=(f"numba-cuda, .tar.bz2 of {last_bz2.stat().st_size / 1e6:.1f} MB", "bzip2 -dc | bzip2 -9"),
        ),
        Comparison(
            "check torch / reading its paths.json with py-rattler",
            check,
            lambda p: instead("read-paths", p),
            torch,
            1.3,
            3 * runs,
            exits=(1,),
        ),
        Comparison(
            "check a small package / import click",
            check,
            lambda _: [sys.executable, "-c", "import click"],
            small,
            2,
            5 * runs,
        ),
        Comparison(
            "seconds for 200 of 10 000 packages and core / one second",
            lambda _: prune("check", many, "-j", "1"),
            lambda _: ["sleep", "1"],
            small,
            1,
            1,
            scale=200 / 10_000,
        ),
        Comparison(
            "fix four packages, -j 2 / one after the other",
            lambda p: prune("fix", p, "--in-place", "-j", "2"),
            lambda p: prune("fix", p, "--in-place"),
            four,
            0.6,
            runs,
        ),
        Comparison(
            "the same with one thread for each package",
            lambda p: prune("fix", p, "--in-place", "--threads", "1", "-j", "2"),
            lambda p: prune("fix", p, "--in-place", "--threads", "1"),
            four,
            0.6,
            runs,
        ),
        Comparison(
            "check --deep torch / extracting it with py-rattler",
            lambda p: prune("check", "--deep", p),
            lambda p: instead("extract", p),
            torch,
            1,
            runs,
            exits=(1,),
        ),
    ]


def unpacked(package: Path) -> int:
    """Return the bytes of a .conda's uncompressed payload, as its zstd frame states them."""
    with zipfile.ZipFile(package) as archive:
        (name,) = [name for name in archive.namelist() if name.startswith("pkg-")]
        with archive.open(name) as stream:
            return zstandard.frame_content_size(stream.read(18))


def fixed(package: Path, folder: Path) -> Path:
    """Return the repaired package, in a folder of its own."""
    if not (folder / package.name).exists():
        subprocess.run(prune("fix", package, "-o", folder), check=True, stdout=subprocess.DEVNULL)
    return folder / package.name


def multiplied(package: Path, folder: Path, count: int) -> Path:
    """Return a folder with so many copies of a package under names of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        copy = folder / f"{number:05}-{package.name}"
        if not copy.exists():
            os.link(package, copy) if number else shutil.copy(package, copy)
    return folder


def gathered(packages: Sequence[Path], folder: Path) -> Path:
    """Return a folder with the .conda packages."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if package.suffix == ".conda" and not (folder / package.name).exists():
            shutil.copy(package, folder)
    return folder


def reused(package: Path) -> str:
    """Return how much of a package's payload a repair compressed again."""
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        copy = copied(package, Path(folder))
        done = subprocess.run(prune("fix", copy, "--in-place", "--format", "json"), check=True, capture_output=True)
    compression = json.loads(done.stdout)[0]["compression"]
    total = compression["reused_bytes"] + compression["recompressed_bytes"]
    return f"{100 * compression['recompressed_bytes'] / total:.2f} % of {total >> 20} MiB compressed again"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| comparison | ratio | to stay below | ours, s | theirs, s | our peak, MiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = (
            row.name,
            f"{row.ratio:.3g}",
            f"{row.limit:.3g}",
            f"{row.ours:.2f}",
            f"{row.theirs:.2f}",
            f"{row.memory:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def recorded(rows: Sequence[Row], comparisons_: Sequence[Comparison]) -> list[dict[str, object]]:
    """Return what the plot shows of the rows: those of comparisons that have a title for it."""
    titles = {comparison.name: comparison.title for comparison in comparisons_ if comparison.title}
    return [
        {"title": title, "instead": instead_of, "ours": round(row.ours, 1), "theirs": round(row.theirs, 1)}
        for row in rows
        if row.name in titles
        for title, instead_of in [titles[row.name]]
    ]


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="conda-prune against what one would use instead")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3, help="pairs that count, of the longer comparisons")
    parser.add_argument("--level", type=int, default=15, choices=(9, 15, 19), help="the torch package's level")
    parser.add_argument("--only", nargs="*", default=[], help="comparisons whose names hold one of these texts")
    parser.add_argument("--plot", action="store_true", help="record the numbers in comparison.json, and draw them")
    arguments = parser.parse_args()
    rows = []
    all_comparisons = comparisons(arguments.folder, arguments.level, arguments.runs)
    for comparison in all_comparisons:
        if not arguments.only or any(text in comparison.name for text in arguments.only):
            rows.append(compare(comparison))
            print(table(rows).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    print(f"\n{reused(payloads.build_torch(arguments.folder / 'torch', arguments.level))} (torch at {arguments.level})")
    if arguments.plot:
        plot.NUMBERS.write_text(json.dumps(recorded(rows, all_comparisons), indent=2) + "\n", encoding="utf-8")
        plot.main()


if __name__ == "__main__":
    main()
