"""The same input, options and version of zstandard give the same bytes with any number of cores and threads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from conda_prune import fix

from ..corpus.crafted import BASE
from ..corpus.entries import File
from ..corpus.packages import (
    FORMATS,
    Format,
    Writer,
    write_package,
)
from ..corpus.scenarios import SCENARIOS
from ..seed import STRAY, Seed
from .zstd.frames import MIB, mixed

ROOT = Path(__file__).parents[2]
THREADS = (1, 2, 3, 8)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fixed_with_each_number_of_threads(package: Path) -> set[str]:
    """Return the digests of the results; they should all be the same."""
    found = set()
    for threads in THREADS:
        output = package.parent / str(threads)
        result = fix(package, output_dir=output, threads=threads)
        assert result.status == "fixed"
        found.add(digest(output / package.name))
    return found


@cache
def large_files(size: int) -> dict[str, File]:
    """Large files around the stray bytecode of the base package, most of them after it."""
    return {"bin/first": File(mixed(size // 8, 1))} | {
        f"share/{number}": File(mixed(size // 8, number)) for number in range(2, 9)
    }


IN_EVERY_RUN = {("rattler", -5), ("rattler", 3), ("rattler", 9), ("rattler", 15), ("conda-build", 3), ("cph1", 3)}
LARGE = [
    pytest.param(".conda", writer, level, marks=() if (writer, level) in IN_EVERY_RUN else pytest.mark.long)
    for writer in ("rattler", "conda-build", "cph1")
    # cph 1.x writes the window of level 22, which is too slow for a test. At level 3 with that window, the level is
    # assumed.
    for level in ((-5, 1, 3, 9, 15, 19) if writer != "cph1" else (3,))
] + [pytest.param(".tar.bz2", "conda-build", level) for level in (1, 9)]


@pytest.mark.parametrize(("format_", "writer", "level"), LARGE)
def test_threads_do_not_change_a_large_package(tmp_path: Path, format_: Format, writer: Writer, level: int) -> None:
    # Large enough for blocks to be reused, for ranges of several jobs, and for two threads to read a .tar.bz2.
    spec = replace(BASE, files={**BASE.files, **large_files((5 if level >= 15 else 9) * MIB)})
    package = write_package(spec, tmp_path, format=format_, writer=writer, level=level)
    assert len(fixed_with_each_number_of_threads(package)) == 1


@pytest.mark.parametrize(("format_", "level"), [(".conda", 3), (".tar.bz2", 5)])
def test_threads_do_not_change_a_package_with_a_given_level(tmp_path: Path, format_: Format, level: int) -> None:
    spec = replace(BASE, files={**BASE.files, **large_files(3 * MIB)})
    package = write_package(spec, tmp_path, format=format_)
    found = set()
    for threads in THREADS:
        fix(package, output_dir=tmp_path / str(threads), threads=threads, level=level)
        found.add(digest(tmp_path / str(threads) / package.name))
    assert len(found) == 1


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.drops][::15], ids=lambda scenario: scenario.id)
def test_threads_do_not_change_a_scenario(tmp_path: Path, scenario: object, format_: Format) -> None:
    spec, stem = scenario.spec, scenario.stem  # type: ignore[attr-defined]
    assert len(fixed_with_each_number_of_threads(write_package(spec, tmp_path, format=format_, stem=stem))) == 1


@pytest.mark.parametrize("seed", STRAY, ids=lambda seed: seed.id)
def test_threads_do_not_change_a_real_package(tmp_path: Path, seed: Seed) -> None:
    assert len(fixed_with_each_number_of_threads(seed.copy(tmp_path))) == 1


def test_jobs_do_not_change_the_bytes(tmp_path: Path) -> None:
    """`-j` also changes the number of threads, because each package gets its share of the cores."""
    spec = replace(BASE, files={**BASE.files, **large_files(3 * MIB)})
    packages = [tmp_path / "in" / format_ for format_ in FORMATS]
    for format_, directory in zip(FORMATS, packages, strict=True):
        directory.mkdir(parents=True)
        write_package(spec, directory, format=format_, level=9)
    found = []
    for options in (["-j", "1"], ["-j", "2"], ["-j", "1", "--threads", "5"]):
        output = tmp_path / "-".join(options)
        command = [sys.executable, "-m", "conda_prune", "fix", *map(str, packages), "-o", str(output), *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append({path.name: digest(path) for path in output.iterdir()})
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]
