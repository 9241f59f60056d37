"""What identifies a package of an audit, also in the results of several runs."""

from __future__ import annotations

import hashlib


def key_of(channel: str, subdir: str, file_name: str, sha256: str | None) -> bytes:
    """Return the key of a result, in 16 bytes: millions of them are held in memory to resume or report a run."""
    text = "\0".join((channel, subdir, file_name, sha256 or ""))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
