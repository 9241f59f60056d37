"""conda-prune: removes stray Python bytecode from conda packages that are already built.

The public interface is `check`, `fix` and `diff`, with the types that they return and the errors that they raise.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import a public type when it is first used: conda imports this package at each start, for its plugin."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import errors, model

    value = globals()[name] = getattr(errors if name == "PruneError" else model, name)
    return value


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
    """Return what is wrong with a package. Nothing is written.

    The payload of a `.conda` is read only if `deep` is set or the judgement needs it. `python` overrides the detection
    (`3.11`, `3.13t`, `pypy3.9`, `any`, `none`). `select` lists the kinds of findings to repair instead of the defaults,
    `extend_select` those to repair in addition, and `ignore` those to ignore. Files that match a glob in `keep` are
    never dropped.

    Raises TypeError or ValueError for an invalid argument, and PruneError if the package cannot be read.
    """
    from .operations.arguments import (
        check_flag,
        check_limits,
        make_options,
        path_of,
    )

    options = make_options(python, select, extend_select, ignore, keep)
    deep, limits, package = check_flag("deep", deep), check_limits(limits), path_of("path", path)

    from .operations.check import check_package

    with _add_path_to_errors(package):
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
    """Repair a package, and return what was done.

    With `in_place`, the result replaces the package; otherwise it is written to `output_dir`. The payload is always
    read. A package without findings is not written, but it is copied to `output_dir`. `level` None keeps the
    compression level of the package. `backup` is a suffix: the original is kept under its name plus this suffix.
    `threads` 0 uses every core. With `dry_run`, nothing is written. The other arguments are those of `check`.

    If a channel index is next to the result, it is refreshed: with `reindex` "auto" the records of the package, with
    "always" the whole index, with "never" nothing. `Result.records` has the records that changed. If the index cannot
    be refreshed, PruneError is raised before the package is replaced. In the rare case that this is only noticed
    afterwards, the error is IndexNotRefreshed. The whole index is read for each package. To repair many packages of a
    large channel, use "never" and index the channel at the end.

    Raises TypeError or ValueError for an invalid argument, and PruneError if the package cannot be read or written. The
    package is then unchanged.
    """
    from .operations.arguments import (
        check_limits,
        check_reindex,
        make_fix_options,
        make_options,
        path_of,
    )

    package = path_of("path", path)
    options = make_options(python, select, extend_select, ignore, keep)
    fix_options = make_fix_options(package, output_dir, in_place, level, backup, threads, dry_run)
    reindex, limits = check_reindex(reindex), check_limits(limits)

    from .operations.fix_and_reindex import fix_and_reindex

    with _add_path_to_errors(package):
        return fix_and_reindex(package, options, fix_options, reindex, limits=limits)


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
    """Return how two packages differ, member by member.

    `Difference.unexpected` has the changes that removing stray files does not explain. A member may be missing from
    `new` if `fix` would drop it from `old` with the same arguments, which are those of `check`. Both packages are read
    by code that shares nothing with `fix`.

    Raises TypeError or ValueError for an invalid argument, and PruneError if a package cannot be read.
    """
    from .operations.arguments import check_limits, make_options, path_of

    options = make_options(python, select, extend_select, ignore, keep)
    limits, old, new = check_limits(limits), path_of("old", old), path_of("new", new)

    from .operations.diff import compare
    from .operations.strays import stray_paths

    with _add_path_to_errors(old):
        strays = stray_paths(old, options, limits=limits)
    with _add_path_to_errors(new):
        return compare(old, new, strays)


@contextmanager
def _add_path_to_errors(path: str) -> Iterator[None]:
    """Add to each PruneError the path of the package that it is about."""
    from .errors import PruneError

    try:
        yield
    except PruneError as error:
        error.path = path
        raise
