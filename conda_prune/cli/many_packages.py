"""The same work on many packages: results as they come, then the indexes, then one exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from .exit_codes import exit_code
from .options import open_output, warn_of_unused_keep
from .targets import refuse_empty, tell_left_out

if TYPE_CHECKING:
    from ..judgement.options import Options
    from ..model import Limits, Result
    from ..operations.fix import FixOptions
    from .package_search import Found, Target


def hides_progress(flags: dict[str, Any]) -> bool:
    """Return whether progress bars are not drawn: several processes would draw theirs over each other's."""
    return bool(flags["quiet"]) or flags["jobs"] != 1


@dataclass(frozen=True)
class PackageWork:
    """What a command does with one package. It is sent to worker processes as it is."""

    command: str
    options: Options
    deep: bool
    how: FixOptions | None
    quiet: bool
    limits: Limits
    threads: int = 0

    def __call__(self, target: Target) -> Result | None:
        """Return the result for a target, None for a source archive that a search found."""
        from ..interruption import ended_at_once

        with ended_at_once():
            return self._work(target)

    def _work(self, target: Target) -> Result | None:
        from ..errors import PruneError
        from ..operations.check import check_package
        from ..report.progress import Meter

        try:
            if self.how is None:
                with Meter(target.path, quiet=self.quiet) as meter:
                    return check_package(
                        target.path,
                        self.options,
                        deep=self.deep,
                        limits=self.limits,
                        progress=meter,
                        threads=self.threads,
                    )
            from ..operations.fix import fix_package

            how = replace(self.how, threads=self.threads)
            if how.output_dir is not None:
                directory = os.path.dirname(target.below)
                how = replace(how, output_dir=os.path.join(how.output_dir, directory))
            with Meter(target.path, quiet=self.quiet) as meter:
                return fix_package(target.path, self.options, how, limits=self.limits, progress=meter)
        except PruneError as error:
            if target.searched and self._is_source_archive(target.path):
                return None
            return failed(target.path, str(error))
        except OSError as error:
            return failed(target.path, f"{error.strerror or error}")
        except MemoryError:
            return failed(target.path, "there is not enough memory")
        except Exception as error:
            # A defect of ours must cost one package, not the batch; what it was is told, so that it can be reported.
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            return failed(target.path, f"internal error: {type(error).__name__}: {error} ({place}); please report this")

    def _is_source_archive(self, path: str) -> bool:
        # Asked only after an error, so that packages are not read twice.
        if not path.endswith(".tar.bz2"):
            return False
        from ..archive.source_archive import is_source_archive

        return is_source_archive(path, self.limits.unpacked)


def failed(path: str, error: str) -> Result:
    """Return the result of a package that could not be processed."""
    from ..model import Result

    return Result(path=path, status="error", error=error)


def _died(target: Target, how: str) -> Result:
    return failed(target.path, f"{how}; the package is as it was, or repaired as a whole")


def work_on(
    found: Found, work: PackageWork, paths: tuple[str, ...], flags: dict[str, Any], reindex: str = "never"
) -> NoReturn:
    """Do the work, print the results, and leave with the exit code. Indexes come last, after all packages."""
    from ..system import split_cores

    targets = found.targets
    output = open_output(work.command, flags, [target.path for target in targets])
    jobs, threads = split_cores(len(targets), flags["jobs"], work.threads)
    work = replace(work, threads=threads)
    writes = work.how is not None and not work.how.dry_run
    results = []
    skipped = 0
    with output:
        output.begin([target.path for target in targets])
        with closing(_results(work, targets, jobs)) as each_result:
            for result in each_result:
                if result is None:
                    skipped += 1
                    continue
                output.add(result)
                results.append(result)
                if output.unread and not writes:
                    break  # There is nothing to finish.
        if reindex != "never" and writes:
            from ..channel.refresh import refresh_indexes

            for result in refresh_indexes(results, always=reindex == "always"):
                output.add(result)
                results.append(result)
    if skipped and skipped == len(targets):
        refuse_empty(paths, found, flags, skipped)
    if flags["verbose"]:
        tell_left_out(found, skipped)
    warn_of_unused_keep(results)
    sys.exit(exit_code(results))


def _results(work: PackageWork, targets: Sequence[Target], jobs: int) -> Generator[Result | None, None, None]:
    if jobs <= 1:
        yield from map(work, targets)
        return
    # Imported here: pickle, subprocess and what they need take as long to import as all the rest.
    from .jobs import run as run_all

    yield from run_all(targets, work, _died, jobs, _size)


def _size(target: Target) -> int:
    try:
        return os.stat(target.path).st_size
    except OSError:
        return 0
