"""The type of a rule, and functions for the two findings that most rules make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from ...model import (
    Action,
    Edit,
    Finding,
    Remainder,
    Variant,
)
from ..contents import Contents

Findings = Iterator[Finding]


class Rule(NamedTuple):
    """One kind of finding, and everything specific to it. The logic of no other module depends on a kind's name.

    `find` turns facts into findings. Its docstring is the text that `explain`, SARIF and the documentation show.
    """

    kind: str
    find: Callable[[Contents, Variant], Findings]
    default: bool
    """Whether the rule runs if the user selected no kinds."""
    phase: Literal["package", "remainder"] = "package"
    """What it judges: the package as it is, or what remains of it after the drops of the first phase."""
    on_request: bool = False
    """Its findings are always reported, but repaired only if the user selected the kind."""
    chosen: Literal["by kind", "unless ignored", "always"] = "by kind"
    """Which options turn the rule on and off: `--select` and `--ignore`, only `--ignore`, or none."""
    needs_headers: bool = False
    """It reads the magic numbers of untagged bytecode, which are in the payload."""
    needs_pth: bool = False
    """Its findings depend on the `.pth` files in the payload."""
    needs_payload: Callable[[Contents], bool] | None = None
    """Returns whether it needs the payload of a package, given the names of the files."""
    needed_content: Callable[[Contents], frozenset[str]] | None = None
    """Returns the files that it needs whole and that were not kept when the package was read."""
    edits: Callable[[Contents, Iterable[Finding], Mapping[str, Edit]], dict[str, Edit]] | None = None
    """Returns the edits that repair its findings, given all findings and the edits planned so far. Dropped files and
    corrected listings need none: the plan makes these edits from the findings' actions.
    """
    remainder: Callable[[Contents, Variant, Callable[[str], bool]], Remainder | None] | None = None
    """Returns what it would find in the files that are kept, or None. It is used if the rule neither runs nor is
    ignored. The last argument returns whether the user keeps a path.
    """
    remains: Callable[[int, int], str] | None = None
    """Returns a sentence about all packages of a run, given how many files remain and how many bytes these have."""
    not_in_prefix: str = ""
    """Why it cannot judge a build's prefix; empty if it can."""
    preposition: str = ""
    """The word before a finding's detail if that is a directory: files `under lib/python3.10`."""
    counts: Literal["files", "entries"] = "files"
    """What its findings count: files, whose sizes are added up, or entries in a listing."""


def drop(kind: str, contents: Contents, path: str, detail: str) -> Finding:
    """Return a finding that drops a file."""
    return Finding(kind, path, contents.size(path), detail, Action.DROP)


def report(kind: str, contents: Contents, path: str, detail: str = "", *, quiet: bool = False) -> Finding:
    """Return a finding that changes nothing. If `quiet`, it is shown only with `-v`."""
    return Finding(kind, path, contents.size(path), detail, Action.REPORT, quiet)
