"""Validates the arguments of the Python API, so that it rejects the same mistakes as the command line, and at once.

Mistakes are dangerous if they are not noticed: a string in place of a list is a list of its letters, so
`keep="share/**"` would keep every file. Each TypeError and ValueError names the argument.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..judgement.options import KINDS, Options
from ..judgement.variant.detect import override_variant
from ..model import Format, Limits
from ..suggestions import unknown

if TYPE_CHECKING:
    from .fix import FixOptions

LEVELS = {Format.CONDA: range(-7, 23), Format.TAR_BZ2: range(1, 10)}
"""The compression levels of zstd and of bzip2."""

REINDEX = ("auto", "always", "never")
"""Refresh the records of repaired packages, write the whole index again, or do not change it."""


def make_options(
    python: str | None,
    select: Collection[str],
    extend_select: Collection[str],
    ignore: Collection[str],
    keep: Sequence[str],
) -> Options:
    """Return the options of the judgement. Raises TypeError or ValueError for an invalid argument."""
    if python is not None:
        _require(python, str, "python", "a string such as '3.13'")
        try:
            override_variant(python)
        except UsageError as error:
            raise ValueError(str(error).replace("--python ", "python=", 1)) from error
    return Options(
        python,
        frozenset(check_kinds("select", select)),
        frozenset(check_kinds("ignore", ignore)),
        _strings("keep", keep, "globs"),
        frozenset(check_kinds("extend_select", extend_select)),
    )


def check_kinds(name: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds. Raises ValueError for one that does not exist. `all` is accepted, except by `ignore`."""
    names = _strings(name, kinds, "kinds of findings")
    known = KINDS if name == "ignore" else (*KINDS, "all")
    for kind in names:
        if kind not in known:
            raise ValueError(f"{name}: {unknown('kind', kind, known)}")
    return names


def make_fix_options(  # noqa: PLR0913, PLR0917 (the arguments of the public `fix`)
    path: str, output_dir: Any, in_place: Any, level: Any, backup: Any, threads: Any, dry_run: Any
) -> FixOptions:
    """Return how and where `fix` writes. Raises TypeError or ValueError for invalid arguments."""
    from .fix import FixOptions

    for name, value in (("in_place", in_place), ("dry_run", dry_run)):
        _require(value, bool, name, "True or False")
    if output_dir is not None:
        output_dir = path_of("output_dir", output_dir)
        if not output_dir:
            raise ValueError("output_dir is empty")
        if in_place:
            raise ValueError("in_place and output_dir cannot be combined")
        if backup is not None:
            raise ValueError("backup requires in_place=True; with output_dir, the original is not changed")
    elif not in_place and not dry_run:
        raise ValueError("fix needs in_place=True or an output_dir")
    if level is not None:
        check_level(level, path)
    if backup is not None:
        check_backup(backup)
    _require(threads, int, "threads", "a number")
    if threads < 0:
        raise ValueError(f"threads={threads}: use a positive number, or 0 for one thread per core")
    return FixOptions(output_dir, level, backup, dry_run, threads)


def check_level(level: Any, path: str) -> None:
    """Raise TypeError or ValueError for a compression level that the format of the package does not have."""
    _require(level, int, "level", "a number or None")
    format_ = Format.TAR_BZ2 if path.endswith(Format.TAR_BZ2.value) else Format.CONDA
    levels = LEVELS[format_]
    if level not in levels:
        raise ValueError(f"level={level}: {format_.value} has the levels {levels[0]} to {levels[-1]}")


def check_backup(suffix: Any) -> None:
    """Raise TypeError or ValueError for a suffix that does not result in the name of a file next to the package."""
    from ..rewrite.target import check_suffix

    _require(suffix, str, "backup", "a suffix such as '.orig'")
    try:
        check_suffix(suffix)
    except UsageError as error:
        raise ValueError(f"backup: {error}") from error


def check_reindex(reindex: Any) -> str:
    """Return the argument. Raises TypeError or ValueError if it is not one of REINDEX."""
    _require(reindex, str, "reindex", "a string")
    if reindex not in REINDEX:
        raise ValueError(f"reindex={reindex!r}: choose {', '.join(REINDEX[:-1])} or {REINDEX[-1]}")
    return str(reindex)


def check_limits(limits: Any) -> Limits | None:
    """Return the limits. Raises TypeError or ValueError if one of them is not a positive number."""
    if limits is None:
        return None
    _require(limits, Limits, "limits", "of the type Limits")
    for name in ("unpacked", "members", "text", "window", "ratio"):
        value = getattr(limits, name)
        _require(value, int, f"limits.{name}", "a number")
        if value <= 0:
            raise ValueError(f"limits.{name}={value} is not positive")
    return limits  # type: ignore[no-any-return]


def check_flag(name: str, value: Any) -> bool:
    """Return a flag. Raises TypeError if it is not a bool, because every non-empty string would count as True."""
    _require(value, bool, name, "True or False")
    return bool(value)


def path_of(name: str, path: Any) -> str:
    """Return a path as a string. Raises TypeError for bytes and for anything that is not a path."""
    text = os.fspath(path)
    _require(text, str, name, "a string or os.PathLike[str]")
    return str(text)


def _strings(name: str, values: Any, what: str) -> tuple[str, ...]:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be a list of {what}, not a string; write [{values!r}]")
    try:
        strings = tuple(values)
    except TypeError as error:
        raise TypeError(f"{name} must be a list of {what}, not {type(values).__name__}") from error
    for value in strings:
        _require(value, str, f"each of {name}", "a string")
        if not value:
            raise ValueError(f"{name} contains an empty string")
    return strings


def _require(value: Any, type_: type, name: str, what: str) -> None:
    # A bool is an int, but True is not a number of threads.
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        raise TypeError(f"{name} must be {what}, not {value!r}")
