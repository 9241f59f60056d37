"""One package of an audit: where it is, what the channel's index says of it, and the key of its result."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ..report.audit.key import key_of

_TOKEN = re.compile(r"/t/[^/]+(?=/)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s()'\"<>]+", re.IGNORECASE)


class Item(NamedTuple):
    """A package to read. `url` is a path if `local`.

    `channel` has no credentials. `sha256` is hexadecimal, `size` in bytes, `uploaded` and `built` in milliseconds since
    1970, each as the index states it; None if it does not, or if no index was read.
    """

    url: str
    channel: str
    subdir: str
    file_name: str
    sha256: str | None = None
    size: int | None = None
    uploaded: int | None = None
    local: bool = False
    built: int | None = None

    @property
    def shown(self) -> str:
        """The URL without credentials, for results and messages."""
        return self.url if self.local else _redacted_url(self.url)

    @property
    def key(self) -> bytes:
        """What identifies a result in a results file: channel, subdir, file name and hash, in 16 bytes."""
        return key_of(self.channel, self.subdir, self.file_name, self.sha256)


class Unlisted(NamedTuple):
    """A source whose packages could not be listed, and the reason.

    `channel` and `subdir` are those that its packages would have; empty if they are not known.
    """

    source: str
    reason: str
    channel: str = ""
    subdir: str = ""


def item_at(url: str) -> Item:
    """Return the item of a package's URL, of which no index was read."""
    parts = urlsplit(url)
    folder, _, file_name = parts.path.rpartition("/")
    channel, _, subdir = folder.rpartition("/")
    shown = redacted(urlunsplit((parts.scheme, parts.netloc, channel, "", "")))
    return Item(url, shown, unquote(subdir), unquote(file_name))


def redacted(text: str) -> str:
    """Return a text in which no URL has a user, a password, a token or a query: those of S3 are signatures."""
    return _URL.sub(lambda match: _without_secrets(match[0]), text)


@lru_cache(maxsize=128)
def _redacted_url(url: str) -> str:
    """Return `redacted(url)`, which each package needs several times."""
    return redacted(url)


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # Brackets that do not close an IPv6 address.
        return url.partition("://")[0] + "://…"
    return urlunsplit((parts.scheme, host, _TOKEN.sub("/t/…", parts.path + "/")[:-1], "", ""))
