"""Finds the system's libarchive, and reads what its Python binding leaves out."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any

from .. import system

_COMMANDS = (
    "conda install libarchive"
    if os.name == "nt"
    else "apt install libarchive13, dnf install libarchive, brew install libarchive or conda install libarchive"
)
INSTALL_HINT = f"libarchive is not installed, so results are verified by Python's tarfile: {_COMMANDS}"


@cache
def has_libarchive() -> bool:
    """Return whether libarchive can be loaded.

    Raises OSError if too many files are open to find out.
    """
    try:
        import libarchive  # noqa: F401
    except (ImportError, OSError, AttributeError, TypeError):
        # Python searches for the library with other programs and about ten open files, and hides why that failed.
        system.check_open_files(16)
        return False
    # Without a handler, logging would print libarchive's warnings about odd names and attributes, which are harmless.
    logging.getLogger("libarchive").addHandler(logging.NullHandler())
    return True


def stored_names(entry: Any) -> tuple[str, str] | None:
    """Return the name and the target of a tar's member as bytes, decoded like ours, or None if they are ASCII.

    libarchive decodes a name by the code page of Windows, or by the locale elsewhere, unless a PAX header says that it
    is UTF-8. So `é` may come out as `Ã©`. The name as bytes is right then. It is wrong if there is a PAX header: then
    it is converted to that code page, which may lack its characters.
    """
    from libarchive import ffi

    link = entry.linkpath if entry.islnk or entry.issym else ""
    if all(isinstance(text, str) and text.isascii() for text in (entry.pathname, link)):
        return None
    pointer = entry._entry_p  # noqa: SLF001 (the binding has no other way to the bytes)
    target = ffi.entry_symlink(pointer) if entry.issym else ffi.entry_hardlink(pointer)
    name, link = ((text or b"").decode("utf-8", "surrogateescape") for text in (ffi.entry_pathname(pointer), target))
    return name.rstrip("/"), link
