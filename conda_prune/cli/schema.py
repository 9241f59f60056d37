"""`schema`: prints the JSON Schema of what `--format json` and `--format jsonl` print."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of the JSON output.

    It describes the array of `--format json`, each line of `--format jsonl`, and the object of
    `show --format json`. New keys may be added at any time; a key is only removed, or changes its
    meaning, with a new schema_version.

    \b
    Examples:
      conda-prune schema > conda-prune.schema.json
      conda-prune check output/ --format json > results.json
      check-jsonschema --schemafile conda-prune.schema.json results.json
    """
    from ..report.json_report import schema_text

    print(schema_text(), end="")
