"""Repeats an operation on a package that changed while it was read, and names the limits of the process it ran into."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Changed, OutOfFiles, OutOfMemory, lacks_files, lacks_memory
from ..model import Result


def retry_if_changed(work: Callable[[], Result]) -> Result:
    """Return the result of the work, which is repeated once if another program changed the package in the meantime.

    Raises OutOfMemory or OutOfFiles, naming the limit, where the process may not use more.
    """
    try:
        try:
            return work()
        except Changed:
            return work()
    except Exception as error:
        if lacks_memory(error):
            from ..system import memory_limit

            allowed = memory_limit()
            of = f": {allowed >> 20} MiB are allowed (ulimit -v)" if allowed else ""
            raise OutOfMemory(
                f"there is not enough memory{of}", "use --threads 1 and fewer --jobs, or allow more"
            ) from error
        if lacks_files(error):
            raise OutOfFiles("too many files are open") from error
        raise
