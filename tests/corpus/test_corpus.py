"""The corpus itself is sound: foreign readers agree on every package, and what it expects is consistent."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import pytest
import zstandard
from conda_package_streaming.extract import extract as cps_extract
from rattler.package_streaming import extract as rattler_extract

from tests.corpus import crafted
from tests.corpus.entries import (
    Directory,
    File,
    Hardlink,
    Symlink,
    file_at,
)
from tests.corpus.hostile import (
    HOSTILE,
    ODD,
    Hostile,
    Odd,
)
from tests.corpus.packages import (
    FORMATS,
    GNU,
    PAX,
    USTAR,
    WRITERS,
    Dialect,
    Format,
    Position,
    Writer,
    write_package,
)
from tests.corpus.scenarios import SCENARIOS, Scenario
from tests.corpus.tars import read_components, read_tar_members, split_members
from tests.laws.test_readers import name_of
from tests.libarchive_or_skip import libarchive
from tests.systems import skip_impossible_names
from tests.wine import IS_WINE

if TYPE_CHECKING:
    from pathlib import Path

COMBINATIONS: list[tuple[Format, Writer]] = [(format, writer) for format in FORMATS for writer in WRITERS]
BYTECODE = (".pyc", ".pyo")

SOUND = crafted.BASE

scenarios = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
combinations = pytest.mark.parametrize(("format", "writer"), COMBINATIONS)

Written = Callable[[Scenario, Format, Writer], "Path"]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Writes a scenario's package once per session."""

    @cache
    def once(id: str, format: Format, writer: Writer) -> Path:
        scenario = next(scenario for scenario in SCENARIOS if scenario.id == id)
        directory = tmp_path_factory.mktemp("written")
        return write_package(scenario.spec, directory, format=format, writer=writer, stem=scenario.stem)

    return lambda scenario, format, writer: once(scenario.id, format, writer)


def expected_content(scenario: Scenario) -> dict[str, bytes | None]:
    """What extraction must give below the root, leaving info/ out: content, or None for a directory."""
    entries = scenario.spec.entries
    content: dict[str, bytes | None] = {}
    for path, entry in entries.items():
        if isinstance(entry, Symlink):
            content[path] = b"-> " + entry.target.encode()
        elif isinstance(entry, Directory):
            content[path] = None
        else:
            found = file_at(entries, path)
            assert found is not None
            content[path] = found.data
    return content


def extracted_content(root: Path) -> dict[str, bytes | None]:
    """The same, read from the disk: directories only where nothing lies below them."""
    content: dict[str, bytes | None] = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            full = os.path.join(directory, name)
            path = os.path.relpath(full, root).replace(os.sep, "/")
            if os.path.islink(full):
                content[path] = b"-> " + os.fsencode(os.readlink(full))
            elif os.path.isfile(full):
                with open(full, "rb") as stream:
                    content[path] = stream.read()
            else:
                content[path] = None
    return {path: data for path, data in content.items() if path.split("/")[0] != "info"}


def assert_extracted(scenario: Scenario, root: Path) -> None:
    expected, extracted = expected_content(scenario), extracted_content(root)
    assert {p: d for p, d in expected.items() if d is not None} == {p: d for p, d in extracted.items() if d is not None}
    assert {p for p, d in expected.items() if d is None} <= {p for p, d in extracted.items() if d is None}


def test_scenarios_have_names_of_their_own() -> None:
    ids = [scenario.id for scenario in SCENARIOS]
    assert len(set(ids)) == len(ids)


@scenarios
def test_expectations_are_about_members_of_the_package(scenario: Scenario) -> None:
    entries = scenario.spec.entries
    assert scenario.drops | scenario.emptied | scenario.edited | scenario.promoted <= set(entries)
    assert all(path.rstrip("0123456789.").endswith(BYTECODE) for path in scenario.drops)
    assert all(isinstance(entries[path], Directory) for path in scenario.emptied)
    assert all(isinstance(entries[path], File) for path in scenario.edited)
    assert not scenario.drops & (scenario.edited | scenario.promoted | scenario.emptied)
    if scenario.kinds is not None:
        assert sum(scenario.kinds.values()) == len(scenario.drops)
    if scenario.refused:
        assert not scenario.drops


