"""Prepares the situations of docs/errors.md: what a directory holds when the commands of a section run in it.

SITUATIONS has an entry for each heading of the page. A test runs every command and compares the whole output, so the
page cannot promise a message that does not exist.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.corpus.bytecode import modules
from tests.corpus.hostile import HOSTILE
from tests.corpus.packages import PackageSpec, write_package
from tests.corpus.scenario import conda_forge, for_311

SEED = Path(__file__).resolve().parents[1] / "testdata" / "seed"
SITE = "lib/python3.11/site-packages"
TWO_TAGS = modules(SITE, "hello/a", tags=("cpython-311", "cpython-310"))

OUTPUT = Path("output/linux-64")


def _output(directory: Path) -> Path:
    """Create the output directory of a build."""
    output = directory / OUTPUT
    output.mkdir(parents=True)
    return output


def _stray(directory: Path) -> Path:
    """Write a package with a stray file to the output directory."""
    return write_package(for_311("hello", TWO_TAGS), _output(directory))


def _empty(directory: Path) -> None:
    (_output(directory) / "build.log").write_bytes(b"")


def _seed(directory: Path) -> None:
    shutil.copytree(SEED, directory / OUTPUT)


def _crafted(id: str) -> Callable[[Path], None]:
    """Return what writes a crafted input of the tests to the output directory."""
    (make,) = [hostile.make for hostile in HOSTILE if hostile.id == id]

    def prepare(directory: Path) -> None:
        package = make(_output(directory))
        package.rename(
            package.with_name(f"hello-1.2.3-py311h1234567_0{'.conda' if package.suffix == '.conda' else '.tar.bz2'}")
        )

    return prepare


def _undecided(directory: Path) -> None:
    spec = PackageSpec("hello", build="h1234567_0", depends=("python >=3.8",), files=TWO_TAGS)
    write_package(spec, _output(directory))


def _contradictory(directory: Path) -> None:
    depends = (*conda_forge("3.11"), "python_abi 3.12.* *_cp312")
    write_package(PackageSpec("hello", build="py311h1234567_0", depends=depends, files=TWO_TAGS), _output(directory))


def _read_only(directory: Path) -> None:
    _stray(directory).chmod(0o444)


def _in_a_cache(directory: Path) -> None:
    cache = directory / "pkgs"
    cache.mkdir()
    (cache / "urls.txt").write_bytes(b"")
    package = _stray(directory)
    package.rename(cache / package.name)


def _broken_index(directory: Path) -> None:
    package = _stray(directory)
    (package.parent / "repodata.json").write_text('{"packages.conda": {', encoding="utf-8")


def _attested(directory: Path) -> None:
    package = _stray(directory)
    package.with_name(f"{package.name}.sigstore").write_bytes(b"{}")


def _backup(directory: Path) -> None:
    package = _stray(directory)
    package.with_name(f"{package.name}.orig").write_bytes(b"another package")


def _wrong_hash(directory: Path) -> None:
    """A package whose paths.json states a hash that is not that of the file."""
    files = modules(SITE, "hello/a", tags=("cpython-311",))

    def edit(text: bytes) -> bytes:
        listing = json.loads(text)
        listing["paths"][0]["sha256"] = "0" * 64
        return json.dumps(listing, indent=2).encode()

    write_package(for_311("hello", files, paths_json=edit), _output(directory))


def _rebuilt(directory: Path) -> None:
    for name, content in (("old", "3.11"), ("new", "3.12")):
        (directory / name).mkdir()
        files = modules(SITE, "hello/a" if content == "3.11" else "hello/b", tags=("cpython-311",))
        write_package(for_311("hello", files), directory / name)


SITUATIONS: dict[str, Callable[[Path], object]] = {
    "No package is found": _empty,
    "It is not clear where the result should go": _stray,
    "A kind of finding does not exist": _seed,
    "A --keep pattern matches nothing": _seed,
    "The bytecode is undecided": _undecided,
    "The evidence is contradictory": _contradictory,
    "The download is truncated": _crafted("half-a-zip"),
    "The download is a web page": _crafted("html-page.conda"),
    "Readers would not agree about the package": _crafted("bz2-second-stream"),
    "The package's own listing is broken": _crafted("paths-cut.conda"),
    "The package's own listing is wrong": _wrong_hash,
    "The package is larger than the limits": _stray,
    "The package is read-only": _read_only,
    "The package is in a cache": _in_a_cache,
    "The channel's index is broken": _broken_index,
    "A signature does not fit any more": _attested,
    "The backup already exists": _backup,
    "`diff` reports unexpected changes": _rebuilt,
}
