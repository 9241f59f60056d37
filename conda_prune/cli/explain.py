"""`explain`: explain a kind of finding."""

from __future__ import annotations

import shutil

import click

from .options import complete_kinds


@click.command(short_help="Explain a kind of finding, and how to prevent it.")
@click.argument("kind", required=False, shell_complete=complete_kinds)
@click.option("--all", "show_all", is_flag=True, help="Explain every kind.")
def explain(kind: str | None, show_all: bool) -> None:
    """Explain a kind of finding: what it means, its common causes, what `fix` does about it, why that is safe,
    and how to prevent it in a recipe. Without KIND, list all kinds, one line each.

    \b
    Examples:
      conda-prune explain
      conda-prune explain foreign-path
      conda-prune explain --all | less
    """
    from ..report.explanation import explain as explanation_of
    from ..report.explanation import explanation_lines, kind_list, kinds

    known = kinds()
    if show_all and kind is not None:
        raise click.UsageError(f"name one kind, or use --all; the kinds are {', '.join(known)}")
    if kind is not None and kind not in known:
        from ..suggestions import unknown

        raise click.UsageError(unknown("kind", kind, known))
    width = min(shutil.get_terminal_size((80, 24)).columns, 100)
    if kind is None and not show_all:
        print("\n".join(kind_list(width)))
        return
    pages = [explanation_lines(explanation_of(name), width) for name in (known if kind is None else (kind,))]
    print("\n\n".join("\n".join(lines) for lines in pages))
