"""Opens the files that reports go to, and none that it would be a loss to overwrite.

A mistyped `--format json=x.conda` must not empty a package. What a file is counts, not its name alone: a link to an
input is that input, and so is another spelling of its name where upper and lower case are the same.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeAlias

from ..model import Format
from .streams import open_persistent

_PACKAGES = tuple(format_.value for format_ in Format)
_INDEXES = re.compile(
    r"((current_)?repodata(_from_packages)?|channeldata|run_exports)\.json(\.(zst|bz2|gz))?|repodata_shards\.msgpack\.zst"
)
_Identity: TypeAlias = tuple[int, int]


class OutputFiles:
    """The files of one run's reports; `inputs` are the files that the run reads."""

    def __init__(self, inputs: Sequence[str]) -> None:
        # Where a file goes that is already open: the reader of `> results.txt` expects one report in it.
        self._taken = dict(_open_files())
        for path in inputs:
            if (identity := _identity_of(path)) is not None:
                self._taken.setdefault(identity, "the command reads it")
        self._names: set[str] = set()

    def check(self, name: str, path: str) -> None:
        """Raise ValueError where a format must not be written to a file; nothing is opened."""
        try:
            real = os.path.realpath(path)
            identity = _identity_of(path)
        except ValueError as error:
            raise ValueError(f"--format {name}={path}: {error}") from error
        for candidate in (path, real):
            self._check_name(name, path, candidate)
        if real in self._names:
            raise ValueError(f"--format {name}={path}: two formats cannot go to one file")
        self._names.add(real)
        self._check_identity(name, path, identity)

    def open(self, name: str, path: str) -> TextIO:
        """Return a file opened for writing line by line, empty; raise ValueError where it cannot be."""
        try:
            file = open_persistent(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"--format {name}={path}: {getattr(error, 'strerror', None) or error}") from error
        try:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                self._check_identity(name, path, identity)
                self._taken[identity] = "two formats cannot go to one file"
                os.ftruncate(file.fileno(), 0)
        except BaseException:
            file.close()
            raise
        return file

    def _check_name(self, name: str, path: str, candidate: str) -> None:
        directory, file = os.path.split(candidate)
        if file.lower().endswith(_PACKAGES):
            reason = "it has the name of a package"
        elif _INDEXES.fullmatch(file):
            reason = "it has the name of a channel's index"
        elif os.path.basename(directory) == "conda-meta":
            reason = "it is among the records of an environment"
        else:
            return
        raise ValueError(f"--format {name}={path}: {reason}; write the report to another file")

    def _check_identity(self, name: str, path: str, identity: _Identity | None) -> None:
        if identity is not None and (reason := self._taken.get(identity)) is not None:
            raise ValueError(f"--format {name}={path}: {reason}; write the report to another file")


def _open_files() -> Iterator[tuple[_Identity, str]]:
    """Yield the regular files that standard output and standard error go to."""
    for stream, name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
        try:
            status = os.fstat(stream.fileno())
        except (AttributeError, OSError, ValueError):  # closed, or replaced by something that is not a file
            continue
        if stat.S_ISREG(status.st_mode):
            yield (status.st_dev, status.st_ino), f"{name} goes to it"


def _identity_of(path: str) -> _Identity | None:
    """Return which regular file a path leads to, None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
