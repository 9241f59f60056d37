"""What re-stamping is for, with the real tools: Python ignores what rattler-build compiled, and no more after it.

rattler-build builds the package and compiles its sources, py-rattler installs it, the installed Python runs with `-v`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from conda_prune import check, fix

from ..real_build import (
    Channel,
    build,
    install,
    make_channel,
    reindex,
)

MODULES = {"demo", "demo.first", "demo.second"}
BYTECODE = {f"{name}.{sys.implementation.cache_tag}.pyc" for name in ("__init__", "first", "second")}

RECIPE = """
package: {name: demo, version: "1.0"}
source: {path: src}
build:
  number: 0
  # The build is dated when it starts, the copies that rattler-build compiles when they are made.
  script: sleep 1.1; mkdir -p "$SP_DIR" && cp -R demo "$SP_DIR/"
requirements:
  host: [python]
  run: [python]
"""


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    return make_channel(tmp_path_factory.mktemp("stamps"))


@pytest.fixture(scope="session", params=["conda", "tar-bz2"])
def package(request: pytest.FixtureRequest, channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose script copies sources without compiling them."""
    directory = tmp_path_factory.mktemp("demo")
    sources = directory / "src" / "demo"
    sources.mkdir(parents=True)
    (sources / "__init__.py").write_text('"""A package."""\n')
    (sources / "first.py").write_text("from . import second\n\nANSWER = 6 * second.FACTOR\n")
    (sources / "second.py").write_text("FACTOR = 7\n")
    (directory / "recipe.yaml").write_text(RECIPE)
    return build(channel, directory / "recipe.yaml", directory / "output", request.param)


def into_channel(package: Path, channel: Channel) -> Path:
    """Make the package the only `demo` of the channel, and return it there."""
    for other in channel.packages.glob("demo-*"):
        other.unlink()
    return Path(shutil.copy(package, channel.packages))


def imported(prefix: Path) -> tuple[set[str], set[str]]:
    """Import the package with the prefix's Python; return the modules whose bytecode it found stale, and the bytecode
    files that it took code from.
    """
    command = [str(prefix / "bin/python"), "-vB", "-c", "import demo.first; print(demo.first.ANSWER)"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={})
    assert done.stdout.strip() == "42"
    stale = re.findall(r"^# bytecode is stale for '(demo[^']*)'$", done.stderr, re.MULTILINE)
    cached = re.findall(r"^# code object from '.*/demo/__pycache__/([^/]*\.pyc)'$", done.stderr, re.MULTILINE)
    return set(stale), set(cached)


def test_rattler_builds_bytecode_is_ignored_until_restamped(package: Path, channel: Channel, tmp_path: Path) -> None:
    in_channel = into_channel(package, channel)
    judged = check(in_channel, deep=True)
    assert judged.status == "clean"
    assert judged.notes == ("3 of 3 kept bytecode files will be ignored by Python: --extend-select stale-stamp",)
    reindex(channel)
    install(channel, tmp_path / "before", "demo")
    assert imported(tmp_path / "before") == (MODULES, set())

    result = fix(in_channel, in_place=True, extend_select=["stale-stamp"])
    assert (result.status, result.notes) == ("fixed", ())
    assert {(finding.kind, finding.action.value) for finding in result.findings} == {("stale-stamp", "restamp")}
    reindex(channel)
    install(channel, tmp_path / "after", "demo")
    assert imported(tmp_path / "after") == (set(), BYTECODE)

    assert check(in_channel, extend_select=["stale-stamp"]).status == "clean"


def test_the_restamped_package_verifies_as_installed(package: Path, channel: Channel, tmp_path: Path) -> None:
    in_channel = into_channel(package, channel)
    fix(in_channel, in_place=True, extend_select=["stale-stamp"])
    reindex(channel)
    install(channel, tmp_path / "prefix", "demo")
    (record,) = (tmp_path / "prefix/conda-meta").glob("demo-*.json")
    entries = json.loads(record.read_text("utf-8"))["paths_data"]["paths"]
    bytecode = [entry for entry in entries if entry["_path"].endswith(".pyc")]
    assert len(bytecode) == len(BYTECODE)
    for entry in bytecode:
        content = (tmp_path / "prefix" / entry["_path"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["size_in_bytes"])


def test_what_a_script_compiles_needs_no_stamp(channel: Channel, tmp_path: Path) -> None:
    """The prevention that `explain stale-stamp` gives: under a build's SOURCE_DATE_EPOCH, hashes are recorded."""
    (tmp_path / "src/demo").mkdir(parents=True)
    (tmp_path / "src/demo/__init__.py").write_text("ANSWER = 42\n")
    recipe = RECIPE.replace('"$SP_DIR/"', '"$SP_DIR/" && python -m compileall "$SP_DIR"')
    (tmp_path / "recipe.yaml").write_text(recipe)
    package = build(channel, tmp_path / "recipe.yaml", tmp_path / "output")
    result = check(package, deep=True, extend_select=["stale-stamp"])
    assert (result.status, result.findings, result.notes) == ("clean", (), ())
    with zipfile.ZipFile(package) as archive:
        (name,) = (name for name in archive.namelist() if name.startswith("pkg-"))
        tar = zstandard.ZstdDecompressor().stream_reader(archive.read(name)).read()
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        (bytecode,) = (member for member in members if member.name.endswith(".pyc"))
        content = members.extractfile(bytecode)
        assert content is not None
        assert content.read(8)[4:] == b"\3\0\0\0", "a checked hash (PEP 552)"
