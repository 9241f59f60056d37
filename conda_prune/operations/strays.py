"""Which files of a package are stray, and so may be missing from the repaired package."""

from __future__ import annotations

from ..errors import PruneError
from ..judgement.options import Options
from ..model import Action, Limits
from .check import check_package


def stray_paths(path: str, options: Options, *, limits: Limits | None = None) -> frozenset[str]:
    """Return the paths that a repair with these options drops from a package.

    This uses the judgement, but none of the code that writes packages. Raises PruneError if the package cannot be read
    or contradicts itself about its Python.
    """
    result = check_package(path, options, deep=True, limits=limits)
    if result.status == "refused":
        raise PruneError(result.error or "the package contradicts itself about its Python")
    return frozenset(finding.path for finding in result.findings if finding.action is Action.DROP)
