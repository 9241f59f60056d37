"""Reads and edits the line lists that name a package's files. Lines without an edit keep their bytes.

`info/files`, `info/no_link` and `info/has_prefix` are written by conda-build. `RECORD` comes from a wheel (PyPA
specification "Recording installed projects"), `installed-files.txt` from an egg. Only a line feed ends a line, and in a
RECORD, which is CSV, only one outside quotes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping

FILES, NO_LINK, HAS_PREFIX = "info/files", "info/no_link", "info/has_prefix"
INFO_LISTS = (FILES, NO_LINK, HAS_PREFIX)
_PREFIX_LINE = r"""(?s)(?P<prefix>"[^"]*"|'[^']*'|\S+)[ \t]+(?:text|binary)[ \t]+(?P<path>.+)"""
_DIGEST = rb",(sha256|sha384|sha512)=([0-9A-Za-z_=-]+),"

_DEFAULT_PREFIX = "/opt/anaconda1anaconda2anaconda3"
"""The build prefix of a file whose line in has_prefix has only its name (conda's PREFIX_PLACEHOLDER)."""


def is_installed_list(path: str) -> bool:
    """Return whether a path is that of a RECORD or an installed-files.txt. The names in these are relative."""
    return path.endswith((".dist-info/RECORD", ".egg-info/installed-files.txt"))


def names(path: str, raw: bytes) -> list[str]:
    """Return the name on each line of the list in the file `path`; an empty string for a line without one."""
    name_of = _name_reader(path, "")
    return [name_of(_text(line)) for line in _lines(path, raw)]


def prefixes(raw: bytes) -> Mapping[str, str]:
    """Return the build prefix of each file that `info/has_prefix` names."""
    by_name = {}
    for line in map(_text, _lines(HAS_PREFIX, raw)):
        match = re.fullmatch(_PREFIX_LINE, line)
        by_name[_prefix_name(line)] = _unquoted(match["prefix"]) if match else _DEFAULT_PREFIX
    return by_name


def edit_lines(
    path: str,
    raw: bytes,
    dropped: Collection[str],
    *,
    added: Collection[str] = (),
    changed: Callable[[str], bytes | None] = lambda path: None,
    prefix: str = "",
) -> bytes:
    """Return the edited list in the file `path`.

    Lines with the name of a `dropped` file are removed. Each `added` file gets a line at the end. `changed` returns the
    new content of a file, or None if it did not change; in a RECORD, the digests of changed files are updated. `prefix`
    is the build prefix that absolute names in the list start with.
    """
    name_of = _name_reader(path, prefix)
    kept = bytearray()  # Not a list of lines: a line of two bytes would take 40 bytes there.
    for line in _lines(path, raw):
        name = name_of(_text(line))
        if name and (name in dropped or name.replace("\\", "/") in dropped):
            continue
        match = re.search(_DIGEST, line)
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
    """Return a function that returns the name on a line of the list in the file `path`, as a path in the package."""
    if path == HAS_PREFIX:
        return _prefix_name
    if path.endswith("/RECORD"):
        # Names start at the directory that holds the .dist-info; in an egg's list, at the .egg-info itself.
        site_packages = posixpath.dirname(posixpath.dirname(path))
        return lambda line: _joined(site_packages, _first_field(line), prefix)
    if path.endswith("/installed-files.txt"):
        egg = posixpath.dirname(path)
        return lambda line: _joined(egg, line, prefix)
    return lambda line: line.removeprefix("./")


def _lines(path: str, raw: bytes) -> Iterator[bytes]:
    """Yield the lines with their line ends. In a RECORD, several lines may make up one record, which is yielded whole.

    If a quote is never closed, the rest of the text is one record.
    """
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
    """Return whether the end of a CSV line is inside quotes, so that a field continues on the next line (RFC 4180).

    `quoted` is whether the beginning of the line is. Each line is read once: counting the quotes from the beginning of
    the record would take quadratic time if a quote is never closed. As in Python's `csv`, a quote counts as an opening
    one only at the beginning of a field.
    """
    line = line.replace(b'""', b"")  # An escaped quote inside a quoted field, or an empty field.
    offset = -1
    while (offset := line.find(b'"', offset + 1)) >= 0:
        quoted = not quoted and (offset == 0 or line[offset - 1 : offset] == b",")
    return quoted


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _prefix_name(line: str) -> str:
    """Return the path in a line of has_prefix. It is alone or follows the prefix and mode, and may be quoted."""
    match = re.fullmatch(_PREFIX_LINE, line)
    return _unquoted(match["path"] if match else line).removeprefix("./")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _first_field(line: str) -> str:
    if not line.startswith('"'):
        return line.partition(",")[0]
    import csv  # Imported here, since a check of metadata alone does not need it.

    try:
        return next(csv.reader([line], strict=True), [""])[0]
    except (csv.Error, IndexError):
        return ""


def _joined(directory: str, name: str, prefix: str) -> str:
    """Return a name that is relative to a directory, or absolute below the build prefix, as a path in the package."""
    if not name:
        return ""
    name, prefix = name.replace("\\", "/"), prefix.replace("\\", "/").rstrip("/")
    if prefix and name.startswith(prefix + "/"):
        return posixpath.normpath(name[len(prefix) + 1 :])
    return posixpath.normpath(posixpath.join(directory, name))


def _with_digest(line: bytes, old: re.Match[bytes], content: bytes) -> bytes:
    """Return a line of RECORD with its digest, matched by `old`, replaced by that of the content."""
    import base64
    import hashlib

    digest = base64.urlsafe_b64encode(hashlib.new(old[1].decode(), content).digest()).rstrip(b"=")
    return line[: old.start(2)] + digest + line[old.end(2) :]
