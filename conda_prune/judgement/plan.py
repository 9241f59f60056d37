"""Makes the plan for one package: findings, edits, and everything that follows from a drop, before anything is
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import PruneError
from ..model import Action, Drop, Edit, FileKind, Finding, Package, Plan, Relink, Variant
from .bytecode import parse_bytecode
from .consequences import every_link, follow, relinked
from .contents import ContentNeeded as ContentNeeded
from .contents import Contents, contents_of, has_listing
from .links import names_passed, trail
from .places import decides, is_legacy
from .rules import RULES, rule_of
from .stale_listing import listing_edits
from .stamps import STALE_STAMP, content_needed, has_stamps, ignored_note, restamped
from .variant import detect_variant, override_variant

KINDS = tuple(rule.kind for rule in RULES)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for: kinds beyond the defaults, kinds left out, files kept, the Python."""

    python: str | None = None
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()

    def wants(self, kind: str) -> bool:
        """Return whether a kind of finding is to be looked for."""
        return kind not in self.ignore and (rule_of(kind).default or kind in self.select or "all" in self.select)

    def keeps(self, path: str) -> bool:
        """Return whether a file stays, whatever the rules say."""
        return any(fnmatchcase(path, pattern) for pattern in self.keep)


def variant_of(contents: Contents, options: Options) -> Variant:
    """Return the package's variant, from its metadata or as the user says."""
    if options.python is not None:
        return override_variant(options.python)
    return detect_variant(contents.index, contents.texts)


def make_plan(package: Package, options: Options) -> Plan:
    """Return all that is to be done to a package; a forecast without edits where its payload was not read.

    Raises BadMetadata where the package's metadata cannot be read, ContentNeeded where more of it has to be.
    """
    contents = contents_of(package)
    variant = variant_of(contents, options)
    if variant.kind == "contradictory" and contents.bytecode:
        reason = f"{variant.conflict}, and the package holds bytecode"
        return Plan(package, variant, (), "refused", f"{reason}; say which Python is meant with --python")
    findings = list(_findings(contents, variant, options, of_rest=False))
    if reason := _doubt(variant, findings):
        return Plan(package, variant, (), "refused", f"{reason}; say which Python is meant with --python")
    if not package.complete:
        drops = {finding.path for finding in findings if finding.action is Action.DROP}
        notes = [*_conflict_notes(contents, variant), *_tree_notes(contents.without(drops), variant, options)]
        return Plan(package, variant, tuple(findings), "findings" if drops else "clean", notes=tuple(notes))
    done = follow(contents, findings, options.keeps)
    rest = contents.without(done.gone)
    found = [*done.findings, *_findings(rest, variant, options, of_rest=True)]
    if needed := done.needed | (content_needed(rest) if options.wants(STALE_STAMP) else frozenset()):
        raise ContentNeeded(needed)
    edits = done.edits | restamped(rest, found, done.edits)
    edits |= listing_edits(rest, edits, found)
    edits |= relinked(contents, edits)
    _check(package, edits)
    notes = [
        *_conflict_notes(contents, variant),
        *done.notes,
        *_tree_notes(rest, variant, options),
        *_stamp_notes(rest, options),
    ]
    return Plan(package, variant, tuple(found), "findings" if edits else "clean", "", edits, tuple(notes))


def payload_wanted(package: Package, options: Options) -> bool:
    """Return whether the info component alone cannot judge the package.

    It cannot where nothing lists the files, where only a header tells what a file is, and where a symbolic link might
    lead to a file that is to go.
    """
    contents = contents_of(package)
    if not has_listing(contents):
        return True
    variant = variant_of(contents, options)
    if options.wants("foreign-tag") and variant.kind == "exact":
        if any(is_legacy(bytecode, contents) and decides(variant, bytecode.path) for bytecode in contents.bytecode):
            return True
    if options.wants(STALE_STAMP) and has_stamps(contents):
        return True
    return any(parse_bytecode(path) is None or options.keeps(path) for path in every_link(contents)) and any(
        finding.action is Action.DROP for finding in _findings(contents, variant, options, of_rest=False)
    )


def _findings(contents: Contents, variant: Variant, options: Options, *, of_rest: bool) -> Iterator[Finding]:
    """Yield what the rules find; a file is changed by the first rule that says so, and kept where the user says so."""
    taken: set[str] = set()
    for rule in RULES:
        if rule.of_rest is not of_rest or not options.wants(rule.kind):
            continue
        for finding in rule.find(contents, variant):
            if finding.path in taken:
                continue
            if finding.action in (Action.DROP, Action.RESTAMP):
                if options.keeps(finding.path):
                    continue
                taken.add(finding.path)
            yield finding


def _doubt(variant: Variant, findings: Iterable[Finding]) -> str:
    """Return why nothing may be dropped: weak evidence says that the files belong to another Python; empty if not."""
    drops = [finding.path for finding in findings if finding.action is Action.DROP]
    if not variant.conflict or not drops:
        return ""
    return f"{variant.conflict}, and {_files_text(len(drops))} would be dropped, such as {min(drops)!r}"


def _conflict_notes(contents: Contents, variant: Variant) -> Iterator[str]:
    """Yield that weak evidence was ignored, which made no difference: `_doubt` refuses the package if it does."""
    if variant.conflict and contents.bytecode:
        yield f"{variant.conflict}; the first is the stronger evidence and was used, which drops nothing"


def _files_text(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _tree_notes(rest: Contents, variant: Variant, options: Options) -> Iterator[str]:
    """Yield what is left of another Python's tree, where it was not asked to go."""
    kind = "foreign-tree"
    if not options.wants(kind) and kind not in options.ignore:
        left = [finding for finding in rule_of(kind).find(rest, variant) if not options.keeps(finding.path)]
        if left:
            verb = "remains" if len(left) == 1 else "remain"
            size = _size_text(sum(finding.size for finding in left))
            yield f"{_files_text(len(left))} of another Python's tree {verb} ({size}): --select {kind}"


def _size_text(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _stamp_notes(rest: Contents, options: Options) -> Iterator[str]:
    if not options.wants(STALE_STAMP) and STALE_STAMP not in options.ignore and (note := ignored_note(rest)):
        yield note


def _check(package: Package, edits: Mapping[str, Edit]) -> None:
    """Raise PruneError where the plan would leave a link to nothing: it must not be carried out."""
    for path, file in package.files.items():
        edit = edits.get(path)
        needed: Iterator[str] = iter(())
        if isinstance(edit, Relink):
            needed = iter((edit.target,))
        elif edit is not None:
            continue
        elif file.kind is FileKind.HARDLINK:
            needed = (name.path for name in names_passed(package.files, file))
        elif file.kind is FileKind.SYMLINK:
            needed = trail(package.files, path)
        if any(isinstance(edits.get(name), Drop) for name in needed):
            raise PruneError(f"the plan would leave the link {path!r} without its target", "please report this")
