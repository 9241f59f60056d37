"""Where results are printed while they come in: each format to standard output or to a file of its own.

Several formats may go to files, but only lines for people can share standard output. Failures and warnings go to
standard error whatever the formats are.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, TextIO

from ..errors import CannotWrite
from ..model import Result
from . import text
from .escape import encodable
from .streams import failure_of

FORMATS = {
    "text": ("output", "TextReport"),
    "json": ("json_report", "JsonReport"),
    "jsonl": ("json_report", "JsonLinesReport"),
    "github": ("github", "GithubReport"),
    "sarif": ("sarif", "SarifReport"),
}
"""Every format: the module of this package that has its class, and the class; imported when the format is asked for."""

_SHARING = ("text", "github")
"""The formats made of lines for people: both may go to standard output at once."""


class Style(NamedTuple):
    """How results are told: by which command, to whom.

    `colors` is None where each stream decides for itself. `fix_options` are the options that a `fix` needs to do what
    this command found, as they would be typed; `version` is this tool's.
    """

    command: str
    colors: bool | None = False
    quiet: bool = False
    verbose: bool = False
    fix_options: str = ""
    version: str = ""


class Report:
    """One format, made with its stream and a Style, and told about every result in turn."""

    def begin(self, paths: Sequence[str]) -> None:
        """Take note of what will be worked on."""

    def add(self, result: Result) -> None:
        """Print one result, or keep it for the end."""

    def end(self) -> None:
        """Print what comes last."""


class Output:
    """All the formats that were asked for; use it in a `with` statement.

    Text goes to standard output where no format does. `inputs` are the files that the command reads. Raises ValueError
    for a format that is unknown, a file that cannot be opened or must not be overwritten (an input, a package, an
    index), and formats that cannot share standard output or a file; nothing was written then. A file that cannot be
    written later on does not end the work: CannotWrite is raised at the end of the `with` statement.
    """

    def __init__(self, style: Style, formats: Sequence[str], inputs: Sequence[str] = ()) -> None:
        self._reports: list[Report] = []
        self._warned: set[str] = set()
        self._style = style
        wanted = [(name, "" if path == "-" else path) for name, _, path in (text.partition("=") for text in formats)]
        _check(wanted)
        files = None
        if any(path for _, path in wanted):
            from .files import OutputFiles

            files = OutputFiles(inputs)
            for name, path in wanted:
                if path:
                    files.check(name, path)
        if all(path for _, path in wanted):
            wanted.insert(0, ("text", ""))
        self._files: dict[str, TextIO] = {}
        with ExitStack() as opened:
            for name, path in wanted:
                stream = sys.stdout
                if files is not None and path:
                    stream = self._files[path] = opened.enter_context(files.open(name, path))
                module, class_ = FORMATS[name]
                imported = importlib.import_module(f".{module}", __package__)
                self._reports.append(getattr(imported, class_)(stream, style))
            self._closing = opened.pop_all()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._closing:
            if error is None:
                for report in self._reports:
                    report.end()
                sys.stdout.flush()
        if error is None:
            failed = [(path, failure) for path, stream in self._files.items() if (failure := failure_of(stream))]
            if failed:
                raise CannotWrite("; ".join(f"{path}: {failure.strerror}" for path, failure in failed))

    @property
    def unread(self) -> bool:
        """Whether everything that is printed is lost: there is only standard output, and it failed."""
        return not self._files and failure_of(sys.stdout) is not None

    def begin(self, paths: Sequence[str]) -> None:
        """Tell every format what will be worked on."""
        for report in self._reports:
            report.begin(paths)

    def add(self, result: Result) -> None:
        """Tell every format about a result; failures and warnings to standard error, each warning once."""
        for report in self._reports:
            report.add(result)
        sys.stdout.flush()
        for warning in result.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                print_line(text.warning_line(warning), sys.stderr, self._style)
        if result.status == "error":
            print_line(text.error_line(result), sys.stderr, self._style)


def _check(wanted: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError for formats that are none, or that would be printed over each other."""
    for name, _ in wanted:
        if name not in FORMATS:
            from ..suggestions import unknown

            raise ValueError(f"--format {name}: {unknown('format', name, FORMATS)}")
    printed = [name for name, path in wanted if not path]
    if len(printed) != len(set(printed)) or (len(printed) > 1 and not set(printed) <= set(_SHARING)):
        raise ValueError(f"--format {', '.join(printed)}: only one can go to standard output; write FORMAT=FILE")


class TextReport:
    """Results as lines for people."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._results: list[Result] = []
        self._width = 0

    def begin(self, paths: Sequence[str]) -> None:
        self._width = text.widest(paths)

    def add(self, result: Result) -> None:
        self._results.append(result)
        if self._style.quiet or result.status == "error":
            return
        if self._style.command == "fix":
            lines = text.fix_lines(result, width=self._width, verbose=self._style.verbose)
        else:
            lines = text.check_lines(result, verbose=self._style.verbose, fix_options=self._style.fix_options)
        for line in lines:
            print_line(line, self._stream, self._style)

    def end(self) -> None:
        if not self._style.quiet and self._results and (self._style.command != "fix" or len(self._results) > 1):
            print_line(text.summary_line(self._results), self._stream, self._style)


def print_line(line: str, stream: TextIO, style: Style) -> None:
    """Print a line, in colour where the stream shows it, in the signs that the stream's encoding has."""
    colors = wants_colors(stream) if style.colors is None else style.colors
    print(encodable(text.colored(line) if colors else line, stream.encoding), file=stream)


def wants_colors(stream: TextIO) -> bool:
    """Return whether a stream shows colours: a terminal, unless NO_COLOR or FORCE_COLOR say otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
