"""Names from packages, made safe to print: control characters, bidirectional marks, broken encodings and the marks by
which CI systems take a line for a command become escapes.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_COMMAND = re.compile(r"^\s*::|##(?=[a-z]*\[)")
"""What CI systems look for: `::` where a line starts (GitHub), `##[` and `##vso[` anywhere in it (GitHub, Azure)."""


def escaped(text: str) -> str:
    """Return the text with everything that could move a cursor, reorder a line, end it, or command a CI system written
    as an escape.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(_escape(character) for character in text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda match: match[0].replace(":", "\\x3a").replace("#", "\\x23"), text)
    return text


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is no UTF-8 (PEP 383)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_PLAIN = str.maketrans({"→": "->", "−": "-", "…": "..."})


def encodable(line: str, encoding: str | None) -> str:
    """Return the line with our own signs in ASCII where the encoding has none for them, and the rest as escapes.

    A stream that has no encoding takes any line as it is.
    """
    if line.isascii() or encoding is None:
        return line
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return line
