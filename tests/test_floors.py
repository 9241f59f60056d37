"""The floors of the architecture: imports go downwards only, and each third party has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import conda_prune

ROOT = Path(conda_prune.__file__).parent

SHARED = ("errors", "model")
FLOORS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "limits": (),
    "model": ("limits",),
    "system": ("errors", "interruption"),
    "interruption": (),
    "isolation": (),
    "suggestions": (),
    "compression": ("compression", "system", *SHARED),
    "archive": ("archive", "compression", "system", *SHARED),
    "judgement": ("judgement", *SHARED),
    "rewrite": ("rewrite", "archive", "compression", "interruption", "system", *SHARED),
    "environment": ("environment", "rewrite", "archive", "compression", "judgement", "system", *SHARED),
    "channel": ("channel", "rewrite", "archive", "compression", "isolation", "system", *SHARED),
    "operations": (
        "operations", "channel", "rewrite", "archive", "compression", "judgement", "suggestions", "system", *SHARED
    ),
    "report": ("report", "judgement", "suggestions", *SHARED),
    "__init__": ("operations", *SHARED),
    "cli": (
        "cli", "report", "operations", "environment", "channel", "rewrite", "archive", "judgement", "interruption",
        "isolation", "suggestions", "system", "__init__", *SHARED,
    ),
    "__main__": ("cli",),
}  # fmt: skip
"""Which top-level modules each may import; a name that is not a key has no place in the architecture."""

DOORS: dict[str, tuple[str, ...]] = {
    "zstandard": (
        "operations/diff_reading.py",
        "compression/zstd/",
        "compression/settings.py",
        "rewrite/verify.py",
        "channel/compressed.py",
    ),
    "libarchive": ("rewrite/verify.py",),
    "rattler": ("judgement/variant/specs.py", "channel/indexer.py"),
    "msgpack": ("channel/shards.py",),
    "click": ("cli/", "report/progress.py"),
    "yaml": ("judgement/variant/evidence.py",),
}

IMPURE = {"os", "sys", "time", "datetime", "pathlib", "subprocess", "tempfile", "socket", "random", "shutil", "logging"}
LONGEST = 350


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floor_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports: a top-level module of ours (True), or a third party's (False)."""
    package = ("conda_prune", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from resolved(tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            if full == ("conda_prune",):
                for alias in node.names:
                    known = (ROOT / f"{alias.name}.py").exists() or (ROOT / alias.name).is_dir()
                    yield (alias.name if known else "__init__"), True
            else:
                yield from resolved(full)


def resolved(full: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    if full[0] == "conda_prune":
        yield (full[1] if len(full) > 1 else "__init__"), True
    else:
        yield full[0], False


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    floor = floor_of(path)
    assert floor in FLOORS, f"{name_of(path)} has no floor: say in FLOORS what it may import"
    for imported, ours in imports(path):
        if ours:
            assert imported in FLOORS[floor], f"{name_of(path)} imports {imported}: {floor} may not import {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_third_party_has_its_doors(path: Path) -> None:
    for imported, ours in imports(path):
        if not ours and imported in DOORS:
            assert name_of(path).startswith(DOORS[imported]), f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_judgement_is_pure(path: Path) -> None:
    if floor_of(path) == "judgement":
        found = {imported for imported, ours in imports(path) if not ours} & IMPURE
        assert not found, f"{name_of(path)} imports {', '.join(sorted(found))}: judgement reads no files and no clocks"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_opens_with_its_law_and_stays_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{name_of(path)} does not say what it promises"
    assert text.count("\n") <= LONGEST, f"{name_of(path)} has grown long: has it still one reason to change?"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_what_is_public_says_what_it_promises(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name_of(path)}: {node.name} has no docstring"


def test_the_layers_exist() -> None:
    assert {floor_of(path) for path in modules()} >= {"judgement", "archive", "report", "cli", "operations"}
