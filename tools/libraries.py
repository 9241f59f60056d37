"""Downloads the JavaScript libraries that the page of an audit contains, exactly as npm publishes them.

    python -m tools.libraries

Run it after you changed a version below. It checks each download against the hash in the registry, copies the minified
file and its license, and writes libraries.json: name, version, license, source and SHA-256 of each file. A test
compares the files with this table. Look at the page in a browser before you commit.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
DIRECTORY = REPOSITORY / "conda_prune" / "report" / "audit" / "libraries"
TABLE = DIRECTORY / "libraries.json"
_REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Library:
    """A pinned npm package: where it goes, and which of its files are taken."""

    directory: str
    package: str
    version: str
    script: str
    license: str

    @property
    def files(self) -> tuple[str, str]:
        """The paths of both files, relative to DIRECTORY."""
        return f"{self.directory}/{Path(self.script).name}", f"{self.directory}/{self.license}"


LIBRARIES = (
    # The release that Plot's minified file was built for: it names it in its first line of code.
    Library("d3", "d3", "7.9.0", "dist/d3.min.js", "LICENSE"),
    Library("plot", "@observablehq/plot", "0.6.17", "dist/plot.umd.min.js", "LICENSE"),
    Library("datatables", "datatables.net", "3.1.5", "js/dataTables.min.js", "License.txt"),
)
"""The libraries in the order that they are loaded in."""


def unpacked(library: Library, tarball: bytes, integrity: str) -> tuple[bytes, bytes]:
    """Return the script and the license of a package. Raises ValueError if the download has another hash."""
    algorithm, _, expected = integrity.partition("-")
    if algorithm != "sha512" or hashlib.sha512(tarball).digest() != base64.b64decode(expected):
        raise ValueError(f"{library.package} {library.version}: the download does not match {integrity}")
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        script, license = (archive.extractfile(f"package/{name}") for name in (library.script, library.license))
        assert script is not None
        assert license is not None
        return script.read(), license.read()


def main() -> None:
    """Replace the files and the table."""
    downloads: list[tuple[Library, dict[str, Any], bytes, bytes]] = []
    for library in LIBRARIES:
        about = json.loads(_download(f"{_REGISTRY}/{library.package}/{library.version}"))
        tarball = _download(about["dist"]["tarball"])
        downloads.append((library, about, *unpacked(library, tarball, about["dist"]["integrity"])))
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    table = []
    for library, about, script, license in downloads:
        for path, content in zip(library.files, (script, license), strict=True):
            (DIRECTORY / path).parent.mkdir(parents=True, exist_ok=True)
            (DIRECTORY / path).write_bytes(content)
        file, license_file = library.files
        table.append({
            "name": library.package, "version": library.version, "license": about["license"],
            "source": about["dist"]["tarball"], "file": file, "sha256": hashlib.sha256(script).hexdigest(),
            "license_file": license_file, "license_sha256": hashlib.sha256(license).hexdigest(),
        })  # fmt: skip
    TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="ascii", newline="\n")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 (the registry, and what it names)
        content: bytes = response.read()
    return content


if __name__ == "__main__":
    main()
