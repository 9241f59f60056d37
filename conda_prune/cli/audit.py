"""`audit`: judge the packages of whole channels from their metadata, one JSON line per package."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import ExitCode, exit_codes_help
from .limits import limit_options, limits_of
from .options import complete_paths, judgement_options, options_of, origin
from .targets import NoPackages

if TYPE_CHECKING:
    from ..audit.item import Item
    from ..audit.outcome import Outcome
    from ..audit.repodata import Record
    from ..audit.results import Results
    from ..audit.settings import Settings
    from ..audit.sources import Source
    from ..audit.summary import ProgressLine, Tally


class _Shard(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """One of N equal parts, written K/N."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is not a shard: write K/N, such as 1/8 for the first of eight", param, ctx)
        return int(found[1]), int(found[2])


class _Date(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A day or a moment, in UTC if it names no other time zone."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            self.fail(f"{value!r} is not a date: write it as in 2026-01-31", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


@click.command(cls=ConfigurableCommand, epilog=exit_codes_help("audit"))
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=complete_paths)
@click.option("-o", "--output", metavar="FILE", required=True, help="The results file: one JSON line per package.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue FILE: skip what it has, try failures again, and cut off a partial last line.",
)
@click.option(
    "--subdir",
    "subdirs",
    metavar="SUBDIR",
    multiple=True,
    help="A subdir of channels that are named without one (repeatable).",
)
@click.option(
    "--package", "names", metavar="NAME", multiple=True, help="Only packages of this name (repeatable); channels only."
)
@click.option("--since", type=_Date(), metavar="DATE", help="Only packages uploaded since then; channels only.")
@click.option("--latest", is_flag=True, help="Only the newest version of each package; channels only.")
@click.option(
    "--shard",
    type=_Shard(),
    metavar="K/N",
    help="Only the K-th of N parts. Together, N runs give the same results as one.",
)
@click.option("--tar-bz2", is_flag=True, help="Download and judge .tar.bz2 packages, which are skipped otherwise.")
@click.option(
    "--download",
    is_flag=True,
    help="Download whole packages where their metadata cannot be read alone; they are skipped otherwise.",
)
@click.option(
    "--paths-db",
    metavar="FILE",
    shell_complete=complete_paths,
    help="Read no package: judge by FILE, a database of conda-forge-paths, and repodata.json.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Read on the Dask cluster at ADDRESS, or on one of this machine: local. Needs conda-prune[dask].",
)
@click.option(
    "--requests",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Requests at a time, at most; fewer after errors.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 20),
    default=4,
    show_default=True,
    help="Attempts after the first; answers of 429 pause the run instead.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to read the metadata of one package.",
)
@judgement_options
@limit_options
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")  # fmt: skip
def audit(sources: tuple[str, ...], output: str, **flags: Any) -> None:
    """Judge the packages of whole channels from their metadata; write one JSON line per package.

    A SOURCE is a subdir of a channel (its URL, or as in conda-forge/linux-64), the URL of a package, a file
    with such URLs, or a local directory. Of a remote .conda, only the end of the file is read, with the info
    component in it: one request and 64 KiB for most packages. Credentials and mirrors are rattler's.

    \b
    Examples:
      conda-prune audit conda-forge/linux-64 -o results.jsonl
      conda-prune audit conda-forge/linux-64 -o results.jsonl --resume
      conda-prune audit https://example.org/channel --subdir linux-64 --subdir noarch -o results.jsonl
      conda-prune audit conda-forge/noarch --package numpy --latest -o results.jsonl
      conda-prune audit conda-forge/linux-64 --shard 3/16 -o results-3.jsonl
      conda-prune audit conda-forge/linux-64 --paths-db cf.db -o results.jsonl
      conda-prune audit conda-forge/linux-64 --dask tcp://scheduler:8786 -o results.jsonl
    """
    from ..audit.settings import Settings
    from ..audit.sources import Directory, Subdir, parse_sources
    from ..audit.summary import ProgressLine, Tally
    from ..errors import UsageError

    options, limits = options_of(flags), limits_of(flags)
    try:
        parsed = parse_sources(sources, flags["subdirs"], list(_filters(flags)))
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    if flags["paths_db"] is not None and not all(isinstance(source, Subdir) for source in parsed):
        raise click.UsageError("--paths-db judges the packages that channels list: name channels only")
    if flags["dask"] is not None and flags["paths_db"] is not None:
        raise click.UsageError("--dask and --paths-db exclude each other: with a database, no package is read")
    if flags["dask"] is not None and any(isinstance(source, Directory) for source in parsed):
        raise click.UsageError("--dask reads packages of channels and at URLs: its workers do not see local files")
    tally, progress = Tally(), ProgressLine(quiet=flags["quiet"])
    with (
        _results(output, parsed, flags) as results,
        tempfile.TemporaryDirectory(prefix="conda-prune-", ignore_cleanup_errors=True) as scratch,
    ):
        settings = Settings(
            options,
            limits,
            requests=flags["requests"],
            retries=flags["retries"],
            timeout=flags["timeout"],
            tar_bz2=flags["tar_bz2"],
            download=flags["download"],
            scratch=scratch,
        )
        items = _Items(parsed, settings, results, progress, flags)
        with closing(_outcomes(items, settings, progress, flags)) as outcomes:
            try:
                for outcome in outcomes:
                    results.add(outcome)
                    tally.add(outcome)
                    progress.advance()
            except (KeyboardInterrupt, SystemExit):
                if tally.statuses or flags["resume"]:
                    progress.say(f"interrupted; go on with --resume: {output} has every result so far")
                raise
            finally:
                progress.clear()
    _finish(tally, items, output, flags)


