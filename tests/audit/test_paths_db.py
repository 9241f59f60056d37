"""A database of paths and repodata.json give the findings that the packages themselves give."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune.audit.buckets import PACKAGES, Buckets
from conda_prune.audit.item import Item
from conda_prune.audit.judge import judge_paths, judge_texts
from conda_prune.audit.settings import Settings
from conda_prune.errors import PruneError
from conda_prune.judgement.bytecode import parse_bytecode
from conda_prune.judgement.contents import INDEX
from conda_prune.judgement.listings.line_lists import FILES
from conda_prune.judgement.options import Options
from conda_prune.model import File, Limits

from ..channels import STRAY_FILE, SUBDIR, index_with_rattler
from ..corpus.packages import write_package
from ..corpus.scenarios import SCENARIOS, Scenario
from ..corpus.tars import read_components
from ..report.test_schema import VALIDATOR
from .conftest import audit, names, results
from .servers import FaultyServer


def write_database(path: Path, artifacts: dict[str, list[str]]) -> None:
    """Write a database as conda-forge-paths has it, of artifacts and their paths."""
    numbers = {artifact: number for number, artifact in enumerate(sorted(artifacts), 1)}
    found: dict[str, list[int]] = {}
    for artifact, paths in artifacts.items():
        for name in paths:
            found.setdefault(name, []).append(numbers[artifact])
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE Artifacts (id INTEGER PRIMARY KEY, artifact TEXT UNIQUE, timestamp INTEGER)")
        connection.execute(
            "CREATE TABLE PathToArtifactIds (path TEXT PRIMARY KEY, basename TEXT, artifact_ids TEXT) WITHOUT ROWID"
        )
        rows = ((number, artifact, 1704067200000) for artifact, number in numbers.items())
        connection.executemany("INSERT INTO Artifacts VALUES (?, ?, ?)", rows)
        listing = ((name, name.rpartition("/")[2], ",".join(map(str, ids))) for name, ids in found.items())
        connection.executemany("INSERT INTO PathToArtifactIds VALUES (?, ?, ?)", listing)
    connection.close()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel of the corpus's scenarios that a name and a subdir tell apart."""
    root = tmp_path_factory.mktemp("corpus") / "channel"
    for scenario in SCENARIOS:
        if scenario.stem is None and scenario.spec.subdir == SUBDIR and scenario.spec.stem.isascii():
            (root / SUBDIR).mkdir(parents=True, exist_ok=True)
            if not (root / SUBDIR / f"{scenario.spec.stem}.conda").exists():
                write_package(scenario.spec, root / SUBDIR)
    index_with_rattler(root)
    return root


def listed(channel: Path) -> dict[str, list[str]]:
    """Return the paths of each package of a channel, from its payload."""
    found = {}
    for package in (channel / SUBDIR).glob("*.conda"):
        with tarfile.open(fileobj=io.BytesIO(read_components(package)["pkg"])) as tar:
            paths = [member.name for member in tar if not member.isdir()]
        found[f"cf/{SUBDIR}/{package.name[: -len('.conda')]}"] = paths
    return found


