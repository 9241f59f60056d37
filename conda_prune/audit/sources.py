"""The sources of an audit: subdirs of channels, packages at URLs, lists of such, and local directories.

A source that cannot be listed costs its own packages and no others: it becomes one entry with the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import PruneError, UsageError
from ..model import Format
from ..system import open_named
from .item import Item, Unlisted, item_at, redacted
from .repodata import Record, Wanted, channel_url, records

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SUBDIR = re.compile(r"noarch|(?:linux|osx|win|freebsd|emscripten|wasi|zos|ios|iossimulator|android)-[a-z0-9_]+")
_ENDINGS = tuple(format_.value for format_ in Format)
_LONGEST_LINE = 1 << 14


class Subdir(NamedTuple):
    """A subdir of a channel; `channel` is a name or a URL."""

    channel: str
    name: str


class Directory(NamedTuple):
    """A local directory, which is searched for packages, or a local package."""

    path: str


class UrlList(NamedTuple):
    """A file with the URL of a package on each line."""

    path: str


class Url(NamedTuple):
    """A package at a URL."""

    url: str


Source = Subdir | Directory | UrlList | Url


def parse_sources(texts: Sequence[str], subdirs: Sequence[str], filters: Sequence[str] = ()) -> list[Source]:
    """Return the sources that the arguments of a command line name. Raises UsageError for one that names none.

    What exists as a file or directory is that. `subdirs` are those of channels that are named without one; another
    source with them is an error, and so are `filters`, the options in use that choose from the index of a channel.
    """
    sources: list[Source] = []
    for text in texts:
        if _URL.match(text) and (reason := _defect_of(text)):
            raise UsageError(f"{redacted(text)} cannot be read: {reason}", "check the URL")
        if _URL.match(text) is None and os.path.lexists(text):
            is_list = not os.path.isdir(text) and not text.endswith(_ENDINGS)
            sources.append(UrlList(text) if is_list else Directory(text))
        elif text.endswith(_ENDINGS):
            if _URL.match(text) is None:
                raise UsageError(f"{text} does not exist", "check the path")
            sources.append(_package(text))
        else:
            sources.extend(_subdirs(text, subdirs))
        if not isinstance(sources[-1], Subdir):
            name = redacted(text)
            if filters:
                reason = f"{filters[0]} needs the index of a channel, and {name} is read without one"
                raise UsageError(reason, "leave it out, or name the channel by its URL")
            if subdirs:
                raise UsageError(f"--subdir is for channels, and {name} is not named as one", "leave it out")
    if subdirs and all(_is_subdir(text) for text in texts):
        raise UsageError("--subdir is for channels that are named without a subdir", "leave it out")
    return list(dict.fromkeys(sources))


def _defect_of(url: str) -> str:
    """Return why nothing can be at a URL; empty if something can."""
    try:
        path = urlsplit(url).path
    except ValueError:  # Its message may quote a password.
        return "its host is invalid"
    return "its path contains a NUL" if "\0" in unquote(path) else ""


def _package(url: str) -> Source:
    parts = urlsplit(url)
    return Directory(url2pathname(parts.path)) if parts.scheme == "file" else Url(url)


def _is_subdir(text: str) -> bool:
    """Return whether a text names a channel with its subdir."""
    channel, _, last = text.rstrip("/").rpartition("/")
    return bool(channel) and _SUBDIR.fullmatch(last) is not None


def _subdirs(text: str, subdirs: Sequence[str]) -> Iterator[Source]:
    if text.startswith((".", "/", "~")):
        raise UsageError(f"{text} does not exist", "check the path")
    if _is_subdir(text):
        channel, _, name = text.rstrip("/").rpartition("/")
        yield Subdir(channel, name)
        return
    if "/" not in text and _SUBDIR.fullmatch(text):
        raise UsageError(f"{text} is a subdir: name its channel, as in conda-forge/{text}")
    if not subdirs:
        name = redacted(text.rstrip("/"))
        hint = f"name its subdir, as {name}/linux-64 or with --subdir"
        if _URL.match(text):
            raise UsageError(f"{name} is a channel", hint)
        raise UsageError(f"{name} is neither a file nor a directory", f"if it is a channel, {hint}")
    for name in subdirs:
        yield Subdir(text.rstrip("/"), name)


def records_of(
    sources: Sequence[Source],
    wanted: Wanted,
    scratch: str,
    search: Callable[[str], Sequence[str]],
    expect: Callable[[int], None] = lambda count: None,
) -> Iterator[Record | Unlisted]:
    """Yield the packages of sources, each once per source, and an entry for each source that cannot be listed.

    The records are empty where no index lists the packages. `search` returns the packages in a local directory.
    `expect` is called with the number of packages of a source before they come, if it is known.
    """
    for source in sources:
        try:
            if isinstance(source, Subdir):
                yield from records(source.channel, source.name, wanted, scratch, expect)
            elif isinstance(source, Directory):
                paths = search(source.path)
                expect(len(paths))
                yield from map(_unindexed, map(_local, paths))
            elif isinstance(source, UrlList):
                for item in _listed(source.path):
                    yield _unindexed(item) if isinstance(item, Item) else item
            else:
                expect(1)
                yield _unindexed(item_at(source.url))
        except PruneError as error:
            yield _unlisted(source, str(error))
        except OSError as error:
            yield _unlisted(source, f"it cannot be read: {error.strerror or error}")


def _unindexed(item: Item) -> Record:
    return Record(item, lambda: "{}")


def _unlisted(source: Source, reason: str) -> Unlisted:
    if isinstance(source, Subdir):
        return Unlisted(f"{source.channel}/{source.name}", reason, channel_url(source.channel), source.name)
    if isinstance(source, Directory):
        return Unlisted(source.path, reason, *_place(os.path.abspath(source.path)))
    return Unlisted(source[0], reason)


def _local(path: str) -> Item:
    directory, name = os.path.split(os.path.abspath(path))
    return Item(path, *_place(directory), name, local=True)


def _place(directory: str) -> tuple[str, str]:
    """Return the channel and the subdir of the packages in a directory."""
    channel, subdir = os.path.split(directory)
    return (channel, subdir) if _SUBDIR.fullmatch(subdir) else (directory, "")


def _listed(path: str) -> Iterator[Item | Unlisted]:
    with open_named(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise PruneError(f"line {number} is longer than {_LONGEST_LINE} bytes", "list one URL on each line")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise PruneError(f"line {number} is not UTF-8", "list one URL on each line") from None
            if not text or text.startswith("#"):
                continue
            if _URL.match(text) and (reason := _defect_of(text)):
                yield Unlisted(f"{path}:{number}", f"{text[:200]!r} cannot be read: {reason}")
            elif _URL.match(text) and unquote(urlsplit(text).path).endswith(_ENDINGS):
                source = _package(text)
                yield item_at(text) if isinstance(source, Url) else _local(source[0])
            else:
                yield Unlisted(f"{path}:{number}", f"{text[:200]!r} is not the URL of a package")
