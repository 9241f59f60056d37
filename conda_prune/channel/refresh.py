"""Refreshes the index of a channel after packages in it were replaced: their records, and nothing else.

    survey_indexes    before the first package is replaced: could the index be refreshed? Are its packages published?
    refresh_indexes   after the last one: every index next to a package is refreshed, or written again (`always`)

The records are computed here, from the packages' files. rattler's indexer would read every package again, undo what
patches say of the others (hotfixes), drop what it does not know, and write in place. Only the packages of the run are
looked at, so a partial mirror, whose index lists packages that are not there, is refreshed like any other channel.

What an interrupted run left is found by hash: every package of a run is compared with its records, even if this run did
not change it. The size is not enough (a package whose stamps were corrected often keeps its size), and neither is the
time (an indexer that compares names only may have written the old records again). It costs reading the packages once
more, which `fix` has just read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..archive.container import identity_of
from ..errors import OutOfMemory, PruneError
from ..model import IndexRecord, Result
from . import files
from .index import (
    Index,
    form_names,
    index_name,
    read_index,
)
from .published import IndexSurvey, evidence_of_publication, published_warning
from .records import PackageFile
from .repodata import REPODATA
from .sidecars import removal_warnings, remove_patches, stale_companions


def survey_indexes(paths: Iterable[str], reindex: str) -> IndexSurvey:
    """Look at the indexes next to files that may be replaced or written, and write nothing.

    `reindex` is `auto`, `always` or `never`; with `never`, an index cannot be an obstacle. What can be known beforehand
    is found: an index that cannot be read or is read-only, keys that are not package names, numbers that JSON does not
    preserve, shards that are elsewhere.
    """
    obstacles: dict[str, PruneError] = {}
    publications: dict[str, str] = {}
    for real, place in _directories_of(paths).items():
        try:
            if has_index(real):
                index = files.retry_while_changing(partial(read_index, real))
                if evidence := evidence_of_publication(index):
                    publications[real] = published_warning(place.shown, evidence)
                if reindex == "auto":
                    _check_replaceable(index, place.names)
        except (PruneError, OSError, MemoryError) as error:
            if reindex == "auto":  # Otherwise, nothing of the index is needed.
                obstacles[real] = _as_prune_error(error)
        if reindex == "always":
            try:
                from .rewrite import check_rewritable

                check_rewritable(real)
            except (PruneError, OSError, MemoryError) as error:
                obstacles[real] = _as_prune_error(error)
    return IndexSurvey(obstacles, publications)


def refresh_indexes(results: Sequence[Result], *, always: bool = False) -> Iterator[Result]:
    """Yield a result for each index next to packages of a run that had stale records.

    With `always`, each index is written again from the packages that are there. An index that cannot be refreshed is a
    result with the status `error`, and does not keep the others from being refreshed.
    """
    done = [result for result in results if result.status in ("fixed", "clean")]
    replaced = _directories_of(_written(result) for result in done if result.status == "fixed")
    for real, place in _directories_of(map(_written, done)).items():
        try:
            if always:
                from .rewrite import write_index

                yield write_index(place.shown)
            elif has_index(real):
                refreshed = refresh_index(place.shown, place.names, must_read=real in replaced)
                if refreshed is not None:
                    yield refreshed
        except (PruneError, OSError, MemoryError) as error:
            reason = f"the index was not refreshed: {_as_prune_error(error)}"
            name = REPODATA if always else index_name(real)
            yield Result(path=files.join(place.shown, name), status="error", error=reason)


def has_index(directory: str) -> bool:
    """Return whether a directory has an index, in any form."""
    return os.path.isdir(directory) and bool(form_names(directory))


def refresh_index(directory: str, names: Collection[str], *, must_read: bool = True) -> Result | None:
    """Make what a directory's index says of packages (file names) true, in every form of it that is there.

    Returns None if it was true already, and if the index cannot be read, unless `must_read` is set because the run
    replaced a package that the index may list. Raises PruneError when the index cannot be read or written. A form is
    then as it was or as it should be, and the next refresh does the rest.
    """
    work = _Refresh(directory, names)
    try:
        is_stale = files.retry_while_changing(work.find_stale)
        if not is_stale and not files.has_leftovers(directory, form_names(directory)):
            return None
    except (PruneError, OSError):
        if must_read:
            raise
        return None
    with files.locked(directory):
        files.remove_leftovers(directory, form_names(directory))
        index = files.retry_while_changing(work.write)
    if not work.renewed:
        return None
    path = files.join(directory, index.name)
    records = tuple(work.renewed[name] for name in sorted(work.renewed))
    warnings = [
        *removal_warnings(path, work.removed),
        *remove_patches(directory, work.written),
        *stale_companions(directory, work.written, records),
    ]
    return Result(path=path, status="indexed", subdir=index.subdir, records=records, warnings=tuple(warnings))


@dataclass
class _Refresh:
    """What was done to one index. An attempt that was disturbed is followed by another one, which adds to it."""

    directory: str
    names: Collection[str]
    renewed: dict[str, IndexRecord] = field(default_factory=dict)
    removed: set[tuple[str, str]] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    _packages: dict[str, PackageFile] = field(default_factory=dict)

    def find_stale(self) -> bool:
        """Return whether any record of the packages is stale."""
        return bool(self._renew(read_index(self.directory))[0])

    def write(self) -> Index:
        """Renew the records, and return the index. Raises Changed when another program writes the index meanwhile."""
        index = read_index(self.directory)
        renewed, removed = self._renew(index)
        for name, record in renewed.items():
            self.renewed.setdefault(name, record)
        self.removed |= removed
        self.written |= {form.name for form in index.forms if form.document.changed}
        index.write()
        return index

    def _renew(self, index: Index) -> tuple[dict[str, IndexRecord], set[tuple[str, str]]]:
        renewed: dict[str, IndexRecord] = {}
        removed: set[tuple[str, str]] = set()
        for name in sorted(self.names):
            if index.listing(name) and (package := self._package(name)):
                record = index.renew(name, package, removed)
                if record is not None:
                    renewed[name] = record
        return renewed, removed

    def _package(self, name: str) -> PackageFile | None:
        """Return a package's file, None when somebody removed it; its hashes are kept while it is the same file."""
        path = os.path.join(self.directory, name)
        try:
            if name not in self._packages or self._packages[name].identity != identity_of(os.stat(path)):
                self._packages[name] = PackageFile(path)
        except FileNotFoundError:
            return None
        return self._packages[name]


