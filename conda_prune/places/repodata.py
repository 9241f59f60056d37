"""A channel's `repodata.json`: the records of its packages, as conda-index and rattler's indexer write them.

It is kept as parsed JSON, not as rattler's types: those drop the keys that they do not know, and what a channel's owner
wrote into it stays (CEP 36, CEP 48).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import BadMetadata, PruneError

REPODATA = "repodata.json"
ANEW = "--reindex always writes it anew from the packages that are there"
_SUBDIR = re.compile(r"noarch|[a-z0-9]{1,29}-[a-z0-9]{1,29}")


@dataclass(frozen=True)
class Index:
    """A repodata.json: where it is, its value, and its text as it was, whose style a new text follows."""

    path: str
    value: dict[str, Any]
    original: str

    @cached_property
    def records(self) -> dict[str, tuple[dict[str, Any], str]]:
        """The section and the key of every package's record, by the package's file name."""
        return {name: (section, key) for section, key, name in _keys(self.value)}

    @property
    def subdir(self) -> str:
        """The subdir that the index is of; raise BadMetadata where neither it nor its directory says one."""
        info = self.value.get("info")
        said = info.get("subdir") if isinstance(info, dict) else None
        for name in (said, os.path.basename(os.path.dirname(os.path.abspath(self.path)))):
            if isinstance(name, str) and _SUBDIR.fullmatch(name):
                return name
        raise BadMetadata("its directory is no subdir of a channel, such as linux-64 or noarch")

    def record(self, name: str) -> dict[str, Any]:
        """Return the record of a package's file."""
        section, key = self.records[name]
        found: dict[str, Any] = section[key]
        return found

    def text(self) -> bytes:
        """Return the value as JSON, laid out like the original."""
        indent = re.match(r"\{\r?\n([ \t]+)", self.original)
        separators = None if indent or '": ' in self.original[:200] else (",", ":")
        text = json.dumps(
            self.value,
            ensure_ascii=self.original.isascii() and "\\u" in self.original,
            indent=indent[1] if indent else None,
            separators=separators,
        )
        return (text + "\n" * self.original.endswith("\n")).encode("utf-8", "surrogatepass")


def _keys(value: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield every record's section, its key there, and its package's file name (CEP 36; CEP 48 leaves endings out)."""
    for section in ("packages", "packages.conda"):
        yield from ((value[section], key, key) for key in value.get(section, ()))
    for name, revision in value.items():
        if re.fullmatch(r"v\d+", name):
            for section in ("conda", "tar.bz2"):
                yield from ((revision[section], key, f"{key}.{section}") for key in revision.get(section, ()))


def read_index(path: str) -> Index:
    """Return a repodata.json; raise PruneError with what is wrong with it."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
        value = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("packages", {}), dict):
            raise BadMetadata("it is no index of packages", ANEW)
        index = Index(path, value, text)
        if not all(isinstance(section[key], dict) for section, key, _ in _keys(value)):
            raise BadMetadata("it holds records that are no JSON objects", ANEW)
    except FileNotFoundError as error:
        raise BadMetadata("there is no repodata.json", ANEW) from error
    except OSError as error:
        raise PruneError(f"it cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadMetadata(f"it is not valid JSON: {error.msg} in {place}", ANEW) from error
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise BadMetadata("it is no index of packages", ANEW) from error
    return index
