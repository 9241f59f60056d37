"""Reads the payload of a `.conda` and writes it again while it is decompressed once, on a forecast of the splices.

Normally, a package is decompressed twice: to plan, and to carry the plan out. But often the listing in the info
component says which files are dropped, and, in the layout of rattler's tars, where they are. The forecast is what the
splices will be in that case. It decides nothing:

1. The payload is written with the splices of the forecast. At the same time, its tar is parsed and hashed, as it is
   when a package is read. The first member that is not where it was predicted to be ends the attempt.
2. After the last byte, the package is judged by everything that was read. The plan gives the splices.
3. If these are not exactly those of the forecast, what was written is discarded. It is never patched.

A `RECORD` that lists dropped files is edited as well. So, before the pass, the payload is decompressed as far as the
last such file, and its new content is part of the forecast.

The payload is read back while it is written (`following.py`). It must have the members that the forecast leaves of
those that are read.

The payload is written by the same code with the same arguments as in two passes, so the bytes are the same. Measured
with 865 MB at level 15: 5.1 CPU seconds instead of 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from ..archive.container import Archive, PackedComponent
from ..archive.layout import UnexpectedLayout, predict
from ..archive.reader import Keep, read_stored, tar_reader
from ..archive.tar import Spans, immediately
from ..archive.zip_write import NewContent
from ..compression.recompress import Rewritten, is_small
from ..compression.splicer import new_size
from ..compression.stream import CannotReuse, Stream
from ..compression.threads import Submit, ThreadBudget, sink
from ..compression.zstd import reuse
from ..compression.zstd.frame import read_frame
from ..errors import CannotWrite, PruneError
from ..model import Component, CompressionSettings, Edit, File, Splice
from .following import Following, Growth
from .rewriter import (
    ResettableProgress,
    RewriteJob,
    Written,
    digest,
    read_back,
    rewrite_component,
)
from .splices import expected_of, splices_of
from .staging import Staging
from .verify import ExpectedTar, Verified

_DEPTH = 8
"""Pieces of content, of at most 1 MiB each, that wait to be parsed and hashed."""

_BUSY = 2
"""Threads that decompressing, hashing and compressing keep busy during the pass. If there are no more, reading back is
faster after the pass, while the package is judged: during it, a repair took 5 % longer on two cores (865 MB)."""

_MOST_READ = 1 << 26
"""Bytes of files that are read in advance."""

_LARGEST_INFO = 1 << 29
"""Bytes of content of an info component that certainly needs no 64-bit sizes in the zip, whatever its edits are."""

Judge = Callable[[Component], "RewriteJob | None"]
"""judge(payload): judge the package by all of its components, and return what to write; None if nothing is written."""


class WrongForecast(Exception):
    """The package is not what its listing suggests, so what was written on this assumption must be discarded."""


@dataclass(frozen=True)
class Forecast:
    """What the payload is expected to be: where its members are, how they are edited, and its size in bytes."""

    spans: Spans
    edits: Mapping[str, Edit]
    splices: tuple[Splice, ...]
    size: int


def predict_payload(archive: Archive, files: Iterable[File]) -> Component | None:
    """Return the payload of a `.conda` whose listing names `files`; None if it has to be read before it is written.

    The info component describes what is kept, so it must be written after the payload.
    """
    info, payload = archive.component("info"), archive.component("pkg")
    if info is None or payload is None or info.byte_range.start < payload.byte_range.start:
        return None
    size, info_size = archive.stated_size(payload), archive.stated_size(info)
    if size is None or size > archive.limits.unpacked:
        return None
    if archive.has_huge_window(payload) or archive.has_huge_window(info):
        return None
    if read_frame(payload.byte_range).single_segment:
        return None
    if info_size is None or info_size > _LARGEST_INFO:
        return None
    return predict("pkg", files, size)


def read_predicted(archive: Archive, predicted: Component, paths: Collection[str]) -> Component | None:
    """Return the predicted payload with the content of these files, for edits that depend on it; None without success.

    This decompresses the payload as far as the last of the files, which takes less than half of the time of reading it.
    """
    members = [(at, file) for at, file in enumerate(predicted.files) if file.path in paths]
    spans = [predicted.spans[at] for at, _ in members]
    if sum(span.stop - span.start for span in spans) > _MOST_READ:
        return None
    try:
        stored = read_stored(archive, component(archive, "pkg"), spans)
    except PruneError:  # Reading the package says what is wrong with it.
        return None
    if len(stored) < len(members):
        return None
    files, headers = list(predicted.files), {}
    for (at, file), span, raw in zip(members, spans, stored, strict=True):
        content = span.content - span.start
        headers[file.path] = raw[:content]
        files[at] = file._replace(content=raw[content : content + (file.size or 0)])
    return predicted._replace(files=tuple(files), headers=headers)


def forecast(predicted: Component, edits: Mapping[str, Edit]) -> Forecast | None:
    """Return the forecast for a payload and its edits; None if it has to be read before it is written."""
    try:
        splices = splices_of(predicted, edits)
    except PruneError:  # What was taken for the headers of a member is something else.
        return None
    assert isinstance(predicted.spans, Spans)  # noqa: S101 (for mypy: it was predicted)
    return Forecast(predicted.spans, edits, splices, predicted.size) if splices else None


def can_be_reused(forecast: Forecast, settings: CompressionSettings) -> bool:
    """Return whether a payload with these settings is written by copying blocks, which one pass is made for."""
    return settings.source != "asked" and not is_small(settings, new_size(forecast.size, forecast.splices))


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over a package needs: the forecast, the settings to compress each component with, and the judge.

    `keep` is how much of each file the judge needs, as in `read_package`.
    """

    archive: Archive
    forecast: Forecast
    settings: Mapping[str, CompressionSettings]
    keep: Keep
    judge: Judge
    threads: int
    progress: Callable[[int], None]
    submit: Submit


