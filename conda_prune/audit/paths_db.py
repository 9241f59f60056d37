"""Judges the packages of a channel without reading any of them, from a database of the paths in all packages.

The database is conda-forge-paths' (SQLite): `Artifacts(id, artifact, timestamp)` with artifacts such as
`cf/linux-64/NAME-VERSION-BUILD`, and `PathToArtifactIds(path, basename, artifact_ids)`, the ids separated by commas. It
says which packages a path is in; judgement asks which paths a package has. Turning one into the other takes one pass
over the table, in which each path is appended to temporary files, one for every so many packages; so memory holds the
paths of only a part of the packages at a time, however large the database is. What a package depends on is in
repodata.json.
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import BinaryIO, NamedTuple
from urllib.request import pathname2url

from ..errors import PruneError
from .item import Item
from .judge import judge_paths
from .outcome import Outcome, failed, format_of_name, outcome_of, skipped
from .repodata import Record
from .settings import Settings

_MOST_BUCKETS = 100
"""Each has two files, and macOS allows 256 open files by default."""
_BUCKET = 5_000
"""Numbers of packages in a bucket, all of whose paths are in memory together; more if there were too many buckets."""
_MISSING = "the database of paths does not have it"


class _Known(NamedTuple):
    number: int
    uploaded: int | None


class PathsDatabase:
    """A database of paths, open for reading. Raises PruneError where it is not one."""

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise PruneError(f"{path} does not exist", "download the database of conda-forge-paths")
        # Opened as immutable, SQLite makes no files next to it.
        self._path = path
        self._connection = sqlite3.connect(
            f"file:{pathname2url(os.path.abspath(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            self._connection.execute("SELECT id, artifact, timestamp FROM Artifacts LIMIT 1").fetchall()
            self._connection.execute("SELECT path, artifact_ids FROM PathToArtifactIds LIMIT 1").fetchall()
        except sqlite3.Error as error:
            self.close()
            raise PruneError(f"{path} is not a database of conda-forge-paths: {error}") from error

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def outcomes(self, records: Iterable[Record], settings: Settings) -> Iterator[Outcome]:
        """Yield the outcome of every record; those of packages that the database does not have are skipped.

        Raises PruneError where the database cannot be read.
        """
        try:
            yield from self._outcomes(records, settings)
        except sqlite3.Error as error:
            raise PruneError(f"{self._path} cannot be read: {error}", "download it again") from error

    def _outcomes(self, records: Iterable[Record], settings: Settings) -> Iterator[Outcome]:
        (largest,) = self._connection.execute("SELECT max(id) FROM Artifacts").fetchone()
        last = largest if isinstance(largest, int) and largest > 0 else 0
        wanted = bytearray(last + 1)
        with _Buckets(settings.scratch, last) as buckets:
            yield from self._take(records, wanted, buckets)
            self._distribute(wanted, buckets)
            for entries, paths in buckets.each():
                for number, item, record in entries:
                    yield _judge(item, record, paths.get(number, []), settings)

    def _take(self, records: Iterable[Record], wanted: bytearray, buckets: _Buckets) -> Iterator[Outcome]:
        """Put the records into their buckets, and mark their numbers; yield outcomes for those that are not known."""
        subdir = ""
        known: dict[str, _Known] = {}
        for record in records:
            if record.item.subdir != subdir:
                subdir = record.item.subdir
                known = self._known(subdir)
            found = known.get(_stem(record.item))
            if found is None:
                yield skipped(record.item, _MISSING)
                continue
            wanted[found.number] = 1
            uploaded = record.item.uploaded if record.item.uploaded is not None else found.uploaded
            buckets.add_record(found.number, record.item._replace(uploaded=uploaded), record.json())

    def _known(self, subdir: str) -> dict[str, _Known]:
        """Return the number of every artifact of a subdir, by its name."""
        rows = self._connection.execute(
            "SELECT id, artifact, timestamp FROM Artifacts WHERE artifact GLOB ? AND id > 0", (f"*/{subdir}/*",)
        )
        return {
            str(artifact).rpartition("/")[2]: _Known(number, uploaded if isinstance(uploaded, int) else None)
            for number, artifact, uploaded in rows
        }

    def _distribute(self, wanted: bytearray, buckets: _Buckets) -> None:
        """Put each path into every bucket that has a package with it."""
        for path, ids in self._connection.execute("SELECT path, artifact_ids FROM PathToArtifactIds"):
            raw = str(path).encode("utf-8", "surrogateescape")
            if b"\n" in raw:
                continue  # It is judged from a list of lines, which cannot hold this path.
            try:
                numbers = [number for number in map(int, str(ids).split(",")) if wanted[number]]
            except (ValueError, IndexError) as error:
                raise PruneError(f"{self._path} is damaged: the ids {str(ids)[:50]!r}: {error}") from error
            if numbers:
                buckets.add_path(raw, numbers)


class _Buckets:
    """Temporary files, each with the records and the paths of the packages whose numbers lie in one range."""

    def __init__(self, scratch: str, largest: int) -> None:
        self._width = max(_BUCKET, -(-(largest + 1) // _MOST_BUCKETS))
        self._open = ExitStack()
        self._directory = scratch
        self._paths: dict[int, BinaryIO] = {}
        self._records: dict[int, BinaryIO] = {}

    def __enter__(self) -> _Buckets:
        self._directory = self._open.enter_context(tempfile.TemporaryDirectory(dir=self._directory or None))
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def add_record(self, number: int, item: Item, record: str) -> None:
        """Add a package."""
        pickle.dump((number, item, record), self._file(self._records, "records", number // self._width))

    def add_path(self, path: bytes, numbers: Sequence[int]) -> None:
        """Add a path to packages, given by their numbers."""
        parts: dict[int, array[int]] = {}
        for number in numbers:
            parts.setdefault(number // self._width, array("q")).append(number)
        for bucket, found in parts.items():
            self._file(self._paths, "paths", bucket).write(b"%d\n%s\n" % (len(found), path) + found.tobytes())

    def each(self) -> Iterator[tuple[Iterator[tuple[int, Item, str]], dict[int, list[str]]]]:
        """Yield the packages of each bucket, and the paths of each by its number."""
        for bucket, records in sorted(self._records.items()):
            records.seek(0)
            paths: dict[int, list[str]] = {}
            if bucket in self._paths:
                self._paths[bucket].seek(0)
                _collect(self._paths[bucket], paths)
            yield _entries(records), paths

    def _file(self, files: dict[int, BinaryIO], name: str, bucket: int) -> BinaryIO:
        if bucket not in files:
            path = os.path.join(self._directory, f"{name}-{bucket}")
            files[bucket] = self._open.enter_context(open(path, "w+b"))  # noqa: SIM115
        return files[bucket]


def _entries(file: BinaryIO) -> Iterator[tuple[int, Item, str]]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _collect(file: BinaryIO, paths: dict[int, list[str]]) -> None:
    """Add each path in a bucket's file to the lists of its packages."""
    while line := file.readline():
        path = file.readline()[:-1].decode("utf-8", "surrogateescape")
        numbers = array("q")
        numbers.frombytes(file.read(int(line) * numbers.itemsize))
        for number in numbers:
            paths.setdefault(number, []).append(path)


def _stem(item: Item) -> str:
    format_ = format_of_name(item.file_name)
    return item.file_name.removesuffix(format_.value) if format_ is not None else item.file_name


def _judge(item: Item, record: str, paths: list[str], settings: Settings) -> Outcome:
    try:
        index = json.loads(record)
        return outcome_of(item, judge_paths(item, index, sorted(paths), settings.options, settings.limits), "paths")
    except PruneError as error:
        return failed(item, str(error))


def open_database(path: str) -> closing[PathsDatabase]:
    """Return a database that is closed at the end of a `with` statement. Raises PruneError where it is not one."""
    return closing(PathsDatabase(path))
