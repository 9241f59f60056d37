"""stale-stamp: bytecode that Python ignores because its header does not agree with the source.

How stamps are judged is in `judgement/stamps.py`. It is imported only where it is used, since a check of metadata alone
does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ...model import (
    Action,
    Edit,
    Finding,
    Patch,
    Remainder,
    Rewrite,
    Variant,
)
from ...quantities import plural
from ..contents import Contents
from .rule import Findings, Rule


def stale_stamp(contents: Contents, variant: Variant) -> Findings:
    """Bytecode that Python ignores because its header records another time or size than the source has.

    Causes: rattler-build compiles copies of the sources while it packs them, but gives all files in the package the
    time at which the build started. So its bytecode records a time that is a moment too late. If the recipe's installer
    does not compile (uv, the default of pixi-build-python), this concerns all bytecode in the package.

    Fix: on request, the time of the packed source is written into the header, if the source has the recorded size.
    Other files are only reported: if the size or the source hash (PEP 552) is wrong, if the source is dated before
    1980, or if installers change it (build prefixes).

    Safe: only the time and size in the header change, and Python then loads the file instead of compiling the source
    at every start. Only the size proves that it is the same source, so this is not done by default.

    Prevention: compile in the build script. During a build, SOURCE_DATE_EPOCH is set, and pip and compileall then
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
    """Return the edits that write new headers.

    `edits` are those planned so far: a hard link that takes over a dropped file's content gets it with a new header.
    """
    import hashlib

    from ..stamps import new_header, stamps

    to_restamp = {finding.path for finding in findings if finding.action is Action.RESTAMP}
    restamps: dict[str, Edit] = {}
    for stamp in stamps(contents) if to_restamp else ():
        if stamp.path in to_restamp:
            head, whole = new_header(stamp), stamp.file.whole or b""
            content = head + whole[len(head) :]
            sha256 = hashlib.sha256(content).hexdigest()
            if isinstance(edits.get(stamp.path), Rewrite):
                restamps[stamp.path] = Rewrite(content, sha256)
            else:
                restamps[stamp.file.path] = Patch(head, sha256)
    return restamps


def has_stamps(contents: Contents) -> bool:
    """Return whether the package has bytecode next to its source, given the names of the files."""
    return any(bytecode.source in contents.files for bytecode in contents.bytecode)


def needed_content(contents: Contents) -> frozenset[str]:
    """Return the files that are needed whole to judge the stamps and to write new ones, and were not kept."""
    from ..stamps import content_needed

    return content_needed(contents)


def remainder(contents: Contents, variant: Variant, keeps: Callable[[str], bool]) -> Remainder | None:
    """Return how many bytecode files Python will ignore; None if there are none, or if the payload was not read."""
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
    """Return a sentence on how many bytecode files Python will ignore in all packages of a run."""
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
    not_in_prefix="files get their final times when they are packed",
)
