"""What an error of py-rattler means for a package: wait, try again, or give up. Its errors are text without codes."""

from __future__ import annotations

import asyncio
import errno
import re
from enum import Enum
from typing import NamedTuple

from .item import redacted

_STATUS = re.compile(r"\((\d{3})(?: [A-Za-z' -]+)?\)")
_LOGIN = "log in to the channel (for example with `rattler auth login` or `pixi auth login`)"
_PERMANENT = ("error following redirect", "invalid url", "relative url without a base", "builder error")
_LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EROFS}


class Remedy(Enum):
    """What may help."""

    WAIT = "the server refuses requests for some time"
    AGAIN = "the next attempt may succeed"
    DOWNLOAD = "the server cannot send a part of the package"
    NONE = "every attempt would fail"


class Failure(NamedTuple):
    """Why a package was not read, and what may help."""

    remedy: Remedy
    reason: str


def failure_of(error: BaseException, seconds: float) -> Failure:
    """Return what an error of a request means that had so many seconds."""
    if isinstance(error, asyncio.TimeoutError):
        return Failure(Remedy.AGAIN, f"the server did not answer within {seconds:g} s")
    text = redacted(" ".join(str(error).split())) or type(error).__name__
    lower = text.lower()
    if "does not support sparse" in lower:
        return Failure(Remedy.DOWNLOAD, "the server sends whole packages only: it does not support range requests")
    if isinstance(error, OSError) and error.errno in _LOCAL:
        return Failure(Remedy.NONE, f"a temporary file cannot be written: {error.strerror}")
    if (found := _STATUS.search(text)) is not None:
        return Failure(_remedy_of(int(found[1])), _advised(int(found[1]), text))
    if any(phrase in lower for phrase in _PERMANENT):
        return Failure(Remedy.NONE, text)
    return Failure(Remedy.AGAIN, text)


def _remedy_of(status: int) -> Remedy:
    if status == 429:
        return Remedy.WAIT
    return Remedy.AGAIN if status >= 500 or status in (408, 425) else Remedy.NONE


def _advised(status: int, text: str) -> str:
    if status in (401, 403):
        return f"{text}; {_LOGIN}"
    if status in (404, 410):
        return f"{text}; the channel's index lists a package that is not there, or the URL is wrong"
    return text
