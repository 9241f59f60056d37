"""Translates a plan's edits, which name paths, into splices, which are byte ranges of a component's uncompressed tar.

Everything is computed from the plan and from the offsets that were recorded while the package was read; no file is
opened here. What a reader must find in the result is derived from the same edits, but by a way of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..archive import tar_header
from ..model import Component, Drop, Edit, FileKind, Patch, Relink, Rewrite, Splice
from .verify import Expected


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
        # Python takes a global header that no member follows for damage: at the end it goes, too.
        splices = [splice for splice in splices if splice.start < kept or splice.new] + [Splice(kept, stop)]
    return tuple(splices)


def expected_members(component: Component, edits: Mapping[str, Edit]) -> Iterator[Expected]:
    """Yield what a foreign reader must find in the result's component."""
    names = _stored_names(component, edits)
    for file, span in zip(component.files, component.spans, strict=True):
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
    """Return the names of the members that hard links are to lead to, as the tar stores them, by their paths."""
    targets = {edit.target for edit in edits.values() if isinstance(edit, Relink)}
    if not targets:
        return {}
    members = zip(component.files, component.spans, strict=True)
    return {file.path: span.name for file, span in members if file.path in targets}