@scenarios
def test_consequences_of_the_drops_are_all_expected(scenario: Scenario) -> None:
    entries = scenario.spec.entries
    kept = {path: entry for path, entry in entries.items() if path not in scenario.drops}
    links = {path: entry for path, entry in kept.items() if isinstance(entry, (Hardlink, Symlink))}
    promoted = {p for p, e in links.items() if isinstance(e, Hardlink) and e.target in scenario.drops}
    assert promoted == scenario.promoted
    for path, link in links.items():
        if isinstance(link, Symlink):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.target))
            assert target not in scenario.drops, f"{path} would dangle"
    for path, entry in kept.items():
        if isinstance(entry, File) and path.endswith(("/RECORD", "/installed-files.txt")):
            base = path if path.endswith("installed-files.txt") else posixpath.dirname(path)
            names = [line.split(",")[0] for line in entry.data.decode().splitlines()]
            listed = {posixpath.normpath(posixpath.join(posixpath.dirname(base), name)) for name in names}
            assert (path in scenario.edited) == bool(listed & scenario.drops)
    for path in scenario.emptied:
        below = {other for other in kept if other.startswith(f"{path}/")}
        assert below <= scenario.emptied
        assert any(other.startswith(f"{path}/") for other in scenario.drops)


@combinations
@scenarios
def test_every_reader_sees_the_described_members(
    scenario: Scenario, format: Format, writer: Writer, written: Written
) -> None:
    path = written(scenario, format, writer)
    components = read_components(path)
    expected = set(scenario.spec.entries)
    found: list[str] = []
    for tar in components.values():
        members = split_members(tar)
        body = b"".join(raw for _, raw in members)
        assert tar[: len(body)] == body
        rest = tar[len(body) :]
        assert len(rest) >= 1024
        assert not rest.strip(b"\0")
        names = [name for name, _ in members]
        with libarchive.memory_reader(tar) as archive:
            # libarchive composes decomposed characters of PAX names.
            read = [unicodedata.normalize("NFC", name_of(entry).rstrip("/")) for entry in archive]
            assert read == [unicodedata.normalize("NFC", name) for name in names]
        found += [name for name in names if not name.startswith("info/")]
    assert sorted(found) == sorted(expected)


@combinations
@scenarios
def test_listing_is_true_unless_meant_to_be_stale(
    scenario: Scenario, format: Format, writer: Writer, written: Written
) -> None:
    path = written(scenario, format, writer)
    content: dict[str, bytes] = {}
    for tar in read_components(path).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if member.isreg() or member.islnk():
                    stream = archive.extractfile(member)
                    assert stream is not None
                    content[member.name] = stream.read()
    entries = scenario.spec.entries
    if "info/files" in content:
        assert content["info/files"].decode().splitlines() == sorted(
            path for path, entry in entries.items() if not isinstance(entry, Directory)
        )
    if "info/paths.json" not in content:
        assert scenario.spec.paths_json is None
        return
    listing = json.loads(content["info/paths.json"])
    assert listing["paths_version"] == 1
    rows = {row["_path"]: row for row in listing["paths"]}
    assert len(rows) == len(listing["paths"])
    wrong = set(rows) ^ set(entries)
    for name, row in rows.items():
        if row["path_type"] == "hardlink":
            data = content.get(name)
            if data is None or (len(data), hashlib.sha256(data).hexdigest()) != (
                row["size_in_bytes"],
                row["sha256"],
            ):
                wrong.add(name)
        assert set(row.get("inode_paths", ())) <= set(entries)
    assert wrong == scenario.stale


@pytest.mark.parametrize("format", FORMATS)
@scenarios
def test_rattler_and_conda_extract_it(scenario: Scenario, format: Format, written: Written, tmp_path: Path) -> None:
    skip_impossible_names(scenario.spec.entries)
    if os.name == "nt" and any(isinstance(entry, Symlink) for entry in scenario.spec.entries.values()):
        pytest.skip("Windows needs a privilege to make symbolic links")
    if IS_WINE and any(len(str(tmp_path / "cps0" / path)) > 259 for path in scenario.spec.entries):
        pytest.skip("GetFinalPathNameByHandle of Wine takes no path longer than MAX_PATH, which tarfile calls")
    for number, writer in enumerate(WRITERS):
        path = written(scenario, format, writer)
        if sys.platform == "linux":
            rattler_extract(path, tmp_path / f"rattler{number}")
            assert_extracted(scenario, tmp_path / f"rattler{number}")
        if scenario.stem is None or format == ".tar.bz2":
            cps_extract(path, tmp_path / f"cps{number}")
            assert_extracted(scenario, tmp_path / f"cps{number}")


