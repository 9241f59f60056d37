"""Times conda-prune against what one would use instead, in one run, on real payloads, and prints ratios.

    python benchmarks/compare.py DIR [--runs N] [--only TEXT …] [--plot]

Payloads that are missing in DIR are built with benchmarks/payloads.py. Every comparison alternates the two commands and
takes the median of the ratios, so a machine whose speed changes does not affect the result. CPU seconds are also
compared: they hardly depend on what else the machine does, but say nothing about how well the cores are used. Peak
memory is that of the largest process.
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
from dataclasses import dataclass
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
    """One run of a command: seconds that passed, CPU seconds, and the peak memory of its largest process in MiB."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Comparison:
    """Ours against theirs. `scale` multiplies the ratio; `limit` is the largest ratio that is accepted.

    `package` returns the package, and builds it if it is missing. `title` returns what the plot says: what the package
    is, and what one would do instead. A comparison without it is not drawn.
    """

    name: str
    ours: Callable[[Path], Command]
    theirs: Callable[[Path], Command]
    package: Callable[[], Path]
    limit: float
    runs: int
    scale: float = 1.0
    exits: tuple[int, ...] = (0,)
    title: Callable[[Path], tuple[str, str]] | None = None


@dataclass
class Row:
    """One line of the table."""

    name: str
    ratio: float
    limit: float
    cpu: float | None
    ours: float
    theirs: float
    memory: float


