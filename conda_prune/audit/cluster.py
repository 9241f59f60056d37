"""Spreads an audit over a Dask cluster: batches of packages go out, their outcomes come back as each batch is done.

A task reads its packages as a run on one machine does, in a process of its own next to the Dask worker. Dask gives the
batch of a lost worker to another one. Only the outcomes of a finished task are used, so no package has two, and what
a lost worker had read of its batch is read again. Which worker does what is Dask's business.

If a server refuses a worker, all workers pause: the worker logs an event, and the client, which subscribes to such
events, passes it on to every worker. A worker that joins during a pause learns of it only when it is refused itself.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import PruneError
from ..system import cores
from .item import Item
from .outcome import Outcome, failed
from .pauses import Pause, Pauses
from .process import read_all
from .settings import Settings

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
"""The address that starts a cluster on this machine, with a worker for each core."""
_BATCH = 500
"""Packages of a task: a task takes a third of a second to start, and reads a hundred or more a second."""
_AHEAD = 2
"""Tasks that are given out for each thread of the cluster, so that none waits for work."""
_ATTEMPTS = 3
"""How often a batch is given out that Dask gives up, or forgets when its scheduler is restarted."""
_PATIENCE = 30


_PAUSES = Pauses()
"""The pauses of the worker in which this module is loaded."""


def read_batch(items: list[Item], settings: Settings, topic: str) -> tuple[list[Outcome], list[str]]:
    """Return the outcomes of some packages, and messages for people: the task that runs on the cluster.

    Each pause that a server asks for is logged as an event of the topic.
    """
    from distributed import get_worker

    worker = get_worker()

    def announce(pause: Pause) -> None:
        worker.log_event(topic, [*pause])

    messages: list[str] = []
    return list(read_all(items, settings, messages.append, _PAUSES, announce)), messages


def pause_here(host: str, seconds: float) -> None:
    """Make a pause on this worker."""
    _PAUSES.announce(Pause(host, seconds))


def read_on_cluster(
    items: Iterable[Item],
    settings: Settings,
    address: str,
    notify: Callable[[str], None] = lambda message: None,
    *,
    batch: int = _BATCH,
) -> Iterator[Outcome]:
    """Yield the outcome of every item, read by the cluster at an address; see `process.read_all`.

    `settings.requests` is the number of requests in flight in the whole cluster, but each task has at least one.
    Raises PruneError where the cluster cannot be used.
    """
    with ExitStack() as stack:
        client = _connected(address, stack)
        threads = max(1, sum(client.nthreads().values()))
        settings = settings._replace(requests=max(1, settings.requests // threads), scratch="")
        topic = f"conda-prune-{uuid.uuid4().hex}"

        async def pass_on(event: tuple[float, tuple[str, float]]) -> None:
            host, seconds = event[1]
            await client.run(pause_here, host, seconds, on_error="ignore")

        client.subscribe_topic(topic, pass_on)
        yield from _gathered(client, iter(items), (settings, topic), batch, notify)


def _gathered(
    client: Client, items: Iterator[Item], arguments: tuple[Settings, str], batch: int, notify: Callable[[str], None]
) -> Iterator[Outcome]:
    from distributed import as_completed

    running: dict[str, tuple[list[Item], int]] = {}
    done = as_completed()
    number = 0

    def submit(part: list[Item], attempt: int) -> None:
        nonlocal number
        number += 1
        # A key of its own: Dask keeps the results of equal keys, and a repeated batch must be read.
        future = client.submit(read_batch, part, *arguments, key=f"conda-prune-{os.getpid()}-{number}", pure=False)
        running[future.key] = part, attempt
        done.add(future)

    exhausted = False
    while True:
        most = _AHEAD * max(1, sum(client.nthreads().values()))
        while not exhausted and len(running) < most:
            part = list(islice(items, batch))
            exhausted = len(part) < batch
            if part:
                submit(part, 1)
        if not running:
            return
        future: Any = next(done)
        part, attempt = running.pop(future.key)
        found = _result_of(future)
        if not isinstance(found, str):
            outcomes, messages = found
            future.release()
            for message in messages:
                notify(message)
            yield from outcomes
        elif attempt < _ATTEMPTS:
            notify(f"a batch of {len(part)} packages was lost ({found}): it is read again")
            submit(part, attempt + 1)
        else:
            yield from (failed(item, f"the cluster lost it {attempt} times: {found}") for item in part)


def _result_of(future: Any) -> tuple[list[Outcome], list[str]] | str:
    """Return what a task returned, or why that is lost. A worker may be lost with the result of a finished task."""
    if future.status not in ("finished", "error"):
        return str(future.status)
    try:
        found: tuple[list[Outcome], list[str]] = future.result()
    except (Exception, asyncio.CancelledError) as error:
        return f"{type(error).__name__}: {error}"
    return found


def _connected(address: str, stack: ExitStack) -> Client:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise PruneError("--dask needs Dask", "install conda-prune[dask], or distributed with conda") from error
    try:
        if address != LOCAL:
            return stack.enter_context(Client(address, timeout=_PATIENCE))
        # Workers are started with `python -c`, which would import from the current directory (see `isolation`).
        os.environ["PYTHONSAFEPATH"] = "1"
        cluster = LocalCluster(n_workers=cores(), threads_per_worker=1, dashboard_address=None, silence_logs=40)
        return stack.enter_context(Client(stack.enter_context(cluster), timeout=_PATIENCE))
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise PruneError(f"the Dask cluster at {address} cannot be reached: {error}", "check its address") from error
