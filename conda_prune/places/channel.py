"""After packages of a channel were replaced, its index says so: their records are renewed, and nothing else in it.

py-rattler's indexer makes the records, always forced: otherwise it compares names only and keeps the old hash. It works
on a directory of its own that holds links to the replaced packages and nothing else. Forced on the channel itself it
would read every package again (200 of 4 MiB: 14 to 25 s, against 0.7 s, or 2.3 s with shards), undo what repodata
patches say of all others, drop the records of files that are elsewhere, and write in place. So it is forced on what
changed, its records are put into the index as it was, and every form of the index is replaced whole, repodata.json
last: an interrupted run is known by it. The indexer runs in a process of its own, which ends without finalizing Python:
py-rattler's async functions crash there in about half of all runs, after the work.
"""

from __future__ import annotations

import bz2
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ..archive.container import identity_of
from ..archive.staging import TEMPORARY_PREFIX, Staging, check_writable
from ..errors import BadMetadata, CannotWrite, NotAPackage, PruneError
from ..model import CompressionSettings, Format, Identity, IndexRecord, Result
from .repodata import ANEW, REPODATA, Index, read_index

_TWINS = ("current_repodata.json", "repodata_from_packages.json")
"""Files with records of the same form that conda-index writes beside repodata.json."""
_SHARDS, _SHARD_DIRECTORY = "repodata_shards.msgpack.zst", "shards"
_WORKSHOP = f"{TEMPORARY_PREFIX}index-"
_CHECKED = ("size", "sha256", "md5")
_ENDINGS = tuple(format_.value for format_ in Format)


def refresh_indexes(results: Sequence[Result], *, always: bool = False) -> Iterator[Result]:
    """Yield what became of the index beside each package that was worked on: of those with an index, or `always`.

    An index that cannot be refreshed is a result of its own, and no other suffers from it.
    """
    shown: dict[str, str] = {}
    replaced: dict[str, set[str]] = {}
    untouched: dict[str, set[str]] = {}
    for result in results:
        if result.status not in ("fixed", "clean"):
            continue
        path = result.output or result.path
        # Behind a link, the file that was replaced may be in another channel.
        for name in (path, os.path.realpath(path)):
            directory = os.path.realpath(os.path.dirname(name) or ".")
            shown.setdefault(directory, os.path.dirname(name) or ".")
            names = (replaced if result.status == "fixed" else untouched).setdefault(directory, set())
            names.add(os.path.basename(name))
    for real, directory in shown.items():
        if not (always or has_index(directory)):
            continue
        try:
            if always:
                done: Result | None = write_index(directory)
            else:
                done = refresh_index(directory, replaced.get(real, ()), untouched.get(real, ()))
        except (PruneError, OSError) as error:
            reason = f"the index was not refreshed: {error}"
            done = Result(path=os.path.join(directory, REPODATA), status="error", error=reason)
        if done is not None:
            yield done


def has_index(directory: str) -> bool:
    """Return whether a directory is indexed."""
    return os.path.isfile(os.path.join(directory, REPODATA))


def refresh_index(directory: str, replaced: Collection[str], untouched: Collection[str] = ()) -> Result | None:
    """Renew the records of the packages `replaced` (file names) in a directory's index, in every form that is there.

    Of the packages `untouched`, those are renewed whose recorded size is wrong: an earlier run was interrupted before
    the index. Returns None where no record is stale. Raises PruneError where the index cannot be read or written, or
    lists files that are not there; it is then as it was.
    """
    path = os.path.join(directory, REPODATA)
    with ExitStack() as stack:
        if replaced:
            check_writable(path)
        try:
            index = read_index(path)
        except BadMetadata:
            if not replaced:
                return None
            raise
        stale = {name for name in replaced if name in index.records}
        stale |= {name for name in untouched if _has_wrong_size(directory, name, index)}
        if not stale:
            return None
        if absent := sorted(name for name in index.records if not os.path.lexists(os.path.join(directory, name))):
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise BadMetadata(f"it lists {absent[0]}{more}, which is not there", ANEW)
        # Entered before the index is read again: runs on one channel take turns.
        staging = stack.enter_context(Staging(path, path))
        identity = identity_of(os.stat(path))
        index = read_index(path)
        fresh = _indexed(directory, stale, index)
        records = tuple(_renewed(index, fresh, name) for name in sorted(stale & index.records.keys()))
        forms = {REPODATA: index.text()}
        for twin in _TWINS:
            if os.path.isfile(os.path.join(directory, twin)):
                other = read_index(os.path.join(directory, twin))
                for name in sorted(stale & other.records.keys()):
                    _renewed(other, fresh, name)
                forms[twin] = other.text()
        shards = _sharded(directory, index) if os.path.isfile(os.path.join(directory, _SHARDS)) else {}
        _write(directory, forms, shards, staging, stack, identity)
    return Result(path=path, status="indexed", subdir=index.subdir, records=records)