def dropped(result: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the kinds and paths of what a result drops."""
    return {(finding["kind"], finding["path"]) for finding in result["findings"] if finding["action"] == "drop"}


def test_findings_are_those_of_the_packages(corpus: Path, tmp_path: Path) -> None:
    write_database(tmp_path / "paths.db", listed(corpus))
    with FaultyServer(corpus).running() as server:
        audit(tmp_path / "read.jsonl", f"{server.url}/{SUBDIR}")
        server.fault = lambda request: "404" if request.path.endswith(".conda") else ""
        done = audit(tmp_path / "paths.jsonl", f"{server.url}/{SUBDIR}", "--paths-db", tmp_path / "paths.db")
    assert done.returncode in (0, 3), done.stderr
    read, judged = results(tmp_path / "read.jsonl"), results(tmp_path / "paths.jsonl")
    assert judged.keys() == read.keys()
    assert len(judged) > 50
    compared = 0
    for name, result in judged.items():
        VALIDATOR.validate(result)
        if result["judged_from"] is None or read[name]["judged_from"] is None:
            continue
        assert result["judged_from"] == "paths"
        # A record says less of the Python than a package does: never more is dropped.
        assert dropped(result) <= dropped(read[name]), name
        if result["variant"] == read[name]["variant"]:
            compared += 1
            expected = {(kind, path) for kind, path in dropped(read[name]) if "\n" not in path}
            assert dropped(result) == expected, name
    assert compared > 50
    assert any(map(dropped, judged.values()))


def test_a_package_that_is_not_in_the_database_is_skipped(channel: Path, tmp_path: Path) -> None:
    artifacts = {f"cf/{SUBDIR}/stray-1-1.0-h123abc4_0": [STRAY_FILE]}
    write_database(tmp_path / "paths.db", artifacts)
    options = ("--paths-db", tmp_path / "paths.db")
    with FaultyServer(channel).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", *options)
        assert server.total == 0
        assert done.returncode == 0
        size = (tmp_path / "out.jsonl").stat().st_size
        audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", *options, "--resume")
    found = results(tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").stat().st_size == size
    assert found.keys() == names(channel)
    assert found["stray-1-1.0-h123abc4_0.conda"]["status"] == "findings"
    assert {result["status"] for name, result in found.items() if "stray-1-" not in name} == {"skipped"}


@pytest.mark.parametrize("content", [None, b"", b"no database", "other tables", "ids"])
def test_what_is_not_such_a_database_is_an_error(content: bytes | str | None, channel: Path, tmp_path: Path) -> None:
    path = tmp_path / "paths.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "other tables":
        sqlite3.connect(path).execute("CREATE TABLE x (y)")
    elif content == "ids":
        write_database(path, {f"cf/{SUBDIR}/stray-1-1.0-h123abc4_0": ["a"]})
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE PathToArtifactIds SET artifact_ids = '1,x'")
    with FaultyServer(channel).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", "--paths-db", path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_only_channels_go_with_a_database(tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", tmp_path, "--paths-db", tmp_path / "paths.db")
    assert done.returncode == 2
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_paths_are_judged_as_their_listing_is(scenario: Scenario) -> None:
    """Files that are made once for many packages give what a listing with their names gives."""
    spec = scenario.spec
    paths = sorted(path for path in spec.files if "\n" not in path and path.isprintable())
    index = {"name": "a", "version": "1", "build": spec.build, "subdir": spec.subdir, "depends": [*spec.depends]}
    item = Item("https://example.org/a-1-0.conda", "https://example.org", spec.subdir, "a-1-0.conda")
    files = {path: File(path) for path in paths}
    bytecode = tuple(filter(None, map(parse_bytecode, paths)))
    found = judge_paths(item, index, files, bytecode, Options(), Limits())
    listing = "".join(f"{path}\n" for path in paths).encode()
    expected = judge_texts(item, {INDEX: json.dumps(index).encode(), FILES: listing}, Options(), Limits())
    assert found.notes[:-1] == expected.notes
    assert replace(found, notes=(), seconds=0) == replace(expected, notes=(), seconds=0)


def test_paths_beyond_the_limits_are_one_failure(channel: Path, tmp_path: Path) -> None:
    artifacts = {f"cf/{SUBDIR}/stray-1-1.0-h123abc4_0": [STRAY_FILE, f"{'d/' * 3000}x"]}
    artifacts[f"cf/{SUBDIR}/stray-2-1.0-h123abc4_0"] = [STRAY_FILE]
    write_database(tmp_path / "paths.db", artifacts)
    with FaultyServer(channel).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", "--paths-db", tmp_path / "paths.db")
    assert done.returncode == 3
    found = results(tmp_path / "out.jsonl")
    assert "path of 6001 characters" in found["stray-1-1.0-h123abc4_0.conda"]["error"]
    assert found["stray-2-1.0-h123abc4_0.conda"]["status"] == "findings"


def test_packages_far_apart_are_judged_once_each(tmp_path: Path) -> None:
    """Paths of packages in several buckets, more processes than buckets, and a package that is named twice."""
    numbers = [1, 2, PACKAGES - 1, PACKAGES, 5 * PACKAGES + 7]
    with Buckets(str(tmp_path)) as buckets:
        for number in numbers:
            name = f"a-1-{number}.conda"
            record = json.dumps({"name": "a", "version": "1", "build": str(number), "depends": ["python 3.12.*"]})
            buckets.add_record(number, Item(f"https://x/{name}", "https://x", "linux-64", name), record)
        buckets.add_path(b"lib/python3.12/__pycache__/m.cpython-38.pyc", [*numbers, 1])
        buckets.add_path(b"lib/python3.12/site-packages/x.py", [2, PACKAGES])
        found = [json.loads(outcome.line) for outcome in buckets.outcomes(Settings())]
    assert sorted(result["package"]["build"] for result in found) == sorted(map(str, numbers))
    assert {(result["summary"]["members"], result["summary"]["dropped"]) for result in found} == {(1, 1), (2, 1)}
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    before = threading.active_count()
    with Buckets(str(tmp_path)) as buckets:
        for number in range(3 * PACKAGES):
            name = f"a-1-{number}.conda"
            record = json.dumps({"name": "a", "version": "1", "build": str(number)})
            buckets.add_record(number, Item(f"https://x/{name}", "https://x", "linux-64", name), record)
        outcomes = buckets.outcomes(Settings())
        next(outcomes)
        outcomes.close()
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())


def test_a_process_that_judges_paths_and_dies_is_an_error(tmp_path: Path) -> None:
    with Buckets(str(tmp_path)) as buckets:
        buckets.add_record(1, Item("u", "c", "linux-64", "a-1-0.conda"), "{}")
        with pytest.raises(PruneError, match="the process that judges paths ended with exit code 1"):
            list(buckets.outcomes(Settings(options=None)))  # type: ignore[arg-type]
