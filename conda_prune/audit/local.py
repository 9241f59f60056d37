"""Judges packages that are files: those of a local directory, and downloaded ones."""

from __future__ import annotations

import hashlib

from ..errors import PruneError
from ..operations.check import check_package
from ..system import open_regular
from .item import Item
from .outcome import Outcome, failed, outcome_of
from .settings import Settings

_PIECE = 1 << 20


def judge_file(here: Item, settings: Settings, origin: Item | None = None, feedstock: str | None = None) -> Outcome:
    """Return the outcome of the package in a file; `origin` is where it was downloaded from, if it was."""
    shown = origin or here
    try:
        if origin is None and here.sha256 is None:
            shown = shown._replace(sha256=hash_of(here.url))
        result = check_package(here.url, settings.options, limits=settings.limits, threads=1)
    except PruneError as error:
        return failed(shown, str(error))
    except OSError as error:
        return failed(shown, error.strerror or str(error))
    except MemoryError:
        return failed(shown, "there is not enough memory")
    return outcome_of(shown, result, "payload" if result.deep else "info", feedstock)


def hash_of(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
