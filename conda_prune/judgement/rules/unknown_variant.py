"""unknown-variant: bytecode in a package whose Python is not known."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Variant
from ..bytecode import Bytecode
from ..contents import Contents
from ..locations import decides, fits
from .rule import Findings, Rule, report


def unknown_variant(contents: Contents, variant: Variant) -> Findings:
    """There is bytecode, but which Python imports it is not known.

    Causes: the dependencies allow several Pythons. If the record of the build names one (info/hash_input.json, the
    recipe, the build string), files in versioned trees such as `lib/python3.11` are judged by it. Others are not: the
    package may be installed next to another Python, which imports them.

    Fix: nothing is done. `--python 3.11` says which Python the package is for.

    Prevention: depend on one Python, as the run exports of conda-forge's python do for packages that are not noarch.

        rattler-build   requirements: {host: [python], run: [python]}, without ignore_run_exports for python
        pixi            [package.host-dependencies] python = "3.11.*"
        conda-build     requirements: {host: [python], run: [python]}, without ignore_run_exports for python
    """
    undecided = contents.bytecode if variant.kind == "unknown" else list(_undecided(contents, variant))
    for bytecode in undecided:
        yield report("unknown-variant", contents, bytecode.path, bytecode.tag)


def _undecided(contents: Contents, variant: Variant) -> Iterator[Bytecode]:
    """Yield what a Python other than the inferred one may import."""
    foreign = [file for file in contents.bytecode if file.tag and not decides(variant, file.path)]
    foreign = [file for file in foreign if not fits(file.tag, variant)]
    if foreign:
        from ..interpreters import Interpreters

        interpreters = Interpreters(contents, variant)
        yield from (file for file in foreign if not interpreters.imports(file))


RULE = Rule("unknown-variant", unknown_variant, default=True, chosen="always")
