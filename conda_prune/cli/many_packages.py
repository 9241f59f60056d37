"""Does the same work on many packages: prints results as they arrive, then refreshes indexes, then exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from .exit_codes import exit_code
from .options import open_output, warn_of_unused_keep
from .targets import print_left_out, refuse_empty

if TYPE_CHECKING:
    from ..judgement.options import Options
    from ..model import Limits, Result
    from ..operations.fix import FixOptions
    from ..operations.progress import Progress
    from ..report.progress import Message
    from .package_search import FoundPackage, SearchResult


@dataclass(frozen=True)
class PackageWork:
    """What a command does with one package. It is pickled and sent to worker processes.

    `shows_progress` is whether messages about the progress are wanted.
    """

    command: str
    options: Options
    deep: bool
    fix_options: FixOptions | None
    limits: Limits
    threads: int = 0
    shows_progress: bool = False

    def __call__(self, package: FoundPackage, send: Callable[[Message], None]) -> Result | None:
        """Return the result for a package, or None if it is a source archive that a search found."""
        from ..interruption import ended_at_once
        from ..report.progress import PackageProgress

        with ended_at_once(), PackageProgress(package.path, send, shown=self.shows_progress) as progress:
            return self._work(package, progress)

    def _work(self, package: FoundPackage, progress: Progress) -> Result | None:
        from ..errors import PruneError
        from ..operations.check import check_package

        try:
            if self.fix_options is None:
                return check_package(
                    package.path,
                    self.options,
                    deep=self.deep,
                    limits=self.limits,
                    progress=progress,
                    threads=self.threads,
                )
            from ..operations.fix import fix_package

            options = replace(self.fix_options, threads=self.threads)
            if options.output_dir is not None:
                directory = os.path.dirname(package.below)
                options = replace(options, output_dir=os.path.join(options.output_dir, directory))
            return fix_package(package.path, self.options, options, limits=self.limits, progress=progress)
        except PruneError as error:
            if package.searched and self._is_source_archive(package.path):
                return None
            return failed(package.path, str(error))
        except OSError as error:
            return failed(package.path, f"{error.strerror or error}")
        except MemoryError:
            return failed(package.path, "there is not enough memory")
        except Exception as error:
            # A bug in conda-prune must cost only this package. The message says enough to report it.
            import traceback

            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
            return failed(
                package.path, f"internal error: {type(error).__name__}: {error} ({where}); please report this"
            )

    def _is_source_archive(self, path: str) -> bool:
        # This is checked only after an error, so that no package is read twice.
        if not path.endswith(".tar.bz2"):
            return False
        from ..archive.source_archive import is_source_archive

        return is_source_archive(path, self.limits.unpacked)


def failed(path: str, error: str) -> Result:
    """Return the result of a package that could not be processed."""
    from ..model import Result

    return Result(path=path, status="error", error=error)


def _worker_died(package: FoundPackage, reason: str) -> Result:
    return failed(package.path, f"{reason}; the package is either unchanged or completely repaired")


def work_on(
    search_result: SearchResult, work: PackageWork, paths: Sequence[str], flags: dict[str, Any], reindex: str = "never"
) -> NoReturn:
    """Do the work on all packages, print the results, refresh the indexes, and exit."""
    from ..report.progress import OverallProgress, Warned, can_be_shown
    from ..system import split_cores

    packages = search_result.packages
    named = () if flags["files_from"] is not None or "-" in paths else paths
    repair = ("fix --in-place", *named) if named and work.command == "check" else ()
    output = open_output(work.command, flags, [package.path for package in packages], repair=repair)
    jobs, threads = split_cores(len(packages), flags["jobs"], work.threads)
    shown = can_be_shown(quiet=flags["quiet"])
    work = replace(work, threads=threads, shows_progress=shown)
    sizes = {package.path: _size(package) for package in packages} if shown else {}
    colors = {"always": True, "never": False}.get(flags["color"])
    writes = work.fix_options is not None and not work.fix_options.dry_run
    results = []
    skipped = 0
    with output:
        output.begin([package.path for package in packages])
        with OverallProgress(sizes, shown=shown, colors=colors) as progress:

            def receive(message: Message) -> None:
                if isinstance(message, Warned):
                    with progress.hidden():
                        output.warn(message.line)
                else:
                    progress.receive(message)

            with closing(_results(work, packages, jobs, receive)) as each_result:
                for result in each_result:
                    if result is None:
                        skipped += 1
                        continue
                    progress.finish(result.path)
                    with progress.hidden():
                        output.add(result)
                    results.append(result)
                    if output.is_lost and not writes:
                        break  # Nothing has to be finished.
        if reindex != "never" and writes:
            from ..channel.refresh import refresh_indexes

            for result in refresh_indexes(results, always=reindex == "always"):
                output.add(result)
                results.append(result)
    if skipped and skipped == len(packages):
        refuse_empty(paths, search_result, flags, skipped)
    if flags["verbose"]:
        print_left_out(search_result, skipped)
    warn_of_unused_keep(results)
    sys.exit(exit_code(results))


def _results(
    work: PackageWork, packages: Sequence[FoundPackage], jobs: int, receive: Callable[[Message], None]
) -> Generator[Result | None, None, None]:
    if jobs <= 1:
        for package in packages:
            yield work(package, receive)
        return
    # Imported here, because importing pickle and subprocess takes as long as importing everything else.
    from .jobs import run as run_all

    yield from run_all(packages, work, _worker_died, jobs, _size, receive)


def _size(package: FoundPackage) -> int:
    try:
        return os.stat(package.path).st_size
    except OSError:
        return 0
