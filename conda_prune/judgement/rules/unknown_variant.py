"""unknown-variant: bytecode in a package whose Python is not known."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Variant
from ..bytecode import Bytecode
from ..contents import Contents
from ..locations import can_judge, foreign_tags
from .rule import Findings, Rule, report


def unknown_variant(contents: Contents, variant: Variant) -> Findings:
    """Bytecode in a package for which the Python is not known.

    Causes: the dependencies allow several Pythons. If the build metadata names one (info/hash_input.json, the recipe or
    the build string), files in versioned trees such as `lib/python3.11` are judged by it. Other files are not: the
    package may be installed next to another Python, which imports them.

    Fix: nothing. Use `--python 3.11` to say which Python the package is for.

    Prevention: depend on one minor version of Python, as the run exports of conda-forge's python do for packages that
    are not noarch.

        rattler-build   requirements: {host: [python], run: [python]}, without ignore_run_exports for python
        pixi            [package.host-dependencies] python = "3.11.*"
        conda-build     requirements: {host: [python], run: [python]}, without ignore_run_exports for python
    """
    undecided = contents.bytecode if variant.kind == "unknown" else list(_undecided(contents, variant))
    for bytecode in undecided:
        yield report("unknown-variant", contents, bytecode.path, bytecode.tag)


def _undecided(contents: Contents, variant: Variant) -> Iterator[Bytecode]:
    """Yield the bytecode that the inferred Python cannot import, but another Python may."""
    foreign = foreign_tags(contents, variant) if variant.inferred else ()
    candidates = [file for file in contents.bytecode if file.tag in foreign] if foreign else []
    candidates = [file for file in candidates if not can_judge(variant, file.path)]
    if candidates:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        yield from (file for file in candidates if not interpreters.imports(file))


RULE = Rule("unknown-variant", unknown_variant, default=True, chosen="always")
