"""Settings from `[tool.conda-prune]` in the nearest pixi.toml or pyproject.toml, from a directory upwards.

A file without the table is passed over, so that a project inside another may leave the settings to the outer one. A
file that does not mention the tool is not even parsed: where nobody uses this, it costs a few failed opens.

The search leaves the project: in a shared directory above it, anybody may have put a file. So a file cannot name what
is written, and one that belongs to another user is an error: to use it silently would be dangerous, and to ignore it
silently as well, since its `keep` may be all that protects a file. Files of root are trusted, since root controls
everything here anyway. Permissions are not looked at: a file that the group can write is ordinary (umask 002), and on
some file systems every file is writable for everybody.
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

TEXT, TEXTS, FLAG, COUNT, LEVEL = "a text", "a text or a list of texts", "true or false", "a number", "same or a number"

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
"""Every key and the type of its value: the long options, except those for what one run works on and where it writes."""

_LARGEST = 1 << 22
"""Bytes of a configuration file that are read; real ones have a few kilobytes."""


class Settings(NamedTuple):
    """The values of a file, by option; numbers of `level` are texts, as on the command line, lists are tuples."""

    path: str
    values: Mapping[str, object]


def find_settings(directory: str) -> Settings | None:
    """Return the settings that hold in a directory, or None where no file has any.

    Raises UsageError, naming file and key, where the file cannot be read or belongs to another user, where a key is
    unknown, its value of another type or the name of an output file, and where both files of one directory have the
    table.
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
            raise UsageError(f"{' and '.join(tables)} both have [tool.{TABLE}]", "keep it in one of them")
        for path, table in tables.items():
            return _settings(path, table)
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def read_settings(path: str) -> Settings:
    """Return the settings of a file that the user named, whoever owns it.

    Raises UsageError as `find_settings` does, and where there is no such file or no table in it.
    """
    try:
        table, _ = _read_table(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if table is None:
        raise UsageError(f"{path} has no table [tool.{TABLE}]")
    return _settings(path, table)


def _find_table(path: str, start: str) -> dict[str, Any] | None:
    """Return a file's table, or None where there is no such file, or no table in it."""
    try:
        table, owners = _read_table(path)
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return None
    except (OSError, ValueError) as error:
        if lacks_files(error):
            raise
        if not os.path.lexists(path):  # What cannot even be looked at is no project's file.
            return None
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {reason}", "mend it, or ignore it with --no-config") from error
    if table is not None and (strangers := owners - _trusted_users(start)):
        raise UsageError(
            f"{path} has [tool.{TABLE}], and belongs to another user ({_user_name(min(strangers))})",
            f"use it with --config {path}, or ignore it with --no-config",
        )
    return table


def _read_table(path: str) -> tuple[dict[str, Any] | None, frozenset[int]]:
    """Return a file's table, None where it has none, and who owns the file and the link to it, empty on Windows.

    Raises UsageError where the table cannot be parsed, OSError or ValueError where the file cannot be read.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST >> 20} MiB")
    if TABLE.encode() not in raw:
        return None, frozenset()
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        value = toml.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a wrong encoding, wrong TOML, or thousands of nested lists
        raise UsageError(f"{path} cannot be read: {error}", "mend it, or ignore it with --no-config") from error
    tool = value.get("tool")
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.{TABLE} is not a table")
    if os.name == "nt":
        return table, frozenset()
    return table, frozenset({status.st_uid, os.lstat(path).st_uid})


def _trusted_users(directory: str) -> frozenset[int]:
    """Return the users whose files are ours: this one and root.

    For root, also the user who called sudo and the owner of the current directory: root often works in a project that
    belongs to somebody, or that a container has from its host.
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


def _settings(path: str, table: Mapping[str, Any]) -> Settings:
    return Settings(path, {key: _value(path, key, value) for key, value in table.items()})


def _value(path: str, key: str, value: object) -> object:
    """Return a value as the command line would give it."""
    if key not in KEYS:
        raise UsageError(f"{path}: [tool.{TABLE}] has an unknown key {key!r}", f"the keys are {', '.join(KEYS)}")
    wanted = KEYS[key]
    if wanted is TEXTS:
        values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else (None,)
        if all(isinstance(item, str) for item in values):
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
    """Raise UsageError where a format goes to a file: a file that is only found must not say what is overwritten."""
    for value in formats:
        _, _, file = value.partition("=")
        if file not in ("", "-"):
            raise UsageError(
                f"{path}: format in [tool.{TABLE}] names an output file: {value!r}",
                f"use --format {value} on the command line, or the variable CONDA_PRUNE_FORMAT",
            )
