"""Where results are printed while they come in: each format to standard output or to a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, TextIO

from ..model import Result
from . import text


class Report(Protocol):
    """One format: told about every result in turn."""

    def begin(self, paths: Sequence[str]) -> None:
        """Take note of what will be worked on."""

    def add(self, result: Result) -> None:
        """Print one result, or keep it for the end."""

    def end(self) -> None:
        """Print what comes last."""


class Output:
    """All the formats that were asked for; use it in a `with` statement. Raises ValueError for one that is unknown."""

    def __init__(self, command: str, formats: Sequence[str], color: str, quiet: bool, verbose: bool) -> None:
        self._files = ExitStack()
        self._reports: list[Report] = []
        for wanted in formats:
            name, _, path = wanted.partition("=")
            if name not in ("text", "json"):
                raise ValueError(f"--format {name}: there is no such format; write text or json")
            try:
                stream = self._files.enter_context(open(path, "w", encoding="utf-8")) if path else sys.stdout  # noqa: SIM115
            except OSError as error:
                raise ValueError(f"--format {wanted}: {error.strerror}") from error
            if name == "json":
                self._reports.append(JsonReport(stream))
            else:
                self._reports.append(TextReport(command, stream, _colors(color, stream), quiet, verbose))

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for report in self._reports:
                report.end()
        self._files.close()

    def begin(self, paths: Sequence[str]) -> None:
        """Tell every format what will be worked on."""
        for report in self._reports:
            report.begin(paths)

    def add(self, result: Result) -> None:
        """Tell every format about a result."""
        for report in self._reports:
            report.add(result)


class TextReport:
    """Results as lines on `stream`; errors and warnings go to standard error."""

    def __init__(self, command: str, stream: TextIO, colors: bool, quiet: bool, verbose: bool) -> None:
        self._command = command
        self._stream = stream
        self._colors = colors
        self._quiet = quiet
        self._verbose = verbose
        self._results: list[Result] = []
        self._warned: set[str] = set()
        self._width = 0

    def begin(self, paths: Sequence[str]) -> None:
        self._width = text.widest(paths)

    def add(self, result: Result) -> None:
        self._results.append(result)
        for warning in result.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                print(f"warning: {warning}", file=sys.stderr)
        if result.status == "error":
            self._stream.flush()
            print(text.error_line(result), file=sys.stderr, flush=True)
        elif not self._quiet:
            if self._command == "fix":
                lines = text.fix_lines(result, width=self._width, verbose=self._verbose)
            else:
                lines = text.check_lines(result, verbose=self._verbose)
            for line in lines:
                print(text.colored(line) if self._colors else line, file=self._stream)
            self._stream.flush()

    def end(self) -> None:
        if not self._quiet and (self._command == "check" or len(self._results) > 1):
            print(text.summary_line(self._results), file=self._stream)


class JsonReport:
    """All results as one JSON array."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._objects: list[object] = []

    def begin(self, paths: Sequence[str]) -> None:
        pass

    def add(self, result: Result) -> None:
        from .json_report import as_object

        self._objects.append(as_object(result))

    def end(self) -> None:
        from .json_report import dumps

        print(dumps(self._objects, indent=2), file=self._stream)


def _colors(wanted: str, stream: TextIO) -> bool:
    import os

    if wanted != "auto":
        return wanted == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()