def measure(command: Command, exits: Sequence[int] = (0,)) -> Measured:
    """Run a command to its end and return what it took; raise RuntimeError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=compiled())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exits:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


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
    package = comparison.package()
    pairs: list[tuple[Measured, Measured]] = []
    for _ in range(comparison.runs + 1):
        pair = []
        for command in (comparison.ours, comparison.theirs):
            with tempfile.TemporaryDirectory(dir=package.parent) as folder:
                copy = copied(package, Path(folder))
                pair.append(measure(command(copy), comparison.exits if command is comparison.ours else (0,)))
        pairs.append((pair[0], pair[1]))
    del pairs[0]  # It fills the caches.
    return Row(
        comparison.name,
        statistics.median(ours.seconds / theirs.seconds * comparison.scale for ours, theirs in pairs),
        comparison.limit,
        statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs) if comparison.scale == 1 else None,
        statistics.median(ours.seconds for ours, _ in pairs),
        statistics.median(theirs.seconds for _, theirs in pairs),
        max(ours.memory for ours, _ in pairs),
    )


def copied(package: Path, folder: Path) -> Path:
    """Copy a package with its facts, or a folder of packages."""
    if package.is_dir():
        return Path(shutil.copytree(package, folder / package.name))
    facts = package.with_name(package.name + ".json")
    if facts.exists():
        shutil.copy(facts, folder)
    return Path(shutil.copy(package, folder))


def comparisons(folder: Path, runs: int) -> list[Comparison]:
    """Return every comparison. Those that take minutes are measured a third as often."""

    @cache
    def numba() -> list[Path]:
        return sorted(payloads.build_numba_cuda(folder / "numba-cuda"))

    def last(suffix: str) -> Path:
        return next(path for path in reversed(numba()) if path.suffix == suffix)

    def torch(level: int) -> Path:
        return payloads.build_torch(folder / "torch", level)

    def fix(package: Path) -> Command:
        return prune("fix", package, "--in-place")

    def check(package: Path) -> Command:
        return prune("check", package)

    def small() -> Path:
        return next(iter(sorted(SEED.glob("*.conda"))))

    def kept() -> Path:
        return fixed(last(".conda"), folder / "kept")

    def many() -> Path:
        return multiplied(small(), folder / "many", 10_000)

    def four() -> Path:
        return gathered(numba(), folder / "four")

    slow = max(1, runs // 3)
    return [
        Comparison(
            "fix torch (15) / decompressing its payload",
            fix,
            lambda p: instead("decompress", p),
            lambda: torch(15),
            4,
            runs,
        ),
        Comparison(
            "fix torch (15) / the same with cph",
            fix,
            lambda p: instead("repair-with-cph", p, "15"),
            lambda: torch(15),
            1 / 40,
            slow,
            title=lambda p: (
                f"torch, .conda with {unpacked(p) / 1e6:.0f} MB of files",
                "unpack, delete and pack again with cph",
            ),
        ),
        Comparison(
            "fix torch (19) / compressing it again, two threads",
            fix,
            lambda p: instead("compress-again", p, "19", "2"),
            lambda: torch(19),
            1 / 30,
            slow,
        ),
        Comparison(
            "fix numba-cuda .conda / compressing its kept bytes again",
            fix,
            lambda _: instead("compress-again", kept(), "15", "2"),
            lambda: last(".conda"),
            0.9,
            runs,
            title=lambda p: (f"numba-cuda, .conda of {p.stat().st_size / 1e6:.1f} MB", "compress what is kept again"),
        ),
        Comparison(
            "fix numba-cuda .tar.bz2 / bzip2 -dc | bzip2 -9",
            fix,
            lambda p: ["sh", "-c", 'bzip2 -dc "$0" | bzip2 -9 > "$0.again"', str(p)],
            lambda: last(".bz2"),
            0.4,
            runs,
            title=lambda p: (f"numba-cuda, .tar.bz2 of {p.stat().st_size / 1e6:.1f} MB", "bzip2 -dc | bzip2 -9"),
        ),
        Comparison(
            "check torch / reading its paths.json with py-rattler",
            check,
            lambda p: instead("read-paths", p),
            lambda: torch(15),
            1,
            3 * runs,
            exits=(1,),
        ),
        Comparison(
            "check a small package / import click",
            check,
            lambda _: [sys.executable, "-c", "import click"],
            small,
            1.8,
            5 * runs,
        ),
        Comparison(
            "seconds for 200 of 10 000 packages and core / one second",
            lambda _: prune("check", many(), "-j", "1"),
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
            lambda: torch(15),
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


def memory_row(row: Row) -> Row:
    """Return a row for the peak memory of a repair of torch, compared with the largest that is accepted."""
    return Row("peak memory of fix torch (15) / 200 MiB", row.memory / 200, 1, None, row.ours, row.theirs, row.memory)


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
        "| comparison | ratio | at most | ratio of CPU seconds | ours, s | theirs, s | our peak, MiB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = (
            row.name,
            f"{row.ratio:.3g}",
            f"{row.limit:.3g}",
            "" if row.cpu is None else f"{row.cpu:.3g}",
            f"{row.ours:.2f}",
            f"{row.theirs:.2f}",
            f"{row.memory:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def recorded(rows: Sequence[Row], comparisons_: Sequence[Comparison]) -> list[dict[str, object]]:
    """Return what the plot shows of the rows: those of comparisons that have a title for it."""
    by_name = {comparison.name: comparison for comparison in comparisons_}
    numbers: list[dict[str, object]] = []
    for row in rows:
        comparison = by_name.get(row.name)
        if comparison is not None and comparison.title is not None:
            title, instead_of = comparison.title(comparison.package())
            numbers.append(
                {"title": title, "instead": instead_of, "ours": round(row.ours, 1), "theirs": round(row.theirs, 1)}
            )
    return numbers


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="conda-prune against what one would use instead")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3, help="pairs that are measured")
    parser.add_argument("--only", nargs="*", default=[], help="comparisons whose names hold one of these texts")
    parser.add_argument("--plot", action="store_true", help="record the numbers in comparison.json, and draw them")
    arguments = parser.parse_args()
    rows = []
    all_comparisons = comparisons(arguments.folder, arguments.runs)
    for comparison in all_comparisons:
        if not arguments.only or any(text in comparison.name for text in arguments.only):
            rows.append(compare(comparison))
            print(table(rows).splitlines()[-1], file=sys.stderr, flush=True)
            if comparison.name == "fix torch (15) / decompressing its payload":
                rows.append(memory_row(rows[-1]))
                print(f"{reused(comparison.package())} (torch at 15)", file=sys.stderr)
    print(table(rows))
    if arguments.plot:
        plot.NUMBERS.write_text(json.dumps(recorded(rows, all_comparisons), indent=2) + "\n", encoding="utf-8")
        plot.main()


if __name__ == "__main__":
    main()
