"""The hook in every place where it can run, with the real tools: rattler-build and py-rattler."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conda_prune import check

from .executable import run
from .hook_build import (
    NAME,
    OLD,
    OLD_TAG,
    OWN,
    SOURCES,
    STRAY,
    build_variants,
    install_from,
    run_tests,
    with_old_python,
    write_recipe,
)
from .real_build import VERSION, Channel, make_channel

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] == (3, 10), reason="rattler-build builds 3.10 before 3.9, in the order of their text"
)

IN_TESTS = "conda-prune check --installed $PKG_NAME"
FORMATS = pytest.mark.parametrize("package_format", ["conda", "tar-bz2"])


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with the running Python and the version before it."""
    return with_old_python(make_channel(tmp_path_factory.mktemp("hook")))


def files(package: Path) -> set[str]:
    """Return the paths in the payload, as rattler-build lists them."""
    from rattler_build import Package

    return {path for path in Package.from_file(package).files if not path.startswith("info/")}


def test_a_package_without_strays_passes_the_recipes_test(channel: Channel, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, test=IN_TESTS)
    older, _ = build_variants(channel, recipe, tmp_path / "output", tests="native")
    assert older.error is None
    assert "1 package: nothing to repair." in older.log


def test_without_the_hook_the_recipes_test_fails(channel: Channel, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, test=IN_TESTS)
    _, newer = build_variants(channel, recipe, tmp_path / "output", tests="native")
    assert newer.package is None
    assert "Test failed" in str(newer.error)


@FORMATS
def test_the_hook_keeps_stray_files_out(channel: Channel, tmp_path: Path, package_format: str) -> None:
    recipe = write_recipe(tmp_path, hook=["conda-prune prefix --fix --extend-select foreign-tree"], test=IN_TESTS)
    older, newer = build_variants(channel, recipe, tmp_path / "output", package_format=package_format, tests="native")
    assert (older.error, newer.error) == (None, None)
    assert files(newer.path) == OWN
    assert check(newer.path, deep=True).status == "clean"
    assert "fixed    $PREFIX   2 files dropped" in newer.log


def test_rattler_build_compiles_the_sources_that_remain(channel: Channel, tmp_path: Path) -> None:
    """The hook alone is not enough: it runs before rattler-build compiles, even in the tree of another Python."""
    recipe = write_recipe(tmp_path, hook=["conda-prune prefix --fix"])
    _, newer = build_variants(channel, recipe, tmp_path / "output")
    compiled = {path for path in STRAY if OLD_TAG not in path}
    assert files(newer.path) == OWN | SOURCES | compiled
    assert run("fix", "--in-place", tmp_path / "output").returncode == 0
    assert files(newer.path) == OWN | SOURCES


KILLED = """
import os, signal, sys

real, moves, last = os.replace, [], int(sys.argv[1])

def replace(*arguments, **more):
    moves.append(True)
    real(*arguments, **more)
    if len(moves) == last:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace
sys.argv = ["conda-prune", "prefix", "--fix", "--extend-select", "foreign-tree"]
from conda_prune.cli import run
run()
"""


@FORMATS
@pytest.mark.parametrize(("move", "left"), [(1, "undo"), (3, "done")], ids=["undecided", "decided"])
def test_leftovers_of_a_killed_hook_are_not_packaged(
    channel: Channel, tmp_path: Path, package_format: str, move: int, left: str
) -> None:
    killed = [
        f"{sys.executable} $RECIPE_DIR/killed.py {move} || true",
        # Only the second variant has a stray tree.
        f"test $PY_VER = {OLD} || test -d $PREFIX/conda-meta/.conda-prune-prefix.{left}",
    ]
    recipe = write_recipe(tmp_path, hook=killed)
    (tmp_path / "killed.py").write_text(KILLED)
    _, newer = build_variants(channel, recipe, tmp_path / "output", package_format=package_format)
    found = files(newer.path)
    assert not {path for path in found if "conda-prune" in path or "conda-meta" in path}
    assert found >= OWN
    assert found <= OWN | SOURCES | STRAY


@FORMATS
def test_after_the_build_packages_and_index_are_fixed(channel: Channel, tmp_path: Path, package_format: str) -> None:
    output = tmp_path / "output"
    recipe = write_recipe(tmp_path / "recipe", test=IN_TESTS)
    older, newer = build_variants(channel, recipe, output, package_format=package_format)
    assert files(newer.path) == OWN | SOURCES | STRAY, "the bug happened"
    [(passed, message)] = run_tests(channel, newer.path)
    assert not passed
    assert "foreign-path" in message
    untouched = older.path.read_bytes()

    done = run("fix", "--in-place", output)
    assert done.returncode == 0, done.stderr
    assert f"index    {output}/{channel.subdir}/repodata.json   1 record refreshed" in done.stdout
    assert older.path.read_bytes() == untouched
    assert files(newer.path) == OWN | SOURCES
    assert [passed for passed, _ in run_tests(channel, newer.path)] == [True]

    repodata = json.loads((output / channel.subdir / "repodata.json").read_text())
    records = repodata["packages"] | repodata["packages.conda"]
    for package in (older.path, newer.path):
        content = package.read_bytes()
        assert records[package.name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert records[package.name]["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert records[package.name]["size"] == len(content)

    prefix = tmp_path / "prefix"
    install_from(channel, output, prefix, NAME)
    for path in OWN:
        assert (prefix / path).is_file()
    for path in STRAY:
        assert not (prefix / path).exists()
    imported = subprocess.run(
        [prefix / "bin/python", "-Bc", "import shared_tree; print(shared_tree.ANSWER, shared_tree.__cached__)"],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert imported.stdout.startswith("42 ")
    assert run("check", "--installed", NAME, "--prefix", prefix).returncode == 0
    assert run("check", "--prefix", prefix).returncode == 0


def test_a_continued_build_finds_the_fixed_package(channel: Channel, tmp_path: Path) -> None:
    """rattler-build reads its own output as a channel, and re-indexes it without force: the record must be right."""
    output = tmp_path / "output"
    build_variants(channel, write_recipe(tmp_path / "recipe"), output)
    assert run("fix", "--in-place", output).returncode == 0
    index = output / channel.subdir / "repodata.json"
    records = json.loads(index.read_text())["packages.conda"]
    write_recipe(tmp_path / "again")
    depending = tmp_path / "again" / "recipe.yaml"
    recipe = json.loads(depending.read_text())
    recipe["package"]["name"] = "depending"
    recipe["requirements"]["host"].append(NAME)
    recipe["build"]["script"] = [
        f"test -f $SP_DIR/shared_tree/__pycache__/__init__.cpython-{VERSION.replace('.', '')}.pyc"
    ]
    depending.write_text(json.dumps(recipe))
    built = build_variants(channel, depending, output)[1]
    assert built.error is None
    after = json.loads(index.read_text())["packages.conda"]
    assert {name: after[name]["sha256"] for name in records} == {name: records[name]["sha256"] for name in records}


def test_packages_of_a_build_are_fixed_from_python(channel: Channel, tmp_path: Path) -> None:
    script = "import sys, conda_prune\nfor path in sys.argv[1:]: print(conda_prune.fix(path, in_place=True).status)\n"
    variants = build_variants(channel, write_recipe(tmp_path), tmp_path / "output")
    paths = [str(variant.path) for variant in variants]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["clean", "fixed"]
