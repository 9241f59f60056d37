"""Runs rattler's indexer on packages of a directory, in a directory and a process of its own.

The indexer is always forced: otherwise it compares names only and keeps the old hashes. It works on links to the
packages, since it would write in place and drop what it does not know. Its process ends without finalizing Python:
py-rattler's async functions crash there in about half of all runs, after the work is done.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CannotWrite, PruneError
from ..isolation import command
from ..system import open_regular
from .files import SCRATCH_PREFIX
from .repodata import REPODATA

_UNREADABLE = 2
"""The exit code of the process when packages cannot be read: it prints them with the reasons."""


def index_packages(
    directory: str, names: Collection[str], subdir: str, *, revisions: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the repodata.json that rattler's indexer makes of packages, and the reason for each that it cannot read.

    `names` are the packages' file names; `revisions` makes it write sections of later revisions (CEP 48). Raises
    PruneError when the indexer fails, and CannotWrite when there is no room for its directory next to the packages.
    """
    unreadable: dict[str, str] = {}
    with _scratch_channel(directory, subdir) as (channel, place):
        for name in names:
            try:
                _link(os.path.join(directory, name), os.path.join(place, name))
            except OSError as error:
                unreadable[name] = error.strerror or str(error)
        done = _run(channel, subdir, "v3" if revisions else "")
        if done.returncode == _UNREADABLE:
            for name, reason in json.loads(done.stdout).items():
                unreadable[name] = reason
                os.unlink(os.path.join(place, name))
            done = _run(channel, subdir, "v3" if revisions else "")
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise PruneError(f"rattler's indexer failed: {lines[-1]}")
        with open_regular(os.path.join(place, REPODATA)) as file:
            value: dict[str, Any] = json.load(file)
    return value, unreadable


@contextmanager
def _scratch_channel(directory: str, subdir: str) -> Iterator[tuple[str, str]]:
    """Give an empty channel and its subdir, on the file system of the packages; both are removed in the end."""
    try:
        channel = tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=directory)
    except OSError as error:
        raise CannotWrite(f"a directory cannot be made in {directory}: {error.strerror}") from error
    try:
        os.mkdir(os.path.join(channel, subdir))
        yield channel, os.path.join(channel, subdir)
    except OSError as error:
        raise PruneError(f"{error.filename} cannot be used: {error.strerror}") from error
    finally:
        shutil.rmtree(channel, ignore_errors=True)


def _link(package: str, name: str) -> None:
    """Give a package another name: a hard link, since the indexer does not see symbolic ones, or else a copy."""
    if not os.path.isfile(package):
        os.stat(package)
        raise OSError(errno.EINVAL, "it is not a regular file", package)
    try:
        os.link(os.path.realpath(package), name)
    except OSError:
        shutil.copyfile(package, name)


def _run(channel: str, subdir: str, revision: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(__name__, channel, subdir, revision),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _index(channel: str, subdir: str, revision: str) -> None:
    """Index one subdir: the work of the process."""
    import asyncio
    from pathlib import Path

    from rattler.index import index_fs
    from rattler.platform import Subdir

    asyncio.run(
        index_fs(
            Path(channel),
            target_platform=Subdir(subdir),
            write_zst=False,
            write_shards=False,
            repodata_revisions=["v3"] if revision == "v3" else None,
            force=True,
        )
    )


def _unreadable(directory: str) -> dict[str, str]:
    """Return why packages cannot be read: the indexer itself names neither the package nor the file in it."""
    from pathlib import Path

    from rattler import IndexJson

    reasons = {}
    for name in sorted(os.listdir(directory)):
        if name != REPODATA:
            try:
                IndexJson.from_package_archive(Path(directory, name))
            except Exception as error:
                reasons[name] = f"it cannot be read as a package: {str(error).splitlines()[0]}"
    return reasons


def _main(channel: str, subdir: str, revision: str) -> int:
    try:
        _index(channel, subdir, revision)
    except Exception as error:
        reasons = _unreadable(os.path.join(channel, subdir))
        if not reasons:
            print(error, file=sys.stderr)
            return 1
        print(json.dumps(reasons))
        return _UNREADABLE
    return 0


if __name__ == "__main__":
    code = _main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
