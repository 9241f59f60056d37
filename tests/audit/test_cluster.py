"""A Dask cluster gives the results of one machine, also when it loses a worker."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conda_prune.audit.item import Item, item_at
from conda_prune.audit.process import read_all
from conda_prune.audit.settings import Settings

from ..channels import SUBDIR
from .conftest import audit, judgement, names, results
from .servers import FaultyServer, Request

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install conda-prune[dask]")


def by_name(outcomes: Any) -> dict[str, dict[str, Any]]:
    """Return results by path; no package has two."""
    found = [json.loads(outcome.line) for outcome in outcomes]
    assert len({result["path"] for result in found}) == len(found)
    return {result["path"]: result | {"seconds": 0} for result in found}


def items_of(server: FaultyServer, channel: Path) -> list[Item]:
    return [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel))]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_worker_changes_no_result(channel: Path) -> None:
    """Four worker processes, one of which is killed while it waits for an answer."""
    from conda_prune.audit.cluster import read_on_cluster

    asked = threading.Event()
    killed = threading.Event()

    def fault(request: Request) -> str:
        if "stray-20-" in request.path and not killed.is_set():
            asked.set()
            return "slow"
        return ""

    with FaultyServer(channel, fault).running() as server:
        items = items_of(server, channel)
        settings = Settings(requests=16, backoff=0.02)
        with (
            distributed.LocalCluster(
                n_workers=4, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            pids = client.run(os.getpid)

            def kill() -> None:
                assert asked.wait(60)
                busy = {worker for worker, tasks in client.processing().items() if tasks}
                os.kill(pids[min(busy)], signal.SIGKILL)
                time.sleep(0.5)
                killed.set()
                server.stopped.set()

            thread = threading.Thread(target=kill)
            thread.start()
            found = by_name(read_on_cluster(items, settings, cluster.scheduler_address, batch=5))
            thread.join()
            assert killed.is_set()
        expected = by_name(read_all(items, settings))
    assert found == expected
    assert len(found) == len(items)


@pytest.mark.parametrize("losses", [1, 100])
@pytest.mark.parametrize("cancelled", [True, False])
def test_a_result_that_is_lost_after_its_task_is_read_again(
    losses: int, cancelled: bool, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask says that the task is finished; then the worker with its result is lost."""
    from conda_prune.audit.cluster import read_on_cluster

    killed = distributed.KilledWorker("x", SimpleNamespace(address="tcp://worker"), 4)
    error = concurrent.futures.CancelledError("x") if cancelled else killed
    result = distributed.Future.result
    left = [losses]

    def lose(future: Any, timeout: float | None = None) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return result(future, timeout)

    monkeypatch.setattr(distributed.Future, "result", lose)
    messages: list[str] = []
    with (
        FaultyServer(channel).running() as server,
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
    ):
        items = items_of(server, channel)[:6]
        found = by_name(read_on_cluster(items, Settings(), cluster.scheduler_address, messages.append))
    assert found.keys() == {item.url for item in items}
    name = type(error).__name__
    assert messages == [f"a batch of 6 packages was lost ({name}: {error}): it is read again"] * min(losses, 2)
    reasons = {line["error"] for line in found.values() if line["status"] == "error"}
    assert reasons == ({f"the cluster lost it 3 times: {name}: {error}"} if losses == 100 else set())


def test_a_refusal_pauses_the_whole_cluster(channel: Path) -> None:
    """One worker is refused once; the server would answer the other three."""
    from conda_prune.audit.cluster import read_on_cluster

    refused: list[float] = []
    asked: list[str] = []

    def fault(request: Request) -> str:
        time.sleep(0.1)
        if server.total > 30 and not refused:
            refused.append(time.monotonic())
            asked.append(request.path)
            return "429 after 6"
        if request.path not in asked:
            return ""
        # The request that asks how long to wait is answered in the same way.
        asked.remove(request.path)
        return "429 after 6"

    messages: list[str] = []
    server = FaultyServer(channel, fault)
    with (
        server.running(),
        distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
    ):
        items = items_of(server, channel)
        found = by_name(
            read_on_cluster(items, Settings(requests=8), cluster.scheduler_address, messages.append, batch=6)
        )
    assert len(found) == len(items)
    assert {result["status"] for result in found.values()} <= {"clean", "findings", "skipped"}
    assert any("429" in message for message in messages)
    # What was in flight, and what began until all workers knew: then nobody asks until six seconds have passed.
    during = [moment for moment in server.times if refused[0] + 3 <= moment < refused[0] + 5.8]
    assert during == []
    assert server.times[-1] > refused[0] + 6


def test_the_command_reads_on_a_cluster(channel: Path, tmp_path: Path) -> None:
    with FaultyServer(channel).running() as server:
        done = audit(tmp_path / "dask.jsonl", f"{server.url}/{SUBDIR}", "--dask", "local")
        assert done.returncode == 0, done.stderr
        audit(tmp_path / "one.jsonl", f"{server.url}/{SUBDIR}")
    spread, one = results(tmp_path / "dask.jsonl"), results(tmp_path / "one.jsonl")
    assert spread.keys() == one.keys() == names(channel)
    assert {name: judgement(result) for name, result in spread.items()} == {
        name: judgement(result) for name, result in one.items()
    }


def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", "https://example.org/linux-64/a-1-0.conda", "--dask", "no:address:at:all")
    assert done.returncode == 3
    assert "Dask cluster at no:address:at:all cannot be reached" in done.stderr


@pytest.mark.parametrize("options", [["--paths-db", "x"], []])
def test_what_a_cluster_cannot_do_is_refused(options: list[str], tmp_path: Path) -> None:
    source = "conda-forge/linux-64" if options else tmp_path
    done = audit(tmp_path / "out.jsonl", source, "--dask", "local", *options)
    assert done.returncode == 2
