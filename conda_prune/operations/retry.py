"""Repeats an operation if its package has changed meanwhile, and explains errors caused by the process's limits."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import (
    Changed,
    OutOfFiles,
    OutOfMemory,
    lacks_files,
    lacks_memory,
)
from ..model import Result


def retry_if_changed(work: Callable[[], Result]) -> Result:
    """Return the result of `work`. If another program changes the package meanwhile, `work` is repeated once.

    Raises OutOfMemory or OutOfFiles, naming the limit, if the process exceeds what it may use.
    """
    try:
        try:
            return work()
        except Changed:
            return work()
    except Exception as error:
        if lacks_memory(error):
            limit = memory_limit()
            evidence = f": {limit >> 20} MiB are allowed (ulimit -v)" if limit else ""
            raise OutOfMemory(
                f"there is not enough memory{evidence}", "use --threads 1 and fewer --jobs, or allow more"
            ) from error
        if lacks_files(error):
            raise OutOfFiles("there are too many open files") from error
        raise


def memory_limit() -> int | None:
    """Return how many bytes of address space this process may use, or None if there is no limit."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
