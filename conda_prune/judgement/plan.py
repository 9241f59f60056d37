"""Makes the plan for one package: findings, edits, and everything that follows from a drop, before anything is
written.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ..errors import PruneError, Unsupported
from ..model import Action, Drop, Edit, File, FileKind, Finding, Package, Plan, Rewrite, Variant
from .bytecode import parse_bytecode
from .contents import Contents, contents_of
from .listings import INFO_LISTS, is_installed_list, without_lines
from .paths_json import PATHS_JSON, Listing, edit_listing
from .rules import RULES, is_legacy
from .variant import detect_variant, override_variant

STALE_LISTING = "stale-listing"
KINDS = (*(rule.kind for rule in RULES), STALE_LISTING)
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for: kinds beyond the defaults, kinds left out, files kept, the Python."""

    python: str | None = None
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()

    def wants(self, kind: str, default: bool) -> bool:
        """Return whether a kind of finding is to be looked for."""
        return kind not in self.ignore and (default or kind in self.select or "all" in self.select)


def variant_of(contents: Contents, options: Options) -> Variant:
    """Return the package's variant, from its metadata or as the user says."""
    if options.python is not None:
        return override_variant(options.python)
    return detect_variant(contents.index, contents.texts)


def make_plan(package: Package, options: Options) -> Plan:
    """Return all that is to be done to a package; a forecast without edits where its payload was not read.

    Raises BadMetadata where the package's metadata cannot be read.
    """
    contents = contents_of(package)
    variant = variant_of(contents, options)
    if variant.kind == "contradictory":
        if contents.bytecode:
            reason = f"{variant.conflict}, and the package holds bytecode"
            return Plan(package, variant, (), "refused", f"{reason}; say which Python is meant with --python")
        return Plan(package, variant, (), "clean")
    findings = list(_findings(contents, variant, options))
    if not package.complete:
        status = "findings" if any(finding.action is Action.DROP for finding in findings) else "clean"
        return Plan(package, variant, tuple(findings), status)  # type: ignore[arg-type]
    edits: dict[str, Edit] = {finding.path: Drop() for finding in findings if finding.action is Action.DROP}
    notes = list(_follow(contents, edits))
    findings = [_as_planned(finding, edits) for finding in findings]
    if options.wants(STALE_LISTING, default=True):
        findings += _stale_entries(contents, findings)
    if edits or any(finding.kind == STALE_LISTING for finding in findings):
        _edit_listings(package, contents, edits)
    _check(package, edits)
    return Plan(package, variant, tuple(findings), "findings" if edits else "clean", "", edits, tuple(notes))


def payload_wanted(package: Package, options: Options) -> bool:
    """Return whether the info component alone cannot judge the package.

    It cannot where nothing lists the files, where only a magic number tells whose bytecode a file is, and where a
    symbolic link might lead to a file that is to go.
    """
    contents = contents_of(package)
    if contents.listing is None and "info/files" not in contents.texts:
        return True
    variant = variant_of(contents, options)
    if variant.kind == "exact" and options.wants("foreign-tag", default=True):
        if any(is_legacy(bytecode, contents) for bytecode in contents.bytecode):
            return True
    links = (path for path, file in contents.files.items() if file.kind is FileKind.SYMLINK)
    return any(parse_bytecode(path) is None for path in links) and any(
        finding.action is Action.DROP for finding in _findings(contents, variant, options)
    )


def _findings(contents: Contents, variant: Variant, options: Options) -> Iterator[Finding]:
    """Yield what the rules find; a file is dropped by the first rule that says so, and kept where the user says so."""
    taken: set[str] = set()
    for rule in RULES:
        if not options.wants(rule.kind, rule.default):
            continue
        for finding in rule.find(contents, variant):
            if finding.path in taken:
                continue
            if finding.action is not Action.REPORT:
                if any(fnmatchcase(finding.path, pattern) for pattern in options.keep):
                    continue
                taken.add(finding.path)
            yield finding


