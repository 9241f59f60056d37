"""Where `report` writes. A file that is there is replaced when its report is complete; otherwise it stays as it was."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TextIO

from ..report.files import OutputFiles
from ..report.streams import failure_of, open_tolerant
from ..suggestions import unknown
from ..system import SAFE_FLAGS, remove, replacing

FORMATS = ("text", "markdown", "html", "parquet")


class Target:
    """A format, and the stream that it goes to. `path` is empty for standard output."""

    def __init__(self, format: str, path: str, stream: TextIO, temporary: str = "") -> None:
        self.format = format
        self.path = path
        self.stream = stream
        self.is_complete = False
        self._temporary = temporary

    def publish(self) -> str:
        """Put a complete report where it belongs; return why that is not possible, empty if it is done."""
        self.stream.flush()
        if self._temporary and failure_of(self.stream) is None:
            self.stream.close()
        if (failure := failure_of(self.stream)) is not None:
            return failure.strerror or str(failure)
        try:
            if self._temporary:
                self._replace()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _replace(self) -> None:
        if _is_next_to(self._temporary, self.path):
            # A file that is mounted by itself, as in a container, cannot be replaced.
            with suppress(OSError):
                replacing(lambda: os.replace(self._temporary, self.path))
                self._temporary = ""
                return
        shutil.copyfile(self._temporary, self.path)

    def discard(self) -> None:
        """Close the stream, and remove what was not published."""
        with suppress(OSError):
            self.stream.close()
        if self._temporary:
            with suppress(OSError):
                remove(self._temporary)


def open_targets(formats: Sequence[str], inputs: Sequence[str], stack: ExitStack) -> list[Target]:
    """Return the formats with their streams. Raises ValueError for what cannot be written."""
    requested = [(name, "" if path == "-" else path) for name, _, path in (text.partition("=") for text in formats)]
    files = OutputFiles(inputs)
    for name, path in requested:
        if name not in FORMATS:
            raise ValueError(f"--format {name}: {unknown('format', name, FORMATS)}")
        if path:
            files.check(name, path)
    if sum(not path for _, path in requested) > 1:
        raise ValueError("--format: only one can go to standard output; write FORMAT=FILE")
    if ("parquet", "") in requested and sys.stdout.isatty():
        raise ValueError("--format parquet: it is not text; write parquet=FILE")
    targets: list[Target] = []
    taken: set[tuple[int, int]] = set()
    for name, path in requested:
        if path:
            target = _open(name, path, files, taken)
            stack.callback(target.discard)
            targets.append(target)
        else:
            targets.append(Target(name, path, sys.stdout))
    return targets


def _open(name: str, path: str, files: OutputFiles, taken: set[tuple[int, int]]) -> Target:
    try:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return _elsewhere(name, path) if os.path.islink(path) else _next_to(name, path, None)
        if not stat.S_ISREG(status.st_mode):
            return Target(name, path, files.open(name, path))
        identity = status.st_dev, status.st_ino
        if identity in taken:
            raise ValueError(f"--format {name}={path}: two formats cannot be written to one file")
        taken.add(identity)
        os.close(os.open(path, os.O_WRONLY))  # Not everybody may write to it.
        # A new file must not change whose it is, nor which names lead to it.
        if not os.path.islink(path) and status.st_nlink == 1 and status.st_uid == getattr(os, "geteuid", int)():
            with suppress(OSError):  # The directory may be read-only.
                return _next_to(name, path, status)
        return _elsewhere(name, path)
    except OSError as error:
        raise ValueError(f"--format {name}={path}: {error.strerror or error}") from error


def _next_to(name: str, path: str, existing: os.stat_result | None) -> Target:
    """Return a target with a file that replaces the one at the path."""
    temporary = os.path.join(os.path.dirname(path), f".conda-prune-{uuid.uuid4().hex}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE_FLAGS, 0o666)
    try:
        if existing is not None and hasattr(os, "fchmod"):
            os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))
    finally:
        os.close(descriptor)
    return Target(name, path, open_tolerant(temporary), temporary)


def _elsewhere(name: str, path: str) -> Target:
    """Return a target with a file that is copied to the path."""
    descriptor, temporary = tempfile.mkstemp(prefix="conda-prune-", suffix=".tmp")
    os.close(descriptor)
    return Target(name, path, open_tolerant(temporary), temporary)


def _is_next_to(temporary: str, path: str) -> bool:
    return os.path.dirname(temporary) == os.path.dirname(path)
