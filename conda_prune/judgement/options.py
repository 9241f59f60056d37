"""What the user asked for: which kinds of findings are repaired, which files are kept, and for which Python."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import NamedTuple

from .rules import RULES
from .rules.rule import Rule

KINDS = tuple(rule.kind for rule in RULES)
_BY_KIND = {rule.kind: rule for rule in RULES}


def rule_of(kind: str) -> Rule:
    """Return the rule that finds a kind. Raises KeyError for an unknown kind."""
    return _BY_KIND[kind]


class Options(NamedTuple):
    """What the user asked for.

    `select` are kinds of findings that replace the defaults, `extend_select` kinds in addition to these, `ignore` kinds
    to leave alone. `keep` are globs of files that are never dropped. `python` is the value of `--python`, or None to
    detect the Python.
    """

    python: str | None = None
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()
    extend_select: frozenset[str] = frozenset()

    def wants(self, kind: str) -> bool:
        """Return whether a kind's rule runs. An empty `select` means the defaults."""
        rule = rule_of(kind)
        if rule.chosen == "always":
            return True
        if kind in self.ignore:
            return False
        if rule.chosen == "unless ignored" or self.asks_for(kind):
            return True
        return rule.default and not self.select

    def asks_for(self, kind: str) -> bool:
        """Return whether the user asked for a kind by name, or for all."""
        return not {kind, "all"}.isdisjoint(self.select | self.extend_select)

    def owns(self, kind: str) -> bool:
        """Return whether the files that a kind finds belong to it, so that no later kind finds them again.

        The files of an ignored kind belong to it as well: `--ignore foreign-path` leaves them alone, and they do not
        come back as foreign-tag. So do those of a default kind that was not selected.
        """
        return self.wants(kind) or kind in self.ignore or rule_of(kind).default

    def keeps(self, path: str) -> bool:
        """Return whether a file matches a pattern of `keep`: it is never dropped."""
        return any(fnmatchcase(path, pattern) for pattern in self.keep)

    def unused_keep(self, paths: Collection[str]) -> tuple[str, ...]:
        """Return the patterns of `keep` that match none of the paths."""
        return tuple(pattern for pattern in self.keep if not any(fnmatchcase(path, pattern) for path in paths))
