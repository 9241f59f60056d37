"""`--reindex always`: the index of a directory is written again from the packages that are there.

The records are those that rattler's indexer makes, so what patches said of packages is undone. What does not come from
packages is kept: `info` with its `base_url`, the list of removed packages, and keys that are not known here. Variants
such as current_repodata.json keep their selection of packages; only the hashes in them are made true.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..archive.container import identity_of
from ..errors import BadMetadata, CannotWrite, NotAPackage
from ..model import (
    Format,
    Identity,
    IndexRecord,
    Result,
)
from . import compressed, files
from .index import (
    Index,
    form_names,
    read_index,
    subdir_of,
)
from .indexer import index_packages
from .records import PackageFile, Records, sections_of
from .repodata import REPODATA, Repodata
from .shards import SHARD_INDEX, ShardIndex, make_shards
from .sidecars import remove_patches, stale_companions

_JSON_FORMS = tuple(REPODATA + ending for ending in compressed.ENDINGS)
_PRIMARY = (*_JSON_FORMS, SHARD_INDEX)
"""The files that are written again; all other files of an index are variants of them."""
_NEW = (REPODATA, f"{REPODATA}.zst", SHARD_INDEX)
"""What is written where there is no index yet: what rattler's indexer writes."""
_ENDINGS = tuple(format_.value for format_ in Format)


@dataclass
class _Old:
    """What there is before: the versions of the primary files, and what they say besides the records of packages.

    A file that cannot be read says nothing. `hashes` are the recorded SHA-256 of packages.
    """

    identities: dict[str, Identity]
    document: Repodata
    hashes: dict[str, str]
    shards: ShardIndex | None
    subdir: str


def check_rewritable(directory: str) -> None:
    """Raise PruneError when the index of a directory could not be written again; a missing directory is none."""
    if os.path.isdir(directory):
        for name in {REPODATA, *form_names(directory)}:
            files.check_replaceable(files.inside(directory, name))
        _read_old(directory)


def write_index(directory: str) -> Result:
    """Write a directory's index from all packages that are there; raise PruneError when that fails.

    The files are those that are there already, or else those that rattler's indexer writes. A package that cannot be
    read is left out, with a warning.
    """
    with files.locked(directory):
        files.remove_leftovers(directory, form_names(directory))
        return files.retry_while_changing(lambda: _write(directory))


def _write(directory: str) -> Result:
    names = sorted(name for name in os.listdir(directory) if name.endswith(_ENDINGS))
    if not names:
        raise NotAPackage("there are no packages next to it")
    old = _read_old(directory)
    variants = read_index(directory, [name for name in form_names(directory) if name not in _PRIMARY])
    revisions = "repodata_revisions" in _info(old.document.value)
    fresh, unreadable = index_packages(directory, names, old.subdir, revisions=revisions)
    new = _hashes(Records(fresh, REPODATA), names)
    changed = tuple(
        IndexRecord(name, old.hashes.get(name, ""), new[name])
        for name in names
        if new[name] != old.hashes.get(name, "")
    )
    for name in names:
        if variants.listing(name):
            variants.renew(name, PackageFile(os.path.join(directory, name)), set())
    _merge(old.document.value, fresh, {record.file for record in changed})
    written = _replace(directory, old, variants, model=os.path.join(directory, names[0]))
    left_out = [
        f"{name} was left out of the index: {unreadable.get(name, 'its name is not NAME-VERSION-BUILD (CEP 26)')}"
        for name in names
        if not new[name]
    ]
    if changed:
        left_out += [*remove_patches(directory, written), *stale_companions(directory, written, changed)]
    path = files.join(directory, REPODATA)
    return Result(path=path, status="indexed", subdir=old.subdir, records=changed, warnings=tuple(left_out))


def _read_old(directory: str) -> _Old:
    old = _Old({}, Repodata(b"", REPODATA), {}, None, "")
    for name in _PRIMARY:
        path = files.inside(directory, name)
        if not os.path.lexists(path):
            continue
        if not os.path.isfile(path):
            raise CannotWrite(f"{name} is not a regular file", "remove it")
        old.identities[name] = identity_of(os.stat(path))
        try:
            content, old.identities[name] = files.read(path)
            if name == SHARD_INDEX:
                old.shards = ShardIndex(content, name, directory)
            elif not old.document.value:
                text = compressed.decompress(content, name.removeprefix(REPODATA), name, files.LARGEST)
                old.document = Repodata.without_packages(text, name)
                records = Repodata(text, name).records
                old.hashes = _hashes(records, records.files)
        except BadMetadata:
            continue
    infos = [_info(old.document.value), _info(old.shards.value if old.shards else {})]
    old.subdir = subdir_of(infos, directory)
    if not old.subdir:
        raise BadMetadata(
            f"{directory} is not a subdir of a channel, such as linux-64 or noarch", "put the packages into one"
        )
    return old


def _merge(old: dict[str, Any], fresh: Mapping[str, Any], changed: Collection[str]) -> None:
    """Put fresh sections of packages into a repodata.json; what else is there stays, as far as it is still true."""
    old["info"] = {**fresh["info"], **_info(old)}
    if "repodata_revisions" in fresh["info"]:
        old["info"]["repodata_revisions"] = fresh["info"]["repodata_revisions"]
    present = set()
    for path, ending, section in sections_of(fresh):
        old[path[0]] = fresh[path[0]]
        present |= {f"{key}{ending}" for key in section}
    if isinstance(old.get("removed"), list):
        old["removed"] = [name for name in old["removed"] if name not in present]
    if isinstance(old.get("signatures"), dict):
        kept = present - set(changed)
        old["signatures"] = {name: value for name, value in old["signatures"].items() if name in kept}


def _replace(directory: str, old: _Old, variants: Index, *, model: str) -> set[str]:
    """Write the primary files and the variants that changed; return their names."""
    names = list(old.identities) or (_NEW if not variants.forms else _NEW[:1])
    text = old.document.encode()
    contents = {}
    for name in names:
        if name == SHARD_INDEX:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            contents[name], shards = make_shards(old.document.value, old.shards, directory, now)
            for path, shard in shards.items():
                files.add(path, shard, model)
        else:
            contents[name] = compressed.compress(text, name.removeprefix(REPODATA))
    primary = [
        files.Replacement(path, contents[name], old.identities.get(name), path if os.path.exists(path) else model)
        for name, path in ((name, files.inside(directory, name)) for name in sorted(names, key=REPODATA.__eq__))
    ]
    changed = variants.replacements()
    files.replace([*changed, *primary], variants.unchanged())
    return {os.path.basename(new.path) for new in (*changed, *primary)}


def _hashes(records: Records, names: Iterable[str]) -> dict[str, str]:
    """Return the recorded SHA-256 of packages, "" where there is none."""
    found = {name: [record.get("sha256") for record in records.find(name)] for name in names}
    return {name: str(next(filter(None, hashes), "")) for name, hashes in found.items()}


def _info(value: Mapping[str, Any]) -> dict[str, Any]:
    info = value.get("info")
    return dict(info) if isinstance(info, dict) else {}
