"""A channel of packages with and without stray files, indexed by rattler, and how to audit it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..channels import SUBDIR, index_with_rattler, write_stray
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from ..executable import run
from ..seed import SEEDS
from .servers import NGINX, FaultyServer, nginx

STRAYS = 40


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel: the seed, packages with one stray file, clean ones, and one whose metadata is larger than 64 KiB."""
    root = tmp_path_factory.mktemp("audit") / "channel"
    subdir = root / SUBDIR
    subdir.mkdir(parents=True)
    for seed in SEEDS:
        shutil.copy(seed.path, subdir)
    for number in range(STRAYS):
        write_stray(subdir, f"stray-{number}")
        write_package(PackageSpec(f"clean-{number}", files={f"share/{number}.txt": b"text"}), subdir)
    many = {f"share/many/{number * 7919 % 10007:05}-{number:x}": str(number).encode() for number in range(3000)}
    write_package(PackageSpec("many", files=many), subdir)
    index_with_rattler(root)
    return root


@pytest.fixture(params=["nginx", "python"])
def url(request: pytest.FixtureRequest, channel: Path) -> Iterator[str]:
    """The channel's URL, served by nginx, and by a server in Python that has ranges."""
    if request.param == "python":
        with FaultyServer(channel).running() as faulty:
            yield faulty.url
        return
    if NGINX is None:
        pytest.skip("nginx is not installed; the same tests run with a range server in Python")
    with nginx(channel) as server:
        yield server.url


def audit(output: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `conda-prune audit`."""
    return run("audit", "-o", output, *arguments, check=False, **environment)


def results(output: Path) -> dict[str, dict[str, Any]]:
    """Return the results in a file by file name, or path where there is none; no package has two."""
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    found = {line["file_name"] or line["path"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def judgement(result: dict[str, Any]) -> dict[str, Any]:
    """Return what a result says of the package itself, wherever it was read from."""
    return {key: result[key] for key in ("status", "package", "variant", "summary", "findings", "notes", "error")}


def names(channel: Path, ending: str = "") -> set[str]:
    """Return the file names of a channel's packages."""
    endings = (ending,) if ending else (".conda", ".tar.bz2")
    return {path.name for path in (channel / SUBDIR).iterdir() if path.name.endswith(endings)}