@pytest.mark.parametrize("dialect", [GNU, PAX, USTAR])
def test_dialects_and_positions_hold_the_same_members(dialect: Dialect, tmp_path: Path) -> None:
    scenario = next(s for s in SCENARIOS if s.id == "long-names")
    names = []
    positions: tuple[Position, ...] = ("first", "middle", "last")
    for position in positions:
        path = write_package(
            scenario.spec,
            tmp_path,
            format=".tar.bz2",
            dialect=dialect,
            info_position=position,
        )
        names.append([name for name, _ in read_tar_members(path)["tar"]])
    assert sorted(names[0]) == sorted(names[1]) == sorted(names[2])
    assert names[0][0].startswith("info/")
    assert names[2][-1].startswith("info/")
    assert not names[1][0].startswith("info/")
    assert not names[1][-1].startswith("info/")


def test_habits_of_the_writers(tmp_path: Path) -> None:
    spec = SCENARIOS[0].spec
    orders = {
        "rattler": ["metadata.json", "pkg-", "info-"],
        "conda-build": ["metadata.json", "pkg-", "info-"],
        "cph1": ["info-", "pkg-", "metadata.json"],
    }
    for writer in WRITERS:
        path = write_package(spec, tmp_path, writer=writer)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            infos = archive.infolist()
            names = [i.filename.replace(f"{spec.stem}.tar.zst", "") for i in infos]
            assert names == orders[writer]
            assert all(i.compress_type == zipfile.ZIP_STORED and not i.flag_bits for i in infos)
            assert all(bool(i.extra) == (writer == "rattler") for i in infos)
            for info in infos:
                if info.filename.endswith(".zst"):
                    frame = zstandard.get_frame_parameters(archive.read(info))
                    assert frame.has_checksum is False
                    assert (frame.content_size == zstandard.CONTENTSIZE_UNKNOWN) == (writer == "cph1")
                    assert writer != "cph1" or frame.window_size == 128 << 20


def test_the_same_description_gives_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, hashlib\n"
        "from tests.corpus.packages import *\n"
        "from tests.corpus.scenarios import SCENARIOS\n"
        "for s in SCENARIOS[::9]:\n"
        "    for w in WRITERS:\n"
        "        p = write_package(s.spec, pathlib.Path(sys.argv[1]), writer=w)\n"
        "        print(hashlib.sha256(p.read_bytes()).hexdigest())\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.id)
def test_odd_inputs_hold_the_sound_members(odd: Odd, tmp_path: Path) -> None:
    path = odd.make(tmp_path)
    assert path.name == f"{SOUND.stem}{odd.format}"
    names = set()
    for tar in read_components(path).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:", errors="surrogateescape") as archive:
            read = archive.getnames()
            assert len(set(read)) == len(read)
            names |= {posixpath.normpath(name) for name in read}
        with libarchive.memory_reader(tar) as entries:
            assert len(list(entries)) == len(read)
    assert set(SOUND.entries) | {"info/index.json"} <= names
    assert odd.drops <= names
    skip_impossible_names(names)
    cps_extract(path, tmp_path / "out")
    assert (tmp_path / "out" / "info" / "index.json").is_file()


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.id)
def test_hostile_inputs_are_not_the_sound_package(hostile: Hostile, tmp_path: Path) -> None:
    sound = write_package(SOUND, tmp_path, format=hostile.format).read_bytes()
    path = hostile.make(tmp_path)
    assert path.name == f"{SOUND.stem}{hostile.format}"
    assert path.read_bytes() != sound
    assert hostile.reasons
    assert all(reason == reason.lower() for reason in hostile.reasons)
    assert path.read_bytes() == hostile.make(tmp_path).read_bytes()


@pytest.mark.parametrize(
    "hostile", [h for h in HOSTILE if h.id.startswith(("paths-", "index-"))], ids=lambda hostile: hostile.id
)
def test_faults_below_info_lie_in_a_sound_archive(hostile: Hostile, tmp_path: Path) -> None:
    def infos(path: Path) -> dict[str, bytes]:
        read = {}
        for tar in read_components(path).values():
            with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
                for member in archive:
                    if member.name.startswith("info/") and (stream := archive.extractfile(member)):
                        read[member.name] = stream.read()
        return read

    sound = infos(write_package(SOUND, tmp_path, format=hostile.format))
    bent = infos(hostile.make(tmp_path))
    faulty = "info/paths.json" if hostile.id.startswith("paths-") else "info/index.json"
    assert {name for name in sound if bent.get(name) != sound[name]} == {faulty}


def test_crafted_inputs_have_names_of_their_own() -> None:
    ids = [case.id for case in (*HOSTILE, *ODD)]
    assert len(set(ids)) == len(ids)