def _results(output: str, sources: Sequence[Source], flags: dict[str, Any]) -> Results:
    """Return the results file. Raises click's UsageError if it must not be written."""
    from ..audit.results import Results
    from ..audit.sources import Subdir
    from ..errors import UsageError

    inputs = [source[0] for source in sources if not isinstance(source, Subdir)]
    if flags["paths_db"] is not None:
        inputs.append(flags["paths_db"])
    try:
        return Results(output, resume=flags["resume"], inputs=inputs)
    except UsageError as error:
        raise click.UsageError(str(error)) from error


def _filters(flags: dict[str, Any]) -> Iterator[str]:
    """Yield the options in use that choose packages by what the index of a channel says."""
    for option, flag in (("--package", "names"), ("--since", "since"), ("--latest", "latest")):
        if flags[flag]:
            yield option


class _Items:
    """The packages to read, and the outcomes of what cannot be listed; counts what is left out."""

    def __init__(
        self,
        sources: Sequence[Source],
        settings: Settings,
        results: Results,
        progress: ProgressLine,
        flags: dict[str, Any],
    ) -> None:
        self._sources = sources
        self._settings = settings
        self._results = results
        self._progress = progress
        self._flags = flags
        self.failures: list[Outcome] = []
        self.listed = self.already_there = 0

    def __iter__(self) -> Iterator[Item]:
        for record in self.records():
            yield record.item

    def records(self) -> Iterator[Record]:
        """Yield the packages with their records in the index; note what cannot be listed in `failures`."""
        from ..audit.item import Unlisted
        from ..audit.outcome import unlisted
        from ..audit.repodata import Wanted
        from ..audit.sources import records_of

        wanted = Wanted(frozenset(self._flags["names"]), self._flags["since"], self._flags["latest"])
        for record in records_of(self._sources, wanted, self._settings.scratch, _search, self._progress.expect):
            if isinstance(record, Unlisted):
                self.failures.append(unlisted(record, self._flags["shard"]))
                continue
            self.listed += 1
            if self._is_left_out(record.item):
                self._progress.advance()
            else:
                yield record

    def _is_left_out(self, item: Item) -> bool:
        from ..report.audit.key import in_shard

        if self._flags["shard"] is not None and not in_shard(item.file_name, *self._flags["shard"]):
            return True
        if self._flags["resume"] and self._has(item):
            self.already_there += 1
            return True
        return False

    def _has(self, item: Item) -> bool:
        from ..audit.local import hash_of
        from ..audit.reader import skips

        if item.local and item.sha256 is None:
            try:
                item = item._replace(sha256=hash_of(item.url))
            except OSError:
                return False
        skipped_again = self._flags["paths_db"] is not None or skips(item, self._settings)
        return self._results.has(item, skips=skipped_again)


def _outcomes(
    items: _Items, settings: Settings, progress: ProgressLine, flags: dict[str, Any]
) -> Generator[Outcome, None, None]:
    if flags["paths_db"] is not None:
        from ..audit.paths_db import open_database

        with open_database(flags["paths_db"]) as database:
            yield from database.outcomes(items.records(), settings)
    elif flags["dask"] is not None:
        from ..audit.cluster import read_on_cluster

        yield from read_on_cluster(items, settings, flags["dask"], progress.say)
    else:
        from ..audit.process import read_all

        yield from read_all(items, settings, progress.say)
    yield from items.failures


def _search(path: str) -> Sequence[str]:
    """Return the packages in a directory, or the package itself."""
    from .package_search import find_packages

    return [package.path for package in find_packages([path]).packages]


def _nothing_found(flags: dict[str, Any]) -> str:
    if used := " and ".join(_filters(flags)):
        return f"no package of the sources matches {used}; check the filters"
    return "the sources hold no packages; check the paths and the channels"


def _finish(tally: Tally, items: _Items, output: str, flags: dict[str, Any]) -> None:
    """Print the summary, and leave with the exit code."""
    from ..report.escape import encodable, escaped

    if not items.listed and not tally.failed:
        raise NoPackages(_nothing_found(flags))
    lines = tally.failure_lines() if flags["quiet"] else [*tally.lines(items.already_there), f"results: {output}"]
    stream = sys.stderr if flags["quiet"] else sys.stdout
    for line in lines:
        print(encodable(escaped(line), stream.encoding), file=stream)
    # Packages of other parts and runs may have files that match.
    if not items.already_there and flags["shard"] is None:
        for glob in tally.unused_keep:
            click.echo(f"warning: {origin('keep')} {escaped(glob)} matches no file", err=True)
    sys.exit(ExitCode.FAILED if tally.failed else ExitCode.OK)
