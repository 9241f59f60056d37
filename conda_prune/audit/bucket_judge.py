"""Judges the packages of a bucket from their paths: the work of a process of its own.

Successive builds of a package have most of their paths in common. So each path of a bucket is decoded and parsed once,
for all packages that have it: this is what makes judging by paths fast, next to using all cores.
"""

from __future__ import annotations

import gc
import json
import pickle
from array import array
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ..errors import PruneError
from ..judgement.bytecode import Bytecode, parse_bytecode
from ..model import File
from .buckets import PACKAGES, Bucket
from .child import READY, Emit, serve
from .item import Item
from .judge import judge_paths
from .outcome import Outcome, failed, outcome_of
from .settings import Settings

_BATCH = 100
"""Outcomes in one message."""
_OBJECTS = 100_000
"""New objects after which Python looks for unused cycles: each time, it looks at all paths of a bucket."""


class _Paths(NamedTuple):
    """The paths of each package of a bucket in order, and its bytecode files. A package's place is its number modulo
    PACKAGES.
    """

    files: list[list[tuple[str, File]]]
    bytecode: list[list[Bytecode]]


def outcomes(bucket: Bucket, settings: Settings) -> Iterator[Outcome]:
    """Yield the outcomes of a bucket's packages."""
    try:
        with open(bucket.paths, "rb") as file:
            paths = _read(file)
    except FileNotFoundError:  # None of its packages has a path.
        paths = _no_paths()
    with open(bucket.packages, "rb") as file:
        for number, item, record in _packages(file):
            place = number % PACKAGES
            yield _judge(item, record, paths.files[place], paths.bytecode[place], settings)


def _judge(
    item: Item, record: str, listed: list[tuple[str, File]], bytecode: list[Bytecode], settings: Settings
) -> Outcome:
    files = dict(listed)
    if len(files) != len(listed):  # The database names a package twice for one path.
        bytecode = list({file.path: file for file in bytecode}.values())
    try:
        result = judge_paths(item, json.loads(record), files, tuple(bytecode), settings.options, settings.limits)
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
    paths = _no_paths()
    for path, numbers in lines:
        listed, bytecode = (path, File(path)), parse_bytecode(path)
        for number in numbers:
            paths.files[number % PACKAGES].append(listed)
        if bytecode is not None:
            for number in numbers:
                paths.bytecode[number % PACKAGES].append(bytecode)
    return paths


def _no_paths() -> _Paths:
    return _Paths([[] for _ in range(PACKAGES)], [[] for _ in range(PACKAGES)])


def _packages(file: BinaryIO) -> Iterator[tuple[int, Item, str]]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _main(tasks: BinaryIO, emit: Emit) -> None:
    settings: Settings = pickle.load(tasks)
    gc.set_threshold(_OBJECTS)
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
