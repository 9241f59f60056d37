"""Reads `[tool.conda-prune]` in the nearest pixi.toml or pyproject.toml, in a directory or above it.

A file without the table is skipped, so a project inside another one can use the configuration of the outer one. A file
that does not contain the name of the tool is not even parsed. So a project without a configuration costs only a few
failed opens.

The search goes above the project, where other users may be able to create files. That is why a file cannot name output
files, and why a file that belongs to another user is an error. Using it silently would be dangerous. So would ignoring
it: its `keep` may be all that protects a file. Files of root are trusted, because root controls the machine anyway.
Permissions are not checked: files are often writable for a group (umask 002), and on some file systems for everybody.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError, lacks_files
from ..system import NotRegular, open_regular

FILES = ("pixi.toml", "pyproject.toml")
TABLE = "conda-prune"

TEXT, TEXTS, FLAG = "a string", "a string or a list of strings", "true or false"
COUNT, LEVEL = "a number", "same or a number"

KEYS = {
    "select": TEXTS,
    "extend-select": TEXTS,
    "ignore": TEXTS,
    "keep": TEXTS,
    "python": TEXT,
    "exclude": TEXTS,
    "no-default-excludes": FLAG,
    "allow-empty": FLAG,
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
"""Every key, with its type: all long options except those that name the input or the output of one run."""

_MAX_SIZE = 1 << 22
"""How many bytes a configuration file may have; real ones have a few kilobytes."""


class Configuration(NamedTuple):
    """The values in a file, by option, as the command line has them: `level` is a string, and lists are tuples."""

    path: str
    values: Mapping[str, object]


def find_configuration(directory: str) -> Configuration | None:
    """Return the configuration that applies in a directory, or None if there is none.

    Raises UsageError if the file cannot be read or belongs to another user, if both files of one directory have the
    table, if a key is unknown, and if a value has the wrong type or names an output file. The message names the file
    and the key.
    """
    start = directory = os.path.abspath(directory)
    while True:
        tables = {}
        for name in FILES:
            path = os.path.join(directory, name)
            table = _find_table(path, start)
            if table is not None:
                tables[path] = table
        if len(tables) > 1:
            raise UsageError(f"{' and '.join(tables)} both have [tool.{TABLE}]", "remove one of the two tables")
        for path, table in tables.items():
            return _make_configuration(path, table)
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def read_configuration(path: str) -> Configuration:
    """Return the configuration in a file that the user has named. The file may belong to anybody.

    Raises UsageError as `find_configuration` does, and also if the file or its table does not exist.
    """
    try:
        table, _ = _read_table(path)
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if table is None:
        raise UsageError(f"{path} has no table [tool.{TABLE}]")
    return _make_configuration(path, table)


def _find_table(path: str, start: str) -> dict[str, Any] | None:
    """Return the table in a file, or None if there is no such file or no table in it."""
    try:
        table, owners = _read_table(path)
    except UsageError:
        raise
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return None
    except (OSError, ValueError) as error:
        if lacks_files(error):
            raise
        if not os.path.lexists(path):  # A directory above that we cannot access is not part of a project.
            return None
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {reason}", "correct it, or ignore it with --no-config") from error
    if table is not None and owners and (strangers := owners - _trusted_users(start)):
        raise UsageError(
            f"{path} has [tool.{TABLE}] but belongs to another user ({_user_name(min(strangers))})",
            f"use it with --config {path}, or ignore it with --no-config",
        )
    return table


def _read_table(path: str) -> tuple[dict[str, Any] | None, frozenset[int]]:
    """Return the table in a file (None if it has none), and the owners of the file and of the link to it.

    There are no owners on Windows. Raises UsageError if the file cannot be parsed, and OSError or ValueError if it
    cannot be read.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        raw = file.read(_MAX_SIZE + 1)
    if len(raw) > _MAX_SIZE:
        raise ValueError(f"it has more than {_MAX_SIZE >> 20} MiB")
    if TABLE.encode() not in raw:
        return None, frozenset()
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        value = toml.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or thousands of nested lists
        raise UsageError(f"{path} cannot be read: {error}", "correct it, or ignore it with --no-config") from error
    tool = value.get("tool")
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.{TABLE} is not a table")
    if os.name == "nt":
        return table, frozenset()
    return table, frozenset({status.st_uid, os.lstat(path).st_uid})


def _trusted_users(directory: str) -> frozenset[int]:
    """Return the IDs of the users whose configuration files are trusted: the current user and root.

    Root also trusts the user who called sudo and the owner of the directory. Root often works in a project that belongs
    to another user, or that a container has mounted from its host.
    """
    user = os.geteuid()
    trusted = {user, 0}
    if user == 0:
        trusted.add(os.stat(directory).st_uid)
        caller = os.environ.get("SUDO_UID", "")
        if caller.isdecimal():
            trusted.add(int(caller))
    return frozenset(trusted)


def _user_name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _make_configuration(path: str, table: Mapping[str, Any]) -> Configuration:
    return Configuration(path, {key: _value(path, key, value) for key, value in table.items()})


def _value(path: str, key: str, value: object) -> object:
    """Return a value as the command line would provide it."""
    if key not in KEYS:
        from ..suggestions import did_you_mean

        hint = did_you_mean(key, KEYS) or f"the keys are {', '.join(KEYS)}"
        raise UsageError(f"{path}: [tool.{TABLE}] has an unknown key {key!r}", hint)
    wanted = KEYS[key]
    if wanted is TEXTS:
        values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else (None,)
        if all(isinstance(item, str) for item in values):
            if key == "select" and not values:
                raise UsageError(f"{path}: select in [tool.{TABLE}] is empty", "remove it to select the default kinds")
            if key == "format":
                _check_formats(path, values)
            return values
    elif wanted is FLAG:
        if isinstance(value, bool):
            return value
    elif wanted in (COUNT, LEVEL) and isinstance(value, int) and not isinstance(value, bool):
        return str(value) if wanted is LEVEL else value
    elif wanted in (TEXT, LEVEL) and isinstance(value, str):
        return value
    raise UsageError(f"{path}: {key} in [tool.{TABLE}] must be {wanted}, not {value!r}")


def _check_formats(path: str, formats: Sequence[str]) -> None:
    """Raise UsageError for a format with an output file: only the user may decide which file is overwritten."""
    for value in formats:
        _, _, file = value.partition("=")
        if file not in ("", "-"):
            raise UsageError(
                f"{path}: format in [tool.{TABLE}] names an output file: {value!r}",
                f"use --format {value} on the command line, or the variable CONDA_PRUNE_FORMAT",
            )
