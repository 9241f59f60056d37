"""conda-prune: removes stray Python bytecode from conda packages that are already built.

`check` and `fix` are the whole of the public interface, with the types that they return and the errors that they raise.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from .errors import PruneError
from .model import Action, Compression, Finding, Format, Limits, Result, Size, Variant

if TYPE_CHECKING:
    from .judgement.plan import Options

__version__ = "0.1.0"
__all__ = [
    "Action",
    "Compression",
    "Finding",
    "Format",
    "Limits",
    "PruneError",
    "Result",
    "Size",
    "Variant",
    "check",
    "fix",
]


def check(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    python: str | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    keep: Sequence[str] = (),
    limits: Limits | None = None,
) -> Result:
    """Return what is wrong with a package; nothing is written.

    Of a `.conda` only the info component is read, unless `deep` is set or a finding needs the payload. `python`
    overrides the detection (`3.11`, `3.13t`, `pypy3.9`, `none`); `select` and `ignore` name kinds of findings; files
    that match a glob of `keep` are never dropped. Raises PruneError where the package cannot be read.
    """
    from .operations import check_package

    return check_package(os.fspath(path), _options(python, select, ignore, keep), deep=deep, limits=limits)


def fix(
    path: str | os.PathLike[str],
    *,
    output_dir: str | os.PathLike[str] | None = None,
    level: int | None = None,
    backup: str | None = None,
    threads: int = 0,
    dry_run: bool = False,
    reindex: str = "auto",
    python: str | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    keep: Sequence[str] = (),
    limits: Limits | None = None,
) -> Result:
    """Repair a package, in place or into `output_dir`, and return what was done.

    The payload is read in any case. A package without findings is not written (with `output_dir`, it is copied
    there). `level` None keeps the package's own compression; `backup` is a suffix under which the original stays;
    `threads` 0 uses every core. The other arguments are those of `check`. Raises PruneError where the package cannot
    be read or written; it is then as it was.

    The channel's index next to the package is refreshed, as the command does: with `reindex` "auto" its records, with
    "always" all of it, with "never" nothing. The records that changed are in `Result.records`. An index that cannot be
    refreshed is found before the package is replaced, and raises PruneError; IndexNotRefreshed says that it was found
    afterwards. The whole index is read for each package: for many packages of a large channel, use "never" and index
    the channel when they are done.
    """
    from .operations import Writing, fix_in_channel

    writing = Writing(os.fspath(output_dir) if output_dir is not None else None, level, backup, dry_run, threads)
    return fix_in_channel(os.fspath(path), _options(python, select, ignore, keep), writing, reindex, limits=limits)


def _options(python: str | None, select: Collection[str], ignore: Collection[str], keep: Sequence[str]) -> Options:
    from .judgement.plan import Options

    return Options(python, frozenset(select), frozenset(ignore), tuple(keep))
