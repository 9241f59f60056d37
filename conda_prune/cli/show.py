"""`show`: everything known about one package."""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import judging, options_of
from .work import EXIT_FAILED, EXIT_OK, failed


@click.command()
@click.argument("package")
@judging
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(package: str, format_: str, **flags: Any) -> None:
    """Show everything known about one package: its variant and the evidence, every file and why."""
    from ..errors import PruneError, UsageError
    from ..operations import show_package
    from ..report import json_report, text

    try:
        result, plan = show_package(package, options_of(flags))
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except PruneError as error:
        click.echo(text.error_line(failed(package, str(error))), err=True)
        sys.exit(EXIT_FAILED)
    if format_ == "json":
        click.echo(json_report.dumps(json_report.as_object(result), indent=2))
    else:
        click.echo("\n".join(text.show_lines(result, plan)))
    sys.exit(EXIT_FAILED if result.status == "refused" else EXIT_OK)
