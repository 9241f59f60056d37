"""What an index says of one package, and what has to change when the package's bytes do.

A record holds the size and the hashes of the package's file. The same record is written to several files: repodata.json
and its variants (CEP 36, CEP 48) with hashes in hexadecimal, and shards (CEP 16) with hashes as bytes. `Records` finds
the records of a package in any of them by the package's file name, and changes only what depends on the file's bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..archive.container import identity_of
from ..errors import BadMetadata, Changed
from ..model import Format, IndexRecord
from ..system import open_regular

REINDEX_HINT = "index the channel again, or use --reindex always; --reindex never leaves the index alone"

_HASHES = ("sha256", "md5")
_VOUCHERS = ("attestations_sha256", "legacy_bz2_md5", "legacy_bz2_size")
"""Fields of a record that vouch for the old bytes without being their hash.

CEP 50: `attestations_sha256` names the attestations, which name the package's hash. CEP 36: `legacy_bz2_md5` names the
.tar.bz2 of which the .conda is an exact copy; conda accepts a cached .tar.bz2 with that hash in the .conda's place.
"""
_FILE_NAME = re.compile(r"(?![.\s])[^/\\:\x00-\x1f\x7f]+")
_ENDINGS = (*(format_.value for format_ in Format), ".whl")


class PackageFile:
    """The file of a package: its size in bytes, and its hashes, each computed when it is first asked for.

    All of them are of the same bytes: raises Changed when the file was replaced or written in between, OSError when it
    cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        with open_regular(path) as file:
            self.identity = identity_of(os.fstat(file.fileno()))

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self.identity.size

    def digest(self, algorithm: str) -> str:
        """Return the file's hash by an algorithm of hashlib, in hexadecimal."""
        if algorithm not in self._digests:
            # MD5 is what repodata asks for, not a protection: FIPS mode allows it under that condition.
            digest = hashlib.new(algorithm, usedforsecurity=False)
            with open_regular(self._path) as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
                if identity_of(os.fstat(file.fileno())) != self.identity:
                    raise Changed("the package was changed while its index was refreshed")
            self._digests[algorithm] = digest.hexdigest()
        return self._digests[algorithm]


class Records:
    """The records in a repodata.json or in a shard, which have the same sections.

    `where` names the file in messages. Raises BadMetadata when a section or a record has the wrong type, or when a key
    is not the name of a package's file: no key is ever used as a path here, but the tools that are may be.
    """

    def __init__(self, value: dict[str, Any], where: str) -> None:
        self.value = value
        self.changed = False
        self._by_file: dict[str, list[dict[str, Any]]] = {}
        for file, record in _iterate(value, where):
            self._by_file.setdefault(file, []).append(record)

    @property
    def files(self) -> Collection[str]:
        """The names of the files that have records."""
        return self._by_file.keys()

    def __contains__(self, file: str) -> bool:
        return file in self._by_file

    def find(self, file: str) -> list[dict[str, Any]]:
        """Return the records of a file: more than one when sections of several revisions list it (CEP 48)."""
        return self._by_file.get(file, [])

    def describes(self, file: str) -> bool:
        """Return whether something is recorded that depends on the file's bytes: run_exports.json has no such field."""
        return any(record.get(key) is not None for record in self.find(file) for key in ("size", *_HASHES))

    def renew(self, file: str, package: PackageFile, removed: set[tuple[str, str]]) -> IndexRecord | None:
        """Make the records of a file true, and remove what vouches for its old bytes.

        `removed` is told the field and the file. Returns the recorded SHA-256 before and after, or None when the
        records were true already: then what vouches for the package's bytes vouches for the present ones.
        """
        renewed = None
        for record in self.find(file):
            if not _is_stale(record, package):
                continue
            before = _hexadecimal(record.get("sha256"))
            removed.update((voucher, file) for voucher in _VOUCHERS if record.pop(voucher, None) is not None)
            if "size" in record:
                record["size"] = package.size
            for key in _HASHES:
                if key in record or key == "sha256":
                    record[key] = _like(record.get(key, record.get("md5")), package.digest(key))
            renewed = renewed or IndexRecord(file, before, package.digest("sha256"))
        signatures = self.value.get("signatures")
        if renewed and isinstance(signatures, dict) and signatures.pop(file, None) is not None:
            removed.add(("signatures", file))
        self.changed |= renewed is not None
        return renewed


def is_section(name: object) -> bool:
    """Return whether a key of a repodata.json holds records: `packages`, `packages.conda`, `v3` and so on."""
    return isinstance(name, str) and (name == "packages" or name.startswith("packages.") or _is_revision(name))


def _is_revision(name: str) -> bool:
    return re.fullmatch(r"v\d+", name) is not None


def sections_of(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yield every section with records: its path, the ending that its keys leave out, and its value.

    CEP 36: the keys of `packages` and `packages.conda` are file names. CEP 48: those of `v3` are file names without the
    ending, which is the name of the section below `v3`.
    """
    for name, section in value.items():
        if is_section(name) and _is_revision(name) and isinstance(section, dict):
            yield from (((name, ending), f".{ending}", below) for ending, below in section.items())
        elif is_section(name):
            yield (name,), "", section


def _iterate(value: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, ending, section in sections_of(value):
        if not isinstance(section, dict):
            raise BadMetadata(f"{'.'.join(path)} in {where} is not a JSON object", REINDEX_HINT)
        for key, record in section.items():
            file = f"{key}{ending}" if isinstance(key, str) else ""
            if not _FILE_NAME.fullmatch(file) or not (ending or file.endswith(_ENDINGS)):
                raise BadMetadata(
                    f"{where} has a record for {str(key)[:200]!r}, which is not the name of a package's file (CEP 26)",
                    REINDEX_HINT,
                )
            if not isinstance(record, dict):
                raise BadMetadata(f"the record of {file} in {where} is not a JSON object", REINDEX_HINT)
            yield file, record


def _is_stale(record: dict[str, Any], package: PackageFile) -> bool:
    """Return whether a record says something about the file that is not true; one that says nothing is not stale."""
    if record.get("size") is not None and record["size"] != package.size:
        return True
    for key in _HASHES:
        if record.get(key) is not None:
            # One hash is enough: indexers compute all of them from the same bytes.
            return _hexadecimal(record[key]) != package.digest(key)
    return False


def _hexadecimal(digest: object) -> str:
    if isinstance(digest, bytes):
        return digest.hex()
    return digest.lower() if isinstance(digest, str) else ""


def _like(old: object, digest: str) -> str | bytes:
    """Return a hash in the form in which the file has hashes: shards hold bytes."""
    return bytes.fromhex(digest) if isinstance(old, bytes) else digest
