"""Makes names from packages safe to print.

Control characters, bidirectional marks, bytes that are not UTF-8, and anything that a CI system would run as a command
are replaced by escapes such as `\\x1b`.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_COMMAND = re.compile(r"^\s*::|##(?=[a-z]*\[)")
"""Commands of CI systems: `::` at the start of a line (GitHub), `##[` and `##vso[` anywhere (GitHub, Azure)."""


def escaped(text: str) -> str:
    """Return the text with escapes for what could move a cursor, reorder or end a line, or be run by a CI system."""
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
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not UTF-8 (PEP 383)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ASCII = str.maketrans({"→": "->", "−": "-", "…": "..."})


def encodable(line: str, encoding: str | None) -> str:
    """Return the line with only characters that the encoding has.

    Our own special characters, such as the arrow, become ASCII. All others become escapes. If a stream has no
    encoding, the line is returned unchanged.
    """
    if line.isascii() or encoding is None:
        return line
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return line
