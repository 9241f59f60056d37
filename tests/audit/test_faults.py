"""Whatever a server does, each package has one result, and none of them is wrong."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from conda_prune.audit.item import item_at
from conda_prune.audit.process import read_all
from conda_prune.audit.replaced import is_same_build
from conda_prune.audit.settings import Settings

from ..channels import SUBDIR, index_with_rattler
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from .conftest import audit, judgement, names, results
from .servers import Fault, FaultyServer, Request, free_port

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
    ("fault", "reason"),
    [
        ("404", r"it cannot be listed: .*404 .*URL/repodata.json.*; check the channel, the subdir and your login"),
        ("401", r"it cannot be listed: .*401 .*URL/repodata.json.*; check the channel, the subdir and your login"),
        ("html", r"it cannot be listed: .*; check the channel and the subdir"),
    ],
)
def test_a_channel_that_cannot_be_listed_is_one_result(fault: str, reason: str, channel: Path, tmp_path: Path) -> None:
    def index_only(request: Request) -> str:
        return fault if "repodata" in request.path else ""

    with FaultyServer(channel, index_only).running() as server:
        url = f"{server.url}/{SUBDIR}"
        done = audit(tmp_path / "out.jsonl", url)
    assert done.returncode == 3
    (result,) = results(tmp_path / "out.jsonl").values()
    assert (result["status"], result["file_name"]) == ("error", None)
    assert re.fullmatch(reason.replace("URL", url), result["error"])
    assert "Caused by" not in result["error"]
    assert f"  {url}: {result['error']}\n" in done.stdout


def test_a_server_that_cannot_be_reached_is_one_result(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/channel/linux-64"
    assert audit(tmp_path / "out.jsonl", url, "--retries", 0).returncode == 3
    (result,) = results(tmp_path / "out.jsonl").values()
    assert result["error"].startswith("it cannot be listed: ")
    assert result["error"].endswith("; check the address and the network")
    assert "Caused by" not in result["error"]
    assert url not in result["error"]


def test_a_local_channel_that_cannot_be_listed_is_one_result(tmp_path: Path) -> None:
    (tmp_path / "channel" / "linux-64").mkdir(parents=True)
    reasons = {
        "linux-64": "it has no repodata.json; index the channel, or name the directory by its path",
        "noarch": "it does not exist; check the path",
    }
    for subdir, reason in reasons.items():
        output = tmp_path / f"{subdir}.jsonl"
        assert audit(output, f"{(tmp_path / 'channel').as_uri()}/{subdir}").returncode == 3
        (result,) = results(output).values()
        assert result["error"] == reason


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


def rebuilt(directory: Path, many: int, built: int, name: str = "many") -> Path:
    """Write a package whose metadata takes two requests: its listing is longer than what the first one asks for."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {f"share/{name}/{number * 7919 % 10007:05}-{number:x}": str(number).encode() for number in range(many)}
    files["share/random"] = random.Random(0).randbytes(300_000)
    return write_package(PackageSpec("many", files=files, index_extra={"timestamp": built}), directory)


@pytest.mark.parametrize(("many", "name"), [(3000, "mano"), (4000, "many"), (2000, "many")])
def test_a_file_replaced_between_two_requests_is_read_again(many: int, name: str, tmp_path: Path) -> None:
    """The result is that of the new file, as if it had been there from the beginning."""
    old = rebuilt(tmp_path / "channel" / SUBDIR, 3000, 1_700_000_000_000)
    new = rebuilt(tmp_path / "new", many, 1_700_000_000_000, name)

    def fault(request: Request) -> str:
        return "other" if request.before else ""

    with FaultyServer(tmp_path / "channel", fault, new.read_bytes()).running() as server:
        (found,) = read(server, tmp_path / "channel").values()
    with FaultyServer(tmp_path).running() as plain:
        (expected,) = read_all([item_at(f"{plain.url}/new/{new.name}")], QUICK)
    assert judgement(json.loads(found.line)) == judgement(json.loads(expected.line))
    assert json.loads(found.line)["summary"]["members"] == many + 1
    assert server.requests[f"/{SUBDIR}/{old.name}"] >= 3


@pytest.mark.parametrize("comes_back", [True, False])
def test_another_build_than_the_index_lists_is_noticed(comes_back: bool, tmp_path: Path) -> None:
    """The file has the same name, version and build string, and was built at another time."""
    channel = tmp_path / "channel"
    old = rebuilt(channel / SUBDIR, 10, 1_700_000_000_000)
    index_with_rattler(channel)
    new = rebuilt(tmp_path / "new", 20, 1_710_000_000_000)

    def fault(request: Request) -> str:
        package = request.path.endswith(".conda")
        return "other" if package and not (comes_back and request.before >= 2) else ""

    with FaultyServer(channel, fault, new.read_bytes()).running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", "--retries", 2)
    (result,) = results(tmp_path / "out.jsonl").values()
    if comes_back:
        assert (done.returncode, result["status"], result["summary"]["members"]) == (0, "clean", 11)
    else:
        assert (done.returncode, result["status"]) == (3, "error")
        sizes = f"it has {new.stat().st_size} bytes, and the index lists {old.stat().st_size}"
        assert result["error"] == f"the file was replaced by another build: {sizes} (3 attempts)"


def test_a_corrected_build_time_in_the_index_changes_nothing(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    rebuilt(channel / SUBDIR, 10, 1_700_000_000_000)
    index_with_rattler(channel)
    repodata = channel / SUBDIR / "repodata.json"
    repodata.write_text(repodata.read_text().replace("1700000000000", "1710000000000"))
    for other in (channel / SUBDIR).glob("repodata*.zst"):
        other.unlink()
    with FaultyServer(channel).running() as server:
        audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}")
    (result,) = results(tmp_path / "out.jsonl").values()
    assert result["status"] == "clean"
    assert server.total == 2


@pytest.mark.parametrize(
    ("built", "stated", "same"),
    [
        (1_700_000_000_000, b'{"timestamp": 1700000000000}', True),
        (1_700_000_000_000, b'{"timestamp": 1700000000}', True),
        (1_700_000_000_000, b'{"timestamp": 1700000000999}', True),
        (1_700_000_000_000, b'{"timestamp": 1700000005000}', False),
        (1_700_000_000_000, b'{"timestamp": "x"}', True),
        (1_700_000_000_000, b'{"timestamp": 1e400}', True),
        (1_700_000_000_000, b"{}", True),
        (1_700_000_000_000, b"[", True),
        (1_700_000_000_000, None, True),
        (None, b'{"timestamp": 1700000005000}', True),
    ],
)
def test_build_times_are_compared_if_both_are_known(built: int | None, stated: bytes | None, same: bool) -> None:
    item = item_at("https://example.org/linux-64/a-1-0.conda")._replace(built=built)
    assert is_same_build(item, stated) is same
