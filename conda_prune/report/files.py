"""Opens the files that reports are written to, and refuses to overwrite inputs, packages and channel indexes.

A mistyped `--format json=x.conda` must not empty a package. Files are compared by device and inode, and not only by
name: a link to an input is that input, and so is another spelling of its name on a file system that ignores case.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeAlias

from ..model import Format
from .streams import open_tolerant

_PACKAGES = tuple(format_.value for format_ in Format)
_INDEXES = re.compile(
    r"((current_)?repodata(_from_packages)?|channeldata|run_exports)\.json(\.(zst|bz2|gz))?|repodata_shards\.msgpack\.zst"
)
_Identity: TypeAlias = tuple[int, int]


class OutputFiles:
    """The report files of one run. `inputs` are the files that the run reads."""

    def __init__(self, inputs: Sequence[str]) -> None:
        # A user who writes `> results.txt` expects a single report in it.
        self._taken: dict[_Identity | None, str] = dict(_standard_stream_files())
        for path in inputs:
            if (identity := _identity_of(path)) is not None:
                self._taken.setdefault(identity, "the command reads it")
        self._names: set[str] = set()

    def check(self, name: str, path: str) -> None:
        """Raise ValueError if a format must not be written to a file. Nothing is opened."""
        try:
            real = os.path.realpath(path)
            reason = self.refusal(path)
        except ValueError as error:
            raise ValueError(f"--format {name}={path}: {error}") from error
        if reason:
            raise ValueError(f"--format {name}={path}: {reason}; write the report to another file")
        if real in self._names:
            raise ValueError(f"--format {name}={path}: two formats cannot be written to one file")
        self._names.add(real)

    def refusal(self, path: str) -> str:
        """Return why a file must not be written; empty if it may be. Raises ValueError for a path with a NUL."""
        for candidate in (path, os.path.realpath(path)):
            if reason := _refused_name(candidate):
                return reason
        return self._taken.get(_identity_of(path), "")

    def open(self, name: str, path: str) -> TextIO:
        """Open a file for writing line by line and empty it. Raises ValueError if that is not possible."""
        try:
            file = open_tolerant(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"--format {name}={path}: {getattr(error, 'strerror', None) or error}") from error
        try:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                self._check_identity(name, path, identity)
                self._taken[identity] = "two formats cannot be written to one file"
                os.ftruncate(file.fileno(), 0)
        except BaseException:
            file.close()
            raise
        return file

    def _check_identity(self, name: str, path: str, identity: _Identity) -> None:
        if (reason := self._taken.get(identity)) is not None:
            raise ValueError(f"--format {name}={path}: {reason}; write the report to another file")


def _refused_name(path: str) -> str:
    """Return why a file with this name must not be written; empty if it may be."""
    directory, file = os.path.split(path)
    if file.lower().endswith(_PACKAGES):
        return "it has the name of a package"
    if _INDEXES.fullmatch(file):
        return "it has the name of a channel's index"
    if os.path.basename(directory) == "conda-meta":
        return "it is in the conda-meta directory of an environment"
    return ""


def _standard_stream_files() -> Iterator[tuple[_Identity, str]]:
    """Yield the regular files that standard output and error are redirected to, with the reason to refuse them."""
    for stream, name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
        try:
            status = os.fstat(stream.fileno())
        except (AttributeError, OSError, ValueError):  # closed, or replaced by something that is not a file
            continue
        if stat.S_ISREG(status.st_mode):
            yield (status.st_dev, status.st_ino), f"{name} is redirected to it"


def _identity_of(path: str) -> _Identity | None:
    """Return the device and inode of the regular file that a path leads to, or None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
