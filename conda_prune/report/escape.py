"""Makes names from packages safe to print: control characters, bidirectional marks, broken encodings, and what CI
systems read as a command become escapes.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_COMMAND = re.compile(r"^\s*::|##(?=[a-z]*\[)")
"""What CI systems look for: `::` at the start of a line (GitHub), `##[` and `##vso[` anywhere in it (GitHub, Azure)."""


def escaped(text: str) -> str:
    """Return the text with escapes for everything that could move a cursor, reorder or end a line, or command a CI
    system.
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
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not UTF-8 (PEP 383)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_PLAIN = str.maketrans({"→": "->", "−": "-", "…": "..."})


def encodable(line: str, encoding: str | None) -> str:
    """Return the line in characters that the encoding has: ours become ASCII, all others escapes.

    For a stream without an encoding, the line is returned unchanged.
    """
    if line.isascii() or encoding is None:
        return line
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return line
