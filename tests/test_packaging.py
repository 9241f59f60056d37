"""The sdist and the wheel of conda-prune can be built, are complete, install and run; the recipe agrees with them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import conda_prune

from .seed import STRAY
from .tool_channel import (
    CONDA_NAMES,
    REPOSITORY,
    build_with_hatchling,
    load_toml,
    outside_python,
    recipe_of,
)

RECIPE = REPOSITORY / "recipe" / "recipe.yaml"
NOT_IN_SDIST = {".ci", ".gitattributes", ".gitignore"}
"""Files that only the repository needs."""


def project() -> dict[str, object]:
    loaded = load_toml(REPOSITORY / "pyproject.toml")["project"]
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_hatchling(REPOSITORY, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked sdist, as pip and conda-forge do."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory)
    (source,) = directory.iterdir()
    return build_with_hatchling(source, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel, which can also import the libraries of this environment."""
    if os.name == "nt" and not (Path(venv.__file__).parent / "scripts" / "nt").exists():
        pytest.skip("this Python was installed without what makes virtual environments")
    directory = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = executable(directory, "python")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", f"--python={python}", "install", *options, str(wheel)], check=True)
    (site_packages,) = {path.parents[1] for path in directory.rglob("conda_prune/__init__.py")}
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "libraries-of-the-test-environment.pth").write_text("\n".join(sorted(libraries)))
    return directory


def executable(environment: Path, name: str) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / (f"{name}.exe" if os.name == "nt" else name)


def test_the_sdist_holds_every_file_of_the_repository(sdist: Path) -> None:
    if not (REPOSITORY / ".git").exists() or shutil.which("git") is None:
        pytest.skip("only a checkout knows which files are the repository's")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout
    tracked = {name for name in listed.decode().split("\0") if name and (REPOSITORY / name).exists()}
    wanted = {name for name in tracked if name.split("/")[0] not in NOT_IN_SDIST}
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted - held == set()
    assert {"LICENSE", "CHANGELOG.md", "README.md", "PKG-INFO"} <= held
    assert not [name for name in held if name.endswith(".pyc")]


def test_the_wheel_holds_the_code_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    code = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "conda_prune").rglob("*.py")}
    libraries = REPOSITORY / "conda_prune" / "report" / "audit" / "libraries"
    code |= {path.relative_to(REPOSITORY).as_posix() for path in libraries.rglob("*") if path.is_file()}
    metadata = f"conda_prune-{conda_prune.__version__}.dist-info"
    assert wheel.name.endswith("-py3-none-any.whl")
    assert {name for name in names if not name.startswith(metadata)} == {
        *code,
        "conda_prune/py.typed",
        "conda_prune/report/audit/page.css",
        "conda_prune/report/audit/page.js",
        "conda_prune/report/diff_schema.json",
        "conda_prune/report/schema.json",
    }
    assert f"{metadata}/licenses/LICENSE" in names
    assert sum(name.startswith(f"{metadata}/licenses/conda_prune/report/audit/libraries/") for name in names) == 3


def test_the_installed_wheel_repairs_a_package(environment: Path, tmp_path: Path) -> None:
    command = executable(environment, "conda-prune")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = list(map(str, arguments))
        return subprocess.run(line, cwd=tmp_path, env=outside_python(), stdout=subprocess.PIPE, encoding="utf-8")

    assert run(command, "--version").stdout.split() == ["conda-prune,", "version", conda_prune.__version__]
    where = run(executable(environment, "python"), "-c", "import conda_prune; print(conda_prune.__file__)").stdout
    assert Path(where.strip()).is_relative_to(environment)
    package = STRAY[0].copy(tmp_path)
    assert run(command, "check", package).returncode == 1
    assert run(command, "fix", "--in-place", package).returncode == 0
    assert run(command, "check", package).returncode == 0


def imported() -> set[str]:
    """Return the top-level third-party modules that conda_prune imports anywhere."""
    modules: set[str] = set()
    for path in (REPOSITORY / "conda_prune").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.partition(".")[0])
    return modules - set(sys.stdlib_module_names) - {"conda_prune"}


def modules_of(name: str) -> set[str]:
    """Return the top-level modules of an installed distribution."""
    return {Path(path.parts[0]).name.partition(".")[0] for path in distribution(name).files or ()}


EXTRAS = ("dask", "parquet")
"""The optional dependencies that conda-prune itself imports; the others are for working on it."""


def optional() -> set[str]:
    """Return the names of the dependencies in EXTRAS."""
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    return {Requirement(text).name.lower() for extra in EXTRAS for text in extras[extra]}


def declared() -> dict[str, str]:
    """Return the version bounds of the dependencies in pyproject.toml by name, without markers."""
    dependencies = project()["dependencies"]
    assert isinstance(dependencies, list)
    return {(wish := Requirement(text)).name.lower(): str(wish.specifier) for text in dependencies}


def test_every_imported_module_is_declared() -> None:
    # tomli is imported by name, and only if the standard library has no tomllib.
    needed = {name: modules_of(name) for name in (declared().keys() - {"tomli"}) | optional()}
    # The plugin is imported by conda.
    assert imported() - {"conda", "conda_build"} <= set().union(*needed.values())
    assert [name for name, modules in needed.items() if not modules & imported()] == []


def test_the_recipe_matches_pyproject() -> None:
    recipe = recipe_of(RECIPE)
    context, requirements = recipe["context"], recipe["requirements"]
    assert isinstance(context, dict)
    assert isinstance(requirements, dict)
    metadata = project()
    assert context["version"] == metadata["version"] == conda_prune.__version__
    assert f">={context['python_min']}" == metadata["requires-python"]
    run = dict(line.partition(" ")[::2] for line in requirements["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    # Only Python 3.10 needs tomli, but a noarch package cannot express that.
    wanted = {CONDA_NAMES.get(name, name): bound for name, bound in declared().items()}
    assert run == wanted
    assert dict(entry.split(" = ") for entry in recipe["build"]["python"]["entry_points"]) == metadata["scripts"]
