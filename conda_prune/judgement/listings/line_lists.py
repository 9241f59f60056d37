"""The line lists that name a package's files, edited as bytes: the line of a dropped file goes, that of a new one comes
last, and the rest stays as it was.

`info/files`, `info/no_link` and `info/has_prefix` are conda-build's; `RECORD` is a wheel's (PyPA, recording installed
projects), and `installed-files.txt` an egg's. A line ends at a line feed only; in a RECORD, not inside quotes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping

FILES, NO_LINK, HAS_PREFIX = "info/files", "info/no_link", "info/has_prefix"
INFO_LISTS = (FILES, NO_LINK, HAS_PREFIX)
_PREFIX_LINE = re.compile(r"""(?P<prefix>"[^"]*"|'[^']*'|\S+)[ \t]+(?:text|binary)[ \t]+(?P<path>.+)""", re.DOTALL)
_DIGEST = re.compile(rb",(sha256|sha384|sha512)=([0-9A-Za-z_=-]+),")

_DEFAULT_PREFIX = "/opt/anaconda1anaconda2anaconda3"
"""What a line of has_prefix means that names a file only (conda's PREFIX_PLACEHOLDER)."""


def is_installed_list(path: str) -> bool:
    """Return whether a path is a RECORD or an installed-files.txt, whose names are relative."""
    return path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt"))


def names(path: str, raw: bytes) -> list[str]:
    """Return what the lines of the list in the file `path` name, in order; '' for a line that names nothing."""
    name_of = _name_reader(path, "")
    return [name_of(_text(line)) for line in _lines(path, raw)]


def prefixes(raw: bytes) -> Mapping[str, str]:
    """Return the build prefix of each file that `info/has_prefix` names."""
    found = {}
    for line in map(_text, _lines(HAS_PREFIX, raw)):
        match = _PREFIX_LINE.fullmatch(line)
        found[_prefix_name(line)] = _unquoted(match["prefix"]) if match else _DEFAULT_PREFIX
    return found


def edit_lines(
    path: str,
    raw: bytes,
    dropped: Collection[str],
    *,
    added: Collection[str] = (),
    changed: Callable[[str], bytes | None] = lambda path: None,
    prefix: str = "",
) -> bytes:
    """Return the list in the file `path` with the edits made.

    Lines that name a `dropped` file go, `added` files get a line of their own, and the digests of `changed` ones, where
    a RECORD states them, become those of the content that it returns. `prefix` is the build prefix that absolute names
    begin with.
    """
    name_of = _name_reader(path, prefix)
    kept = bytearray()  # not a list: of two bytes, a line would take 40 there
    for line in _lines(path, raw):
        name = name_of(_text(line))
        if name and (name in dropped or name.replace("\\", "/") in dropped):
            continue
        match = _DIGEST.search(line)
        content = changed(name) if match else None
        kept += _with_digest(line, match, content) if match and content is not None else line
    if added:
        end = b"\r\n" if raw.partition(b"\n")[0].endswith(b"\r") else b"\n"
        if kept and not kept.endswith(b"\n"):
            kept += end
        for name in added:
            kept += name.encode("utf-8", "surrogateescape") + end
    return bytes(kept)


def _name_reader(path: str, prefix: str) -> Callable[[str], str]:
    if path == HAS_PREFIX:
        return _prefix_name
    if path.endswith("/RECORD"):
        # Names count from the directory that holds the .dist-info; eggs' from the .egg-info itself.
        site_packages = posixpath.dirname(posixpath.dirname(path))
        return lambda line: _joined(site_packages, _first_field(line), prefix)
    if path.endswith("/installed-files.txt"):
        egg = posixpath.dirname(path)
        return lambda line: _joined(egg, line, prefix)
    return lambda line: line.removeprefix("./")


def _lines(path: str, raw: bytes) -> Iterator[bytes]:
    """Yield the lines with their line ends, as they are; of a RECORD the records, which may span several lines."""
    quotes = path.endswith("/RECORD") and b'"' in raw
    quoted = False
    start = at = 0
    while at < len(raw):
        line_start, at = at, raw.find(b"\n", at) + 1 or len(raw)
        if quotes:
            quoted = _is_quoted_after(raw[line_start:at], quoted)
        if not quoted or at == len(raw):
            yield raw[start:at]
            start = at


def _is_quoted_after(line: bytes, quoted: bool) -> bool:
    """Return whether the end of a CSV line is inside quotes, where a field goes on in the next line (RFC 4180).

    Each line is looked at once: counting the quotes since the record's beginning would take quadratic time where a
    quote is never closed. As Python's `csv` has it, a quote opens a field only where the field begins.
    """
    line = line.replace(b'""', b"")  # a quote inside a quoted field, or an empty field
    at = -1
    while (at := line.find(b'"', at + 1)) >= 0:
        quoted = not quoted and (at == 0 or line[at - 1 : at] == b",")
    return quoted


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _prefix_name(line: str) -> str:
    """Return the path in a has_prefix line: alone, or behind the prefix and the mode, perhaps in quotes."""
    match = _PREFIX_LINE.fullmatch(line)
    return _unquoted(match["path"] if match else line).removeprefix("./")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _first_field(line: str) -> str:
    if not line.startswith('"'):
        return line.partition(",")[0]
    import csv  # here, as no check needs it

    try:
        return next(csv.reader([line], strict=True), [""])[0]
    except (csv.Error, IndexError):
        return ""


def _joined(directory: str, name: str, prefix: str) -> str:
    if not name:
        return ""
    name, prefix = name.replace("\\", "/"), prefix.replace("\\", "/").rstrip("/")
    if prefix and name.startswith(prefix + "/"):
        return posixpath.normpath(name[len(prefix) + 1 :])
    return posixpath.normpath(posixpath.join(directory, name))


def _with_digest(line: bytes, stated: re.Match[bytes], content: bytes) -> bytes:
    import base64
    import hashlib

    digest = base64.urlsafe_b64encode(hashlib.new(stated[1].decode(), content).digest()).rstrip(b"=")
    return line[: stated.start(2)] + digest + line[stated.end(2) :]
