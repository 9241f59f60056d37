"""Decides everything that will be done to a package, before anything is written: the findings and the edits.

A plan is a pure function of what was read. If the rules need more content than was kept, the plan names the files, and
the caller reads the package again: most packages are planned from their metadata alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from ..errors import PruneError
from ..model import (
    Action,
    Drop,
    Edit,
    FileKind,
    Finding,
    Package,
    Plan,
    Relink,
    Remainder,
    Rewrite,
    Variant,
)
from ..quantities import plural
from .bytecode import parse_bytecode
from .closure import close_over_drops, every_link
from .contents import Contents, contents_of, has_listing
from .hard_links import restore_hard_links
from .links import SymlinkResolver, hard_link_chain
from .locations import can_judge, is_legacy
from .options import Options, rule_of
from .rules import RULES
from .rules.rule import Rule
from .variant.detect import detect_variant, override_variant


def variant_of(contents: Contents, options: Options) -> Variant:
    """Return the package's variant, from the user's `--python` or else from its metadata."""
    if options.python is not None:
        return override_variant(options.python)
    return detect_variant(contents.index, contents.texts)


def make_plan(package: Package, options: Options, contents: Contents | None = None) -> Plan:
    """Return the plan for a package. If its payload was not read, this is a forecast without edits.

    A plan whose `needs` is not empty cannot be carried out: read the files that it names, and plan again. `contents`
    is the result of `contents_of(package)`, if it was parsed already. Raises BadMetadata if the package's metadata
    cannot be used, LimitExceeded if it is larger than allowed, and Unsupported if a hard link leads to nothing.
    """
    contents = contents or contents_of(package)
    plan = _make_plan(package, contents, options)
    return plan._replace(unused_keep=options.unused_keep(contents.files)) if options.keep else plan


def _make_plan(package: Package, contents: Contents, options: Options) -> Plan:
    variant = variant_of(contents, options)
    if not has_listing(contents) and not package.complete:
        return Plan(package, variant, (), "clean", needs_payload=True)
    if variant.kind == "contradictory" and contents.bytecode:
        reason = f"{variant.conflict}, and the package holds bytecode"
        return Plan(package, variant, (), "refused", f"{reason}; say which Python is meant with --python")
    found, ignored = _find(contents, variant, options)
    if not package.complete:
        return _forecast(package, contents, variant, options, found)
    if refusal := _refusal(variant, found):
        return Plan(package, variant, (), "refused", refusal)
    closure = close_over_drops(contents, found, options.keeps)
    kept = contents.without(closure.removed)
    findings = [*closure.findings, *_find_in_kept(kept, variant, options, ignored)]
    if needed := closure.needed.union(*_needed_content(kept, options)):
        return Plan(package, variant, tuple(findings), "findings", needs=needed)
    edits = dict(closure.edits)
    for rule in RULES:
        if rule.edits is not None:
            edits |= rule.edits(kept, findings, edits)
    from .listings.edits import listing_edits  # A check of metadata alone does not get here.

    new_listings, listing_notes = listing_edits(kept, edits, findings)
    edits |= new_listings
    edits |= restore_hard_links(contents, edits)
    if needed := _needed_headers(package, edits):
        return Plan(package, variant, tuple(findings), "findings", needs=needed)
    refuse_dangling_links(package, edits)
    remainders = tuple(_remainders(kept, variant, options))
    notes = [
        *_conflict_notes(contents, variant),
        *closure.notes,
        *listing_notes,
        *_case_notes(kept, [path for path, edit in edits.items() if isinstance(edit, Drop)]),
        *(remainder.text for remainder in remainders),
    ]
    status: Literal["clean", "findings"] = "findings" if edits else "clean"
    return Plan(package, variant, tuple(findings), status, "", edits, tuple(notes), remainders=remainders)


def _forecast(
    package: Package, contents: Contents, variant: Variant, options: Options, findings: Sequence[Finding]
) -> Plan:
    """Return the plan as far as metadata alone allows, with notes on what was not read."""
    drops = {finding.path: finding.kind for finding in findings if finding.action is Action.DROP}
    unread = list(_unread_facts(contents, variant, options, drops))
    unsure = bool(unread) or any(
        rule.needs_payload is not None and options.wants(rule.kind) and rule.needs_payload(contents) for rule in RULES
    )
    if refusal := _refusal(variant, findings):
        return Plan(package, variant, (), "refused", refusal, needs_payload=unsure)
    kept = contents.without(drops)
    remainders = tuple(_remainders(kept, variant, options))
    notes = [
        *_conflict_notes(contents, variant),
        *_case_notes(kept, drops),
        *(remainder.text for remainder in remainders),
    ]
    if unread:
        notes.append(f"judged from metadata alone: {'; '.join(unread)}")
    status: Literal["clean", "findings"] = "findings" if drops else "clean"
    return Plan(
        package, variant, tuple(findings), status, notes=tuple(notes), needs_payload=unsure, remainders=remainders
    )


def _unread_facts(contents: Contents, variant: Variant, options: Options, drops: Mapping[str, str]) -> Iterator[str]:
    """Yield what was not read but might change the findings: headers, `.pth` files, and the targets of links.

    `drops` are the kinds of the files that would be dropped, by path.
    """
    if variant.kind == "exact" and any(rule.needs_headers and options.wants(rule.kind) for rule in RULES):
        untagged = [file for file in contents.bytecode if not file.cached]
        if legacy := sum(is_legacy(file, contents) and can_judge(variant, file.path) for file in untagged):
            files = ".pyc file next to its source was" if legacy == 1 else ".pyc files next to their sources were"
            numbers = "magic number" if legacy == 1 else "magic numbers"
            yield f"the {numbers} of {legacy} {files} not read"
    if not drops:
        return
    from .reachability import pth_files

    if any(rule_of(kind).needs_pth for kind in drops.values()) and (pth := pth_files(contents, variant)):
        files = "file was not read (what it leads" if len(pth) == 1 else "files were not read (what they lead"
        yield f"{len(pth)} .pth {files} to is kept)"
    if links := sum(parse_bytecode(path) is None or options.keeps(path) for path in every_link(contents)):
        files = "link was not followed (what it leads" if links == 1 else "links were not followed (what they lead"
        yield f"{links} symbolic {files} to is kept)"


def _find(contents: Contents, variant: Variant, options: Options) -> tuple[list[Finding], frozenset[str]]:
    """Return what the rules of the first phase find, and the files that belong to a kind that is not repaired.

    A file belongs to the first rule that would drop it. No later rule finds it again, even if the first rule's kind is
    ignored or was not selected, or only reports the file.
    """
    findings: list[Finding] = []
    owned: set[str] = set()
    ignored: set[str] = set()
    kinds = (options.select, options.ignore, options.extend_select)
    for rule, wanted in _first_phase(*map(frozenset, kinds)):
        for finding in rule.find(contents, variant):
            if finding.path in owned:
                continue
            if finding.action is Action.DROP:
                if options.keeps(finding.path):
                    continue
                owned.add(finding.path)
                if not wanted:
                    ignored.add(finding.path)
                elif rule.on_request and not options.asks_for(rule.kind):
                    finding = finding._replace(action=Action.REPORT)
            if wanted:
                findings.append(finding)
    return findings, frozenset(ignored)


@lru_cache(maxsize=8)
def _first_phase(
    select: frozenset[str], ignore: frozenset[str], extend_select: frozenset[str]
) -> tuple[tuple[Rule, bool], ...]:
    """Return the rules of the first phase that find files which no later rule may find, and whether each runs."""
    options = Options(select=select, ignore=ignore, extend_select=extend_select)
    return tuple(
        (rule, options.wants(rule.kind)) for rule in RULES if rule.phase != "remainder" and options.owns(rule.kind)
    )


def _find_in_kept(kept: Contents, variant: Variant, options: Options, ignored: Collection[str]) -> Iterator[Finding]:
    """Yield what the rules of the second phase find in what is kept.

    Of the files in `ignored`, only the entries in listings are judged.
    """
    for rule in RULES:
        if rule.phase == "remainder" and options.wants(rule.kind):
            for finding in rule.find(kept, variant):
                if finding.path in ignored and finding.action is not Action.CORRECT:
                    continue
                if finding.action is not Action.RESTAMP or not options.keeps(finding.path):
                    yield finding


def _refusal(variant: Variant, findings: Iterable[Finding]) -> str:
    """Return why nothing may be dropped, or an empty string.

    If weak evidence contradicts the variant, it may be the files that are right: then the user has to decide.
    """
    drops = [finding.path for finding in findings if finding.action is Action.DROP]
    if not variant.conflict or not drops:
        return ""
    reason = f"{variant.conflict}, and {plural(len(drops), 'file')} would be dropped, such as {min(drops)!r}"
    return f"{reason}; say which Python is meant with --python"


def _conflict_notes(contents: Contents, variant: Variant) -> Iterator[str]:
    """Yield a note if weak evidence was ignored and nothing was dropped; otherwise the package was refused before."""
    if variant.conflict and contents.bytecode:
        yield f"{variant.conflict}; the first is the stronger evidence and was used, which drops nothing"


def _case_notes(kept: Contents, dropped: Iterable[str]) -> Iterator[str]:
    """Yield a note for each kept file that has the path of a dropped one on systems that ignore case.

    There, the package installs one of the two in the place of the other. Packages for Linux are installed on Linux.
    """
    by_key = {path.lower(): path for path in dropped}
    if not by_key or str(kept.index.get("subdir")).startswith("linux-"):
        return
    for path in kept.files:
        if (other := by_key.get(path.lower())) not in (None, path):
            yield f"{path} and the dropped {other} are one file where case is ignored, as on Windows and macOS"


def _needed_content(kept: Contents, options: Options) -> Iterator[frozenset[str]]:
    """Yield the files that rules need whole and that were not kept when the package was read."""
    for rule in RULES:
        if rule.needed_content is not None and options.wants(rule.kind):
            yield rule.needed_content(kept)


def _needed_headers(package: Package, edits: Mapping[str, Edit]) -> frozenset[str]:
    """Return the hard links whose headers change, and were not kept when the package was read."""
    held = frozenset[str]().union(*(component.headers for component in package.components))
    return frozenset(
        path
        for path, edit in edits.items()
        if isinstance(edit, (Relink, Rewrite)) and path not in held and package.files[path].kind is FileKind.HARDLINK
    )


def _remainders(kept: Contents, variant: Variant, options: Options) -> Iterator[Remainder]:
    """Yield what the rules that do not run would find in what is kept, unless their kind is ignored."""
    for rule in RULES:
        if rule.remainder is not None and not options.wants(rule.kind) and rule.kind not in options.ignore:
            if remainder := rule.remainder(kept, variant, options.keeps):
                yield remainder


def refuse_dangling_links(package: Package, edits: Mapping[str, Edit]) -> None:
    """Raise PruneError if a plan would leave a dangling link. No rule makes such a plan; this is a second check."""
    links = {path: file for path, file in package.files.items() if file.kind is FileKind.SYMLINK}
    symlinks = SymlinkResolver(package.files, links)
    for path, file in package.files.items():
        edit = edits.get(path)
        needed: Iterable[str] = ()
        if isinstance(edit, Relink):
            needed = (edit.target,)
        elif edit is not None:
            continue
        elif file.kind is FileKind.HARDLINK:
            needed = (passed.path for passed in hard_link_chain(package.files, file))
        elif file.kind is FileKind.SYMLINK:
            needed = symlinks.resolve_chain(path)
        if any(isinstance(edits.get(needed_path), Drop) for needed_path in needed):
            raise PruneError(f"the plan would leave the link {path!r} without its target", "please report this")
