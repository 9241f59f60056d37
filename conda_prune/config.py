"""What `[tool.conda-prune]` says in the nearest pixi.toml or pyproject.toml, from a directory upwards, that has it.

A file without the table is passed over, so that a project inside another may leave it to the outer one. A file that
does not hold the tool's name is not even parsed: where nobody uses this, it costs a few failed opens.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UsageError

FILES = ("pixi.toml", "pyproject.toml")
TABLE = "conda-prune"

TEXT, TEXTS, FLAG, COUNT, LEVEL = "a text", "a text or a list of texts", "true or false", "a number", "same or a number"

KEYS = {
    "select": TEXTS,
    "ignore": TEXTS,
    "keep": TEXTS,
    "python": TEXT,
    "deep": FLAG,
    "level": LEVEL,
    "backup": TEXT,
    "reindex": TEXT,
    "jobs": COUNT,
    "threads": COUNT,
    "max-unpacked": TEXT,
    "max-members": COUNT,
    "max-text": TEXT,
    "max-ratio": COUNT,
    "max-window": TEXT,
    "format": TEXTS,
    "color": TEXT,
    "quiet": FLAG,
    "verbose": FLAG,
}
"""Every key and what its value is: the long options, but those that say what one run works on and where it writes."""


@dataclass(frozen=True)
class Settings:
    """The values of a file, by option; numbers of `level` are texts, as on the command line, lists are tuples."""

    path: str
    values: Mapping[str, object]


def find_settings(directory: str) -> Settings | None:
    """Return the settings that hold in a directory, or None where no file has any.

    Raises UsageError, naming file and key, where the file cannot be parsed, where a key is unknown or its value of
    another type, and where both files of one directory have the table.
    """
    directory = os.path.abspath(directory)
    while True:
        tables = {}
        for name in FILES:
            path = os.path.join(directory, name)
            table = _read_table(path)
            if table is not None:
                tables[path] = table
        if len(tables) > 1:
            raise UsageError(f"{' and '.join(tables)} both have [tool.{TABLE}]", "keep it in one of them")
        for path, table in tables.items():
            return Settings(path, {key: _value(path, key, value) for key, value in table.items()})
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _read_table(path: str) -> dict[str, Any] | None:
    """Return a file's table, or None where it has none, or is none."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError:
        return None
    if TABLE.encode() not in raw:
        return None
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        value = toml.loads(raw.decode("utf-8-sig"))
    except ValueError as error:  # both of a wrong encoding and of wrong TOML
        raise UsageError(f"{path} cannot be read: {error}") from error
    tool = value.get("tool")
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.{TABLE} is no table")
    return table


def _value(path: str, key: str, value: object) -> object:
    """Return a value as the command line would give it."""
    if key not in KEYS:
        raise UsageError(f"{path}: [tool.{TABLE}] has an unknown key {key!r}", f"the keys are {', '.join(KEYS)}")
    wanted = KEYS[key]
    if wanted is TEXTS:
        values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else (None,)
        if all(isinstance(item, str) for item in values):
            return values
    elif wanted is FLAG:
        if isinstance(value, bool):
            return value
    elif wanted in (COUNT, LEVEL) and isinstance(value, int) and not isinstance(value, bool):
        return str(value) if wanted is LEVEL else value
    elif wanted in (TEXT, LEVEL) and isinstance(value, str):
        return value
    raise UsageError(f"{path}: {key} in [tool.{TABLE}] must be {wanted}, not {value!r}")
