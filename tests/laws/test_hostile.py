"""Foreign bytes: what must be refused is refused with one line and stays as it was; what is odd comes out sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libarchive
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

hostiles = pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.id)
odds = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.id)

ROOT = Path(__file__).parents[2]


def state(path: Path) -> tuple[bytes, int, int, list[str]]:
    """A file's bytes, inode and time of change, and what else is in its directory."""
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, sorted(os.listdir(path.parent))


@dataclass(frozen=True)
class Run:
    """What one run of the executable over all hostile inputs said: per input its JSON object and its line."""

    code: int
    objects: dict[str, Any]
    lines: dict[str, list[str]]
    rest: list[str]
    changed: list[str]


@pytest.fixture(scope="module", params=["check", "fix"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the executable over every hostile input, each in a directory of its own."""
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


def test_every_hostile_input_is_refused_and_stays_as_it_was(run: Run) -> None:
    assert run.code == 3
    assert run.changed == []
    assert run.rest == [], "nothing but one line a package"
    assert run.objects.keys() == {hostile.id for hostile in HOSTILE}


@hostiles
def test_the_refusal_is_one_line_that_says_what_is_wrong(run: Run, hostile: Hostile) -> None:
    (line,) = run.lines[hostile.id]
    # The package's name tells what is wrong with it, too.
    said = line.split(": ", 2)[2].lower()
    assert any(reason in said for reason in hostile.reasons), line
    assert line.isprintable()
    assert len(line) < 2000, "whatever it quotes"
    assert "internal error" not in line
    found = run.objects[hostile.id]
    assert found["status"] == "error"
    assert found["error"]
    assert found["findings"] == []


@hostiles
def test_a_shallow_check_refuses_what_it_reads(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    before = state(path)
    if hostile.payload:
        check(path)  # a .conda's payload is not looked at: whatever is wrong there, a fix refuses
    else:
        with pytest.raises(PruneError):
            check(path)
    assert state(path) == before


@hostiles
def test_callers_get_the_reason_and_the_package_stays(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    before, names = state(path), sorted(os.listdir(tmp_path))
    with pytest.raises(PruneError) as refused:
        fix(path, in_place=True)
    assert any(reason in str(refused.value).lower() for reason in hostile.reasons)
    assert (state(path), sorted(os.listdir(tmp_path))) == (before, names)


def extracted(root: Path) -> dict[str, bytes]:
    """Every file and link below a directory, with its content or target."""
    found: dict[str, bytes] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        for name in [*names, *files]:
            full = os.path.join(directory, name)
            path = os.fsdecode(os.path.relpath(full, os.fsencode(root)))
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
                name = entry.pathname if isinstance(entry.pathname, str) else os.fsdecode(entry.pathname)
                name = os.path.normpath(name)
                if entry.issym:
                    found[name] = b"-> " + os.fsencode(entry.linkpath)
                elif entry.islnk:
                    found[name] = found[os.path.normpath(entry.linkpath)]
                elif entry.isreg:
                    found[name] = b"".join(entry.get_blocks())
    return found


def read_by_everybody(package: Path, directory: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """What each client makes of a package."""
    rattler_extract(package, directory / "rattler")
    yield "rattler", extracted(directory / "rattler")
    cps_extract(package, directory / "cps")
    yield "conda-package-streaming", extracted(directory / "cps")
    yield "libarchive", read_by_libarchive(package)


@odds
def test_odd_inputs_come_out_read_alike_by_every_client(odd: Odd, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    package = odd.make(tmp_path / "in")
    members = {name: raw for group in read_tar_members(package).values() for name, raw in group}
    original = read_by_libarchive(package)
    result = fix(package, in_place=True)
    assert result.status == "fixed"
    assert {finding.path for finding in result.findings if finding.action.value == "drop"} == odd.drops
    kept = {name: data for name, data in original.items() if name not in odd.drops}
    listings = {"info/paths.json", "info/files"}
    for client, found in read_by_everybody(package, tmp_path):
        assert found.keys() == kept.keys(), client
        assert {n for n in kept if found[n] != kept[n]} <= listings, client
    for group in read_tar_members(package).values():
        for name, raw in group:
            assert raw == members[name] or os.path.normpath(name) in listings, "kept members are byte-identical"
    assert fix(package, in_place=True).status == "clean"


@odds
def test_what_is_odd_about_the_container_is_said(odd: Odd, tmp_path: Path) -> None:
    package = odd.make(tmp_path)
    notes = " ".join(check(package).notes)
    said = {
        "zip-deflated": "deflated",
        "zip-data-descriptors": "data descriptors",
        "zip-comment": "comment",
        "zip-no-metadata": "metadata.json is missing",
    }
    for id, words in said.items():
        assert (words in notes) == (odd.id == id), notes


def test_the_gallery_of_errors_is_current() -> None:
    """`python -m tools.error_gallery` writes it anew."""
    written = error_gallery.PAGE.read_text(encoding="utf-8")
    current = error_gallery.page()
    if f"Made with {error_gallery.versions()}." in written:
        assert written == current
    else:
        # Other versions of the libraries use other words for what they find; the inputs are the same.
        def ids(page: str) -> list[str]:
            return [line.partition(":")[0] for line in page.splitlines() if ": " in line and line[0].islower()]

        assert ids(written) == ids(current)