def _as_planned(finding: Finding, edits: Mapping[str, Edit]) -> Finding:
    if finding.action is Action.DROP and finding.path not in edits:
        return replace(finding, action=Action.REPORT, detail="kept: a symbolic link leads to it")
    return finding


def _follow(contents: Contents, edits: dict[str, Edit]) -> Iterator[str]:
    """Add what follows from the drops: links to dropped files, and directories that held nothing else. Yield notes."""
    links = {path: file for path, file in contents.files.items() if file.kind is FileKind.SYMLINK}
    while True:
        dangling = [
            (path, target)
            for path, file in links.items()
            if path not in edits and (target := _resolved(path, file.link)) in edits and target is not None
        ]
        if not dangling:
            break
        for path, target in dangling:
            if parse_bytecode(path) is not None:
                edits[path] = Drop()
            else:
                del edits[target]
                yield f"{target} is kept: {path} links to it"
    heirs = {
        path: heir
        for path, file in contents.files.items()
        if file.kind is FileKind.HARDLINK
        and path not in edits
        and (heir := _hard_target(contents.files, file)).path in edits
    }
    if missing := {heir.path for heir in heirs.values() if heir.whole is None}:
        raise ContentNeeded(missing)
    for path, heir in heirs.items():
        edits[path] = Rewrite(heir.whole or b"", heir.sha256 or "")
    _drop_empty_directories(contents, edits)


class ContentNeeded(PruneError):
    """The plan needs the whole content of some files, which was not kept: read the package again with it."""

    def __init__(self, paths: Collection[str]) -> None:
        super().__init__(f"{len(paths)} files are too large to be held in memory, {min(paths)} among them")
        self.paths = frozenset(paths)


