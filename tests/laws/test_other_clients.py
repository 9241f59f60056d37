"""Clients that the other tests do not have: Debian's from 2022, and rattler's reader of remote packages."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import fix

from ..audit.servers import FaultyServer
from ..corpus.packages import FORMATS, write_package
from ..corpus.scenarios import SCENARIOS
from ..seed import STRAY
from ..systems import is_possible_name
from .test_readers import by_conda_package_handling, by_conda_package_streaming

VERSIONS = {"conda-package-handling": "2.0.1", "python3-conda-package-streaming": "0.7.0"}
"""Debian's packages and their versions in Debian 12. conda-package-handling 2.0.1 is not on PyPI."""


def package_paths(directory: Path) -> Iterator[Path]:
    """Write packages of both formats with findings: real ones, scenarios, and one with many blocks."""
    for seed in STRAY:
        yield seed.copy(directory)
    fitting = [scenario for scenario in SCENARIOS if scenario.drops and scenario.stem is None]
    if os.name == "nt":
        fitting = [scenario for scenario in fitting if all(map(is_possible_name, scenario.spec.entries))]
    noise = random.Random(7).randbytes(3_000_000)
    large = replace(fitting[0].spec, files={**fitting[0].spec.files, "share/noise": noise, "share/zeros": bytes(10**7)})
    for number, spec in enumerate([large, *(scenario.spec for scenario in fitting[::6])]):
        for format_ in FORMATS:
            (directory / f"{number}{format_}").mkdir()
            yield write_package(spec, directory / f"{number}{format_}", format=format_)


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Packages that were repaired."""
    paths = list(package_paths(tmp_path_factory.mktemp("packages")))
    assert {fix(path, in_place=True).status for path in paths} == {"fixed"}
    return paths


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with Debian's old clients."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        pytest.skip("this system has no apt-get, which gets Debian's packages")
    directory = tmp_path_factory.mktemp("debian")

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            pytest.skip(f"{command[0]} cannot get Debian's old clients here: {lines[-1]}")

    quick = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20")
    run("apt-get", *quick, "download", *VERSIONS)
    for archive in directory.glob("*.deb"):
        name, version = archive.name.split("_")[:2]
        if not version.startswith(f"{VERSIONS[name]}-"):
            pytest.skip(f"this system has {name} {version} instead of {VERSIONS[name]}")
        run("dpkg-deb", "-x", archive, directory / "unpacked")
    run(sys.executable, "-m", "venv", "--without-pip", directory / "venv")
    python = directory / "venv" / "bin" / "python"
    (packages,) = (directory / "venv").rglob("site-packages")
    needed = ("requests", "six", "tqdm", "zstandard")
    run(sys.executable, "-m", "pip", "--timeout", "20", "--quiet", "install", "--target", packages, *needed)
    (packages / "debian.pth").write_text(str(directory / "unpacked" / "usr" / "lib" / "python3" / "dist-packages"))
    return python


READ = """
import hashlib, json, os, sys
import conda_package_handling, conda_package_streaming
from conda_package_handling import api
from conda_package_streaming import package_streaming
found = {}
for package in json.loads(sys.stdin.read()):
    directory = package + ".extracted"
    api.extract(package, directory)
    extracted = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
                extracted[os.path.relpath(path, directory)] = digest
    streamed = {}
    for component in ("info", "pkg") if package.endswith(".conda") else ("pkg",):
        with open(package, "rb") as file:
            for tar, member in package_streaming.stream_conda_component(package, file, component=component):
                if member.isfile():
                    streamed[member.name] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()
    found[package] = [extracted, streamed]
json.dump([conda_package_handling.__version__, conda_package_streaming.__version__, found], sys.stdout)
"""


def test_clients_of_2022_read_the_same_as_todays(debian: Path, repaired: list[Path], tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [debian, "-c", READ], input=json.dumps(list(map(str, repaired))), env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *versions, found = json.loads(done.stdout)
    assert versions == list(VERSIONS.values())
    for number, package in enumerate(repaired):
        extracted, streamed = found[str(package)]
        assert extracted == by_conda_package_handling(package, tmp_path / str(number)), package
        assert streamed == by_conda_package_streaming(package, tmp_path), package


SPARSE = """
import asyncio, base64, json, os, sys
from rattler.networking import Client
from rattler.package_streaming import PackageArchive

async def read(url, names):
    archive = await PackageArchive.from_url(Client(), url, sparse="require")
    assert archive.access == "sparse", archive.access
    index, listing = await archive.index_json(), await archive.paths_json()
    files = await archive.read_files(names)
    texts = {name: base64.b64encode(content).decode() for name, content in files.items() if content is not None}
    listed = sorted(str(entry.relative_path).replace(os.sep, "/") for entry in listing.paths)
    return [index.name.normalized, listed, texts]

async def main():
    return {url: await read(url, names) for url, names in json.loads(sys.stdin.read()).items()}

json.dump(asyncio.run(main()), sys.stdout)
sys.stdout.flush()
os._exit(0)  # py-rattler's async API may crash when Python ends.
"""


def test_rattler_reads_a_repaired_package_by_ranges(repaired: list[Path], tmp_path: Path) -> None:
    wanted: dict[str, list[str]] = {}
    expected: dict[str, dict[str, Any]] = {}
    root = Path(os.path.commonpath(repaired))
    with FaultyServer(root).running() as server:
        for number, package in enumerate(path for path in repaired if path.suffix == ".conda"):
            url = f"{server.url}/{package.relative_to(root).as_posix()}"
            by_conda_package_handling(package, tmp_path / str(number))
            files = [path for path in (tmp_path / str(number)).rglob("*") if path.is_file() and not path.is_symlink()]
            expected[url] = {path.relative_to(tmp_path / str(number)).as_posix(): path for path in files}
            wanted[url] = [*expected[url], "lib/absent"]
        done = subprocess.run(
            [sys.executable, "-c", SPARSE], input=json.dumps(wanted), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert max(server.requests.values()) > 1, "a package is not read as a whole"
    found = json.loads(done.stdout)
    for url, (name, listed, texts) in found.items():
        contents = {path: file.read_bytes() for path, file in expected[url].items()}
        assert name == json.loads(contents["info/index.json"])["name"]
        paths = json.loads(contents["info/paths.json"])["paths"] if "info/paths.json" in contents else []
        assert listed == sorted(entry["_path"] for entry in paths)
        assert {path: base64.b64decode(text) for path, text in texts.items()} == contents
