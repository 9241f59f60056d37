"""Prints results as they arrive: each format to standard output, or to a file of its own.

Any number of formats can be written to files, but only the line-based formats can share standard output. Failures and
warnings always go to standard error.
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
    "text": ("text_report", "TextReport"),
    "json": ("json_report", "JsonReport"),
    "jsonl": ("json_report", "JsonLinesReport"),
    "github": ("github", "GithubReport"),
    "sarif": ("sarif", "SarifReport"),
}
"""Every format, with its module in this package and its class. A module is imported when its format is requested."""

_LINE_FORMATS = ("text", "github")
"""The line-based formats: both can go to standard output at once."""


class Style(NamedTuple):
    """How results are printed, and by which command.

    `colors` None means that each stream decides for itself. `fix_arguments` are the options to type after
    `conda-prune fix` so that it repairs what this command found, or None if they cannot be typed, and `repair_command`
    is that whole command, empty if it cannot be typed. `version` is the version of conda-prune.
    """

    command: str
    colors: bool | None = False
    quiet: bool = False
    verbose: bool = False
    fix_arguments: str | None = ""
    version: str = ""
    repair_command: str = ""


class Report:
    """A format, created with its stream and a Style. It receives every result in turn."""

    def begin(self, paths: Sequence[str]) -> None:
        """Receive the paths of all packages, before the first result."""

    def add(self, result: Result) -> None:
        """Print one result, or keep it for the end."""

    def end(self) -> None:
        """Print what has to come last, such as a summary."""


class Output:
    """All requested formats, to be used in a `with` statement.

    If no format goes to standard output, text does. `inputs` are the files that the command reads.

    Raises ValueError, before anything is written, for an unknown format, for a file that cannot be opened or must not
    be overwritten (an input, a package, an index), and for formats that cannot share standard output or a file. If
    writing a file fails later, the work goes on, and CannotWrite is raised at the end of the `with` statement.
    """

    def __init__(self, style: Style, formats: Sequence[str], inputs: Sequence[str] = ()) -> None:
        self._reports: list[Report] = []
        self._warned: set[str] = set()
        self._style = style
        requested = parse_formats(formats)
        files = None
        if any(path for _, path in requested):
            from .files import OutputFiles

            files = OutputFiles(inputs)
            for name, path in requested:
                if path:
                    files.check(name, path)
        if all(path for _, path in requested):
            requested.insert(0, ("text", ""))
        self._files: dict[str, TextIO] = {}
        with ExitStack() as opened:
            for name, path in requested:
                stream = sys.stdout
                if files is not None and path:
                    stream = self._files[path] = opened.enter_context(files.open(name, path))
                module, class_ = FORMATS[name]
                imported = importlib.import_module(f".{module}", __package__)
                self._reports.append(getattr(imported, class_)(stream, style))
            self._open_files = opened.pop_all()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open_files:
            if error is None:
                for report in self._reports:
                    report.end()
                sys.stdout.flush()
        if error is None:
            failed = [(path, failure) for path, stream in self._files.items() if (failure := failure_of(stream))]
            if failed:
                raise CannotWrite("; ".join(f"{path}: {failure.strerror}" for path, failure in failed))

    @property
    def is_lost(self) -> bool:
        """Whether nobody will see any further result: there is only standard output, and it failed."""
        return not self._files and failure_of(sys.stdout) is not None

    def begin(self, paths: Sequence[str]) -> None:
        """Pass the paths of all packages to every format."""
        for report in self._reports:
            report.begin(paths)

    def add(self, result: Result) -> None:
        """Pass a result to every format. Print its failure or warnings to standard error, each warning once per run."""
        for report in self._reports:
            report.add(result)
        sys.stdout.flush()
        for warning in result.warnings:
            self.warn(warning)
        if result.status == "error":
            print_line(text.error_line(result), sys.stderr, self._style)

    def warn(self, warning: str) -> None:
        """Print a warning to standard error, unless it was printed before."""
        if warning not in self._warned:
            self._warned.add(warning)
            print_line(text.warning_line(warning), sys.stderr, self._style)


def parse_formats(formats: Sequence[str]) -> list[tuple[str, str]]:
    """Return each format with the path of its file, which is empty for standard output.

    Raises ValueError for unknown formats, for files without a name, for formats that cannot share standard output, and
    for a wrong value of the variable that the format `github` reads.
    """
    requested = []
    for value in formats:
        name, equals, path = value.partition("=")
        if name not in FORMATS:
            from ..suggestions import unknown

            raise ValueError(f"--format {name}: {unknown('format', name, FORMATS)}")
        if equals and not path:
            raise ValueError(
                f"--format {value}: the name of the file is missing; use {name}=FILE, or {name}=- to print"
            )
        if name == "github":
            from .github import what_fails

            what_fails()
        requested.append((name, "" if path == "-" else path))
    printed = [name for name, path in requested if not path]
    if len(printed) != len(set(printed)) or (len(printed) > 1 and not set(printed) <= set(_LINE_FORMATS)):
        raise ValueError(f"--format {', '.join(printed)}: only one can go to standard output; write FORMAT=FILE")
    return requested


def print_line(line: str, stream: TextIO, style: Style) -> None:
    """Print a line in characters that the stream's encoding has. Its first word is colored if it names a status."""
    colors = wants_colors(stream) if style.colors is None else style.colors
    print(encodable(text.colored(line) if colors else line, stream.encoding), file=stream)


def print_colored(beginning: str, color: int, rest: str, stream: TextIO, style: Style) -> None:
    """Print a line whose beginning has a color of ECMA-48, if the stream or the style wants colors."""
    colors = wants_colors(stream) if style.colors is None else style.colors
    line = f"\033[{color}m{beginning}\033[0m{rest}" if colors and beginning and color else beginning + rest
    print(encodable(line, stream.encoding), file=stream)


def terminal_width(stream: TextIO) -> int:
    """Return the columns of the terminal that a stream is; 0 if it is none."""
    if not stream.isatty():
        return 0
    import shutil  # It imports every kind of compression.

    return shutil.get_terminal_size((80, 24)).columns


def wants_colors(stream: TextIO) -> bool:
    """Return whether to print colors: on a terminal, unless NO_COLOR or FORCE_COLOR says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
