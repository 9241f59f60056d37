"""Judges the packages of a bucket from their paths: the work of a process of its own.

Successive builds of a package have most of their paths in common. So each path of a bucket is decoded and parsed once,
for all packages that have it: this is what makes judging by paths fast, next to using all cores.
"""

from __future__ import annotations

import json
import pickle
from array import array
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from ..errors import PruneError
from ..judgement.bytecode import Bytecode, parse_bytecode
from ..model import File
from .buckets import Bucket
from .child import READY, Emit, serve
from .item import Item
from .judge import judge_paths
from .outcome import Outcome, failed, outcome_of
from .settings import Settings

_BATCH = 100
"""Outcomes in one message."""


class _Paths(NamedTuple):
    """The paths of a bucket in order, with what is known of each, and those of each package by their positions."""

    files: list[tuple[str, File]]
    bytecode: list[Bytecode | None]
    of_package: dict[int, array[int]]


def outcomes(bucket: Bucket, settings: Settings) -> Iterator[Outcome]:
    """Yield the outcomes of a bucket's packages."""
    try:
        with open(bucket.paths, "rb") as file:
            paths = _read(file)
    except FileNotFoundError:  # None of its packages has a path.
        paths = _Paths([], [], {})
    with open(bucket.packages, "rb") as file:
        for number, item, record in _packages(file):
            yield _judge(item, record, paths, paths.of_package.get(number, ()), settings)


def _judge(item: Item, record: str, paths: _Paths, positions: Sequence[int], settings: Settings) -> Outcome:
    files = dict(map(paths.files.__getitem__, positions))
    if len(files) != len(positions):  # The database names a package twice for one path.
        positions = sorted({paths.files[position][0]: position for position in positions}.values())
    bytecode = tuple(filter(None, map(paths.bytecode.__getitem__, positions)))
    try:
        result = judge_paths(item, json.loads(record), files, bytecode, settings.options, settings.limits)
        return outcome_of(item, result, "paths")
    except PruneError as error:
        return failed(item, str(error))


def _read(file: BinaryIO) -> _Paths:
    lines: list[tuple[str, array[int]]] = []
    while line := file.readline():
        path = file.readline()[:-1].decode("utf-8", "surrogateescape")
        numbers = array("q")
        numbers.frombytes(file.read(int(line) * numbers.itemsize))
        lines.append((path, numbers))
    lines.sort(key=lambda pair: pair[0])
    paths = _Paths([], [], {})
    for position, (path, numbers) in enumerate(lines):
        paths.files.append((path, File(path)))
        paths.bytecode.append(parse_bytecode(path))
        for number in numbers:
            positions = paths.of_package.get(number)
            if positions is None:
                positions = paths.of_package[number] = array("q")
            positions.append(position)
    return paths


def _packages(file: BinaryIO) -> Iterator[tuple[int, Item, str]]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _main(tasks: BinaryIO, emit: Emit) -> None:
    settings: Settings = pickle.load(tasks)
    emit(READY)
    while True:
        try:
            bucket: Bucket = pickle.load(tasks)
        except EOFError:
            return
        batch: list[Outcome] = []
        for outcome in outcomes(bucket, settings):
            batch.append(outcome)
            if len(batch) == _BATCH:
                emit(batch)
                batch = []
        if batch:
            emit(batch)
        emit(None)


if __name__ == "__main__":
    serve(_main)
