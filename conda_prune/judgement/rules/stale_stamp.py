"""stale-stamp: bytecode that Python ignores because of what its header records of the source.

What is judged, and by which rules of importlib, is in `judgement/stamps.py`. It is imported when it is needed: the kind
is off by default, and a check of metadata alone never comes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ...model import Action, Edit, Finding, Patch, Remainder, Rewrite, Variant
from ...quantities import plural
from ..contents import Contents
from .rule import Findings, Rule


def stale_stamp(contents: Contents, variant: Variant) -> Findings:
    """Bytecode that Python ignores, because it records another time or size than its source in the package has.

    Causes: rattler-build compiles copies of the sources while it packs, and dates all files with the start of the
    build: its own bytecode records a time that is a moment too late. Where the recipe's installer compiles nothing (uv,
    the default of pixi-build-python), that is all the bytecode there is.

    Fix: on request, the time of the packed source is written into the header, if the source has the recorded size.
    Reported only: bytecode of a source of another size, wrong source hashes (PEP 552), and sources whose time differs
    between installers, being dated before 1980 or changed on installation (build prefixes).

    Safe: Python then loads what it otherwise compiles from the source at every start. Only the time and size in the
    header change. That the source is the same is known by its size alone, which is why this is not a default.

    Prevention: let something compile in the build script. Under the SOURCE_DATE_EPOCH of a build, pip and compileall
    record a hash of the source instead of its time.

        rattler-build   build: {script: ["...", 'python -m compileall "$SP_DIR"']}
        pixi            [package.build.config] installer = "pip"
        conda-build     compiles in the prefix, and needs nothing
    """
    from ..stamps import stamps

    for stamp in stamps(contents):
        if stamp.fault:
            action = Action.RESTAMP if stamp.is_repairable else Action.REPORT
            yield Finding("stale-stamp", stamp.path, contents.size(stamp.path), stamp.fault, action)


def restamped(contents: Contents, findings: Iterable[Finding], edits: Mapping[str, Edit]) -> dict[str, Edit]:
    """Return the edits that the findings ask for; `edits` are those of files that take over a dropped one's content."""
    import hashlib

    from ..stamps import new_header, stamps

    wanted = {finding.path for finding in findings if finding.action is Action.RESTAMP}
    made: dict[str, Edit] = {}
    for stamp in stamps(contents) if wanted else ():
        if stamp.path in wanted:
            head, whole = new_header(stamp), stamp.file.whole or b""
            sha256 = hashlib.sha256(head + whole[len(head) :]).hexdigest()
            if isinstance(edits.get(stamp.path), Rewrite):
                made[stamp.path] = Rewrite(head + whole[len(head) :], sha256)
            else:
                made[stamp.file.path] = Patch(head, sha256)
    return made


def has_stamps(contents: Contents) -> bool:
    """Return whether there is bytecode whose stamp can be judged, by the names of the files."""
    return any(bytecode.source in contents.files for bytecode in contents.bytecode)


def needed_content(contents: Contents) -> frozenset[str]:
    """Return the files that are needed whole to judge the stamps and to write new ones, and were not kept."""
    from ..stamps import content_needed

    return content_needed(contents)


def remainder(contents: Contents, variant: Variant, keeps: Callable[[str], bool]) -> Remainder | None:
    """Return how many of the bytecode files Python will ignore; None if none, or without the payload."""
    if not contents.complete:
        return None
    from ..stamps import stamps

    judged = stamps(contents)
    ignored = [stamp for stamp in judged if stamp.is_ignored]
    if not ignored:
        return None
    hint = ": --extend-select stale-stamp" if any(stamp.is_repairable for stamp in judged) else ""
    text = f"{len(ignored)} of {len(judged)} kept bytecode files will be ignored by Python{hint}"
    return Remainder("stale-stamp", len(ignored), sum(contents.size(stamp.path) for stamp in ignored), text)


def remains(files: int, size: int) -> str:
    """Return how many bytecode files Python will ignore in all packages of a run, in words."""
    return f"Python will ignore {plural(files, 'kept bytecode file')}: see conda-prune explain stale-stamp"


RULE = Rule(
    "stale-stamp",
    stale_stamp,
    default=False,
    phase="remainder",
    needs_payload=has_stamps,
    needed_content=needed_content,
    edits=restamped,
    remainder=remainder,
    remains=remains,
    in_prefix="dates come with them",
)
