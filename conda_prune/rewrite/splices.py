"""Translates a plan's edits, which name paths, into splices, which are byte ranges of a component's uncompressed tar.

Everything is computed from the plan and from the offsets that were recorded while the package was read. What a reader
must find in the result is also derived from the edits, but independently of the splices, so each checks the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..archive import tar_header
from ..model import (
    Component,
    Drop,
    Edit,
    File,
    FileKind,
    Patch,
    Relink,
    Rewrite,
    Span,
    Splice,
)
from .readers import Expected


def splices_of(component: Component, edits: Mapping[str, Edit]) -> tuple[Splice, ...]:
    """Return a component's edits as splices of its tar stream, in order."""
    splices: list[Splice] = []
    names = _stored_names(component, edits)
    kept = 0
    for file, span in zip(component.files, component.spans, strict=True):
        edit = edits.get(file.path)
        if not isinstance(edit, Drop):
            kept = span.stop
        if isinstance(edit, Drop):
            start = span.start
            if splices and splices[-1].stop == start and not splices[-1].new:
                start = splices.pop().start
            splices.append(Splice(start, span.stop))
        elif isinstance(edit, Rewrite):
            raw, size = component.headers[file.path], len(edit.content)
            headers = tar_header.with_size(raw, size, regular=file.kind is FileKind.HARDLINK)
            splices.append(Splice(span.start, span.content, headers))
            splices.append(Splice(span.content, span.stop, edit.content))
            splices.append(Splice(span.stop, span.stop, tar_header.padding(size)))
        elif isinstance(edit, Patch):
            splices.append(Splice(span.content, span.content + len(edit.head), edit.head))
        elif isinstance(edit, Relink):
            headers = tar_header.with_link(component.headers[file.path], names[edit.target])
            splices.append(Splice(span.start, span.content, headers))
    if component.spans and (stop := component.spans[-1].stop) > kept:
        # If the last members are dropped, also cut a global header before them: Python reports a global header without
        # a member after it as damage.
        splices = [splice for splice in splices if splice.start < kept or splice.new] + [Splice(kept, stop)]
    return tuple(splices)


def expected_members(component: Component, edits: Mapping[str, Edit]) -> Iterator[Expected]:
    """Yield the members that an independent reader must find in the component after the edits."""
    names = _stored_names(component, edits)
    return expected_of(zip(component.files, component.spans, strict=True), edits, names)


def expected_of(
    members: Iterable[tuple[File, Span]], edits: Mapping[str, Edit], names: Mapping[str, str]
) -> Iterator[Expected]:
    """Yield what an independent reader must find of these members after the edits.

    `names` are the stored names of the members that hard links are retargeted to, by path.
    """
    for file, span in members:
        edit = edits.get(file.path)
        name = span.name.rstrip("/")
        if isinstance(edit, Drop):
            continue
        if isinstance(edit, Rewrite):
            yield Expected(name, FileKind.FILE, len(edit.content), edit.sha256, "")
        elif isinstance(edit, Patch):
            yield Expected(name, file.kind, file.size or 0, edit.sha256, "")
        elif isinstance(edit, Relink):
            yield Expected(name, FileKind.HARDLINK, 0, None, names[edit.target])
        else:
            yield Expected(name, file.kind, file.size or 0, file.sha256, file.link)


def _stored_names(component: Component, edits: Mapping[str, Edit]) -> dict[str, str]:
    """Return the stored names of the members that hard links are retargeted to, by path."""
    targets = {edit.target for edit in edits.values() if isinstance(edit, Relink)}
    if not targets:
        return {}
    members = zip(component.files, component.spans, strict=True)
    return {file.path: span.name for file, span in members if file.path in targets}
