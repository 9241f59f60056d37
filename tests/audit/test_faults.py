"""Whatever a server does, each package has one result, and none of them is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from conda_prune.audit.item import item_at
from conda_prune.audit.process import read_all
from conda_prune.audit.settings import Settings

from ..channels import SUBDIR
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from .conftest import audit, judgement, names, results
from .servers import Fault, FaultyServer, Request

QUICK = Settings(backoff=0.02, first_pause=0.1)


def read(server: FaultyServer, channel: Path, settings: Settings = QUICK, ending: str = ".conda") -> dict[str, Any]:
    """Read all packages of a channel by their URLs; return status and reason by file name."""
    items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ending))]
    outcomes = list(read_all(items, settings))
    found = {outcome.shown.rpartition("/")[2]: outcome for outcome in outcomes}
    assert len(found) == len(outcomes) == len(items)
    return found


@pytest.fixture(scope="module")
def undisturbed(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a server without faults."""
    output = tmp_path_factory.mktemp("undisturbed") / "out.jsonl"
    with FaultyServer(channel).running() as server:
        audit(output, f"{server.url}/{SUBDIR}")
    return {name: judgement(result) for name, result in results(output).items()}


FAULTS: dict[str, Fault] = {
    "429 with Retry-After": lambda request: "429 after 1" if "-3-" in request.path and not request.before else "",
    "503": lambda request: "503" if request.before < 2 else "",
    "500 and 502": lambda request: ("500", "502", "")[min(2, request.before)],
    "reset": lambda request: "reset" if request.before < 2 else "",
    "truncated": lambda request: "truncated" if request.before < 1 else "",
    "page": lambda request: "html" if request.before < 1 else "",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_that_pass_change_no_result(fault: Fault, channel: Path, undisturbed: dict[str, Any]) -> None:
    with FaultyServer(channel, fault).running() as server:
        found = read(server, channel)
    assert {name: judgement(json.loads(outcome.line)) for name, outcome in found.items()} == {
        name: result for name, result in undisturbed.items() if name.endswith(".conda")
    }


@pytest.mark.parametrize(
    ("fault", "reason", "attempts"),
    [
        ("404", "404 Not Found", 1),
        ("401", "log in to the channel", 1),
        ("403", "log in to the channel", 1),
        ("loop", "redirect", 1),
        ("500", "500 Internal Server Error", 5),
        ("reset", "error sending request", 5),
        ("html", "(5 attempts)", 5),
        ("truncated", "(5 attempts)", 5),
    ],
)
def test_faults_that_stay_are_one_result_each(fault: str, reason: str, attempts: int, channel: Path) -> None:
    bad = "stray-7-1.0-h123abc4_0.conda"
    with FaultyServer(channel, lambda request: fault if bad in request.path else "").running() as server:
        found = read(server, channel)
    assert {name for name, outcome in found.items() if outcome.status == "error"} == {bad}
    assert reason in found[bad].reason
    if fault != "loop":
        assert server.requests[f"/{SUBDIR}/{bad}"] == attempts


def test_a_slow_answer_is_given_up_and_asked_for_again(channel: Path) -> None:
    slow = "stray-7-1.0-h123abc4_0.conda"

    def fault(request: Request) -> str:
        return "slow" if slow in request.path and not request.before else ""

    with FaultyServer(channel, fault).running() as server:
        began = time.monotonic()
        found = read(server, channel, QUICK._replace(timeout=1.0))
    assert time.monotonic() - began < 15
    assert found[slow].status == "findings"
    assert server.requests[f"/{SUBDIR}/{slow}"] == 2


@pytest.mark.parametrize("fault", ["no-ranges", "no-suffix"])
def test_without_ranges_packages_are_skipped_or_downloaded(
    fault: str, channel: Path, undisturbed: dict[str, Any]
) -> None:
    with FaultyServer(channel, lambda request: fault).running() as server:
        found = read(server, channel)
        assert {outcome.status for outcome in found.values()} == {"skipped"}
        found = read(server, channel, QUICK._replace(download=True))
    assert {name: outcome.status for name, outcome in found.items()} == {
        name: result["status"] for name, result in undisturbed.items() if name.endswith(".conda")
    }


def test_a_refusal_pauses_all_requests(channel: Path) -> None:
    refused: list[float] = []

    def fault(request: Request) -> str:
        if server.total > 20 and not refused:
            refused.append(time.monotonic())
        return "429 after 2" if refused and time.monotonic() - refused[0] < 1.5 else ""

    messages: list[str] = []
    server = FaultyServer(channel, fault)
    with server.running():
        items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ".conda"))]
        outcomes = list(read_all(items, QUICK._replace(requests=4), messages.append))
    assert {outcome.status for outcome in outcomes} == {"clean", "findings"}
    assert len(messages) == 1
    assert "waiting 2 s" in messages[0]
    # Those in flight, and the one that asks how long to wait; then nobody asks for two seconds.
    during = [moment for moment in server.times if refused[0] <= moment < refused[0] + 1.8]
    assert 1 <= len(during) <= 5


