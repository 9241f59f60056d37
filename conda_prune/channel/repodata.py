"""`repodata.json` and its variants: JSON documents with the records of a subdir's packages (CEP 36, CEP 48).

They are edited as parsed JSON and not as rattler's types, which drop the keys that they do not know: what the owner of
a channel wrote stays. A document that JSON would not give back as it was is refused before anything is written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from ..errors import BadMetadata
from .records import REINDEX_HINT, Records, is_section

REPODATA = "repodata.json"

_MANY = 1_000_000


class Repodata:
    """One document. `name` is the file's, for messages.

    Raises BadMetadata when the text is not a repodata.json, or holds what JSON does not preserve: a number beyond the
    range of a float, or one key twice.
    """

    def __init__(self, text: bytes, name: str) -> None:
        self._original = text
        self.records = Records(_parse(text, name), name)

    @classmethod
    def without_packages(cls, text: bytes, name: str) -> Repodata:
        """Return a document with all that the text says but for packages: their sections are empty."""
        document = cls(b"", name)
        document._original = text
        for key, value in _parse(text, name).items():
            document.value[key] = {} if is_section(key) else value
        return document

    @property
    def value(self) -> dict[str, Any]:
        """The document as parsed JSON."""
        return self.records.value

    @property
    def changed(self) -> bool:
        """Whether records are not those that were read."""
        return self.records.changed

    def find(self, file: str, names: Iterable[str] = ()) -> list[Records]:
        """Return the document's records, if they list a package, by the name of its file; `names` are not needed."""
        return [self.records] if file in self.records else []

    def encode(self) -> bytes:
        """Return the document as JSON, with the spaces, line ends and escapes of the original."""
        head = self._original[:1000].decode("utf-8", "replace")
        # The first key shows the layout: `{"info":{`, `{"info": {`, or a line of its own.
        layout = re.match(r'\{(?:\r?\n([ \t]+))?"(?:[^"\\]|\\.)*":( ?)', head)
        indent, space = (layout[1], layout[2]) if layout else (None, "")
        escaped = self._original.isascii() and b"\\u" in self._original
        text = self._dump(indent, space, escaped)
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair cannot be written in UTF-8: it was an escape, and must be one again.
            encoded = self._dump(indent, space, escaped=True).encode()
        encoded += b"\n" * self._original.endswith(b"\n")
        # Line ends within strings are escapes, so these are all of the layout.
        return encoded.replace(b"\n", b"\r\n") if "\r\n" in head else encoded

    def _dump(self, indent: str | None, space: str, escaped: bool) -> str:
        comma = "," if indent is not None or not space else ", "
        return json.dumps(self.value, ensure_ascii=escaped, indent=indent, separators=(comma, f":{space}"))


class _NotPreserved(ValueError):
    """JSON would give back something else; the text is the reason."""


def _parse(text: bytes, name: str) -> dict[str, Any]:
    if not text.strip():
        return {}  # CEP 36: an empty file is an empty index.
    containers = text.count(b"[") + text.count(b"{")
    if containers > _MANY and len(text) < 16 * containers:
        # Each takes 56 bytes or more: 500 MB of "[],[],[]" would take 13 GB. In real indexes, each has 100 bytes.
        raise BadMetadata(f"{name} is not an index: it is made of {containers} lists and objects", REINDEX_HINT)
    try:
        value = json.loads(text.decode(), object_pairs_hook=_object, parse_float=_number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadMetadata(f"{name} is not valid JSON: {error.msg} in {place}", REINDEX_HINT) from error
    except _NotPreserved as error:
        raise BadMetadata(f"{name} {error}", REINDEX_HINT) from error
    except RecursionError as error:
        raise BadMetadata(f"{name} is nested too deeply", REINDEX_HINT) from error
    except ValueError as error:  # It is not UTF-8, or an integer has too many digits for Python.
        raise BadMetadata(f"{name} cannot be read: {error}", REINDEX_HINT) from error
    if not isinstance(value, dict):
        raise BadMetadata(f"{name} is not a JSON object", REINDEX_HINT)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _NotPreserved(f"has the key {key[:200]!r} twice in one object")
            seen.add(key)
    return value


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number) or (number == 0 and re.search(r"[1-9]", re.split("[eE]", text)[0])):
        raise _NotPreserved(f"holds the number {text[:200]}, which is out of the range of JSON's numbers")
    return number
