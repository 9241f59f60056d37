"""An audit of a channel says of each package what `check` says of its file, once, whatever the source is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..channels import SUBDIR
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from ..executable import EXECUTABLE, run
from ..report.test_schema import VALIDATOR
from ..seed import STRAY
from .conftest import STRAYS, audit, judgement, names, results
from .servers import NGINX, FaultyServer, Request, nginx

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows does not send signals to other processes")


def checked(channel: Path) -> dict[str, dict[str, object]]:
    """What `check` says of the channel's packages, by file name."""
    lines = run("check", channel, "--format", "jsonl").stdout.splitlines()
    return {os.path.basename(result["path"]): judgement(result) for result in map(json.loads, lines)}


def test_a_channel_without_packages_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = audit(tmp_path / "out.jsonl", tmp_path / "empty")
    assert done.returncode == 2
    assert done.stderr == "error: the sources hold no packages; check the paths and the channels\n"


def test_the_verb_of_the_summary_agrees_with_the_count(tmp_path: Path) -> None:
    assert audit(tmp_path / "one.jsonl", STRAY[0].path).stdout.startswith("1 package judged: 1 holds stray bytecode\n")
    done = audit(tmp_path / "two.jsonl", STRAY[0].path, STRAY[1].path)
    assert done.stdout.startswith("2 packages judged: 2 hold stray bytecode\n")


def test_a_glob_to_keep_that_matches_no_file_is_named(url: str, channel: Path, tmp_path: Path) -> None:
    keep = ("--keep", "**/nothing", "--keep", "share/3.txt", "--tar-bz2")
    warning = "warning: --keep **/nothing matches no file\n"
    for number, source in enumerate((f"{url}/{SUBDIR}", channel)):
        assert audit(tmp_path / f"{number}.jsonl", source, *keep).stderr == warning
    assert audit(tmp_path / "0.jsonl", f"{url}/{SUBDIR}", *keep, "--resume").stderr == ""
    assert audit(tmp_path / "shard.jsonl", f"{url}/{SUBDIR}", *keep, "--shard", "1/2").stderr == ""
    # A package that is skipped may have a file that matches.
    assert audit(tmp_path / "skips.jsonl", f"{url}/{SUBDIR}", *keep[:4]).stderr == ""


