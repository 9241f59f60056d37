"""The results file: JSON lines that are only ever appended, each written in one piece as soon as it is known.

A run that is killed leaves whole lines and perhaps the beginning of one. A later run cuts that off and goes on. It must
not do that to a file that is not its own, so it cuts off only what begins as a line of an audit does.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from ..errors import CannotWrite, UsageError
from ..report.audit.key import key_of
from ..report.files import OutputFiles
from ..report.json_report import SCHEMA_VERSION, dumps
from ..system import REPLACES_OPEN_FILES, is_locked_elsewhere, remove, type_of
from .item import Item
from .outcome import Outcome

_DONE = frozenset({"clean", "findings", "refused"})
_PIECE = 1 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_BEGINNING = dumps({"schema_version": SCHEMA_VERSION, "path": ""}).removesuffix('"}').encode("ascii")
"""How every line begins."""
_ATTEMPTS = 10
"""How often a file is opened that another run removes in the meantime, since it has no results."""


class Results:
    """A results file that is open for appending; use it in a `with` statement.

    `resume` continues a file that may be there; without it, one that is there must be empty. `inputs` are the files
    that the run reads. A file that was created and gets no result is removed.

    Raises UsageError if the file must not be written, or contains anything but results of an audit. Raises
    CannotWrite if another run writes to it, or if that is not possible.
    """

    def __init__(self, path: str, *, resume: bool, inputs: Sequence[str] = ()) -> None:
        self._path = path
        self._done: set[bytes] = set()
        self._skipped: set[bytes] = set()
        _check(path, inputs)
        try:
            self._descriptor, self._created = _open(path, resume=resume)
        except OSError as error:
            raise CannotWrite(f"{path} cannot be written: {error.strerror}") from error
        try:
            if resume:
                self._read_back()
        except OSError as error:
            self._close()
            raise CannotWrite(f"{path} cannot be continued: {error.strerror}") from error
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def has(self, item: Item, *, skips: bool) -> bool:
        """Return whether the file has a result of an item: no failure, and a skipped one only if it `skips` again."""
        key = item.key
        return key in self._done or (skips and key in self._skipped)

    def add(self, outcome: Outcome) -> None:
        """Append a line. Raises CannotWrite."""
        data = memoryview(f"{outcome.line}\n".encode("ascii"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise CannotWrite(f"{self._path} cannot be written: {error.strerror}") from error

    def _close(self) -> None:
        unused = self._created and os.fstat(self._descriptor).st_size == 0 and _is_at(self._descriptor, self._path)
        # It must be removed while it is locked: another run may have opened it. Windows cannot remove an open file.
        if unused and REPLACES_OPEN_FILES:
            _remove(self._path)
        os.close(self._descriptor)
        if unused and not REPLACES_OPEN_FILES:
            _remove(self._path)

    def _read_back(self) -> None:
        whole, partial = 0, b""
        number = 0
        with open(self._descriptor, "rb", buffering=_PIECE, closefd=False) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    partial = line
                    break
                whole += len(line)
                if not self._note(line):
                    raise self._unknown(number)
        if not partial:
            return
        if self._note(partial):
            os.write(self._descriptor, b"\n")
            return
        # A system that crashes may leave zeros.
        text = partial.rstrip(b"\0")[: len(_BEGINNING)]
        if not _BEGINNING.startswith(text) or not (text or whole) or _is_json(partial):
            raise self._unknown(number)
        os.ftruncate(self._descriptor, whole)

    def _unknown(self, number: int) -> UsageError:
        return UsageError(f"{self._path}: line {number} is not a result of an audit", "name another file")

    def _note(self, line: bytes) -> bool:
        """Take in a line; return whether it is a result of an audit."""
        try:
            value: dict[str, Any] = json.loads(line)
            names = (value["channel"] or "", value["subdir"] or "", value["file_name"] or "")
            key, status = key_of(*names, value["sha256"]), value["status"]
            if "judged_from" not in value:
                return False
            belongs = ((self._done, status in _DONE), (self._skipped, status == "skipped"))
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        for keys, does in belongs:
            # The last line of a key counts.
            (keys.add if does else keys.discard)(key)
        return True


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _check(path: str, inputs: Sequence[str]) -> None:
    """Raise UsageError if a file must not be written."""
    if path == "-":
        raise UsageError("results of an audit cannot go to standard output", "name a file, which --resume continues")
    try:
        reason = OutputFiles(inputs).refusal(path)
        status = os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}", "name another file") from error
    else:
        if not reason and not stat.S_ISREG(status.st_mode):
            reason = f"it is {type_of(status)}, not a regular file"
    if reason:
        raise UsageError(f"{path}: {reason}", "write the results to another file")


def _open(path: str, *, resume: bool) -> tuple[int, bool]:
    """Return the file, locked if the system has locks, and whether it was created. Raises OSError as well."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor, created = os.open(path, _FLAGS | os.O_EXCL, 0o666), True
        except FileExistsError:
            descriptor, created = os.open(path, _FLAGS, 0o666), False
        try:
            # Two runs would write each package twice.
            is_locked = is_locked_elsewhere(descriptor)
            if is_locked:
                break
            # Without locks, another run may have created an empty file that it writes to.
            if not (created or resume) and (is_locked is None or os.fstat(descriptor).st_size):
                raise UsageError(f"{path} exists", "continue it with --resume, or name another file")
            if _is_at(descriptor, path):
                kept, descriptor = descriptor, -1
                return kept, created
        finally:
            if descriptor != -1:
                os.close(descriptor)
    raise CannotWrite(f"another run writes to {path}", "wait for it, or name another file")


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    with suppress(OSError):
        remove(path)