@dataclass
class _PackageDirectory:
    """A directory with packages of a run: its name as the user wrote it, and the file names of the packages."""

    shown: str
    names: set[str] = field(default_factory=set)


def _directories_of(paths: Iterable[str]) -> dict[str, _PackageDirectory]:
    """Return the directories of packages by their real paths."""
    places: dict[str, _PackageDirectory] = {}
    for path in paths:
        if "\0" in path:
            continue  # No file has such a name. Opening it is an error elsewhere.
        # Behind a link, the file that is replaced may be in another channel.
        for name in (path, os.path.realpath(path)):
            directory = os.path.dirname(name) or "."
            place = places.setdefault(os.path.realpath(directory), _PackageDirectory(directory))
            place.names.add(os.path.basename(name))
    return places


def _written(result: Result) -> str:
    return result.output or result.path


def _check_replaceable(index: Index, names: Iterable[str]) -> None:
    for path in sorted({form.path for name in names for form in index.listing(name)}):
        files.check_replaceable(path)


def _as_prune_error(error: Exception) -> PruneError:
    if isinstance(error, PruneError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("there is not enough memory for the index")
    if isinstance(error, OSError) and error.filename:
        return PruneError(f"{error.filename} cannot be read: {error.strerror}")
    return PruneError(str(error))
