"""`schema`: print the JSON Schema of the JSON output."""

from __future__ import annotations

import click


@click.command()
@click.argument("output", type=click.Choice(["results", "diff"]), default="results")
def schema(output: str) -> None:
    """Print the JSON Schema (2020-12) of the JSON output.

    `results`, the default, describes the array of `--format json`, each line of `--format jsonl`, and the
    object of `show --format json`. `diff` describes the object of `diff --format json`. Keys may be added at
    any time. If a key is removed or changes its meaning, the schema_version changes.

    \b
    Examples:
      conda-prune schema > conda-prune.schema.json
      conda-prune check output/ --format json > results.json
      check-jsonschema --schemafile conda-prune.schema.json results.json
    """
    from ..report import diff, json_report

    print((diff if output == "diff" else json_report).schema_text(), end="")
