"""Writes packages for Python 3.11, fixes them, and reads what is in them without the code under test."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conda_prune import Result, check, fix

from ..corpus.bytecode import modules, pyc
from ..corpus.entries import AnyEntry
from ..corpus.packages import write_package
from ..corpus.scenario import for_311
from ..corpus.tars import read_components, read_tar_members

TREE = "lib/python3.11/site-packages"
OTHER_TREE = "lib/python3.10/site-packages"
OWN = modules(TREE, "m/a", tags=("cpython-311",))
"""The files that every package has: a module with its bytecode."""
CACHE = f"{TREE}/m/__pycache__"
STRAY, OPTIMIZED, OWN_PYC = (f"{CACHE}/a.cpython-{tag}.pyc" for tag in ("310", "310.opt-1", "311"))
CONTENT = pyc("cpython-310", "stray")
"""The content of stray files."""


def write(directory: Path, files: dict[str, AnyEntry], **options: Any) -> Path:
    """Write a package for Python 3.11 with OWN and these files. The options are for_311's and write_package's."""
    described = {key: options.pop(key) for key in ("paths_json", "legacy_listings", "info") if key in options}
    return write_package(for_311("planned", OWN | files, **described), directory, **options)


def member_names(path: Path) -> set[str]:
    """Return the names of all members of a package that are not below `info/`."""
    members = (member for members in read_tar_members(path).values() for member in members)
    return {name for name, _ in members if not name.startswith("info/")}


def read_files(path: Path) -> dict[str, bytes]:
    """Return the content of every regular member and of every hard link, read by tarfile."""
    found = {}
    for tar in read_components(path).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if not member.issym() and (file := archive.extractfile(member)):
                    found[member.name] = file.read()
    return found


def read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries in a package's paths.json, by path."""
    return {entry["_path"]: entry for entry in json.loads(read_files(path)["info/paths.json"])["paths"]}


def actions_of(result: Result) -> dict[str, str]:
    """Return the action of each finding that is not quiet, by path."""
    return {finding.path: finding.action.value for finding in result.findings if not finding.quiet}


def fix_and_recheck(path: Path, **options: Any) -> Result:
    """Fix a package; assert that it is clean afterwards, and that installers find the files that the listing names."""
    result = fix(path, in_place=True, **options)
    assert check(path, deep=True, **options).status == "clean"
    assert fix(path, in_place=True, **options).status == "clean"
    listed = {name for name, entry in read_entries(path).items() if entry.get("path_type") != "directory"}
    assert listed <= member_names(path)
    return result


def with_listing(change: Callable[[dict[str, Any], Any], object]) -> Callable[[bytes], bytes]:
    """Return a function that edits a paths.json, for the `paths_json` of a package.

    `change` gets the entries by path, and the list of them.
    """

    def edit(listing: bytes) -> bytes:
        document = json.loads(listing)
        change({entry["_path"]: entry for entry in document["paths"]}, document["paths"])
        return json.dumps(document, indent=2).encode()

    return edit
