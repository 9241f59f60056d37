"""Walks a JSON text and tells where its members stand, so that an edit can replace just those.

Reading a text for its values is `json`'s work, and ten times as quick; this is for what is to be edited, and for
telling where a text is wrong.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


class DoubleKey(ValueError):
    """An object has a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DoubleKey(key)
            seen.add(key)
    return values


decode = json.JSONDecoder(object_pairs_hook=_unique).raw_decode
"""Return the value at a place, and where it ends; raise JSONDecodeError, or DoubleKey with the key."""


def skip(text: str, at: int) -> int:
    """Return where the next character stands that is no white space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def opened(text: str, at: int, bracket: str, closing: str) -> int | None:
    """Return where the first member of the object or list at `at` stands, or None in an empty one."""
    if text[at : at + 1] != bracket:
        raise json.JSONDecodeError(f"{bracket!r} is missing", text, at)
    at = skip(text, at + 1)
    return None if text[at : at + 1] == closing else at


def following(text: str, at: int, closing: str) -> int | None:
    """Return where the member after the one that ends at `at` stands, or None behind the last."""
    at = skip(text, at)
    if text[at : at + 1] == closing:
        return None
    return skip(text, _behind(text, at, ","))


def key_at(text: str, at: int) -> tuple[str, int]:
    """Return the key that stands at a place, and where its value stands."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("a key in double quotes is missing", text, at)
    key, stop = scanstring(text, at + 1, True)
    return key, skip(text, _behind(text, stop, ":"))


def string_end(text: str, at: int) -> int:
    """Return where the string that begins at `at` ends."""
    stop: int = scanstring(text, at + 1, True)[1]
    return stop


def place(text: str, at: int) -> str:
    """Return a place in words: line and column, both from 1."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _behind(text: str, at: int, mark: str) -> int:
    at = skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"{mark!r} is missing", text, at)
    return at + 1
