"""What one would use instead of conda-prune, as commands: `python benchmarks/alternatives.py NAME PACKAGE …`.

Each does its work with tools that conda users have (conda-package-handling, py-rattler, python-zstandard), silently.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard

CHUNK = 1 << 20


def decompress(package: str) -> None:
    """Decompress the payload once and throw it away: the least that any repair must do."""
    with zipfile.ZipFile(package) as archive, archive.open(payload_of(archive)) as packed:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed)
        while reader.read(CHUNK):
            pass


def repair_with_cph(package: str, level: str) -> None:
    """Extract, delete the stray files, edit paths.json and create the package again with conda-package-handling."""
    from conda_package_handling import api

    stray = json.loads(Path(package + ".json").read_text("utf-8"))["stray"]
    with tempfile.TemporaryDirectory(dir=Path(package).parent) as folder:
        tree = Path(folder) / "tree"
        api.extract(package, str(tree))
        for name in stray:
            (tree / name).unlink()
        listing = tree / "info" / "paths.json"
        paths = json.loads(listing.read_text("utf-8"))
        gone = set(stray)
        paths["paths"] = [entry for entry in paths["paths"] if entry["_path"] not in gone]
        listing.write_text(json.dumps(paths, indent=2), "utf-8")
        codec = (".conda", "zstd", f"zstd:compression-level={level}")
        api.create(str(tree), None, str(Path(folder) / Path(package).name), compression_tuple=codec)


def compress_again(package: str, level: str, threads: str) -> None:
    """Decompress the payload and compress all of it again, with as many threads as told."""
    with zipfile.ZipFile(package) as archive, archive.open(payload_of(archive)) as packed:
        content = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed)
        with tempfile.TemporaryFile() as out:
            zstandard.ZstdCompressor(level=int(level), threads=int(threads)).copy_stream(content, out, read_size=CHUNK)


def extract(package: str) -> None:
    """Extract a package with py-rattler, into a directory that is thrown away."""
    from rattler.package_streaming import extract

    with tempfile.TemporaryDirectory(dir=Path(package).parent) as folder:
        extract(Path(package), Path(folder))


def read_paths(package: str) -> None:
    """Read a package's paths.json with py-rattler."""
    import rattler

    rattler.PathsJson.from_package_archive(Path(package))


def payload_of(archive: zipfile.ZipFile) -> str:
    """Return the name of a .conda's payload."""
    return next(name for name in archive.namelist() if name.startswith("pkg-"))


ALTERNATIVES: dict[str, Callable[..., None]] = {
    "decompress": decompress,
    "repair-with-cph": repair_with_cph,
    "compress-again": compress_again,
    "read-paths": read_paths,
    "extract": extract,
}


if __name__ == "__main__":
    ALTERNATIVES[sys.argv[1]](*sys.argv[2:])
