"""`fix` from Python: repairs a package, then refreshes the channel index next to it, as the command line does."""

from __future__ import annotations

from dataclasses import replace

from ..channel.refresh import refresh_indexes, survey_indexes
from ..errors import IndexNotRefreshed
from ..judgement.options import Options
from ..model import Limits, Result
from .fix import FixOptions, fix_package
from .target import result_path


def fix_and_reindex(
    path: str, options: Options, fix_options: FixOptions, reindex: str, *, limits: Limits | None = None
) -> Result:
    """Repair a package as `fix_package` does, and refresh the index next to it. The result has the refreshed records.

    `reindex` is `auto` (the records of the package), `always` (the whole index) or `never`. Obstacles to the refresh
    are looked for first. If there is one, CannotWrite is raised and the package is unchanged. IndexNotRefreshed is
    rare: it means that the package was repaired, but its index could not be refreshed after all.
    """
    if fix_options.dry_run:
        return fix_package(path, options, fix_options, limits=limits)
    indexes = survey_indexes([result_path(path, fix_options.output_dir)], reindex)
    result = fix_package(path, options, replace(fix_options, indexes=indexes), limits=limits)
    if reindex == "never":
        return result
    for index in refresh_indexes([result], always=reindex == "always"):
        if index.status == "error":
            raise IndexNotRefreshed(f"{index.path}: {index.error}", result)
        result = replace(result, records=result.records + index.records, warnings=result.warnings + index.warnings)
    return result
