"""stale-listing: listings that disagree with the payload.

The comparison is in `judgement/listings/disagreements.py`. It is imported only if the payload was read.
"""

from __future__ import annotations

from ...model import Action, Finding, Variant
from ..contents import Contents
from .rule import Findings, Rule


def stale_listing(contents: Contents, variant: Variant) -> Findings:
    """A listing that disagrees with the payload. In `paths.json`, an entry's hash or size is wrong, an entry has no
    file, or a file has no entry. The older lists `info/files`, `has_prefix` and `no_link` can be wrong as well.

    Causes: files were changed, added or removed after the listing was written, by hand, by a signing step, or by a tool
    that updates `paths.json` but not the older lists.

    Fix: the entry is corrected, removed or added, and each change is reported. Entries of symbolic links are not
    changed, since build tools record different values there.

    Safe: no other file changes. Clients install the files that the listing names and compare them with its hashes and
    sizes.

    Prevention: change files before the package is built, never in the finished archive.
    """
    if not contents.complete:
        return
    from ..listings.disagreements import disagreements, is_listable

    reported: set[str] = set()
    for path, detail in disagreements(contents):
        if path not in reported:
            reported.add(path)
            file = contents.files.get(path)
            size = (file.size if file is not None else None) or 0
            if file is None or is_listable(contents, path):
                yield Finding("stale-listing", path, size, detail, Action.CORRECT)
            else:
                yield Finding("stale-listing", path, size, f"{detail}: its name is not UTF-8")


RULE = Rule("stale-listing", stale_listing, default=True, phase="remainder", chosen="unless ignored", counts="entries")