def write_index(directory: str) -> Result:
    """Write a directory's index anew from all packages that are there; raise PruneError where that fails.

    The forms are those that are there already, or where there is no index yet, those that the indexer writes.
    """
    path = os.path.join(directory, REPODATA)
    try:
        old = read_index(path)
    except BadMetadata:
        old = Index(path, {}, "")
    names = sorted(name for name in os.listdir(directory) if name.endswith(_ENDINGS))
    if not names:
        raise NotAPackage("there are no packages beside it")
    with ExitStack() as stack:
        check_writable(path)
        # There may be nothing whose mode a new index could take over but the packages'.
        model = path if has_index(directory) else os.path.join(directory, names[0])
        staging = stack.enter_context(Staging(path, model))
        identity = identity_of(os.stat(path)) if has_index(directory) else None
        new = Index(path, _indexed(directory, names, old), "")
        forms = {REPODATA: new.text()}
        wants_shards = identity is None or os.path.isfile(os.path.join(directory, _SHARDS))
        _write(directory, forms, _sharded(directory, new) if wants_shards else {}, staging, stack, identity)
    was = {name: str(old.record(name).get("sha256", "")) for name in old.records}
    now = {name: str(new.record(name).get("sha256", "")) for name in names if name in new.records}
    changed = tuple(IndexRecord(name, was.get(name, ""), now[name]) for name in now if was.get(name, "") != now[name])
    left_out = tuple(f"{name} is not in the index: the indexer cannot read it" for name in names if name not in now)
    return Result(path=path, status="indexed", subdir=new.subdir, records=changed, warnings=left_out)


def _has_wrong_size(directory: str, name: str, index: Index) -> bool:
    if name not in index.records or "size" not in index.record(name):
        return False
    try:
        return bool(os.stat(os.path.join(directory, name)).st_size != index.record(name)["size"])
    except OSError:
        return False


def _renewed(index: Index, fresh: Mapping[str, Any], name: str) -> IndexRecord:
    """Put into a record what the indexer says of the file; what patches changed in it stays."""
    new = Index("", dict(fresh), "")
    if name not in new.records:
        raise PruneError(f"the indexer did not take {name}")
    record, true = index.record(name), new.record(name)
    before = str(record.get("sha256", ""))
    record.update({key: true[key] for key in _CHECKED if key in true and (key in record or key == "sha256")})
    return IndexRecord(name, before, str(record["sha256"]))


def _indexed(directory: str, names: Collection[str], index: Index) -> dict[str, Any]:
    """Return the repodata.json that the indexer makes of some packages of a directory."""
    with _workshop(directory, index.subdir) as (channel, subdir):
        for name in names:
            _link(os.path.join(directory, name), os.path.join(subdir, name))
        _run_indexer(channel, index, shards=False)
        with open(os.path.join(subdir, REPODATA), "rb") as file:
            value: dict[str, Any] = json.load(file)
    return value


def _sharded(directory: str, index: Index) -> dict[str, bytes]:
    """Return the shards of an index, as the indexer makes them of it: their paths in the directory, and contents."""
    with _workshop(directory, index.subdir) as (channel, subdir):
        # The indexer knows these by name, and so does not open them.
        for name in index.records:
            with open(os.path.join(subdir, name), "wb"):
                pass
        with open(os.path.join(subdir, REPODATA), "wb") as file:
            file.write(index.text())
        _run_indexer(channel, index, shards=True)
        shards: dict[str, bytes] = {}
        if os.path.isdir(os.path.join(subdir, _SHARD_DIRECTORY)):
            names = [f"{_SHARD_DIRECTORY}/{name}" for name in os.listdir(os.path.join(subdir, _SHARD_DIRECTORY))]
        else:
            names = []  # No records.
        for name in (*sorted(names), _SHARDS):
            with open(os.path.join(subdir, name), "rb") as file:
                shards[name] = file.read()
    return shards


