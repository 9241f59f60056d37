"""stale-listing: listings that disagree with the payload.

The comparison is in `judgement/listings/disagreements.py`, which is imported when a payload was read.
"""

from __future__ import annotations

from ...model import Action, Finding, Variant
from ..contents import Contents
from .rule import Findings, Rule


def stale_listing(contents: Contents, variant: Variant) -> Findings:
    """A listing that disagrees with the payload: `paths.json` has an entry with another hash or size than its file, an
    entry without a file, or a file without an entry; or `info/files`, `has_prefix` or `no_link` do.

    Causes: something changed, added or removed files after the listing was written: a repair by hand, a signing step,
    or a tool that knows `paths.json` but not the older lists.

    Fix: the entry is corrected, removed or added, and each change is reported. Entries of symbolic links are left
    alone: builders record different things there.

    Safe: no file's content is touched. Clients link what the listing names, and compare it with what they unpacked.

    Prevention: change files before the package is made, never in the finished archive.
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


RULE = Rule("stale-listing", stale_listing, default=True, phase="remainder", chosen="unless ignored", finds="entries")
