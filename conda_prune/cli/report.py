"""`report`: merge the results of many runs into one table."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

import click

from .exit_codes import ExitCode, exit_codes_help
from .options import complete_paths


@click.command(epilog=exit_codes_help("report"))
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", shell_complete=complete_paths)
@click.option("--format", "format_", type=click.Choice(["text", "markdown", "html"]), default="text",
              show_default=True, help="A table as text, as Markdown (for comments), or as an HTML page.")  # fmt: skip
def report(results: tuple[str, ...], format_: str) -> None:
    """Merge the results of many runs into one table.

    RESULTS are files written by `--format jsonl` or `--format json`; - is standard input. Failures come first.
    If runs have different results for a package, each of these gets a row.

    \b
    Examples:
      conda-prune check output/ --format jsonl=results-linux-64.jsonl
      conda-prune report results-*.jsonl
      conda-prune report results-*.jsonl --format markdown >> "$GITHUB_STEP_SUMMARY"
    """
    from ..report import merged
    from ..report.escape import encodable, escaped

    runs, failed = [], False
    for path in results:
        try:
            with _opened(path) as file:
                text = file.read().decode("utf-8-sig")
            runs.append((os.path.basename(path), merged.read_results(text)))
        except (OSError, ValueError, RecursionError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            click.echo(f"error: {escaped(path)}: {escaped(reason)}", err=True)
            failed = True
    if runs:
        page = {"text": merged.as_text, "markdown": merged.as_markdown, "html": merged.as_html}[format_]
        print("\n".join(encodable(line, sys.stdout.encoding) for line in page(merged.merge(runs)).split("\n")))
    sys.exit(ExitCode.FAILED if failed else ExitCode.OK)


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    from ..system import open_named

    return open_named(path)
