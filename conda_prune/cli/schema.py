"""`schema`: the JSON Schema of what `--format json` and `--format jsonl` print."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of the JSON output.

    It holds for the array of `--format json`, for each line of `--format jsonl`, and for the object of
    `show --format json`. Keys are added without notice; none goes or changes its meaning without a new
    schema_version.

    \b
    Examples:
      conda-prune schema > conda-prune.schema.json
      conda-prune check output/ --format json > results.json
      check-jsonschema --schemafile conda-prune.schema.json results.json
    """
    from ..report.json_report import dumps
    from ..report.schema import SCHEMA

    print(dumps(SCHEMA, indent=2))
