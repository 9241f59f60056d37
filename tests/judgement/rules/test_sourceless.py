"""Modules that consist of bytecode only are reported quietly and never dropped."""

from __future__ import annotations

from conda_prune.model import Action

from ..builders import SITE, contents_with, findings_of, in_cache


def test_only_a_module_without_its_source_is_reported_quietly() -> None:
    contents = contents_with(f"{SITE}/a.pyc", f"{SITE}/b.py", f"{SITE}/b.pyc", in_cache(SITE, "c.cpython-311.pyc"))
    (finding,) = findings_of("sourceless", "3.11", contents)
    assert (finding.path, finding.action, finding.quiet) == (f"{SITE}/a.pyc", Action.REPORT, True)
