"""Sharded repodata (CEP 16): one file for the records of each package name, and an index of these files.

A shard is named after the SHA-256 of its content, so it is never changed: a new one is written next to it, and the
index then names that. Old shards stay, for clients that still have the old index. Both are msgpack compressed by zstd.
They are edited with the msgpack library and not made by rattler's indexer, which leaves out what it does not know: the
`version` and `base_url` of an index and the `run_exports` of records (CEP 21), as conda-index writes them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import BadMetadata, PruneError
from . import compressed, files
from .records import REINDEX_HINT, Records, sections_of

SHARD_INDEX = "repodata_shards.msgpack.zst"
_ENDING = ".msgpack.zst"


class ShardIndex:
    """The index of shards in a directory, with the shards that are looked into. `name` is the index file's.

    Raises BadMetadata when the content is not such an index, PruneError when its shards are elsewhere.
    """

    def __init__(self, content: bytes, name: str, directory: str) -> None:
        self._name = name
        self.value = _unpack(content, name)
        info, shards = self.value.get("info", {}), self.value.get("shards")
        if not isinstance(info, dict) or not isinstance(shards, dict):
            raise BadMetadata(f"{name} is not an index of shards (CEP 16)", REINDEX_HINT)
        for digest in shards.values():
            if not isinstance(digest, bytes) or len(digest) != 32:
                raise BadMetadata(f"{name} has a shard that is not named by a SHA-256", REINDEX_HINT)
        self._shards: dict[str, bytes] = shards
        self._directory = _shard_directory(directory, info.get("shards_base_url", ""), name)
        self._opened: dict[str, Records] = {}

    def find(self, file: str, names: Iterable[str] = ()) -> list[Records]:
        """Return the shards that list a package, by the name of its file.

        `names` are names that the package may have; the one that its file's name begins with is tried, too.
        """
        # CEP 26: NAME-VERSION-BUILD, and only the name may have hyphens.
        wanted = dict.fromkeys((*names, file.rsplit("-", 2)[0]))
        return [shard for name in wanted if name in self._shards and file in (shard := self._open(name))]

    @property
    def changed(self) -> bool:
        """Whether a shard has other records than the one that was read."""
        return any(shard.changed for shard in self._opened.values())

    def new_shards(self) -> dict[str, tuple[bytes, str]]:
        """Put the changed shards into the index; return their paths with their content and the shard replaced."""
        new = {}
        for name, shard in self._opened.items():
            if shard.changed:
                content = _pack(shard.value)
                digest = hashlib.sha256(content).digest()
                new[self._path(digest)] = content, self._path(self._shards[name])
                self._shards[name] = digest
        return new

    def encode(self) -> bytes:
        """Return the content of the index."""
        return _pack(self.value)

    def _open(self, name: str) -> Records:
        if name not in self._opened:
            path = self._path(self._shards[name])
            where = f"the shard of {name} in {self._name}"
            if os.path.islink(path):
                raise PruneError(f"{where} is a link, to {os.path.realpath(path)}", REINDEX_HINT)
            try:
                content, _ = files.read(path)
            except OSError as error:
                raise PruneError(f"{where} cannot be read: {error.strerror} ({path})", REINDEX_HINT) from error
            if hashlib.sha256(content).digest() != self._shards[name]:
                raise BadMetadata(f"{where} is damaged: its content does not have the hash in its name", REINDEX_HINT)
            self._opened[name] = Records(_unpack(content, where), where)
        return self._opened[name]

    def _path(self, digest: bytes) -> str:
        return os.path.join(self._directory, digest.hex() + _ENDING)


def make_shards(
    repodata: Mapping[str, Any], old: ShardIndex | None, directory: str, created_at: str
) -> tuple[bytes, dict[str, bytes]]:
    """Return an index of shards made from a repodata.json, and its shards by their paths.

    What an old index says besides its shards is kept, such as `base_url`; so are the `run_exports` of its records.
    """
    subdir = repodata["info"]["subdir"]
    info = {"base_url": "", "shards_base_url": "./shards/", "created_at": created_at, "subdir": subdir}
    value = old.value if old else {"info": info}
    place = _shard_directory(directory, value.get("info", {}).get("shards_base_url", ""), SHARD_INDEX)
    digests, shards = {}, {}
    for name, shard in sorted(_split(repodata).items()):
        if old:
            _keep_run_exports(shard, name, old)
        content = _pack(shard)
        digests[name] = hashlib.sha256(content).digest()
        shards[os.path.join(place, digests[name].hex() + _ENDING)] = content
    return _pack({**value, "shards": digests}), shards


def _split(repodata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the content of a shard for each package name, with hashes as bytes."""
    shards: dict[str, dict[str, Any]] = {}
    for path, _, section in sections_of(repodata):
        for key, record in section.items():
            shard = shards.setdefault(str(record["name"]), {"packages": {}, "packages.conda": {}})
            hashes = {name: bytes.fromhex(record[name]) for name in ("sha256", "md5") if record.get(name)}
            below = shard
            for part in path:
                below = below.setdefault(part, {})
            below[key] = {**record, **hashes}
    return shards


def _keep_run_exports(shard: dict[str, Any], name: str, old: ShardIndex) -> None:
    for _, ending, section in sections_of(shard):
        for key, record in section.items():
            try:
                known = old.find(f"{key}{ending}", [name])
            except PruneError:
                return  # The old shard is not there, or is damaged.
            for before in (found for records in known for found in records.find(f"{key}{ending}")):
                if "run_exports" in before:
                    record.setdefault("run_exports", before["run_exports"])


def _shard_directory(directory: str, base_url: object, name: str) -> str:
    """Return the directory with the shards, which is the index's own or one directly in it.

    CEP 16: `shards_base_url` is a URL relative to the index. conda-index writes "", rattler's indexer "./shards/".
    """
    relative = base_url if isinstance(base_url, str) else "?"
    below = relative.removeprefix("./").removesuffix("/")
    if below and not re.fullmatch(r"(?!\.)[\w.+-]+", below):
        raise PruneError(
            f"the shards of {name} are not in its directory: shards_base_url is {str(base_url)[:200]!r}",
            "refresh that index where it is made, and use --reindex never here",
        )
    place = os.path.join(directory, below) if below else directory
    if below and os.path.islink(place):
        raise PruneError(
            f"the directory with the shards of {name} is a link, to {os.path.realpath(place)}",
            "refresh that index where the shards are, and use --reindex never here",
        )
    return place


def _unpack(content: bytes, where: str) -> dict[str, Any]:
    import msgpack

    try:
        value = msgpack.unpackb(
            compressed.decompress(content, ".zst", where, files.LARGEST_SHARD),
            strict_map_key=False,
            object_pairs_hook=_unique,
            unicode_errors="surrogateescape",
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise BadMetadata(f"{where} is not valid msgpack: {error}", REINDEX_HINT) from error
    if not isinstance(value, dict):
        raise BadMetadata(f"{where} is not a msgpack map", REINDEX_HINT)
    return value


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    listed = list(pairs)
    value = dict(listed)
    if len(value) != len(listed):
        raise ValueError("a key is there twice in one map")
    return value


def _pack(value: dict[str, Any]) -> bytes:
    import msgpack

    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return compressed.compress(packed, ".zst", quick=True)
