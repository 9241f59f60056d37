"""Writes an edited JSON document in the style of the original, so that only the edits change the text.

Every known writer uses one regular style for the whole document (conda-build that of Python's `json`, rattler-build
that of serde_json). So the style is taken from the beginning of the text, and then proved by writing the unedited
document: if this gives the original bytes, the edited document is written in the same style. Editing the text in place
would also keep irregular formatting, but takes a JSON parser of our own. Keys keep their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

_SPACE = rb"[ \t\n\r]*"
_BEGINNING = re.compile(rb'(%b)\{(%b)"(?:[^"\\]+|\\.)*"(%b:%b)' % (_SPACE, _SPACE, _SPACE, _SPACE), re.DOTALL)
_COMMA = re.compile(rb'"(?:[^"\\]+|\\.)*"|(%b,[ \t]*)' % _SPACE, re.DOTALL)
_INDENT = re.compile(rb"(\r?\n)([ \t]*)")
_CONSTANTS = {True: "true", False: "false", None: "null"}
_HEAD = 1 << 16
"""How many bytes are searched for separators. For known writers, a few hundred are enough."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a JSON text is formatted: what comes before and after it, its separators, and its indentation.

    `newline` is empty if everything is on one line. `ascii`: characters that are not ASCII are escaped.
    """

    before: str = ""
    newline: str = ""
    indent: str = ""
    colon: str = ": "
    comma: str = ", "
    after: str = ""
    ascii: bool = True

    def dump(self, document: Mapping[str, Any]) -> bytes:
        """Return the text of a JSON object. Raises RecursionError if it is nested too deeply."""
        text = BytesIO()
        for piece in self._pieces(document):
            text.write(piece)
        return text.getvalue()

    def reproduces(self, document: Mapping[str, Any], raw: bytes) -> bool:
        """Return whether `dump` would return `raw`. Compared piece by piece, without a second copy in memory."""
        offset = 0
        for piece in self._pieces(document):
            if not raw.startswith(piece, offset):
                return False
            offset += len(piece)
        return offset == len(raw)

    def _pieces(self, document: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the text of an object in pieces, each item of its lists by itself: a listing may have a million."""
        yield self.before.encode()
        separator = "{"
        for key, value in document.items():
            yield self._encoded(f"{separator}{self._break(1)}{self._text(key, 1)}{self.colon}")
            separator = self.comma
            if isinstance(value, list) and value:
                bracket = "["
                for item in value:
                    yield self._encoded(f"{bracket}{self._break(2)}{self._text(item, 2)}")
                    bracket = self.comma
                yield self._encoded(f"{self._break(1)}]")
            else:
                yield self._encoded(self._text(value, 1))
        yield self._encoded(f"{self._break(0)}}}{self.after}" if document else f"{{}}{self.after}")

    def _text(self, value: Any, depth: int) -> str:
        """Return the text of any value, as it is written `depth` levels below the outermost object."""
        quote = encode_basestring_ascii if self.ascii else encode_basestring
        if isinstance(value, str):
            return quote(value)
        if value is None or isinstance(value, bool):
            return _CONSTANTS[value]
        if isinstance(value, (int, float)):
            return repr(value)
        if isinstance(value, list):
            opening, closing = "[", "]"
            items = [self._text(item, depth + 1) for item in value]
        else:
            opening, closing = "{", "}"
            items = [
                quote(key)
                + self.colon
                # Most values are texts and sizes. A call for each would take half of the time.
                + (quote(v) if type(v) is str else repr(v) if type(v) is int else self._text(v, depth + 1))
                for key, v in value.items()
            ]
        if not items:
            return opening + closing
        line = self._break(depth + 1)
        return f"{opening}{line}{f'{self.comma}{line}'.join(items)}{self._break(depth)}{closing}"

    def _break(self, depth: int) -> str:
        """Return a line break and the indentation of a level; empty if everything is on one line."""
        return self.newline + self.indent * depth

    def _encoded(self, text: str) -> bytes:
        # Half a surrogate pair cannot be encoded as UTF-8. Its escape in Python (`\ud800`) is also valid in JSON.
        return text.encode("utf-8", "backslashreplace")


RATTLER_BUILD = Style(newline="\n", indent="  ", comma=",", ascii=False)
"""The style of rattler-build: serde_json's pretty format, without a final newline."""


def style_of(document: Mapping[str, Any], raw: bytes) -> Style | None:
    """Return the style in which a JSON object is written as `raw`, or None if no regular style gives these bytes."""
    head = raw[:_HEAD]
    beginning = _BEGINNING.match(head)
    comma = next((match[1] for match in _COMMA.finditer(head) if match[1]), None)
    if beginning is None or comma is None:
        return None
    before, gap, colon = beginning.groups()
    break_ = _INDENT.fullmatch(gap)
    if gap and break_ is None:
        return None
    newline, indent = break_.groups() if break_ else (b"", b"")
    after = raw[len(raw.rstrip(b" \t\n\r")) :]
    style = Style(before.decode(), newline.decode(), indent.decode(), colon.decode(), comma.decode(), after.decode())
    # The separators do not show whether characters are escaped, so both styles are tried. For a text in ASCII as well:
    # serde_json writes DEL as it is, and Python's `ensure_ascii` escapes it.
    candidates = (style, replace(style, ascii=False))
    return next((candidate for candidate in candidates if candidate.reproduces(document, raw)), None)
