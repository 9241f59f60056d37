"""Files next to a package or an index that speak of its old bytes.

Whoever made a signature, an attestation or a checksum has to make it again, so these files are reported and never
touched. The same holds for a page that shows hashes. Only a `.jlap` is removed: clients that find it compute the old
index from it, and clients that do not find it read the new one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable

from ..errors import PruneError
from ..model import IndexRecord
from . import files

_ATTESTATIONS = (
    *(".sigstore", ".sigstore.json", ".attestation", ".attestation.json", ".intoto", ".intoto.json", ".intoto.jsonl"),
    *(".sig", ".sign", ".asc", ".gpg", ".minisig", ".sigs", ".v0.sigs"),
)
"""Attestations and signatures. CEP 50: `.sigs`; prefix.dev: `.v0.sigs`; Sigstore, in-toto, OpenPGP, minisign."""
_CHECKSUMS = (".sha256", ".sha256sum", ".sha512", ".sha512sum", ".md5", ".md5sum", ".b2sum")
_CONTENT_ADDRESSED = re.compile(r"\.sigs\.[0-9a-f]{64}")
"""CEP 50: `<file>.sigs.<sha256>`, where the hash is that of the sidecar itself."""
_OTHER_COMPRESSIONS = (".gz", ".xz", ".br", ".lz4")


def attestations_of(path: str) -> list[str]:
    """Return the paths of the attestations and signatures next to a file, sorted."""
    return [path + ending for ending in _endings_after(path) if _is_attestation(ending)]


def _is_attestation(ending: str) -> bool:
    return ending in _ATTESTATIONS or _CONTENT_ADDRESSED.fullmatch(ending) is not None


def _endings_after(path: str) -> list[str]:
    """Return what follows a file's name in the names of other files of its directory, sorted."""
    directory, name = os.path.split(path)
    try:
        return sorted(other[len(name) :] for other in os.listdir(directory or ".") if other.startswith(name))
    except OSError:
        return []


def sidecar_warnings(path: str, *, attestations: bool = True) -> tuple[str, ...]:
    """Return a line for each checksum, attestation and signature of a file that was replaced."""
    return tuple(
        f"{path}{ending} is invalid now: it vouches for the old bytes; make it again"
        for ending in _endings_after(path)
        if ending in _CHECKSUMS or (attestations and _is_attestation(ending))
    )


def removal_warnings(index: str, removed: Collection[tuple[str, str]]) -> list[str]:
    """Return the line about what was removed from an index, as pairs of a field and a package's file name."""
    if not removed:
        return []
    fields = ", ".join(sorted({field for field, _ in removed}))
    packages = len({file for _, file in removed})
    vouched = f"removed what vouched for the old bytes of {packages} package{'s' * (packages > 1)} ({fields})"
    return [f"{index}: {vouched}; attest and sign again"]


def stale_companions(directory: str, written: Collection[str], records: Iterable[IndexRecord]) -> list[str]:
    """Return a line for each file that went stale with an index; `written` are the names of its files that changed."""
    lines = []
    for path in (files.join(directory, name) for name in sorted(written)):
        compressed = [path + ending for ending in _OTHER_COMPRESSIONS if os.path.lexists(path + ending)]
        lines += [f"{other} is stale: it holds the old index; make it again" for other in compressed]
        lines += sidecar_warnings(path)
    if _shows(os.path.join(directory, "index.html"), [record.before for record in records]):
        lines.append(f"{files.join(directory, 'index.html')} shows old hashes; index the channel again to renew it")
    return lines


def remove_patches(directory: str, written: Collection[str]) -> list[str]:
    """Remove the .jlap of each file of an index that changed, and return a line for each."""
    lines = []
    for stem in sorted({name.partition(".json")[0] for name in written if ".json" in name}):
        patches = files.join(directory, f"{stem}.jlap")
        if os.path.lexists(patches):
            try:
                os.unlink(patches)
                lines.append(f"{patches} was removed: it led clients to the old index; make it again")
            except OSError as error:
                lines.append(f"{patches} leads clients to the old index; remove it ({error.strerror})")
    return lines


def _shows(page: str, hashes: Iterable[str]) -> bool:
    try:
        content, _ = files.read(page)
    except (OSError, PruneError):
        return False
    return any(digest and digest.encode() in content for digest in hashes)
