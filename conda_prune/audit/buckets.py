"""Sorts packages and their paths into buckets of neighboring packages, and judges the buckets in several processes.

A bucket is two temporary files: one with its packages, one with the paths that any of them has, each with the numbers
of these. What is added is kept until there is enough of it to be appended to the files, so few writes are made and no
file stays open. Memory holds the paths of one bucket for each process, however many packages there are.
"""

from __future__ import annotations

import os
import pickle
import queue
import tempfile
import threading
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from ..errors import PruneError
from ..system import cores
from .child import Child, Died
from .item import Item
from .outcome import Outcome
from .settings import Settings

PACKAGES = 2_000
"""Numbers of packages in a bucket."""
_HELD = 1 << 26
"""Bytes that are kept before they are appended to files."""
_JUDGE = "conda_prune.audit.bucket_judge"
_AHEAD = 4
"""Messages of each process that may wait to be used."""


class Bucket(NamedTuple):
    """The files of a bucket."""

    packages: str
    paths: str


class Buckets:
    """All buckets of a run; use it in a `with` statement. `scratch` is the directory for the files."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._open = ExitStack()
        self._directory = ""
        self._held: dict[str, bytearray] = {}
        self._size = 0
        self._numbers: set[int] = set()

    def __enter__(self) -> Buckets:
        self._directory = self._open.enter_context(tempfile.TemporaryDirectory(dir=self._scratch or None))
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def add_record(self, number: int, item: Item, record: str) -> None:
        """Add a package."""
        bucket = number // PACKAGES
        self._numbers.add(bucket)
        self._add(f"packages-{bucket}", pickle.dumps((number, item, record)))

    def add_path(self, path: bytes, numbers: Sequence[int]) -> None:
        """Add a path to packages, given by their numbers."""
        first = min(numbers) // PACKAGES
        if first == max(numbers) // PACKAGES:
            self._add_line(path, first, numbers)
            return
        parts: dict[int, list[int]] = {}
        for number in numbers:
            parts.setdefault(number // PACKAGES, []).append(number)
        for bucket, found in parts.items():
            self._add_line(path, bucket, found)

    def outcomes(self, settings: Settings) -> Generator[Outcome, None, None]:
        """Yield the outcomes of all packages, in any order. Raises PruneError if a process that judges them dies."""
        self._flush()
        buckets = iter(
            [
                Bucket(*(os.path.join(self._directory, f"{what}-{number}") for what in ("packages", "paths")))
                for number in sorted(self._numbers)
            ]
        )
        workers = [_Worker(settings, buckets) for _ in range(min(cores(), len(self._numbers)))]
        try:
            yield from _gathered(workers)
        finally:
            for worker in workers:
                worker.stop()

    def _add_line(self, path: bytes, bucket: int, numbers: Sequence[int]) -> None:
        line = b"%d\n%s\n%s" % (len(numbers), path, array("q", numbers).tobytes())
        self._add(f"paths-{bucket}", line)

    def _add(self, name: str, data: bytes) -> None:
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = bytearray()
        held += data
        self._size += len(data)
        if self._size > _HELD:
            self._flush()

    def _flush(self) -> None:
        for name, data in self._held.items():
            with open(os.path.join(self._directory, name), "ab") as file:
                file.write(data)
        self._held.clear()
        self._size = 0


class _Worker:
    """A process that judges buckets, and a thread that gives it one after the other."""

    def __init__(self, settings: Settings, buckets: Iterator[Bucket]) -> None:
        self.messages: queue.Queue[list[Outcome] | PruneError | None] = queue.Queue(_AHEAD)
        self._buckets = buckets
        self._child = Child(_JUDGE, settings)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process and the thread."""
        self._stopped = True
        self._child.kill()
        while self._thread.is_alive():
            try:
                self.messages.get(timeout=0.01)
            except queue.Empty:
                pass

    def _run(self) -> None:
        try:
            # Taking the next one from a list's iterator is atomic.
            for bucket in self._buckets:
                self._child.send(bucket)
                while (outcomes := self._child.receive()) is not None and not self._stopped:
                    self.messages.put(outcomes)
        except PruneError as error:
            self.messages.put(error)
        except Died as death:
            self.messages.put(PruneError(f"the process that judges paths {death}", "go on with --resume"))
        except Exception as error:  # The main thread has to know.
            self.messages.put(PruneError(f"internal error: {type(error).__name__}: {error}", "please report this"))
        self.messages.put(None)


def _gathered(workers: Sequence[_Worker]) -> Iterator[Outcome]:
    running = list(workers)
    while running:
        for worker in list(running):
            try:
                message = worker.messages.get(timeout=0.02)
            except queue.Empty:
                continue
            if message is None:
                running.remove(worker)
            elif isinstance(message, PruneError):
                raise message
            else:
                yield from message
