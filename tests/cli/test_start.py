"""Starting is most of what a check of a small package costs: it stays within twice what click alone costs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from ..seed import CLEAN

ROUNDS = 15


def cost(command: list[str], environment: dict[str, str], directory: Path) -> float:
    """Return the CPU time of a command in seconds."""
    resource = pytest.importorskip("resource", reason="Windows has no getrusage")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, cwd=directory, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def test_a_check_starts_within_twice_the_import_of_click(tmp_path: Path) -> None:
    # As after an installation, our modules are compiled, like those of click.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    conda = next(seed for seed in CLEAN if seed.path.suffix == ".conda")
    click = [sys.executable, "-c", "import click"]
    check = [sys.executable, "-m", "conda_prune", "check", str(conda.path)]
    for command in (click, check):
        cost(command, environment, tmp_path)
    rounds = [(cost(click, environment, tmp_path), cost(check, environment, tmp_path)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours for _, ours in rounds) / statistics.median(theirs for theirs, _ in rounds)
    assert ratio <= 2, f"{ratio:.2f} times the time of `import click`: see what python -X importtime shows"


@pytest.mark.parametrize(
    "module",
    ["rattler", "libarchive", "multiprocessing", "tempfile", "tarfile", "tomllib", "logging", "yaml", "bz2"],
)
def test_a_check_does_not_import_what_it_does_not_need(module: str, tmp_path: Path) -> None:
    conda = next(seed for seed in CLEAN if seed.path.suffix == ".conda")
    command = [sys.executable, "-X", "importtime", "-m", "conda_prune", "check", str(conda.path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.count("|") == 2}
    assert "conda_prune.operations.check" in imported
    assert module not in imported
