"""Local channels: indexed by rattler's indexer or by conda-index, and read back in every form of their index."""

from __future__ import annotations

import bz2
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from .corpus.entries import PackageSpec
from .corpus.packages import write_package

SUBDIR = "linux-64"
STRAY_FILE = "lib/python3.10/site-packages/m/__pycache__/m.cpython-310.pyc"

RATTLER = """
import asyncio, os, sys
import rattler.index
asyncio.run(rattler.index.index_fs(sys.argv[1], repodata_revisions=sys.argv[2:] or None, force=True))
sys.stdout.flush()
os._exit(0)
"""

CONDA_INDEX = """
import sys
from conda_index.index import ChannelIndex

if __name__ == "__main__":
    index = ChannelIndex(
        sys.argv[1], "channel", threads=1, write_bz2=True, write_zst=True, write_run_exports=True, write_shards=True,
        base_url="https://example.org/channel", write_current_repodata=False, repodata_v3="v3" in sys.argv[2:],
    )
    index.index(None)
"""

CONDA = {
    "conda/__init__.py": "",
    "conda/models/__init__.py": "",
    "conda/models/version.py": "from rattler import Version as VersionOrder\n",
    "conda/base/__init__.py": "",
    "conda/base/constants.py": f"PLATFORM_DIRECTORIES = ('noarch', {SUBDIR!r})\n",
}
"""What conda-index needs of conda, which is not on PyPI: an order of versions, and the names of subdirs."""


def index_with_rattler(channel: Path, *revisions: str) -> None:
    """Index a channel with rattler's indexer, in a process that ends before its runtime can crash."""
    subprocess.run([sys.executable, "-c", RATTLER, channel, *revisions], check=True, capture_output=True)


def index_with_conda_index(channel: Path, *revisions: str) -> None:
    """Index a channel with conda-index: shards in the subdir itself, with `base_url`, `version` and `run_exports`."""
    if importlib.util.find_spec("conda_index") is None:
        pytest.skip("conda-index is not installed")
    stand_in = channel.parent / "conda-stand-in"
    for name, text in CONDA.items():
        (stand_in / name).parent.mkdir(parents=True, exist_ok=True)
        (stand_in / name).write_text(text)
    script = stand_in / "index_channel.py"
    script.write_text(CONDA_INDEX)
    environment = {**os.environ, "PYTHONPATH": str(stand_in)}
    subprocess.run([sys.executable, script, channel, *revisions], check=True, capture_output=True, env=environment)


def write_stray(subdir: Path, name: str, version: str = "1.0", **fields: Any) -> Path:
    """Write a package for Python 3.11 with a stray file of Python 3.10."""
    files = {STRAY_FILE: b"stray" * 20, f"share/{name}.txt": name.encode()}
    return write_package(
        PackageSpec(name, version, depends=("python_abi 3.11.* *_cp311",), files=files, **fields), subdir
    )


def unpacked(path: Path) -> bytes:
    """Return what a file of an index holds, uncompressed."""
    content = path.read_bytes()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(content).read()
    return bz2.decompress(content) if path.suffix == ".bz2" else content


def documents(subdir: Path) -> dict[str, Any]:
    """Return the content of every form of an index by the form's name; shards stand in the place of their hashes."""
    found: dict[str, Any] = {}
    for path in sorted(subdir.iterdir()):
        if path.name.startswith("."):
            continue
        if "repodata_shards" in path.name:
            found[path.name] = index = msgpack.unpackb(unpacked(path))
            directory = subdir / index["info"]["shards_base_url"]
            index["shards"] = {name: read_shard(directory, digest) for name, digest in index["shards"].items()}
        elif "repodata" in path.name and ".json" in path.suffixes and path.suffix != ".jlap":
            found[path.name] = json.loads(unpacked(path))
    return found


def read_shard(directory: Path, digest: bytes) -> Any:
    """Return a shard; fail when its content does not have the hash in its name."""
    path = directory / f"{digest.hex()}.msgpack.zst"
    assert hashlib.sha256(path.read_bytes()).digest() == digest
    return msgpack.unpackb(unpacked(path))


def each_record(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record of a repodata.json, a shard or an index of shards, with the name of the package's file."""
    for shard in document.get("shards", {}).values():
        yield from each_record(shard)
    for section in ("packages", "packages.conda"):
        yield from document.get(section, {}).items()
    for ending, section in document.get("v3", {}).items():
        yield from ((f"{key}.{ending}", record) for key, record in section.items())


def assert_true(subdir: Path) -> None:
    """Assert that in every form of the index every record of a package that is there is true."""
    checked = 0
    for form, document in documents(subdir).items():
        for name, record in each_record(document):
            if (subdir / name).exists():
                content = (subdir / name).read_bytes()
                told = record["size"], hexadecimal(record["sha256"]), hexadecimal(record["md5"])
                assert told == (len(content), *hashes(content)), f"{name} in {form}"
                checked += 1
    assert checked


def hashes(content: bytes) -> tuple[str, str]:
    """Return the hashes that a record holds of a file's content."""
    return hashlib.sha256(content).hexdigest(), hashlib.md5(content, usedforsecurity=False).hexdigest()


def hexadecimal(digest: str | bytes) -> str:
    """Return a hash of a record as text; shards hold bytes."""
    return digest.hex() if isinstance(digest, bytes) else digest


def read(subdir: Path) -> dict[str, Any]:
    """Return a subdir's repodata.json."""
    value: dict[str, Any] = json.loads((subdir / "repodata.json").read_text("utf-8"))
    return value


def write(subdir: Path, value: Any, name: str = "repodata.json") -> None:
    """Write a JSON form of an index."""
    (subdir / name).write_text(json.dumps(value))


def write_shards(subdir: Path, index: dict[str, Any], name: str = "repodata_shards.msgpack.zst") -> None:
    """Write an index of shards as `documents` returns it, and its shards."""
    directory = subdir / index["info"]["shards_base_url"]
    digests = {}
    for package, shard in index["shards"].items():
        content = zstandard.compress(msgpack.packb(shard))
        digests[package] = hashlib.sha256(content).digest()
        (directory / f"{digests[package].hex()}.msgpack.zst").write_bytes(content)
    (subdir / name).write_bytes(zstandard.compress(msgpack.packb({**index, "shards": digests})))


def state(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the content, the inode and the time of every file below a directory."""
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
