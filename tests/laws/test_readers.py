"""All clients read the same content from a fixed package, and it can be installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rattler.package_streaming
from conda_package_handling import api as conda_package_handling
from conda_package_streaming import package_streaming

from conda_prune import fix
from conda_prune.rewrite.libarchive import has_libarchive

from ..seed import STRAY, Seed

stray_seeds = pytest.mark.parametrize("seed", STRAY, ids=[seed.id for seed in STRAY])

Tree = dict[str, str]


def tree(directory: Path) -> Tree:
    """Return the SHA-256 of every file in a directory, by path."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def by_rattler(package: Path, directory: Path) -> Tree:
    rattler.package_streaming.extract(package, directory)
    return tree(directory)


def by_conda_package_handling(package: Path, directory: Path) -> Tree:
    conda_package_handling.extract(str(package), str(directory))
    return tree(directory)


def by_conda_package_streaming(package: Path, directory: Path) -> Tree:
    components = ("info", "pkg") if package.suffix == ".conda" else ("pkg",)
    found: Tree = {}
    for component in components:
        with open(package, "rb") as stream:
            for tar, member in package_streaming.stream_conda_component(str(package), stream, component=component):
                if member.isfile():
                    file = tar.extractfile(member)
                    assert file is not None
                    found[member.name] = hashlib.sha256(file.read()).hexdigest()
    return found


def name_of(entry: Any) -> str:
    """Return the name of a member that libarchive has read."""
    from libarchive import ffi

    return _decoded(entry.pathname, ffi.entry_pathname(entry._entry_p))


def link_of(entry: Any) -> str:
    """Return the target of a link that libarchive has read."""
    from libarchive import ffi

    return _decoded(entry.linkpath, (ffi.entry_symlink if entry.issym else ffi.entry_hardlink)(entry._entry_p))


def _decoded(text: str | bytes, stored: bytes | None) -> str:
    # On Windows, libarchive decodes names by the code page, unless a PAX header says that they are UTF-8.
    # The code page may lack the characters of such a header, and then libarchive has no bytes.
    if os.name == "nt" and isinstance(text, str) and not text.isascii() and stored is not None:
        try:
            return stored.decode()
        except UnicodeDecodeError:
            pass
    return text if isinstance(text, str) else os.fsdecode(text)


def by_libarchive(package: Path, directory: Path) -> Tree:
    if not has_libarchive():
        pytest.skip("the system has no libarchive")
    import libarchive

    found: Tree = {}

    def read(reader: object) -> None:
        for entry in reader:  # type: ignore[attr-defined]
            if entry.isreg:
                found[name_of(entry)] = hashlib.sha256(b"".join(entry.get_blocks())).hexdigest()

    if package.suffix == ".bz2":
        with libarchive.file_reader(str(package)) as reader:
            read(reader)
        return found
    with libarchive.file_reader(str(package)) as outer:
        components = {entry.pathname: b"".join(entry.get_blocks()) for entry in outer}
    for name, packed in components.items():
        if name.endswith(".tar.zst"):
            with libarchive.memory_reader(packed) as reader:
                read(reader)
    return found


@stray_seeds
def test_every_reader_finds_the_same(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    readers = (by_rattler, by_conda_package_handling, by_conda_package_streaming, by_libarchive)
    trees = []
    for reader in readers:
        directory = tmp_path / reader.__name__
        directory.mkdir()
        trees.append(reader(package, directory))
    assert trees[0], "something was read"
    assert not trees[0].keys() & set(seed.stray)
    assert all(found == trees[0] for found in trees)


INSTALL = """
import asyncio, os, sys
import rattler, rattler.package_streaming

async def install(package, prefix):
    rattler.package_streaming.extract(package, prefix + "-extracted")
    index = os.path.join(prefix + "-extracted", "info", "index.json")
    record = rattler.PackageRecord.from_index_json(index, os.path.getsize(package))
    url = "file://" + package
    installed = rattler.RepoDataRecord(record, os.path.basename(package), url, "file:///")
    await rattler.install([installed], prefix, show_progress=False, cache_dir=prefix + "-cache")

asyncio.run(install(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)  # rattler's runtime may crash when the interpreter exits, after its work is done.
"""


def install(package: Path, prefix: Path) -> Tree:
    """Install one package into a prefix, in another process, and return the content of the prefix."""
    subprocess.run([sys.executable, "-c", INSTALL, str(package), str(prefix)], check=True, timeout=120)
    return tree(prefix)


@stray_seeds
def test_rattler_installs_it(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    installed = install(package, tmp_path / "prefix")
    expected = by_rattler(package, tmp_path / "extracted")
    payload = {name: digest for name, digest in expected.items() if not name.startswith("info/")}
    assert {name: installed[name] for name in payload} == payload
    assert not installed.keys() & set(seed.stray)
    records = [name for name in installed if name.startswith("conda-meta/") and name.endswith(".json")]
    assert len(records) == 1
