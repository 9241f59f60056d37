"""A small package is compressed as a whole: the result has the bytes that its own writer makes of the same files."""

from __future__ import annotations

import bz2
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conda_package_handling import api as conda_package_handling

from conda_prune import fix
from conda_prune.compression.recompress import is_small
from conda_prune.model import CompressionSettings

from ..seed import STRAY

TREE = "lib/python3.11/site-packages/m"
STRAY_FILES = [f"{TREE}/__pycache__/m{number}.cpython-310.pyc" for number in range(30)]
ASSEMBLE = """
import datetime, os, sys
import rattler_build

output = rattler_build.assemble_package(
    "m", "1", "linux-64", "0", sys.argv[2], files_dir=sys.argv[1], depends=["python_abi 3.11.* *_cp311"],
    timestamp=datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc),
)
print(output.path, flush=True)
os._exit(0)
"""


def text(name: str) -> bytes:
    """Return text that compresses about as well as source code does."""
    words = [hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:7] for number in range(400)]
    return "\n".join(f"def {words[i]}({words[i // 2]}): return {words[i * 7 % 400]}" for i in range(400)).encode()


def payload(*, stray: bool) -> dict[str, bytes]:
    paths = [f"{TREE}/m{number}.py" for number in range(30)] + (STRAY_FILES if stray else [])
    return {path: text(path) for path in sorted(paths)}


def streams(package: Path) -> Mapping[str, bytes]:
    """Return the compressed components of a package by what their names begin with."""
    if package.suffix == ".bz2":
        return {"tar": package.read_bytes()}
    with zipfile.ZipFile(package) as archive:
        return {name.partition("-")[0]: archive.read(name) for name in archive.namelist() if name.endswith(".zst")}


def by_conda_package_handling(directory: Path, ending: str, *, stray: bool) -> Path:
    files = payload(stray=stray)
    paths = [
        {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
        for path, data in files.items()
    ]
    index = {"name": "m", "version": "1", "build": "0", "subdir": "linux-64", "depends": ["python_abi 3.11.* *_cp311"]}
    files |= {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}, indent=2).encode(),
        "info/files": "".join(f"{path}\n" for path in files).encode(),
    }
    tree, packages = directory / f"tree-{stray}", directory / f"packages-{stray}"
    packages.mkdir()
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
        os.utime(tree / path, (1_700_000_000, 1_700_000_000))
    conda_package_handling.create(str(tree), sorted(files), f"m-1-0{ending}", str(packages))
    return packages / f"m-1-0{ending}"


def by_rattler_build(directory: Path, ending: str, *, stray: bool) -> Path:
    source = directory / f"source-{stray}"
    for path, data in payload(stray=stray).items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    arguments = [sys.executable, "-c", ASSEMBLE, source, directory / f"packages-{stray}"]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("make", "level"), [(by_conda_package_handling, 19), (by_rattler_build, 9)], ids=["cph", "rattler-build"]
)
def test_a_payload_is_what_its_writer_makes_of_the_same_files(
    make: Callable[..., Path], level: int, tmp_path: Path
) -> None:
    """Only the payload is compared, since info has the time of the build and the padding of a longer listing."""
    package = make(tmp_path, ".conda", stray=True)
    result = fix(package, in_place=True)
    assert [finding.path for finding in result.findings] == sorted(STRAY_FILES)
    assert result.compression
    assert (result.compression.level, result.compression.source) == (level, "reproduced")
    assert streams(package)["pkg"] == streams(make(tmp_path, ".conda", stray=False))["pkg"]


def test_a_tar_bz2_is_compressed_as_its_writer_does(tmp_path: Path) -> None:
    package = by_conda_package_handling(tmp_path, ".tar.bz2", stray=True)
    assert fix(package, in_place=True).status == "fixed"
    assert package.read_bytes() == bz2.compress(bz2.decompress(package.read_bytes()), 9)


def test_dropping_more_files_makes_the_seed_no_larger(tmp_path: Path) -> None:
    """libzstd itself may need more bytes for less content, as it does for the seed of Python 3.11."""
    seed = next(seed for seed in STRAY if seed.facts["python"] == "3.13" and seed.path.suffix == ".conda")
    smaller, smallest = tmp_path / "some", tmp_path / "more"
    fix(seed.path, output_dir=smaller)
    fix(seed.path, output_dir=smallest, extend_select=["foreign-tree"])
    sizes = [path.stat().st_size for path in (seed.path, smaller / seed.path.name, smallest / seed.path.name)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        (CompressionSettings("zstd", 22, "reproduced"), 1 << 20),
        (CompressionSettings("zstd", 15, "reproduced"), 1 << 20),
        (CompressionSettings("zstd", 12, "reproduced"), 1 << 22),
        (CompressionSettings("bzip2", 9, "recorded"), 1 << 22),
        (CompressionSettings("zstd", 19, "assumed"), -1),
        (CompressionSettings("zstd", 19, "recorded"), -1),
    ],
)
def test_what_is_small_depends_on_the_level_alone(settings: CompressionSettings, limit: int) -> None:
    assert is_small(settings, max(0, limit)) is (limit >= 0)
    assert not is_small(settings, limit + 1)
