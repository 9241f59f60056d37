"""Builds the facts that rules are tested with, without writing a package, and runs single rules on them."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import pytest

from conda_prune.judgement.contents import Contents
from conda_prune.judgement.options import rule_of
from conda_prune.judgement.variant.detect import override_variant
from conda_prune.model import (
    Action,
    Fact,
    File,
    FileKind,
    Finding,
    Variant,
)

SITE = "lib/python3.11/site-packages/p"
SITE310 = "lib/python3.10/site-packages/p"
DISTUTILS_HACK = "lib/python3.14/site-packages/_distutils_hack/__pycache__/__init__.cpython-314.pyc"
"""The stray file of conda-forge/gdal-feedstock #1199."""

DEFAULT = ("foreign-path", "foreign-tag", "noarch-bytecode", "no-variant")
"""The kinds that are dropped by default."""
DROPPING = (*DEFAULT, "nested-path", "foreign-tree", "foreign-extension", "leftover", "optimized", "orphan")
"""The kinds that are dropped by default or on request."""

MAGIC_27, MAGIC_310, MAGIC_311, UNKNOWN_MAGIC = 62211, 3439, 3495, 59999


def pyc_head(magic: int, length: int = 16) -> bytes:
    """Return the first bytes of a bytecode file with this magic number."""
    return struct.pack("<H2s3I", magic, b"\r\n", 0, 1_704_067_200, 9)[:length]


def in_cache(directory: str, name: str) -> str:
    """Return the path of a file in a directory's `__pycache__`."""
    return f"{directory}/__pycache__/{name}"


def contents_with(
    *paths: str,
    heads: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    subdir: str = "linux-64",
) -> Contents:
    """Return a package with these files. `heads` maps paths to contents, `links` symbolic links to their targets."""
    files = {path: File(path, size=9) for path in paths}
    files |= {path: File(path, size=len(raw), content=raw) for path, raw in (heads or {}).items()}
    files |= {path: File(path, FileKind.SYMLINK, link=target) for path, target in (links or {}).items()}
    return Contents(files, {"subdir": subdir}, {}, None, complete=True)


def inferred_variant(python: str, *facts: Fact) -> Variant:
    """Return the variant of a package for this Python, of which only the build's record gives these facts."""
    return override_variant(python)._replace(inferred=facts)


def findings_of(kind: str, python: str | Variant, contents: Contents) -> list[Finding]:
    """Return what a kind's rule finds in a package for this Python."""
    variant = override_variant(python) if isinstance(python, str) else python
    return list(rule_of(kind).find(contents, variant))


def paths_found(kind: str, python: str | Variant, contents: Contents) -> set[str]:
    """Return the paths that a kind's rule finds in a package for this Python."""
    return {finding.path for finding in findings_of(kind, python, contents)}


class Case(NamedTuple):
    """A package for one Python: files that a rule must keep, files that it must drop, and symbolic links."""

    python: str
    keeps: Collection[str] = ()
    drops: Collection[str] = ()
    links: Mapping[str, str] | None = None


def case(
    id: str,
    python: str,
    keeps: Collection[str] = (),
    drops: Collection[str] = (),
    links: Mapping[str, str] | None = None,
) -> Any:
    """Return a Case as a parameter of a test."""
    return pytest.param(Case(python, keeps, drops, links), id=id)


def check_case(kind: str, case: Case) -> None:
    """Assert that a kind's rule drops what it must drop, each file once with a reason, and nothing else."""
    findings = findings_of(kind, case.python, contents_with(*case.keeps, *case.drops, links=case.links))
    assert sorted(finding.path for finding in findings) == sorted(case.drops)
    for finding in findings:
        assert (finding.kind, finding.action) == (kind, Action.DROP)
        assert finding.detail


def paths_dropped(python: str, contents: Contents) -> set[str]:
    """Return what the rules about files of other Pythons drop, except nested-path."""
    kinds = (*DEFAULT, "foreign-tree", "foreign-extension")
    findings = [finding for kind in kinds for finding in findings_of(kind, python, contents)]
    return {finding.path for finding in findings if finding.action is Action.DROP}


def standard_library(directory: str) -> tuple[str, ...]:
    """Return the files by which a directory is recognized as an interpreter's standard library."""
    return f"{directory}/os.py", f"{directory}/encodings/__init__.py"
