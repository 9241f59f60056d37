"""conda-prune's own conda package, built, tested and installed by the real tools, and recipes that use it as a hook."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import conda_prune

from .real_build import (
    SITE_PACKAGES,
    VERSION,
    Channel,
    install,
)
from .seed import STRAY
from .tool_channel import (
    REPOSITORY,
    build,
    build_with_hatchling,
    make_tool_channel,
    outside_python,
    run_tests,
)

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(scope="module")
def tool_channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A local channel with python, the package of conda-prune, and all of its dependencies."""
    return make_tool_channel(tmp_path_factory.mktemp("tool-channel"))


@pytest.fixture(scope="module")
def conda_package(tool_channel: Channel) -> Path:
    (package,) = (tool_channel.directory / "noarch").glob("conda-prune-*.conda")
    return package


def test_the_conda_package_is_noarch_and_clean(conda_package: Path) -> None:
    result = conda_prune.check(conda_package, deep=True, select=["all"])
    assert (result.status, result.findings) == ("clean", ())
    assert result.variant is not None
    assert (result.variant.kind, result.subdir) == ("any", "noarch")


def test_the_conda_package_holds_the_wheels_code(conda_package: Path, tmp_path: Path) -> None:
    from conda_package_handling.api import extract

    extract(str(conda_package), str(tmp_path / "unpacked"))
    with zipfile.ZipFile(build_with_hatchling(REPOSITORY, "wheel", tmp_path / "wheel")) as archive:
        code = {name: archive.read(name) for name in archive.namelist() if name.startswith("conda_prune/")}
    below = tmp_path / "unpacked" / "site-packages"
    files = [path for path in (below / "conda_prune").rglob("*") if path.is_file()]
    packed = {path.relative_to(below).as_posix(): path.read_bytes() for path in files}
    assert packed == code
    assert "conda-prune = conda_prune.cli:main" in (tmp_path / "unpacked/info/link.json").read_text()
    assert (tmp_path / "unpacked/info/licenses/LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def test_the_conda_package_passes_its_own_tests(conda_package: Path, tool_channel: Channel) -> None:
    results = run_tests(tool_channel, conda_package)
    assert len(results) == 2
    for result in results:
        assert result.success, result.output


def test_the_conda_package_installs_and_repairs(tool_channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    install(tool_channel, prefix, "conda-prune")
    package = STRAY[0].copy(tmp_path)
    command = prefix / "bin" / "conda-prune"
    done = subprocess.run([command, "fix", "--in-place", package], env=outside_python(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert conda_prune.check(package, deep=True).status == "clean"


HOOK = "    - conda-prune prefix --fix\n"

PLANTED = {
    f"{SITE_PACKAGES}/hello/__pycache__/__init__.cpython-39.pyc": "foreign-tag",
    "lib/python3.9/site-packages/hello/__pycache__/__init__.cpython-39.pyc": "foreign-path",
    f"lib/python3.9/site-packages/hello/__pycache__/__init__.cpython-{VERSION.replace('.', '')}.pyc": "foreign-path",
}
"""Bytecode that earlier variants could have left in the host environment, by its kind of finding."""


def plant(prefix: str) -> list[str]:
    """Return the lines of a script that leave stray bytecode in a prefix."""
    return [f'mkdir -p "{prefix}/{os.path.dirname(path)}" && echo stray > "{prefix}/{path}"' for path in PLANTED]


def example(directory: Path, *, hook: bool) -> Path:
    """Return a copy of the example recipe, with a step that creates stray bytecode before the hook (if any)."""
    shutil.copytree(EXAMPLES / "rattler-build", directory)
    recipe = directory / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8")
    assert text.count(HOOK) == 1
    planting = "".join(f"    - {line}\n" for line in plant("$PREFIX"))
    recipe.write_text(text.replace(HOOK, planting + (HOOK if hook else "")), encoding="utf-8")
    return recipe


def test_the_example_recipe_without_its_hook_fails_its_test(tool_channel: Channel, tmp_path: Path) -> None:
    built = build(tool_channel, example(tmp_path / "example", hook=False), tmp_path / "output", (f"{VERSION}.*",))
    (package,) = built.packages
    found = {finding.path: finding.kind for finding in conda_prune.check(package).findings}
    assert found == PLANTED
    assert not all(result.success for result in run_tests(tool_channel, package))
    assert conda_prune.fix(package, in_place=True).status == "fixed"
    results = run_tests(tool_channel, package)
    assert all(result.success for result in results), results


def test_the_example_recipe_packs_no_stray_bytecode(tool_channel: Channel, tmp_path: Path) -> None:
    built = build(tool_channel, example(tmp_path / "example", hook=True), tmp_path / "output", (f"{VERSION}.*",))
    (package,) = built.packages
    result = conda_prune.check(package, deep=True, extend_select=["foreign-tree"])
    assert (result.status, result.findings) == ("clean", ())
    assert result.variant is not None
    assert result.variant.python == VERSION
    results = run_tests(tool_channel, package)
    assert len(results) == 2
    assert all(result.success for result in results), results


def test_the_conda_build_script_leaves_no_stray_bytecode(tool_channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    install(tool_channel, prefix, "python", "pip", "hatchling", "conda-prune")
    owned = {path for path in prefix.rglob("*") if path.is_file()}
    shutil.copytree(EXAMPLES / "rattler-build" / "hello", tmp_path / "work")
    # The variables of conda-build that the script and the hook use.
    environment = outside_python() | {
        "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PREFIX": str(prefix),
        "PYTHON": str(prefix / "bin" / "python"),
        "PY_VER": VERSION,
        "SP_DIR": str(prefix / SITE_PACKAGES),
        "PKG_NAME": "hello",
        "CONDA_BUILD": "1",
        "PIP_NO_INDEX": "1",
    }
    for line in plant(str(prefix)):
        subprocess.run(["bash", "-c", line], check=True)
    script = EXAMPLES / "conda-build" / "build.sh"
    done = subprocess.run(["bash", script], cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    assert not left & PLANTED.keys()
    assert f"{SITE_PACKAGES}/hello/__init__.py" in left
    assert {path.relative_to(prefix).as_posix() for path in owned} <= left
