"""Recognizes packages that have been published: repairing one changes its hash, but not its name.

Lock files and caches identify a package by its name and hash, so a published package must not change. Instead, its
build number is raised, and it is built again. `fix` warns before it replaces such a package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import PruneError
from .sidecars import attestations_of

if TYPE_CHECKING:
    from .index import Index


class IndexSurvey(NamedTuple):
    """What is known of indexes before packages next to them are replaced, by the real paths of their directories.

    `obstacles` are the reasons why an index could not be refreshed. `publications` are warnings about packages that
    seem to be published.
    """

    obstacles: Mapping[str, PruneError] = {}
    publications: Mapping[str, str] = {}


NO_INDEXES = IndexSurvey()


def attested_warning(path: str) -> str:
    """Return a line about a package that carries attestations or signatures; empty if it carries none."""
    attestations = attestations_of(path)
    if not attestations:
        return ""
    vouches = "vouches" if len(attestations) == 1 else "vouch"
    return (
        f"{', '.join(attestations)} {vouches} for bytes that the repair replaces: "
        "if the package is published, raise its build number and build it again; otherwise, attest it again"
    )


def published_warning(directory: str, evidence: str) -> str:
    """Return a line about a channel's directory, in which `evidence` shows that its packages are published."""
    return (
        f"the packages in {directory} seem to be published ({evidence}): a repair changes the hash but not the name; "
        "raise the build number and build again instead"
    )


def evidence_of_publication(index: Index) -> str:
    """Return what shows that the packages of an index are published; empty if nothing does.

    A `base_url` that is a URL (CEP 15) is where clients download them from. Signatures are made when a channel is
    published.
    """
    for form in index.forms:
        info = form.document.value.get("info")
        base_url = info.get("base_url") if isinstance(info, Mapping) else None
        if isinstance(base_url, str) and "://" in base_url:
            return f"{form.name} has the base_url {base_url[:200]}"
        if form.document.value.get("signatures"):
            return f"{form.name} has signatures"
    return ""
