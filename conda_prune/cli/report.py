"""`report`: merge the results of many runs into one table, or report what an audit found."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import click

from .exit_codes import ExitCode, exit_codes_help
from .options import complete_paths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..report.audit.lines import BadLine
    from ..report.audit.totals import Totals
    from .report_targets import Target


class _Input(NamedTuple):
    """A file with results; `copy` is what it holds if it is a pipe, which can be read once only."""

    path: str
    copy: BinaryIO | None

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Return the file, to be read from its beginning. Raises OSError."""
        if self.copy is not None:
            self.copy.seek(0)
            return nullcontext(self.copy)
        if self.path == "-":
            return nullcontext(sys.stdin.buffer)
        from ..system import open_named

        return open_named(self.path)


def _complete_formats(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from .report_targets import FORMATS

    return [CompletionItem(name) for name in FORMATS if name.startswith(text)]


@click.command(epilog=exit_codes_help("report"))
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", shell_complete=complete_paths)
@click.option(
    "--format",
    "formats",
    metavar="FORMAT[=FILE]",
    multiple=True,
    default=("text",),
    shell_complete=_complete_formats,
    help="text, markdown (for comments), html (one page), or parquet (audits only); to FILE if given (repeatable).",
)
def report(results: tuple[str, ...], formats: tuple[str, ...]) -> None:
    """Merge the results of many runs into one table, or report what an audit found.

    RESULTS are files written by `--format jsonl` or `--format json`, or by `audit`; - is standard input.

    Results of check and fix become one table, failures first. If runs have different results for a package, each
    of these gets a row.

    Results of audits are added up by kind, subdir, Python, month of upload, feedstock and package name, and the
    packages that waste most are listed. For each package, the last result counts. The HTML page has plots, and
    tables to sort and filter.

    \b
    Examples:
      conda-prune check output/ --format jsonl=results-linux-64.jsonl
      conda-prune report results-*.jsonl
      conda-prune report results-*.jsonl --format markdown >> "$GITHUB_STEP_SUMMARY"
      conda-prune report audit.jsonl --format text --format html=audit.html
      conda-prune report audit.jsonl --format parquet=audit.parquet
    """
    from .report_targets import open_targets

    with ExitStack() as stack:
        try:
            targets = open_targets(formats, results, stack)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        failed = _report([_input(path, stack) for path in results], targets)
        for target in targets:
            if target.path and target.is_complete and (reason := target.publish()):
                _say(f"{target.path} cannot be written: {reason}")
                failed = True
    sys.exit(ExitCode.FAILED if failed else ExitCode.OK)


def _input(path: str, stack: ExitStack) -> _Input:
    """Return a file to be read; a pipe is copied, since the results of an audit are read from their end."""
    # Why a file cannot be read is said when it is its turn.
    with suppress(OSError, ValueError), _Input(path, None).open() as file:
        if path == "-" or not file.seekable():
            copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
            shutil.copyfileobj(file, copy, 1 << 20)
            return _Input(path, copy)
    return _Input(path, None)


def _report(inputs: Sequence[_Input], targets: Sequence[Target]) -> bool:
    """Write the report of the files; return whether something failed."""
    kinds = [_is_audit(entry) for entry in inputs]
    if True in kinds and False in kinds:
        raise click.UsageError(
            f"{inputs[kinds.index(True)].path} is of an audit, and {inputs[kinds.index(False)].path} is not: "
            "report them one by one"
        )
    if True in kinds:
        return _report_audit(inputs, targets)
    if any(target.format == "parquet" for target in targets):
        raise click.UsageError("--format parquet: only results of audits can be written as Parquet")
    return _report_runs(inputs, targets)


def _is_audit(entry: _Input) -> bool | None:
    """Return whether a file has the results of an audit; None if it cannot be read."""
    from ..report.audit.lines import is_audit

    try:
        with entry.open() as file:
            return is_audit(file)
    except (OSError, ValueError):
        return None


def _report_runs(inputs: Sequence[_Input], targets: Sequence[Target]) -> bool:
    from ..report import merged

    runs, failed = [], False
    for entry in inputs:
        try:
            with entry.open() as file:
                data = file.read()
        except (OSError, ValueError) as error:
            _say(f"{entry.path}: {_reason(error)}")
            failed = True
            continue
        try:
            runs.append((os.path.basename(entry.path), merged.read_results(data)))
        except ValueError as error:
            hint = "" if ";" in str(error) else "; name a file that --format jsonl, --format json or audit wrote"
            _say(f"{entry.path}: {error}{hint}")
            failed = True
    if runs:
        table = merged.merge(runs)
        pages = {"text": merged.as_text, "markdown": merged.as_markdown, "html": merged.as_html}
        for target in targets:
            _print(pages[target.format](table).split("\n"), target)
            target.is_complete = True
    return failed


def _report_audit(inputs: Sequence[_Input], targets: Sequence[Target]) -> bool:
    from ..errors import PruneError
    from ..report.audit.lines import CannotRead
    from ..report.audit.page import PACKAGES, as_html
    from ..report.audit.plain import ROWS, as_markdown, as_text
    from ..report.audit.totals import Totals

    totals = Totals(PACKAGES if any(target.format == "html" for target in targets) else ROWS)
    readable = [entry for entry in inputs if _can_be_read(entry)]
    try:
        found, bad = _read(readable, targets, totals)
    except CannotRead as error:
        _say(f"{readable[error.file].path}: {error.reason}")
        return True
    except PruneError as error:
        _say(str(error))
        return True
    if bad is not None:
        _say_bad(bad, readable[bad.file])
    if bad is not None and not found:
        return True
    pages: dict[str, Callable[[Totals], Iterator[str]]] = {"text": as_text, "markdown": as_markdown, "html": as_html}
    for target in targets:
        if target.format in pages:
            _print(pages[target.format](totals), target)
        target.is_complete = True
    return bad is not None or len(readable) < len(inputs)


def _read(readable: Sequence[_Input], targets: Sequence[Target], totals: Totals) -> tuple[int, BadLine | None]:
    """Add up the results, and write those formats that have each one; return how many there are, and a bad line.

    Raises CannotRead and PruneError.
    """
    from ..report.audit.lines import BadLine, entries
    from ..report.audit.parquet import ParquetWriter
    from ..report.malformed import ERRORS, reason_of

    writers = [ParquetWriter(target.stream.buffer) for target in targets if target.format == "parquet"]
    found, bad = 0, None
    for entry in entries([entry.open for entry in readable]):
        wrong = entry if isinstance(entry, BadLine) else None
        if not isinstance(entry, BadLine):
            try:
                for writer in writers:
                    writer.add(entry.value, entry.row)
            except ERRORS as error:
                wrong = BadLine(entry.file, entry.offset, reason_of(error))
            else:
                found += 1
                if len(writers) < len(targets):
                    totals.add(entry.row)
        if wrong is not None:
            # The files are read backwards: the first one comes last.
            bad = wrong._replace(others=bad.others + 1 if bad is not None else 0)
    for writer in writers:
        writer.close()
    return found, bad


def _say_bad(line: BadLine, entry: _Input) -> None:
    from ..quantities import plural
    from ..report.audit.lines import line_number

    with entry.open() as file:
        number = line_number(file, line.offset)
    more = f" (and {plural(line.others, 'other line')})" if line.others else ""
    hint = f"remove {'them' if line.others else 'it'}, and run the audit again with --resume"
    _say(f"{entry.path}: line {number} is not a result of an audit{more}: {line.reason}; {hint}")


def _can_be_read(entry: _Input) -> bool:
    try:
        with entry.open():
            return True
    except (OSError, ValueError) as error:
        _say(f"{entry.path}: {_reason(error)}")
        return False


def _print(lines: Iterator[str] | Sequence[str], target: Target) -> None:
    from ..report.escape import encodable

    for line in lines:
        print(encodable(line, target.stream.encoding), file=target.stream)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _say(message: str) -> None:
    from ..report.escape import escaped

    click.echo(f"error: {escaped(message)}", err=True)
