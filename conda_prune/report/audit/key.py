"""What identifies a package of an audit, also in the results of several runs, and the shard that it belongs to."""

from __future__ import annotations

import hashlib


def key_of(channel: str, subdir: str, file_name: str, sha256: str | None) -> bytes:
    """Return the key of a result, in 16 bytes: millions of them are held in memory to resume or report a run.

    A report leaves the hash of a package out, because the last line of a file name counts.
    """
    text = "\0".join((channel, subdir, file_name, sha256 or ""))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def in_shard(file_name: str, number: int, count: int) -> bool:
    """Return whether a package belongs to shard `number` of `count`, counted from 1.

    That depends on its file name only, so it is the same on every machine and in every run.
    """
    digest = hashlib.sha256(file_name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count == number - 1
