"""`report`: merge the results of many runs into one table, or report what an audit found."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

import click

from .exit_codes import ExitCode, exit_codes_help
from .options import complete_paths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..report.audit.totals import Totals

_FORMATS = ("text", "markdown", "html", "parquet")


class _Input(NamedTuple):
    path: str
    file: BinaryIO


class _Target(NamedTuple):
    """A format, and the stream that it goes to."""

    format: str
    path: str
    stream: TextIO


def _complete_formats(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in _FORMATS if name.startswith(text)]


@click.command(epilog=exit_codes_help("report"))
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", shell_complete=complete_paths)
@click.option(
    "--format",
    "formats",
    metavar="FORMAT[=FILE]",
    multiple=True,
    default=("text",),
    shell_complete=_complete_formats,
    help="text, markdown (for comments), html (one page), or, of audits, parquet; to a file with =FILE (repeatable).",
)
def report(results: tuple[str, ...], formats: tuple[str, ...]) -> None:
    """Merge the results of many runs into one table, or report what an audit found.

    RESULTS are files written by `--format jsonl` or `--format json`, or all by `audit`; - is standard input.
    Of check and fix, failures come first, and if runs have different results for a package, each gets a row. Of
    audits, the last result of each package counts: totals by kind, subdir, Python, month, package name and
    feedstock, and the packages with most waste. The HTML page of an audit has tables to sort and filter.

    \b
    Examples:
      conda-prune check output/ --format jsonl=results-linux-64.jsonl
      conda-prune report results-*.jsonl
      conda-prune report results-*.jsonl --format markdown >> "$GITHUB_STEP_SUMMARY"
      conda-prune report audit.jsonl --format text --format html=audit.html
      conda-prune report audit.jsonl --format parquet=audit.parquet
    """
    from ..report.streams import failure_of

    with ExitStack() as stack:
        targets = _targets(formats, results, stack)
        inputs = list(_inputs(results, stack))
        failed = len(inputs) < len(results)
        if inputs:
            failed |= _report(inputs, targets)
        for target in targets:
            if target.path:
                target.stream.flush()
                if (failure := failure_of(target.stream)) is not None:
                    _say(f"{target.path} cannot be written: {failure.strerror}")
                    failed = True
    sys.exit(ExitCode.FAILED if failed else ExitCode.OK)


def _targets(formats: Sequence[str], results: Sequence[str], stack: ExitStack) -> list[_Target]:
    """Return the formats with their streams. Raises UsageError for what cannot be written."""
    from ..report.files import OutputFiles
    from ..suggestions import unknown

    requested = [(name, "" if path == "-" else path) for name, _, path in (text.partition("=") for text in formats)]
    files = OutputFiles(results)
    try:
        for name, path in requested:
            if name not in _FORMATS:
                raise ValueError(f"--format {name}: {unknown('format', name, _FORMATS)}")
            if path:
                files.check(name, path)
        if sum(not path for _, path in requested) > 1:
            raise ValueError("--format: only one can go to standard output; write FORMAT=FILE")
        if ("parquet", "") in requested and sys.stdout.isatty():
            raise ValueError("--format parquet: it is not text; write parquet=FILE")
        return [
            _Target(name, path, stack.enter_context(files.open(name, path)) if path else sys.stdout)
            for name, path in requested
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _inputs(results: Sequence[str], stack: ExitStack) -> Iterator[_Input]:
    """Yield the files that can be opened; print why the others cannot."""
    from ..system import open_named

    for path in results:
        try:
            file = sys.stdin.buffer if path == "-" else stack.enter_context(open_named(path))
            if path == "-" or not file.seekable():
                file = _copied(file, stack)
        except (OSError, ValueError) as error:
            _say(f"{path}: {(error.strerror if isinstance(error, OSError) else None) or error}")
        else:
            yield _Input(path, file)


def _copied(file: BinaryIO, stack: ExitStack) -> BinaryIO:
    """Return a copy of a pipe in a temporary file: the results of an audit are read from their end."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the stack closes it)
    stack.enter_context(copy)
    shutil.copyfileobj(file, copy, 1 << 20)
    copy.seek(0)
    return copy


def _report(inputs: Sequence[_Input], targets: Sequence[_Target]) -> bool:
    """Write the report of the files; return whether something failed."""
    from ..report.audit.lines import is_audit

    audits = [is_audit(file) for _, file in inputs]
    if all(audits):
        return _report_audit(inputs, targets)
    if any(audits):
        raise click.UsageError(
            f"{inputs[audits.index(True)].path} has results of an audit, {inputs[audits.index(False)].path} has not: "
            "report them one by one"
        )
    if any(target.format == "parquet" for target in targets):
        raise click.UsageError("--format parquet: only results of an audit can be written as Parquet")
    return _report_runs(inputs, targets)


def _report_runs(inputs: Sequence[_Input], targets: Sequence[_Target]) -> bool:
    from ..report import merged

    runs, failed = [], False
    for path, file in inputs:
        try:
            runs.append((os.path.basename(path), merged.read_results(file.read().decode("utf-8-sig"))))
        except (OSError, ValueError, RecursionError) as error:
            _say(f"{path}: {(error.strerror if isinstance(error, OSError) else None) or error}")
            failed = True
    if runs:
        table = merged.merge(runs)
        pages = {"text": merged.as_text, "markdown": merged.as_markdown, "html": merged.as_html}
        for target in targets:
            _print(pages[target.format](table).split("\n"), target.stream)
    return failed


def _report_audit(inputs: Sequence[_Input], targets: Sequence[_Target]) -> bool:
    from ..errors import PruneError
    from ..report.audit.lines import BadLine, entries, line_number
    from ..report.audit.page import PACKAGES, as_html
    from ..report.audit.parquet import ParquetWriter
    from ..report.audit.plain import ROWS, as_markdown, as_text
    from ..report.audit.totals import Totals

    formats = {target.format for target in targets}
    totals = Totals(PACKAGES if "html" in formats else ROWS)
    bad: list[BadLine] = []
    count = 0
    try:
        writers = [ParquetWriter(target.stream.buffer) for target in targets if target.format == "parquet"]
        for entry in entries([file for _, file in inputs]):
            if isinstance(entry, BadLine):
                count += 1
                bad = [entry]  # The files are read backwards, so the first bad line comes last.
                continue
            totals.add(entry.row)
            for writer in writers:
                writer.add(entry.value, entry.row)
        for writer in writers:
            writer.close()
    except PruneError as error:
        _say(str(error))
        return True
    for line in bad:
        path, file = inputs[line.file]
        more = f" (and {count - 1} more lines)" if count > 1 else ""
        _say(f"{path}: line {line_number(file, line.offset)} is not a result of an audit{more}: {line.reason}")
    pages: dict[str, Callable[[Totals], Iterator[str]]] = {"text": as_text, "markdown": as_markdown, "html": as_html}
    for target in targets:
        if target.format in pages:
            _print(pages[target.format](totals), target.stream)
    return count > 0


def _print(lines: Iterator[str] | Sequence[str], stream: TextIO) -> None:
    from ..report.escape import encodable

    for line in lines:
        print(encodable(line, stream.encoding), file=stream)


def _say(message: str) -> None:
    from ..report.escape import escaped

    click.echo(f"error: {escaped(message)}", err=True)
