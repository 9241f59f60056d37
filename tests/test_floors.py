"""The floors of the architecture: imports go downwards only, and each third party has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import conda_prune
from conda_prune.judgement.rules import RULES

ROOT = Path(conda_prune.__file__).parent

SHARED = ("errors", "model")
FLOORS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "limits": (),
    "model": ("limits",),
    "system": ("errors", "interruption", "windows"),
    "windows": (),
    "interruption": (),
    "isolation": (),
    "suggestions": (),
    "quantities": (),
    "compression": ("compression", "system", *SHARED),
    "archive": ("archive", "compression", "system", *SHARED),
    "judgement": ("judgement", "quantities", *SHARED),
    "rewrite": ("rewrite", "archive", "compression", "interruption", "system", *SHARED),
    "environment": ("environment", "rewrite", "archive", "compression", "judgement", "system", *SHARED),
    "channel": ("channel", "rewrite", "archive", "compression", "isolation", "system", *SHARED),
    "operations": (
        "operations", "channel", "rewrite", "archive", "compression", "judgement", "suggestions", "system", *SHARED
    ),
    "report": ("report", "operations", "judgement", "interruption", "quantities", "suggestions", "windows", *SHARED),
    "audit": (
        "audit", "report", "operations", "judgement", "quantities", "isolation", "system", "windows", "__init__",
        *SHARED,
    ),
    "__init__": ("operations", *SHARED),
    "cli": (
        "cli", "audit", "report", "operations", "environment", "channel", "rewrite", "archive", "judgement",
        "interruption", "isolation", "quantities", "suggestions", "system", "windows", "__init__", *SHARED,
    ),
    "__main__": ("cli",),
    "integrations": ("cli", "interruption", "isolation", "windows"),
}  # fmt: skip
"""Which top-level modules each may import; a name that is not a key has no place in the architecture."""

DOORS: dict[str, tuple[str, ...]] = {
    "zstandard": (
        "operations/diff_reading.py",
        "compression/zstd/",
        "compression/level_recovery.py",
        "rewrite/readers.py",
        "rewrite/verify.py",
        "channel/compressed.py",
    ),
    "libarchive": ("rewrite/readers.py", "rewrite/libarchive.py"),
    "rattler": ("judgement/variant/specs.py", "channel/indexer.py", "audit/repodata.py", "audit/reader.py"),
    "msgpack": ("channel/shards.py",),
    "distributed": ("audit/cluster.py",),
    "pyarrow": ("report/audit/parquet.py",),
    "click": ("cli/",),
    "rich": ("report/progress.py",),
    "yaml": ("judgement/variant/evidence.py",),
    "conda": ("integrations/conda.py",),
    "conda_build": ("integrations/conda.py",),
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


@pytest.mark.parametrize("path", [ROOT / "__init__.py", *ROOT.glob("integrations/*.py")], ids=name_of)
def test_what_conda_imports_at_its_start_is_light(path: Path) -> None:
    if path.stem == "conda_command":
        return  # It runs in a process of its own.
    tree = ast.parse(path.read_text("utf-8"))
    imported = {name for node in tree.body for name in imported_at_start(node)}
    light = {"__future__", "collections", "contextlib", "os", "sys", "typing", "conda"}
    assert imported <= light, f"{name_of(path)} imports {', '.join(sorted(imported - light))} when conda starts"


def imported_at_start(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level or (node.module or "").partition(".")[0]


def test_no_modules_import_each_other() -> None:
    graph = {path: set(imported_modules(path)) - {path} for path in modules()}
    while leaves := {path for path, imported in graph.items() if not imported & graph.keys()}:
        graph = {path: imported for path, imported in graph.items() if path not in leaves}
    assert not graph, f"these import each other: {', '.join(sorted(map(name_of, graph)))}"


def imported_modules(path: Path) -> Iterator[Path]:
    """Yield the modules of ours that a module imports, in functions as well; not those for type checkers alone."""
    package = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {id(part) for node in ast.walk(tree) if isinstance(node, ast.If) for part in types_only(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in for_types:
            base = ROOT.joinpath(*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            for alias in node.names:
                candidates = (base / f"{alias.name}.py", base / alias.name / "__init__.py")
                containers = (base.with_suffix(".py"), base / "__init__.py")
                yield next(file for file in (*candidates, *containers) if file.exists())


def types_only(node: ast.If) -> Iterator[ast.AST]:
    if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        yield from ast.walk(node)


KINDS = {rule.kind for rule in RULES}


@pytest.mark.parametrize(
    "path", [path for path in modules() if "rules" not in path.relative_to(ROOT).parts], ids=name_of
)
def test_only_rules_know_kinds(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in KINDS}
    assert not named, f"{name_of(path)} depends on {', '.join(sorted(named))}: make what it needs a field of Rule"
    rules = {file.stem for file in (ROOT / "judgement" / "rules").glob("*.py")} - {"__init__", "rule"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            assert not ("rules" in parts and parts & rules), f"{name_of(path)} imports a rule: use RULES"


def test_each_rule_is_named_after_its_kind() -> None:
    files = {file.stem for file in (ROOT / "judgement" / "rules").glob("*.py")} - {"__init__", "rule"}
    assert files == {kind.replace("-", "_") for kind in KINDS}
    for rule in RULES:
        assert rule.find.__name__ == rule.kind.replace("-", "_")
        assert rule.find.__module__.endswith(f".rules.{rule.find.__name__}")