@contextmanager
def _workshop(directory: str, subdir: str) -> Iterator[tuple[str, str]]:
    """Give an empty channel and its subdir, on the same file system as the directory; they vanish in the end.

    So do those that killed runs left: who is here holds the index locked, and so is alone.
    """
    try:
        for name in os.listdir(directory):
            if name.startswith(_WORKSHOP):
                shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
        channel = tempfile.mkdtemp(prefix=_WORKSHOP, dir=directory)
    except OSError as error:
        raise CannotWrite(f"a directory cannot be made in {directory}: {error.strerror}") from error
    try:
        os.mkdir(os.path.join(channel, subdir))
        yield channel, os.path.join(channel, subdir)
    except OSError as error:
        raise PruneError(f"{error.strerror} ({error.filename})") from error
    finally:
        shutil.rmtree(channel, ignore_errors=True)


def _link(package: str, name: str) -> None:
    """Give a package another name. The indexer does not see symbolic links."""
    try:
        os.link(os.path.realpath(package), name)
    except OSError:
        shutil.copyfile(package, name)


def _run_indexer(channel: str, index: Index, *, shards: bool) -> None:
    """Run py-rattler's indexer on a channel, forced but for shards; raise PruneError with what it says."""
    info = index.value.get("info")
    revised = isinstance(info, dict) and "repodata_revisions" in info
    arguments = [channel, index.subdir, "shards" if shards else "records", "v3" if revised else ""]
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
        raise PruneError(f"the indexer failed: {said[-1]}")


def _index(channel: str, subdir: str, what: str, revision: str) -> None:
    """Index one subdir: the work of the process that `_run_indexer` starts."""
    import asyncio
    from pathlib import Path

    from rattler.index import index_fs
    from rattler.platform import Subdir

    asyncio.run(
        index_fs(
            Path(channel),
            target_platform=Subdir(subdir),
            write_zst=False,
            write_shards=what == "shards",
            repodata_revisions=["v3"] if revision == "v3" else None,
            force=what == "records",
        )
    )


def _write(
    directory: str,
    forms: Mapping[str, bytes],
    shards: Mapping[str, bytes],
    staging: Staging,
    stack: ExitStack,
    expected: Identity | None,
) -> None:
    """Replace the index in all its forms, repodata.json last, after all of them were written out.

    `expected` is the repodata.json that was read; where it is None, there was none, and every form is written.
    """
    contents = dict(shards)
    for name, text in forms.items():
        for ending, compress in _COMPRESSED.items():
            if os.path.isfile(os.path.join(directory, name + ending)) or (expected is None and ending == ".zst"):
                contents[name + ending] = compress(text)
        if name != REPODATA:
            contents[name] = text
    staged = []
    for name, content in contents.items():
        target = os.path.join(directory, name)
        if name.startswith(_SHARD_DIRECTORY) and os.path.isfile(target):
            continue  # Shards are named after their content.
        model = target if os.path.isfile(target) else staging.original
        staged.append(stack.enter_context(Staging(target, model)))
        _fill(staged[-1], content)
    _fill(staging, forms[REPODATA])
    for form in staged:
        form.commit(None)
    staging.commit(expected)


def _fill(staging: Staging, content: bytes) -> None:
    staging.file.write(content)
    staging.finish()


def _zstd(text: bytes) -> bytes:
    from ..compression.zstd.frame import compress

    out = io.BytesIO()
    compress([text], len(text), CompressionSettings("zstd", 19, "assumed"), 1, out)
    return out.getvalue()


_COMPRESSED: dict[str, Callable[[bytes], bytes]] = {".zst": _zstd, ".bz2": bz2.compress}
"""The compressed forms of an index."""

if __name__ == "__main__":
    try:
        _index(*sys.argv[1:])
    except Exception as error:
        print(error, file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