def test_a_subdir_is_judged_as_its_files_are(url: str, channel: Path, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", f"{url}/{SUBDIR}", "--tar-bz2")
    assert (done.returncode, done.stderr) == (0, "")
    found = results(tmp_path / "out.jsonl")
    assert {name: judgement(result) for name, result in found.items()} == checked(channel)
    repodata = json.loads((channel / SUBDIR / "repodata.json").read_text())
    records = repodata["packages"] | repodata["packages.conda"]
    for name, result in found.items():
        VALIDATOR.validate(result)
        assert result["path"] == f"{url}/{SUBDIR}/{name}"
        assert (result["channel"], result["subdir"]) == (url, SUBDIR)
        assert result["sha256"] == records[name]["sha256"]
        assert result["before"]["size"] == records[name]["size"]
        assert result["uploaded"].startswith("20")
        assert result["judged_from"] == ("payload" if name.endswith(".tar.bz2") else "info")


def test_tar_bz2_packages_are_skipped_unless_asked_for(url: str, channel: Path, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", f"{url}/{SUBDIR}")
    assert done.returncode == 0
    skips = {name: result for name, result in results(tmp_path / "out.jsonl").items() if result["status"] == "skipped"}
    assert skips.keys() == names(channel, ".tar.bz2")
    assert f"skipped {len(skips)} packages" in done.stdout
    for result in skips.values():
        VALIDATOR.validate(result)
        assert "--tar-bz2" in result["error"]


@pytest.mark.skipif(NGINX is None, reason="nginx, whose log counts requests, is not installed")
def test_one_request_reads_a_package(channel: Path, tmp_path: Path) -> None:
    with nginx(channel) as server:
        audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}")
        requests = [line for line in server.log.read_text().splitlines() if ".conda HTTP" in line]
    assert {line.split()[8] for line in requests} == {"206"}
    # The metadata of one package does not fit into the first request.
    assert len(requests) == len(names(channel, ".conda")) + 1


def test_a_resumed_run_repeats_nothing(url: str, channel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    audit(output, f"{url}/{SUBDIR}")
    whole = output.read_bytes()
    lines = whole.splitlines(keepends=True)
    # As a killed run leaves it: the last line was not written to its end.
    output.write_bytes(b"".join(lines[:20]) + lines[20][:50])
    done = audit(output, f"{url}/{SUBDIR}", "--resume")
    assert done.returncode == 0
    assert "(20 were already in the results file)" in done.stdout
    assert output.read_bytes().startswith(b"".join(lines[:20]))
    assert results(output).keys() == names(channel)
    size = output.stat().st_size
    audit(output, f"{url}/{SUBDIR}", "--resume")
    assert output.stat().st_size == size


def test_a_resumed_run_tries_failures_and_skips_again(channel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with FaultyServer(channel, lambda request: "404" if "stray-7" in request.path else "").running() as server:
        assert audit(output, f"{server.url}/{SUBDIR}").returncode == 3
        server.fault = lambda request: ""
        assert audit(output, f"{server.url}/{SUBDIR}", "--resume", "--tar-bz2").returncode == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    again = [line["file_name"] for line in lines[len(names(channel)) :]]
    assert set(again) == names(channel, ".tar.bz2") | {name for name in names(channel) if name.startswith("stray-7-")}
    assert {line["status"] for line in lines[len(names(channel)) :]} <= {"clean", "findings"}


def test_an_existing_results_file_is_never_overwritten(channel: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine\n")
    for options, reason in (((), "exists"), (("--resume",), "line 1 is not a result of an audit")):
        done = audit(tmp_path / "out.jsonl", channel, *options)
        assert done.returncode == 2
        assert reason in done.stderr
        assert (tmp_path / "out.jsonl").read_text() == "mine\n"


@needs_signals
def test_a_killed_run_loses_only_what_was_in_flight(channel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    def fault(request: Request) -> str:
        return "slow" if "clean-9" in request.path and not request.before else ""

    with FaultyServer(channel, fault).running() as server:
        command = [EXECUTABLE, "audit", f"{server.url}/{SUBDIR}", "-o", str(output)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expected = len(names(channel)) - 1
        deadline = time.monotonic() + 30
        while (not output.exists() or output.read_bytes().count(b"\n") < expected) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(results(output)) == expected
        done = audit(output, f"{server.url}/{SUBDIR}", "--resume")
        audit(tmp_path / "undisturbed.jsonl", f"{server.url}/{SUBDIR}")
    assert done.returncode == 0
    assert results(output).keys() == names(channel)
    for format in ("text", "markdown", "html"):
        report = run("report", output, "--format", format).stdout
        assert report == run("report", tmp_path / "undisturbed.jsonl", "--format", format).stdout
        assert "pyproject" in report
        assert f"stray-{STRAYS - 1}" in report or format != "html"


@needs_signals
def test_an_interruption_says_how_to_go_on(channel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with FaultyServer(channel, lambda request: "slow" if "clean-9" in request.path else "").running() as server:
        command = [EXECUTABLE, "audit", f"{server.url}/{SUBDIR}", "-o", str(output)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while (not output.exists() or output.read_bytes().count(b"\n") < 20) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors


def test_two_runs_do_not_write_to_one_file(channel: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="Windows has no flock")
    output = tmp_path / "out.jsonl"
    with output.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = audit(output, channel, "--resume")
    assert done.returncode == 3
    assert "another run writes to" in done.stderr
    assert output.read_bytes() == b""


@pytest.mark.skipif(
    os.name == "nt", reason="Windows has the folder of settings from the system and not from a variable"
)
def test_a_broken_configuration_of_rattler_is_one_error(channel: Path, tmp_path: Path) -> None:
    from rattler import Config

    for path, _ in Config.config_search_paths("rattler"):
        if path.is_relative_to(Path.home()):
            config = tmp_path / path.relative_to(Path.home())
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text("mirrors = 1")
    with FaultyServer(channel).running() as server:
        url = f"{server.url}/{SUBDIR}/{min(names(channel, '.conda'))}"
        done = audit(tmp_path / "out.jsonl", url, HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / ".config"))
    assert done.returncode == 3
    assert done.stderr.startswith("error: packages cannot be read: ")
    assert len(done.stderr.splitlines()) < 12


def test_the_dead_reading_process_costs_nothing(channel: Path, tmp_path: Path) -> None:
    """Reading is done in a process that may crash: it is killed here while requests are in flight."""
    from conda_prune.audit.item import item_at
    from conda_prune.audit.process import read_all
    from conda_prune.audit.settings import Settings

    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("only Linux lists a process's children")
    messages: list[str] = []
    with FaultyServer(channel, lambda request: "" if request.before else "slow").running() as server:
        items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ".conda"))[:12]]
        before = set(children.read_text().split())
        outcomes = read_all(items, Settings(timeout=60), messages.append)

        def kill() -> None:
            while server.total < len(items):
                time.sleep(0.02)
            for child in set(children.read_text().split()) - before:
                os.kill(int(child), signal.SIGKILL)

        import threading

        thread = threading.Thread(target=kill)
        thread.start()
        found = [json.loads(outcome.line) for outcome in outcomes]
        thread.join()
    assert sorted(result["path"] for result in found) == sorted(item.url for item in items)
    assert {result["status"] for result in found} <= {"clean", "findings"}
    assert messages == ["the reading process was killed by SIGKILL: 12 packages are read again, one at a time"]


@pytest.mark.parametrize(
    ("about", "feedstock"),
    [
        (b'{"extra": {"feedstock-name": "numpy", "remote_url": "x"}}', "numpy"),
        (b'{"extra": {"remote_url": "https://github.com/conda-forge/py-rattler-feedstock"}}', "py-rattler"),
        (b'{"extra": {"remote_url": "https://github.com/conda-forge/staged-recipes"}}', None),
        (b'{"extra": {"feedstock-name": ["x"]}}', None),
        (b'{"extra": []}', None),
        (b"[]", None),
        (b"[" * 100_000, None),
        (b'{"home": "x"}', None),
        (b" " * (1 << 20) + b"{}", None),
    ],
)
def test_the_feedstock_is_what_about_json_says(about: bytes, feedstock: str | None) -> None:
    from conda_prune.audit.feedstock import feedstock_of

    assert feedstock_of(about) == feedstock


@pytest.mark.parametrize("options", [(), ("--download",)])
def test_results_name_the_feedstock(options: tuple[str, ...], tmp_path: Path) -> None:
    subdir = tmp_path / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    about = b'{"extra": {"feedstock-name": "a-feedstock"}}'
    package = write_package(PackageSpec("a", info={"info/about.json": about}), subdir)
    write_package(
        PackageSpec("b", info={"info/paths.json": None, "info/files": None, "info/about.json": about}), subdir
    )
    with FaultyServer(tmp_path / "channel").running() as server:
        urls = [f"{server.url}/{SUBDIR}/{path.name}" for path in subdir.iterdir()]
        audit(tmp_path / "remote.jsonl", *urls, *options)
    audit(tmp_path / "local.jsonl", package)
    remote = {
        result["package"]["name"]: result for result in results(tmp_path / "remote.jsonl").values() if result["package"]
    }
    assert remote.keys() == ({"a", "b"} if options else {"a"})
    assert {result["feedstock"] for result in remote.values()} == {"a"}
    assert [result["feedstock"] for result in results(tmp_path / "local.jsonl").values()] == ["a"]