def test_a_pause_without_a_length_grows_until_the_host_is_given_up(channel: Path) -> None:
    messages: list[str] = []
    with FaultyServer(channel, lambda request: "429").running() as server:
        items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ".conda"))]
        outcomes = list(read_all(items, QUICK._replace(requests=4, first_pause=0.005), messages.append))
    assert len(outcomes) == len(items)
    assert {outcome.status for outcome in outcomes} == {"error"}
    assert all("--resume" in outcome.reason for outcome in outcomes)
    assert "given up" in messages[-1]
    assert server.total < 60


def test_another_package_under_a_listed_name_is_an_error(channel: Path, tmp_path: Path) -> None:
    other = (channel / SUBDIR / "clean-1-1.2.3-h123abc4_0.conda").read_bytes()

    def fault(request: Request) -> str:
        return "other" if "stray-7-" in request.path or request.path.endswith("py310h8e7c8fa_0.tar.bz2") else ""

    with FaultyServer(channel, fault, other).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", "--tar-bz2", "--retries", 1)
    assert done.returncode == 3
    errors = {
        name: line["error"] for name, line in results(tmp_path / "out.jsonl").items() if line["status"] == "error"
    }
    assert set(errors) == {"stray-7-1.0-h123abc4_0.conda", "pyproject_hooks-1.3.3-py310h8e7c8fa_0.tar.bz2"}
    assert "another package: clean-1-1.2.3" in errors["stray-7-1.0-h123abc4_0.conda"]


def test_an_index_that_lists_missing_files_costs_those_only(channel: Path, tmp_path: Path) -> None:
    with FaultyServer(channel, lambda request: "404" if "clean-2" in request.path else "").running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}")
    assert done.returncode == 3
    found = results(tmp_path / "out.jsonl")
    assert found.keys() == names(channel)
    missing = {name for name, result in found.items() if result["status"] == "error"}
    assert missing == {name for name in names(channel) if name.startswith("clean-2")}
    assert f"{len(missing)} packages could not be judged" in done.stdout
    assert f"and {len(missing) - 10} more" in done.stdout


@pytest.mark.parametrize(
    ("fault", "reason"), [("404", "cannot be listed"), ("401", "401"), ("html", "cannot be listed")]
)
def test_a_channel_that_cannot_be_listed_is_one_result(fault: str, reason: str, channel: Path, tmp_path: Path) -> None:
    def index_only(request: Request) -> str:
        return fault if "repodata" in request.path else ""

    with FaultyServer(channel, index_only).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}")
    assert done.returncode == 3
    (result,) = results(tmp_path / "out.jsonl").values()
    assert (result["status"], result["file_name"]) == ("error", None)
    assert reason in result["error"]


def test_metadata_that_unpacks_to_gigabytes_is_one_failure(channel: Path) -> None:
    """A listing of 3 GiB in 100 KB ends the reading process; read again with care, it fails before it is unpacked."""
    import tarfile

    import zstandard

    from ..corpus.packages import conda_archive

    class Zeros:
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    path = channel / SUBDIR / "bomb-1-0.conda"
    compressor = zstandard.ZstdCompressor().compressobj()
    header = tarfile.TarInfo("info/index.json")
    index = json.dumps({"name": "bomb", "version": "1", "build": "0", "depends": []}).encode()
    header.size = len(index)
    frame = [compressor.compress(header.tobuf() + index + bytes(-len(index) % 512))]
    header = tarfile.TarInfo("info/paths.json")
    header.size = 3 << 30
    frame.append(compressor.compress(header.tobuf()))
    for _ in range(3 << 6):
        frame.append(compressor.compress(bytes(1 << 24)))
    frame += [compressor.compress(bytes(1024)), compressor.flush()]
    try:
        path.write_bytes(conda_archive("bomb-1-0", b"".join(frame), zstandard.compress(bytes(1024))))
        with FaultyServer(channel).running() as server:
            found = read(server, channel)
    finally:
        path.unlink()
    assert {name for name, outcome in found.items() if outcome.status == "error"} == {path.name}
    assert "--max-text" in found[path.name].reason


def test_a_package_that_lists_no_files_is_read_whole_or_skipped(tmp_path: Path) -> None:
    subdir = tmp_path / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    write_package(PackageSpec("a", info={"info/paths.json": None, "info/files": None}), subdir)
    with FaultyServer(tmp_path / "channel").running() as server:
        (skip,) = read(server, tmp_path / "channel").values()
        (whole,) = read(server, tmp_path / "channel", QUICK._replace(download=True)).values()
    assert skip.status == "skipped"
    assert "it does not list its files" in skip.reason
    assert whole.status == "clean"
