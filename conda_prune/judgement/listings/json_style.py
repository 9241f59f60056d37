"""Writes a JSON document back the way it was formatted, so that an edit changes only what it is about.

Editing the text in place would keep any formatting, but every known writer (conda-build through Python's `json`,
rattler-build through serde_json) uses one regular style for the whole document. So the style is read off the beginning
of the text and proved by writing the unedited document: where that gives the original bytes, the edited document is
formatted like the original, too. The order of keys is the document's; nothing is sorted.
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
"""Bytes at the beginning of a text in which its separators are looked for: known writers need a few hundred."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a JSON text is formatted: what surrounds it, its separators, and its indentation.

    `newline` is empty where everything is on one line. `ascii`: characters beyond ASCII are escaped.
    """

    before: str = ""
    newline: str = ""
    indent: str = ""
    colon: str = ": "
    comma: str = ", "
    after: str = ""
    ascii: bool = True

    def dump(self, document: Mapping[str, Any]) -> bytes:
        """Return the text of a JSON object. Raises RecursionError where it is nested too deeply."""
        text = BytesIO()
        for piece in self._pieces(document):
            text.write(piece)
        return text.getvalue()

    def gives(self, document: Mapping[str, Any], raw: bytes) -> bool:
        """Return whether the text of a JSON object is this one; compared piece by piece, without a second copy."""
        at = 0
        for piece in self._pieces(document):
            if not raw.startswith(piece, at):
                return False
            at += len(piece)
        return at == len(raw)

    def _pieces(self, document: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the text of an object, long lists in it item by item: a package may list a million files."""
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
                quote(key) + self.colon + (quote(item) if type(item) is str else self._text(item, depth + 1))
                for key, item in value.items()
            ]
        if not items:
            return opening + closing
        line = self._break(depth + 1)
        return f"{opening}{line}{f'{self.comma}{line}'.join(items)}{self._break(depth)}{closing}"

    def _break(self, depth: int) -> str:
        return self.newline + self.indent * depth

    def _encoded(self, text: str) -> bytes:
        # Half a surrogate pair is no UTF-8; Python's escape for it is JSON's, too.
        return text.encode("utf-8", "backslashreplace")


RATTLER_BUILD = Style(newline="\n", indent="  ", comma=",", ascii=False)
"""How rattler-build writes its listings (serde_json's pretty format, without a final line end)."""


def style_of(document: Mapping[str, Any], raw: bytes) -> Style | None:
    """Return the style in which the document is written as `raw`, or None where no regular style gives these bytes."""
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
    # serde_json leaves DEL as it is, Python's `ensure_ascii` does not: an ASCII text may be in either style.
    candidates = (style, replace(style, ascii=False))
    return next((candidate for candidate in candidates if candidate.gives(document, raw)), None)