def rewrite_in_one_pass(work: Pass, staging: Staging) -> Written | None:
    """Write the edited package to the staged file while its payload is read, and verify it.

    Returns None if the forecast turns out to be wrong, if blocks cannot be copied, or if anything is wrong with the
    package: then what was written is discarded, and reading the package says what is wrong. Raises CannotWrite.
    """
    progress = ResettableProgress(work.progress)
    attempt = _Attempt(work, progress, staging)
    before = work.submit(partial(digest, work.archive.whole))
    try:
        work.archive.write(staging.file, attempt.contents())
        if attempt.job is not None:
            job = replace(attempt.job, progress=progress)
            return read_back(job, attempt.done, staging, before, attempt.verified)
    except CannotWrite:
        raise
    except (UnexpectedLayout, WrongForecast, CannotReuse, PruneError):
        pass
    finally:
        attempt.cancel()
    progress.reset()
    staging.restart()
    return None


class _Attempt:
    """Writes the components. `job` is what is written, as soon as the payload was read; `done` are its components."""

    def __init__(self, work: Pass, progress: Callable[[int], None], staging: Staging) -> None:
        self.job: RewriteJob | None = None
        self.done: dict[str, Rewritten] = {}
        self._work = work
        self._progress = progress
        self._staging = staging
        self._budget = ThreadBudget(work.threads)
        self._reader = tar_reader(work.archive, component(work.archive, "pkg"), work.keep, immediately)
        self._members = Growth()  # Those that the reader has read.
        self._following: Following | None = None

    def contents(self) -> dict[str, NewContent]:
        """Return the new content of both components. The payload is written first."""
        size = 2 * (self._work.archive.stated_size(component(self._work.archive, "info")) or 0)
        return {
            "pkg": NewContent(self._write_payload, self._work.forecast.size),
            "info": NewContent(self._write_info, size),
        }

    def verified(self) -> dict[str, Verified]:
        """Wait until the payload is read back; raise NotVerified if it is not as expected."""
        assert self._following is not None  # noqa: S101 (for mypy: the payload was written first)
        return {"pkg": self._following.result(self.done["pkg"].crc)}

    def cancel(self) -> None:
        """End what still runs."""
        self._members.abandon()
        if self._following is not None:
            self._following.cancel()

    def _write_payload(self, out: IO[bytes]) -> None:
        # The payload must have the members that the forecast leaves.
        members = expected_of(self._members.each(self._reader.member), self._work.forecast.edits, {})
        expected, at_once = ExpectedTar("pkg", members), self._work.threads > _BUSY
        following = Following(self._staging, out, "zstd", expected, self._progress, at_once=at_once)
        self._following = following
        payload, rewritten = self._read_and_write(following.out)
        following.end()
        self.done["pkg"] = rewritten
        self.job = job = self._work.judge(payload)
        if job is None or splices_of(payload, job.edits) != self._work.forecast.splices:
            raise WrongForecast
        edits = {file.path: job.edits[file.path] for file in payload.files if file.path in job.edits}
        if edits != self._work.forecast.edits:
            raise WrongForecast

    def _read_and_write(self, out: IO[bytes]) -> tuple[Component, Rewritten]:
        forecast, reader = self._work.forecast, self._reader
        seen = 0

        def read(content: bytes) -> None:
            nonlocal seen
            reader.feed(content)
            if not reader.spans.same_bounds(forecast.spans, seen):
                raise UnexpectedLayout
            seen = len(reader.spans)
            self._members.reach(seen)

        def progress(done: int) -> None:
            self._progress(2 * done)  # Reading and writing are one.

        packed = component(self._work.archive, "pkg")
        stream = Stream(packed.byte_range, self._work.settings["pkg"], forecast.size)
        with sink(read, _DEPTH) as put:
            written = reuse.rewrite(stream, forecast.splices, out, self._budget, progress, put)
        self._members.end()
        size = new_size(forecast.size, forecast.splices)
        return reader.finish("pkg"), Rewritten(size, written.crc, written.reused, size - written.reused)

    def _write_info(self, out: IO[bytes]) -> None:
        assert self.job is not None  # noqa: S101 (for mypy: the payload was written first)
        info = next(found for found in self.job.package.components if found.name == "info")
        splices = splices_of(info, self.job.edits)
        if not splices:
            raise WrongForecast
        job = replace(self.job, progress=self._progress)
        self.done["info"] = rewrite_component(job, info, splices, out, self._budget)


def component(archive: Archive, name: str) -> PackedComponent:
    """Return a component that exists in every `.conda`."""
    return next(packed for packed in archive.components if packed.name == name)
