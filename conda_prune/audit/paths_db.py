"""Judges the packages of a channel without reading any of them, from a database of the paths in all packages.

The database is conda-forge-paths' (SQLite): `Artifacts(id, artifact, timestamp)` with artifacts such as
`cf/linux-64/NAME-VERSION-BUILD`, and `PathToArtifactIds(path, basename, artifact_ids)`, the ids separated by commas. It
says which packages a path is in; judgement asks which paths a package has. `buckets` turns one into the other in one
pass over the table, and judges the packages in several processes. What a package depends on is in repodata.json.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import compress
from typing import NamedTuple
from urllib.request import pathname2url

from ..errors import PruneError
from .buckets import Buckets
from .item import Item
from .outcome import Outcome, format_of_name, skipped
from .repodata import Record
from .settings import Settings

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
        self._connection.text_factory = bytes  # Decoding two million paths takes a second.
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
        with Buckets(settings.scratch) as buckets:
            yield from self._take(records, wanted, buckets)
            self._distribute(wanted, buckets)
            yield from buckets.outcomes(settings)

    def _take(self, records: Iterable[Record], wanted: bytearray, buckets: Buckets) -> Iterator[Outcome]:
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
            _bytes(artifact).decode("utf-8", "surrogateescape").rpartition("/")[2]: _Known(
                number, uploaded if isinstance(uploaded, int) else None
            )
            for number, artifact, uploaded in rows
        }

    def _distribute(self, wanted: bytearray, buckets: Buckets) -> None:
        """Put each path into every bucket that has a package with it."""
        for path, ids in self._connection.execute("SELECT path, artifact_ids FROM PathToArtifactIds"):
            raw = _bytes(path).removeprefix(b"./")
            if b"\n" in raw:
                continue  # No listing of lines could name it, and buckets hold lines.
            try:
                listed = list(map(int, _bytes(ids).split(b",")))
                numbers = list(compress(listed, map(wanted.__getitem__, listed)))
            except (ValueError, IndexError) as error:
                shown = _bytes(ids)[:50].decode("utf-8", "replace")
                raise PruneError(f"{self._path} is damaged: the ids {shown!r}: {error}") from error
            if numbers:
                buckets.add_path(raw, numbers)


def _bytes(value: object) -> bytes:
    """Return a value as SQLite would write it as text: a column may hold numbers."""
    return value if isinstance(value, bytes) else str(value).encode()


def _stem(item: Item) -> str:
    format_ = format_of_name(item.file_name)
    return item.file_name.removesuffix(format_.value) if format_ is not None else item.file_name


def open_database(path: str) -> closing[PathsDatabase]:
    """Return a database that is closed at the end of a `with` statement. Raises PruneError where it is not one."""
    return closing(PathsDatabase(path))
