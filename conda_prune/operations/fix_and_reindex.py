"""`fix` from Python: repair a package, then refresh the channel index next to it, as the command line does."""

from __future__ import annotations

from dataclasses import replace

from ..channel.refresh import find_obstacles, refresh_indexes
from ..errors import IndexNotRefreshed
from ..judgement.options import Options
from ..model import Limits, Result
from .fix import FixOptions, fix_package
from .target import result_path


def fix_and_reindex(
    path: str, options: Options, how: FixOptions, reindex: str, *, limits: Limits | None = None
) -> Result:
    """Repair a package as `fix_package` does, and refresh the index next to it. The result has the renewed records.

    `reindex` is `auto` (the records of the package), `always` (the whole index) or `never`. What would keep the index
    from being refreshed is looked for first, and raises CannotWrite with the package as it was. IndexNotRefreshed,
    which is rare, means that the package was repaired and its index could not be refreshed after all.
    """
    if reindex == "never" or how.dry_run:
        return fix_package(path, options, how, limits=limits)
    always = reindex == "always"
    how = replace(how, obstacles=find_obstacles([result_path(path, how.output_dir)], always=always))
    result = fix_package(path, options, how, limits=limits)
    for index in refresh_indexes([result], always=always):
        if index.status == "error":
            raise IndexNotRefreshed(f"{index.path}: {index.error}", result)
        result = replace(result, records=result.records + index.records, warnings=result.warnings + index.warnings)
    return result
