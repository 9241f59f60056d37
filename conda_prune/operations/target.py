"""Decides where the result of a fix goes, and finds what prevents that before anything is written."""

from __future__ import annotations

import os

from ..channel.caches import cache_of
from ..channel.published import IndexSurvey, attested_warning
from ..errors import CannotWrite
from ..rewrite.target import check_writable, resolved
from ..system import name_key


def result_path(path: str, output_dir: str | None) -> str:
    """Return the path of the result: that of the package, or one in the output directory.

    Raises CannotWrite if a result in the output directory would replace the package itself.
    """
    if output_dir is None:
        return path
    target = os.path.join(output_dir, os.path.basename(path))
    # A link in the output directory is replaced, even if it leads to the package. Not replaced are the entry that the
    # user has named and the entry of the package itself.
    if any(_is_same_entry(target, entry) for entry in (path, os.path.realpath(path))):
        raise CannotWrite(f"{output_dir} contains the package itself", "choose another directory, or fix it in place")
    return target


def check_target(target: str, *, in_place: bool, backup: str | None, indexes: IndexSurvey) -> None:
    """Raise CannotWrite if the result must not or cannot be written there, or if the backup cannot be made."""
    if cache := cache_of(resolved(target, replace_link=not in_place)):
        raise CannotWrite(
            f"it is in {cache}, where its hash is recorded", "fix the package where it was built, or use -o DIR"
        )
    for directory in _real_directories(target):
        if obstacle := indexes.obstacles.get(directory):
            raise CannotWrite(f"the index next to it cannot be refreshed: {obstacle.reason}", obstacle.hint)
    check_writable(target, replace_link=not in_place, backup=backup if in_place else None)


def publication_warning(target: str, indexes: IndexSurvey) -> str:
    """Return a warning if a package that is about to be replaced seems to be published; otherwise, an empty string."""
    warnings = (indexes.publications.get(directory, "") for directory in _real_directories(target))
    return attested_warning(target) or next(filter(None, warnings), "")


def _real_directories(target: str) -> list[str]:
    """Return the directories in which a file is replaced: its own, and that of the file that a link leads to."""
    return [os.path.realpath(os.path.dirname(name) or ".") for name in (target, os.path.realpath(target))]


def _is_same_entry(one: str, other: str) -> bool:
    """Return whether two paths are the same entry of the same directory, even if links lead to the directory."""
    directories = [os.path.realpath(os.path.dirname(path)) for path in (one, other)]
    names = [name_key(os.path.basename(path)) for path in (one, other)]
    if names[0] != names[1] or not all(map(os.path.isdir, directories)):
        return False
    return os.path.samefile(*directories)
