"""conda-prune: removes stray Python bytecode from conda packages that are already built.

`check` and `fix` are the whole of the public interface, with the types that they return and the errors that they raise.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import PruneError
from .model import (
    Action,
    Compression,
    Finding,
    Format,
    Limits,
    Result,
    Size,
    Variant,
)

if TYPE_CHECKING:
    from .operations.diff import Difference

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
    "diff",
    "fix",
]


def check(  # noqa: PLR0913 (options by keyword, as on the command line)
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    python: str | None = None,
    select: Collection[str] = (),
    extend_select: Collection[str] = (),
    ignore: Collection[str] = (),
    keep: Sequence[str] = (),
    limits: Limits | None = None,
) -> Result:
    """Return what is wrong with a package; nothing is written.

    Of a `.conda` only the info component is read, unless `deep` is set or a finding needs the payload. `python`
    overrides the detection (`3.11`, `3.13t`, `pypy3.9`, `none`). `select` lists the kinds of findings to repair,
    instead of the defaults, `extend_select` those in addition, `ignore` those to leave alone; files that match a glob
    of `keep` are never dropped.

    Raises TypeError or ValueError for an argument that means nothing, PruneError where the package cannot be read.
    """
    from .operations.arguments import (
        check_flag,
        check_limits,
        judgement_options,
        path_of,
    )

    options = judgement_options(python, select, extend_select, ignore, keep)
    deep, limits, package = check_flag("deep", deep), check_limits(limits), path_of("path", path)

    from .operations.check import check_package

    with _naming(package):
        return check_package(package, options, deep=deep, limits=limits)


def fix(  # noqa: PLR0913 (options by keyword, as on the command line)
    path: str | os.PathLike[str],
    *,
    in_place: bool = False,
    output_dir: str | os.PathLike[str] | None = None,
    level: int | None = None,
    backup: str | None = None,
    threads: int = 0,
    dry_run: bool = False,
    reindex: str = "auto",
    python: str | None = None,
    select: Collection[str] = (),
    extend_select: Collection[str] = (),
    ignore: Collection[str] = (),
    keep: Sequence[str] = (),
    limits: Limits | None = None,
) -> Result:
    """Repair a package and return what was done: the package itself with `in_place`, or else into `output_dir`.

    The payload is read in any case. A package without findings is not written (with `output_dir`, it is copied
    there). `level` None keeps the package's own compression; `backup` is a suffix under which the original stays;
    `threads` 0 uses every core. With `dry_run`, nothing is written. The other arguments are those of `check`.

    The channel's index next to the package is refreshed, as the command does: with `reindex` "auto" its records, with
    "always" all of it, with "never" nothing. The records that changed are in `Result.records`. An index that cannot be
    refreshed is found before the package is replaced, and raises PruneError; IndexNotRefreshed says that it was found
    afterwards. The whole index is read for each package: for many packages of a large channel, use "never" and index
    the channel when they are done.

    Raises TypeError or ValueError for an argument that means nothing, PruneError where the package cannot be read or
    written; it is then as it was.
    """
    from .operations.arguments import (
        check_limits,
        check_reindex,
        fix_options,
        judgement_options,
        path_of,
    )

    package = path_of("path", path)
    options = judgement_options(python, select, extend_select, ignore, keep)
    writing = fix_options(package, output_dir, in_place, level, backup, threads, dry_run)
    reindex, limits = check_reindex(reindex), check_limits(limits)

    from .operations.fix_and_reindex import fix_and_reindex

    with _naming(package):
        return fix_and_reindex(package, options, writing, reindex, limits=limits)


def diff(  # noqa: PLR0913 (options by keyword, as on the command line)
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    python: str | None = None,
    select: Collection[str] = (),
    extend_select: Collection[str] = (),
    ignore: Collection[str] = (),
    keep: Sequence[str] = (),
    limits: Limits | None = None,
) -> Difference:
    """Return how two packages differ, member by member; `unexpected` has what removing stray files does not explain.

    What may be missing from `new` is what `fix` would drop from `old` with the same arguments, which are those of
    `check`. Both packages are compared by readers that share no code with `fix`.

    Raises TypeError or ValueError for an argument that means nothing, PruneError where a package cannot be read.
    """
    from .operations.arguments import check_limits, judgement_options, path_of

    options = judgement_options(python, select, extend_select, ignore, keep)
    limits, old, new = check_limits(limits), path_of("old", old), path_of("new", new)

    from .operations.diff import compare
    from .operations.strays import stray_paths

    with _naming(old):
        strays = stray_paths(old, options, limits=limits)
    with _naming(new):
        return compare(old, new, strays)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Give errors the path of the package that they are about."""
    try:
        yield
    except PruneError as error:
        error.path = path
        raise
