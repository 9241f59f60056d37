"""The texts of a package that was read: sent by the process that reads to the one that started it, and judged there.

Both need one core each. In one process, they take turns: py-rattler's threads need Python's lock for each answer, so
they wait while a package is judged, and reading and judging together took twice as long as either.

What is judged where it was read is what may take much memory: large texts, and those that are read with care. That
process watches its memory; the one that started it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import PruneError
from ..judgement.listings.line_lists import FILES
from ..judgement.listings.paths_json import PATHS_JSON
from .feedstock import ABOUT, feedstock_of
from .item import Item
from .judge import judge_texts
from .outcome import Outcome, failed, outcome_of
from .settings import Settings

_LARGEST = 1 << 18
"""Bytes of texts that are sent. Judging them takes up to 30 times as much, and 246 MiB if all paths are very deep."""


class Texts(NamedTuple):
    """The texts of a package's info component by path, with info/about.json."""

    by_path: dict[str, bytes]

    def may_be_sent(self) -> bool:
        """Return whether they are small, and name the package's files: otherwise more of it may have to be read."""
        lists_files = PATHS_JSON in self.by_path or FILES in self.by_path
        return lists_files and sum(map(len, self.by_path.values())) <= _LARGEST


def judged(item: Item, texts: Texts, settings: Settings) -> Outcome:
    """Return the outcome of a package with these texts. Raises PruneError where they cannot be judged."""
    by_path = {path: text for path, text in texts.by_path.items() if path != ABOUT}
    feedstock = feedstock_of(texts.by_path.get(ABOUT))
    return outcome_of(item, judge_texts(item, by_path, settings.options, settings.limits), "info", feedstock)


def outcome_from(item: Item, found: Outcome | Texts, settings: Settings) -> Outcome:
    """Return the outcome of a package from what the process that read it sent."""
    if isinstance(found, Outcome):
        return found
    try:
        return judged(item, found, settings)
    except PruneError as error:
        return failed(item, str(error))
    except Exception as error:  # A defect of ours costs one package, not the run.
        return defect(item, error)


def defect(item: Item, error: Exception) -> Outcome:
    """Return the outcome of a package that was not judged because of a defect of ours."""
    return failed(item, f"internal error: {type(error).__name__}: {error}; please report this")
