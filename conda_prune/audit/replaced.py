"""Notices that a server has another build of a package than the channel's index lists, although its name is the same.

A package is read with one request or two, after the channel's index. If its file is replaced between two requests, the
second answer does not fit the first, py-rattler raises an error, and the package is read again. If it was replaced
earlier, or by a file of the same layout, what is read is one package, but not the one that the index lists.

A package states when it was built, and so does its record in the index. Where these differ, the size of the file
decides, since a channel may have corrected the times in its index. That takes one more request, for such packages only.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from .item import Item

_PATIENCE = 10.0
"""Seconds that the request for a size may take."""
_MILLISECONDS = 253_402_300_799
"""A larger time is in milliseconds: as seconds, it would be after the year 9999 (as conda decides it)."""
_PRECISION = 1000
"""Milliseconds: some tools round to seconds."""


def is_same_build(item: Item, index: bytes | None) -> bool:
    """Return whether `info/index.json` states the build time of the record, or either states none."""
    if item.built is None or index is None:
        return True
    try:
        stated = json.loads(index)["timestamp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return True
    if not isinstance(stated, int | float) or not abs(stated) < 1 << 53:
        return True
    built = stated if stated > _MILLISECONDS else 1000 * stated
    return abs(built - item.built) <= _PRECISION


def size_at(url: str) -> int | None:
    """Return the size of the file at a URL; None if the server does not say it to a client without credentials."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    headers = {"User-Agent": "conda-prune", "Accept-Encoding": "identity"}
    request = urllib.request.Request(plain, method="HEAD", headers=headers)  # noqa: S310 (the scheme was looked at)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            return int(answer.headers.get("Content-Length") or "")
    except (OSError, ValueError):
        return None