def _resolved(path: str, link: str) -> str | None:
    """Return the path in the package that a symbolic link names, or None where it leads out of it."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return None if target.startswith(("/", "../")) else target


def _hard_target(files: Mapping[str, File], file: File) -> File:
    """Return the regular file that a hard link stands for."""
    seen = set()
    while file.kind is FileKind.HARDLINK:
        name = file.link
        while name.startswith("./"):
            name = name[2:]
        if name in seen or name not in files:
            raise Unsupported(f"the hard link {file.path!r} points to {file.link!r}, which is not there")
        seen.add(name)
        file = files[name]
    return file


def _drop_empty_directories(contents: Contents, edits: dict[str, Edit]) -> None:
    directories = {path for path, file in contents.files.items() if file.kind is FileKind.DIRECTORY}
    if not directories:
        return
    emptied: set[str] = set()
    living: set[str] = set()
    for path, file in contents.files.items():
        gone = isinstance(edits.get(path), Drop)
        if file.kind is FileKind.DIRECTORY and not gone:
            continue
        into = emptied if gone else living
        parent = posixpath.dirname(path)
        while parent and parent not in into:
            into.add(parent)
            parent = posixpath.dirname(parent)
    for path in directories & emptied - living:
        edits[path] = Drop()


def _stale_entries(contents: Contents, findings: Collection[Finding]) -> Iterator[Finding]:
    """Yield where paths.json and the payload disagree; softlink entries are left alone, builders differ in them."""
    if contents.listing is None:
        return
    dropped = {finding.path for finding in findings if finding.action is Action.DROP}
    listed: set[str] = set()
    for entry in contents.listing.entries:
        path = entry.file.path
        listed.add(path)
        file = contents.files.get(path)
        if path in dropped or entry.file.kind is FileKind.SYMLINK:
            continue
        if file is None:
            if entry.file.kind is not FileKind.DIRECTORY:
                yield _stale(path, 0, "listed, but not in the package")
            continue
        true = _content_facts(contents.files, file)
        if true is None or entry.file.kind is FileKind.DIRECTORY:
            continue
        if (entry.file.size, entry.file.sha256) == (true.size, true.sha256):
            continue
        wrong = "size_in_bytes" if entry.file.size != true.size else "sha256"
        if wrong in entry.value:
            yield _stale(path, true.size or 0, f"wrong {wrong}")
    for path, file in contents.files.items():
        if path not in listed and path not in dropped and file.kind is not FileKind.DIRECTORY:
            yield _stale(path, file.size or 0, "not listed")


def _stale(path: str, size: int, detail: str) -> Finding:
    return Finding(STALE_LISTING, path, size, detail, Action.CORRECT)


def _content_facts(files: Mapping[str, File], file: File) -> File | None:
    """Return the regular file whose content stands under a path, or None where it has none."""
    if file.kind is FileKind.HARDLINK:
        file = _hard_target(files, file)
    return file if file.kind is FileKind.FILE else None


def _edit_listings(package: Package, contents: Contents, edits: dict[str, Edit]) -> None:
    """Add the edits that make every listing name exactly what is left, with its true hash and size."""
    gone = {path for path, edit in edits.items() if isinstance(edit, Drop)}
    for path, file in contents.files.items():
        if is_installed_list(path) and path not in gone and file.whole is not None:
            _rewrite(edits, file, without_lines(path, file.whole, gone))
    absent = {entry.file.path for entry in contents.listing.entries} if contents.listing else set()
    absent -= contents.files.keys()
    for path in INFO_LISTS:
        if path in contents.texts:
            _rewrite(edits, package.files[path], without_lines(path, contents.texts[path], gone | absent))
    if contents.listing is not None:
        _rewrite(edits, package.files[PATHS_JSON], _new_listing(contents, contents.listing, edits, gone))


def _rewrite(edits: dict[str, Edit], file: File, content: bytes) -> None:
    if content != file.whole:
        edits[file.path] = Rewrite(content, hashlib.sha256(content).hexdigest())


def _new_listing(contents: Contents, listing: Listing, edits: Mapping[str, Edit], gone: Collection[str]) -> bytes:
    dropped, changed, renamed = set(gone), {}, {}
    listed = set()
    for entry in listing.entries:
        path = entry.file.path
        listed.add(path)
        file = contents.files.get(path)
        if file is None:
            if entry.file.kind is not FileKind.DIRECTORY:
                dropped.add(path)
            continue
        if path in gone or entry.file.kind is not FileKind.FILE:
            continue
        true = _after(contents.files, edits, file)
        if true is not None and (true.size, true.sha256) != (entry.file.size, entry.file.sha256):
            changed[path] = true
        names = entry.value.get("inode_paths")
        if isinstance(names, list) and any(name in gone for name in names):
            renamed[path] = [name for name in names if name not in gone]
    added = []
    for path, file in contents.files.items():
        if path in listed or path in gone or file.kind in (FileKind.DIRECTORY, FileKind.OTHER):
            continue
        if file.kind is FileKind.SYMLINK:
            # As rattler-build records it: the link text's length, and no content of its own.
            added.append(replace(file, size=len(file.link.encode("utf-8", "surrogateescape")), sha256=_EMPTY))
        elif (true := _after(contents.files, edits, file)) is not None:
            added.append(replace(true, path=path))
    text = edit_listing(listing, dropped, changed, renamed, added)
    return text.encode("utf-8", "surrogatepass")


def _after(files: Mapping[str, File], edits: Mapping[str, Edit], file: File) -> File | None:
    """Return a file with the size and hash that it will have, or None where it has no content."""
    for path in (file.path, (_content_facts(files, file) or file).path):
        edit = edits.get(path)
        if isinstance(edit, Rewrite):
            return replace(file, size=len(edit.content), sha256=edit.sha256)
        if edit is not None and not isinstance(edit, Drop):
            return replace(files[path], sha256=edit.sha256)
    return _content_facts(files, file)


def _check(package: Package, edits: Mapping[str, Edit]) -> None:
    """Raise PruneError where the plan would leave a link to nothing: it must not be carried out."""
    for path, file in package.files.items():
        if path in edits:
            continue
        if file.kind is FileKind.HARDLINK:
            target = edits.get(_hard_target(package.files, file).path)
        elif file.kind is FileKind.SYMLINK:
            target = edits.get(_resolved(path, file.link) or "")
        else:
            continue
        if isinstance(target, Drop):
            raise PruneError(f"the plan would leave the link {path!r} without its target", "please report this")
