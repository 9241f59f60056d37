"""What a rule is, and the two findings that rules make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from ...model import Action, Edit, Finding, Remainder, Variant
from ..contents import Contents

Findings = Iterator[Finding]


class Rule(NamedTuple):
    """One kind of finding, and everything that is particular about it: no other module names a kind.

    `find` turns facts into findings; its docstring is what `explain`, SARIF and the documentation show.
    """

    kind: str
    find: Callable[[Contents, Variant], Findings]
    default: bool
    """Whether the rule runs if nobody asked for it."""
    phase: Literal["package", "remainder"] = "package"
    """What it judges: the package as it is, or what remains of it when the files that others found are dropped."""
    on_request: bool = False
    """What it finds is always reported, but repaired only if the kind was asked for."""
    chosen: Literal["by kind", "unless ignored", "always"] = "by kind"
    """What decides whether the rule runs: the kinds that are selected and ignored, only those ignored, or nothing."""
    needs_headers: bool = False
    """It reads the magic numbers of untagged bytecode, which are in the payload."""
    needs_pth: bool = False
    """It depends on the `.pth` files in the payload."""
    needs_payload: Callable[[Contents], bool] | None = None
    """Whether it needs the payload of this package, judging by the names of the files."""
    needed_content: Callable[[Contents], frozenset[str]] | None = None
    """The files whose whole content it needs, and which was not kept when the package was read."""
    edits: Callable[[Contents, Iterable[Finding], Mapping[str, Edit]], dict[str, Edit]] | None = None
    """The edits of files that repair its findings, given all findings and the edits that are planned already. Dropping
    files and correcting listings is not among them: that follows from a finding's action.
    """
    remainder: Callable[[Contents, Variant, Callable[[str], bool]], Remainder | None] | None = None
    """What it would find in what remains, if it neither runs nor is ignored. The last argument returns whether the user
    keeps a path.
    """
    remains: Callable[[int, int], str] | None = None
    """Says how many files remain, and how many bytes, in all packages of a run."""
    in_prefix: str = ""
    """Why it cannot judge a build's prefix; empty if it can."""
    place: str = ""
    """The preposition for the directories that its findings name: files are `under lib/python3.10`."""
    finds: Literal["files", "entries"] = "files"
    """What is counted: files, which take room, or entries of a listing."""


def drop(kind: str, contents: Contents, path: str, detail: str) -> Finding:
    """Return a finding that drops a file."""
    return Finding(kind, path, contents.size(path), detail, Action.DROP)


def report(kind: str, contents: Contents, path: str, detail: str = "", *, quiet: bool = False) -> Finding:
    """Return a finding that changes nothing. A `quiet` one is shown on request only."""
    return Finding(kind, path, contents.size(path), detail, Action.REPORT, quiet)
