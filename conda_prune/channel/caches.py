"""Recognizes package caches: a package in a cache belongs to the tool that keeps it, which knows the package by its
hash.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise

from ..model import Format

_ARTIFACTS = re.compile(r"artifacts-v\d+")


def cache_of(path: str) -> str | None:
    """Return which tool's cache a package is in, with the evidence, or None. A link is not followed.

    Layouts: conda's and mamba's `pkgs` has `urls.txt`, and unpacked packages with `info/repodata_record.json`;
    rattler's has `.cache.lock`, and a `.lock` for each package; pixi's has a `sidecar.json` for each build.
    """
    directory, name = os.path.split(path)
    directory = os.path.realpath(directory)
    ending = next((format_.value for format_ in Format if name.endswith(format_.value)), "")
    stem = os.path.join(directory, name[: len(name) - len(ending)])
    parts = directory.replace(os.sep, "/").split("/")
    for before, part in pairwise(parts):
        if _ARTIFACTS.fullmatch(part) and (before == ".pixi" or _has(directory, "sidecar.json")):
            return f"pixi's artifact cache ({before}/{part})"
        if (before, part) == ("rattler", "cache"):
            return f"rattler's package cache ({before}/{part})"
    if _has(directory, ".cache.lock") or (stem and os.path.isfile(f"{stem}.lock")):
        return "rattler's package cache (lock files are next to it)"
    if _has(directory, "urls.txt"):
        return "conda's package cache (urls.txt is next to it)"
    if os.path.isfile(os.path.join(stem, "info", "repodata_record.json")):
        return "a package cache (it is unpacked next to it, with a repodata_record.json)"
    return None


def _has(directory: str, name: str) -> bool:
    return os.path.isfile(os.path.join(directory, name))
