"""Hostile packages are refused with one line and left unchanged; odd ones are fixed and readable by every client."""

from __future__ import annotations

import json
import os
import posixpath
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conda_package_streaming.extract import extract as cps_extract
from rattler.package_streaming import extract as rattler_extract

from conda_prune import PruneError, check, fix
from tools import error_gallery

from ..corpus.hostile import (
    HOSTILE,
    ODD,
    Hostile,
    Odd,
)
from ..corpus.tars import read_components, read_tar_members
from ..libarchive_or_skip import libarchive
from ..systems import skip_impossible_names
from .test_readers import name_of

hostiles = pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.id)
odds = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.id)

ROOT = Path(__file__).parents[2]


def state(path: Path) -> tuple[bytes, int, int, list[str]]:
    """A file's bytes, inode and modification time, and the names in its directory."""
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, sorted(os.listdir(path.parent))


@dataclass(frozen=True)
class Run:
    """The output of one run over all hostile packages: the JSON object and the lines for each, and all other lines."""

    code: int
    objects: dict[str, Any]
    lines: dict[str, list[str]]
    rest: list[str]
    changed: list[str]


@pytest.fixture(scope="module", params=["check", "fix"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the executable over every hostile package, each in its own directory."""
    root = tmp_path_factory.mktemp(request.param)
    paths = {}
    for hostile in HOSTILE:
        (root / hostile.id).mkdir()
        paths[hostile.id] = hostile.make(root / hostile.id)
    before = {id: state(path) for id, path in paths.items()}
    options = ["--deep"] if request.param == "check" else ["--in-place"]
    report = root / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune", request.param, str(root), *options, "--format", f"json={report}"],
        cwd=ROOT, capture_output=True, text=True, errors="surrogateescape",
    )  # fmt: skip
    lines = done.stderr.splitlines()
    found = {id: [line for line in lines if line.startswith(f"error: {path}: ")] for id, path in paths.items()}
    objects = {os.path.basename(os.path.dirname(one["path"])): one for one in json.loads(report.read_text())}
    rest = [line for line in lines if line not in {line for group in found.values() for line in group}]
    return Run(done.returncode, objects, found, rest, [id for id, path in paths.items() if state(path) != before[id]])


def test_every_hostile_package_is_refused_and_unchanged(run: Run) -> None:
    assert run.code == 3
    assert run.changed == []
    assert run.rest == [], "there is only one line for each package"
    assert run.objects.keys() == {hostile.id for hostile in HOSTILE}


@hostiles
def test_a_refusal_is_one_line_with_the_reason(run: Run, hostile: Hostile) -> None:
    (line,) = run.lines[hostile.id]
    # Without the package's name, which also contains such words.
    message = line.split(": ", 2)[2].lower()
    assert any(reason in message for reason in hostile.reasons), line
    assert line.isprintable()
    assert len(line) < 2000, "quoted input is shortened"
    assert "internal error" not in line
    found = run.objects[hostile.id]
    assert found["status"] == "error"
    assert found["error"]
    assert found["findings"] == []


@hostiles
def test_a_shallow_check_refuses_only_what_it_reads(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    before = state(path)
    if hostile.payload:
        check(path)  # It does not read the payload of a .conda; only a fix does, and refuses it.
    else:
        with pytest.raises(PruneError):
            check(path)
    assert state(path) == before


@hostiles
def test_callers_get_the_reason_and_nothing_changes(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    before, names = state(path), sorted(os.listdir(tmp_path))
    with pytest.raises(PruneError) as refused:
        fix(path, in_place=True)
    assert any(reason in str(refused.value).lower() for reason in hostile.reasons)
    assert (state(path), sorted(os.listdir(tmp_path))) == (before, names)


def extracted(root: Path) -> dict[str, bytes]:
    """The content of every file and the target of every link below a directory."""
    found: dict[str, bytes] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        for name in [*names, *files]:
            full = os.path.join(directory, name)
            path = os.fsdecode(os.path.relpath(full, os.fsencode(root))).replace(os.sep, "/")
            if os.path.islink(full):
                found[path] = b"-> " + os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as stream:
                    found[path] = stream.read()
    return found


def read_by_libarchive(package: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for tar in read_components(package).values():
        with libarchive.memory_reader(tar) as archive:
            for entry in archive:
                name = posixpath.normpath(name_of(entry))
                if entry.issym:
                    found[name] = b"-> " + os.fsencode(entry.linkpath)
                elif entry.islnk:
                    found[name] = found[posixpath.normpath(entry.linkpath)]
                elif entry.isreg:
                    found[name] = b"".join(entry.get_blocks())
    return found


def read_by_everybody(package: Path, directory: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The content that each client reads from a package."""
    rattler_extract(package, directory / "rattler")
    yield "rattler", extracted(directory / "rattler")
    cps_extract(package, directory / "cps")
    yield "conda-package-streaming", extracted(directory / "cps")
    yield "libarchive", read_by_libarchive(package)


@odds
def test_fixed_odd_packages_are_the_same_for_every_client(odd: Odd, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    package = odd.make(tmp_path / "in")
    members = {name: raw for group in read_tar_members(package).values() for name, raw in group}
    original = read_by_libarchive(package)
    result = fix(package, in_place=True)
    skip_impossible_names(members)
    if os.name == "nt" and any(content.startswith(b"-> ") for content in original.values()):
        pytest.skip("Windows needs a privilege to make symbolic links")
    assert result.status == "fixed"
    assert {finding.path for finding in result.findings if finding.action.value == "drop"} == odd.drops
    kept = {name: data for name, data in original.items() if name not in odd.drops}
    listings = {"info/paths.json", "info/files"}
    for client, found in read_by_everybody(package, tmp_path):
        assert found.keys() == kept.keys(), client
        assert {n for n in kept if found[n] != kept[n]} <= listings, client
    for group in read_tar_members(package).values():
        for name, raw in group:
            assert raw == members[name] or posixpath.normpath(name) in listings, "kept members are byte-identical"
    assert fix(package, in_place=True).status == "clean"


@odds
def test_oddities_of_the_container_are_noted(odd: Odd, tmp_path: Path) -> None:
    package = odd.make(tmp_path)
    notes = " ".join(check(package).notes)
    expected = {
        "zip-deflated": "deflated",
        "zip-data-descriptors": "data descriptors",
        "zip-comment": "comment",
        "zip-no-metadata": "metadata.json is missing",
    }
    for id, words in expected.items():
        assert (words in notes) == (odd.id == id), notes


def test_the_gallery_of_errors_is_current() -> None:
    """If not, run `python -m tools.error_gallery`."""
    written = error_gallery.PAGE.read_text(encoding="utf-8")
    current = error_gallery.page()
    if os.name == "posix" and f"Made with {error_gallery.versions()}." in written:
        assert written == current
    else:
        # Other systems and other versions of the libraries have other messages, but the inputs are the same.
        def ids(page: str) -> list[str]:
            return [line.partition(":")[0] for line in page.splitlines() if ": " in line and line[0].islower()]

        assert ids(written) == ids(current)
