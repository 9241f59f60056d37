"""Worker processes: results arrive in order, a dead worker costs one package, and no worker outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_prune.cli.jobs import Send, run

from ..corpus.crafted import BASE
from ..corpus.packages import write_package
from ..executable import EXECUTABLE
from ..test_isolation import plant

ROOT = Path(__file__).parents[2]


def double(number: int, send: Send) -> int:
    return 2 * number


def slowest_first(number: int, send: Send) -> int:
    time.sleep(0.3 if number == 0 else 0)
    return number


def die_at_three(number: int, send: Send) -> str:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        os._exit(7)
    return f"did {number}"


def exit_at_two(number: int, send: Send) -> str:
    if number == 2:
        raise SystemExit(1)
    return f"did {number}"


def worker_died(number: int, reason: str) -> str:
    return f"{number} {reason}"


def no_worker_died(number: int, reason: str) -> int:
    raise AssertionError(reason)


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_the_order_of_the_tasks(count: int, jobs: int) -> None:
    assert list(run(range(count), double, no_worker_died, jobs)) == [2 * number for number in range(count)]


def test_a_slow_first_task_does_not_delay_the_others() -> None:
    assert list(run(range(4), slowest_first, no_worker_died, 2)) == [0, 1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_worker_that_dies_costs_its_own_task() -> None:
    assert list(run(range(7), die_at_three, worker_died, 2)) == [
        "did 0", "did 1", "did 2", "3 its worker process was killed by SIGKILL", "did 4",
        "5 its worker process ended with exit code 7", "did 6",
    ]  # fmt: skip


def test_every_task_has_a_result_if_all_workers_die() -> None:
    outcomes = list(run([2] * 4, exit_at_two, worker_died, 4))
    assert outcomes == ["2 its worker process ended with exit code 1"] * 4


def process_after_a_while(number: int, send: Send) -> int:
    time.sleep(0.2 if number < 4 else 60)
    return os.getpid()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process on Windows")
def test_closing_the_results_stops_the_workers_at_once() -> None:
    results: Iterator[int] = iter(run(range(50), process_after_a_while, no_worker_died, 2))
    found = {next(results) for _ in range(4)}
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10
    assert not [process for process in found if is_running(process)]


def send_twice(number: int, send: Send) -> int:
    send(number)
    send({"text": "x" * 100_000})
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_messages_of_a_task_arrive_before_its_outcome(jobs: int) -> None:
    received: list[object] = []
    for number in run(range(5), send_twice, no_worker_died, jobs, receive=received.append):
        assert number in received
    assert sorted(message for message in received if isinstance(message, int)) == list(range(5))
    assert received.count({"text": "x" * 100_000}) == 5


def print_and_return(number: int, send: Send) -> int:
    print("noise")
    os.write(1, b"noise")
    return number


def test_output_of_a_worker_is_not_taken_for_a_result() -> None:
    assert list(run(range(4), print_and_return, no_worker_died, 2)) == [0, 1, 2, 3]


def read_standard_input(number: int, send: Send) -> bytes:
    return os.read(0, 100)


def test_workers_do_not_read_each_others_tasks() -> None:
    assert list(run(range(4), read_standard_input, no_worker_died, 2)) == [b""] * 4


@pytest.mark.parametrize("command", ["check", "fix"])
def test_workers_import_nothing_from_the_current_directory(tmp_path: Path, command: str) -> None:
    (tmp_path / "hostile").mkdir()
    mark = plant(tmp_path / "hostile")
    options = ["--in-place", "--reindex", "never"] if command == "fix" else []
    done = subprocess.run(
        [EXECUTABLE, command, *options, "-j", "2", *map(str, packages(tmp_path / "in", 2))],
        cwd=tmp_path / "hostile", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0 if command == "fix" else 1, "")
    assert not mark.exists(), mark.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the workers in /proc")
def test_workers_of_a_killed_run_end_and_leave_nothing(tmp_path: Path) -> None:
    found = packages(tmp_path / "in", 8)
    before = {path: path.read_bytes() for path in found}
    process = subprocess.Popen(
        [EXECUTABLE, "fix", "--in-place", "-j", "2", *map(str, found)], stdout=subprocess.DEVNULL
    )
    while len(working := workers(process.pid)) < 2 and process.poll() is None:
        time.sleep(0.01)
    while all(path.read_bytes() == before[path] for path in found) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(map(is_running, working)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [worker for worker in working if is_running(worker)]
    assert [os.listdir(path.parent) for path in found] == [[path.name] for path in found]


def packages(directory: Path, count: int) -> list[Path]:
    found = []
    for number in range(count):
        (directory / str(number)).mkdir(parents=True)
        found.append(write_package(BASE, directory / str(number)))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the workers in /proc")
def test_a_killed_worker_fails_one_package_and_no_other(tmp_path: Path) -> None:
    found = packages(tmp_path / "in", 6)
    process = subprocess.Popen(
        [sys.executable, "-m", "conda_prune", "fix", "--in-place", "-j", "2", "--format", "json", *map(str, found)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    victim = None
    while victim is None and process.poll() is None:
        victim = next(iter(workers(process.pid)), None)
    assert victim is not None
    time.sleep(0.02)
    os.kill(victim, signal.SIGKILL)
    stdout, stderr = process.communicate()
    results = json.loads(stdout)
    failed = [one for one in results if one["status"] == "error"]
    assert len(failed) <= 1
    assert process.returncode == (3 if failed else 0)
    assert [one["path"] for one in results] == [str(path) for path in found]
    for one in failed:
        assert "killed by SIGKILL" in one["error"]
        assert one["path"] in stderr
    assert {one["status"] for one in results} <= {"fixed", "error"}
    assert len(results) - len(failed) == sum(one["status"] == "fixed" for one in results)


def workers(parent: int) -> list[int]:
    """Return the IDs of the worker processes of a run with -j."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and int(status[1]) == parent and b"conda_prune.cli.jobs" in command:
            found.append(int(entry.name))
    return found
