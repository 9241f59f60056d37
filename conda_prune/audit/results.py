"""The results file: JSON lines that are only ever appended, each written in one piece as soon as it is known.

A run that is killed leaves whole lines and perhaps the beginning of one. A later run cuts that off and goes on.
"""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import Any

from ..errors import CannotWrite
from ..report.audit.key import key_of
from ..system import is_locked_elsewhere
from .item import Item
from .outcome import Outcome

_DONE = frozenset({"clean", "findings", "refused"})
_PIECE = 1 << 20


class Results:
    """A results file that is open for appending; use it in a `with` statement.

    `resume` continues a file that may be there; without it, a file that is there is an error. Raises CannotWrite.
    """

    def __init__(self, path: str, *, resume: bool) -> None:
        self._path = path
        self._done: set[bytes] = set()
        self._skipped: set[bytes] = set()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._descriptor = os.open(path, flags if resume else flags | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise CannotWrite(f"{path} exists", "continue it with --resume, or name another file") from error
        except OSError as error:
            raise CannotWrite(f"{path} cannot be written: {error.strerror}") from error
        try:
            # Two runs would write each package twice.
            if is_locked_elsewhere(self._descriptor):
                raise CannotWrite(f"another run writes to {path}", "wait for it, or name another file")
            if resume:
                self._read_back()
        except OSError as error:
            os.close(self._descriptor)
            raise CannotWrite(f"{path} cannot be continued: {error.strerror}") from error
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

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

    def _read_back(self) -> None:
        with open(self._descriptor, "rb", buffering=_PIECE, closefd=False) as file:
            whole = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self._note(line, number)
        if whole < os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, whole)

    def _note(self, line: bytes, number: int) -> None:
        try:
            value: dict[str, Any] = json.loads(line)
            status, names = value["status"], (value["channel"] or "", value["subdir"] or "", value["file_name"] or "")
        except (ValueError, KeyError, TypeError) as error:
            raise CannotWrite(
                f"{self._path} is not a results file of audit: line {number} is something else", "name another file"
            ) from error
        key = key_of(*names, value.get("sha256"))
        for keys, belongs in ((self._done, status in _DONE), (self._skipped, status == "skipped")):
            # The last line of a key counts.
            (keys.add if belongs else keys.discard)(key)
