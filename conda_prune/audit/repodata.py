"""Lists the packages of a channel's subdir, in whatever form the channel has its index; py-rattler reads it.

Records are loaded name by name from the index, which stays in a file: a million of them take no more memory than the
largest package name has. Whole subdirs are read from repodata.json.zst or repodata.json, which is one request; some
names from the shards (CEP 16), if there are any. A channel that has only shards is read from them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import PruneError
from .item import Item, redacted

if TYPE_CHECKING:
    from rattler import Channel
    from rattler.repo_data import RepoDataRecord, SparseRepoData

_NAMES = 100
"""Names whose shards are fetched at a time."""


class Wanted(NamedTuple):
    """Which packages of a channel are audited: of these names, uploaded since a time, of the newest version only."""

    names: frozenset[str] = frozenset()
    since: datetime | None = None
    latest: bool = False


class Record(NamedTuple):
    """A package as the index lists it."""

    item: Item
    json: Callable[[], str]


class NotListed(PruneError):
    """The packages of a subdir cannot be listed."""

    advice = "check the channel and the subdir"


def records(
    channel: str, subdir: str, wanted: Wanted, scratch: str, expect: Callable[[int], None] = lambda count: None
) -> Iterator[Record]:
    """Yield the records of a subdir that are wanted, by name. `channel` is a name, a URL or a local directory.

    `expect` is called with the number of records that the index has, of which some may not be wanted, if that is known.
    `scratch` is a directory for the index. Raises NotListed.
    """
    try:
        found = _channel(channel)
    except Exception as error:
        raise NotListed(f"{redacted(channel)} is not a channel: {error}") from error
    shown = _shown(found)
    with tempfile.TemporaryDirectory(dir=scratch or None, ignore_cleanup_errors=True) as cache:
        try:
            for named in _by_name(found, subdir, wanted.names, cache, expect):
                for record in _chosen(named, wanted):
                    yield Record(_item_of(record, shown, subdir), record.to_json)
        except NotListed as error:
            if "://" in channel or "://" in error.reason or os.path.isdir(channel):
                raise
            # Which server the name of a channel leads to is a setting of rattler.
            raise NotListed(f"{error.reason} ({redacted(found.base_url)})", error.hint) from error


def channel_url(channel: str) -> str:
    """Return the channel of the records that `records` yields, without credentials; empty if it is not a channel."""
    try:
        return _shown(_channel(channel))
    except Exception:
        return ""


def _channel(text: str) -> Channel:
    from rattler import Channel

    return Channel(os.path.abspath(text) if os.path.isdir(text) else text)


def _shown(channel: Channel) -> str:
    return redacted(channel.base_url).rstrip("/")


def _by_name(
    channel: Channel, subdir: str, names: Collection[str], cache: str, expect: Callable[[int], None]
) -> Iterator[Sequence[RepoDataRecord]]:
    from rattler.repo_data.sparse import PackageFormatSelection

    if names and (found := _from_gateway(channel, subdir, sorted(names), cache)):
        yield from _grouped(found)
        return
    try:
        with asyncio.run(_fetch(channel, subdir, cache)) as data:
            expect(data.record_count(PackageFormatSelection.BOTH))
            for name in sorted(data.package_names(PackageFormatSelection.BOTH)):
                if not names or name in names:
                    yield data.load_records(name, PackageFormatSelection.BOTH)
        return
    except NotListed as error:
        failure = error
    listed = [] if names else _names(channel, subdir, cache)
    if not listed:
        raise failure
    for start in range(0, len(listed), _NAMES):
        yield from _grouped(_from_gateway(channel, subdir, listed[start : start + _NAMES], cache))


async def _fetch(channel: Channel, subdir: str, cache: str) -> SparseRepoData:
    from rattler.networking import FetchRepoDataOptions, fetch_repo_data
    from rattler.platform import Subdir

    from .reader import client

    try:
        (data,) = await fetch_repo_data(
            channels=[channel],
            platforms=[Subdir(subdir)],
            cache_path=cache,
            callback=None,
            client=client(),
            fetch_options=FetchRepoDataOptions(cache_action="no-cache"),
        )
    except Exception as error:
        raise _not_listed(channel, subdir, error) from error
    return data


def _not_listed(channel: Channel, subdir: str, error: Exception) -> NotListed:
    """Return an error that has what is wrong, without the steps that led there."""
    url = urlsplit(f"{channel.base_url}{subdir}")
    if url.scheme == "file":
        path = url2pathname(url.path)
        if not os.path.isdir(path):
            return NotListed("it does not exist", "check the path")
        if not any(name.startswith("repodata") for name in os.listdir(path)):
            return NotListed("it has no repodata.json", "index the channel, or name the directory by its path")
    steps = " ".join(str(error).split()).split(" Caused by: ")
    hint = ""
    if any(f"({code} " in steps[-1] for code in (401, 403, 404)):
        hint = "check the channel, the subdir and your login"
    elif steps[0].startswith("error sending request"):
        hint = "check the address and the network"
    return NotListed(f"it cannot be listed: {redacted(steps[-1])}", hint)


def _gateway(cache: str) -> Any:
    from rattler import Gateway

    from .reader import client

    return Gateway(cache_dir=Path(cache), client=client())


def _from_gateway(channel: Channel, subdir: str, names: Sequence[str], cache: str) -> list[RepoDataRecord]:
    async def query() -> list[RepoDataRecord]:
        found = await _gateway(cache).query(
            [channel], [subdir], list(names), recursive=False, channel_relations="disabled"
        )
        return [record for records in found for record in records]

    try:
        return asyncio.run(query())
    except Exception as error:
        raise _not_listed(channel, subdir, error) from error


def _names(channel: Channel, subdir: str, cache: str) -> list[str]:
    async def ask() -> list[str]:
        found = await _gateway(cache).names([channel], [subdir], channel_relations="disabled")
        return sorted(name.normalized for name in found)

    try:
        return asyncio.run(ask())
    except Exception:
        return []  # Why the index itself could not be read is the better reason.


def _grouped(found: Sequence[RepoDataRecord]) -> Iterator[list[RepoDataRecord]]:
    groups: dict[str, list[RepoDataRecord]] = {}
    for record in found:
        groups.setdefault(record.name.normalized, []).append(record)
    for name in sorted(groups):
        yield groups[name]


def _chosen(found: Sequence[RepoDataRecord], wanted: Wanted) -> Iterator[RepoDataRecord]:
    newest = max((record.version for record in found), default=None) if wanted.latest else None
    for record in sorted(found, key=lambda record: record.file_name):
        if newest is not None and record.version != newest:
            continue
        if wanted.since is not None:
            uploaded = record.indexed_timestamp or record.timestamp
            if uploaded is None or uploaded < wanted.since:
                continue
        yield record


def _item_of(record: RepoDataRecord, channel: str, subdir: str) -> Item:
    uploaded = record.indexed_timestamp or record.timestamp
    url = urlsplit(record.url)
    local = url.scheme == "file"
    return Item(
        url2pathname(url.path) if local else record.url,
        channel,
        subdir,
        record.file_name,
        record.sha256.hex() if record.sha256 is not None else None,
        record.size,
        _milliseconds(uploaded),
        local=local,
        built=_milliseconds(record.timestamp),
    )


def _milliseconds(moment: datetime | None) -> int | None:
    return round(moment.timestamp() * 1000) if moment is not None else None
