"""Makes the packages of testdata/seed again: a pure-Python project built for four Pythons.

The leftovers are those of prefix-dev/pixi #4878, where all variants shared one host prefix: the package of
each Python also holds the whole tree of every earlier one, with the bytecode that the earlier installation
made and, next to it, the bytecode that the build tool made again with the current Python. For N modules that
is N, 3N, 5N and 7N bytecode files.

Needs node, npm, pip (all with access to their registries) and py-rattler-build.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCE_DATE = 1_762_128_000
"""Modification time of every file that is laid out: 2025-11-03, the day of the bug report."""

COMPILER = Path(__file__).with_name("compile_with_pyodide.mjs")

INSTALLED = "CHECKED_HASH"
"""How pip's bytecode is validated: compiled under a build's SOURCE_DATE_EPOCH, it carries a source hash."""

RECOMPILED = "TIMESTAMP"
"""How rattler-build's own bytecode is validated: by the time and size of the source."""


@dataclass(frozen=True)
class Python:
    """A CPython minor version and the pyodide release that carries it."""

    version: str
    pyodide: str

    @property
    def digits(self) -> str:
        """The version as in build strings and tags: ``313``."""
        return self.version.replace(".", "")

    @property
    def tag(self) -> str:
        """The cache tag of its bytecode: ``cpython-313``."""
        return f"cpython-{self.digits}"

    @property
    def library(self) -> str:
        """Its library folder in a prefix: ``lib/python3.13``."""
        return f"lib/python{self.version}"

    @property
    def site_packages(self) -> str:
        """Its site-packages in a prefix: ``lib/python3.13/site-packages``."""
        return f"{self.library}/site-packages"

    @property
    def next_version(self) -> str:
        """The minor version after it: ``3.14``."""
        major, minor = self.version.split(".")
        return f"{major}.{int(minor) + 1}"


PYTHONS = (
    Python("3.10", "0.22.1"),
    Python("3.11", "0.25.1"),
    Python("3.12", "0.27.7"),
    Python("3.13", "0.29.4"),
)


@dataclass(frozen=True)
class Project:
    """A project on a package index, and what the recipe says about it."""

    name: str
    version: str
    requirement: str
    homepage: str
    license: str
    summary: str
    pip_options: tuple[str, ...] = ()


SEED = Project(
    name="pyproject_hooks",
    version="1.3.3",
    requirement="pyproject_hooks==1.3.3",
    homepage="https://github.com/pypa/pyproject-hooks",
    license="MIT",
    summary="Wrappers to call pyproject.toml-based build backend hooks.",
)


def download_wheel(project: Project, downloads: Path) -> Path:
    """Return the project's wheel, downloaded into ``downloads/wheels`` unless it is there."""
    wheels = downloads / "wheels"
    pattern = f"{project.name.replace('-', '_')}-{project.version}*.whl"
    if not list(wheels.glob(pattern)):
        options = ["--no-deps", "--only-binary", ":all:", "--dest", str(wheels), *project.pip_options]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, project.requirement]
        subprocess.run(command, check=True)
    (wheel,) = wheels.glob(pattern)
    return wheel


def download_pyodide(python: Python, downloads: Path) -> Path:
    """Return the pyodide npm package of a Python, installed into ``downloads/npm`` unless it is there."""
    # pyodide 0.22 imports modules that it does not bundle, so an unpacked tarball alone does not run.
    folder = downloads / "npm" / python.pyodide
    package = folder / "node_modules" / "pyodide"
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        options = [
            "--prefix",
            str(folder),
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel",
            "error",
        ]
        subprocess.run(["npm", "install", *options, f"pyodide@{python.pyodide}"], check=True)
    return package


def compile_folders(python: Python, downloads: Path, prefix: Path, mode: str, folders: Sequence[str]) -> list[str]:
    """Compile the sources below folders of a prefix; return those that the interpreter cannot compile.

    The bytecode comes from the real CPython in pyodide and goes into ``__pycache__`` under that interpreter's
    own tag. Bytecode of other interpreters stays.
    """
    pyodide = download_pyodide(python, downloads)
    command = ["node", str(COMPILER), str(pyodide), str(prefix), mode, *folders]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(output.splitlines()[-1])
    if report["tag"] != python.tag:
        raise RuntimeError(f"pyodide {python.pyodide} makes {report['tag']}, not {python.tag}")
    set_dates(prefix)
    return [str(path) for path in report["failed"]]


def install_wheel(python: Python, downloads: Path, wheel: Path, prefix: Path) -> list[str]:
    """Install a wheel into a prefix as pip does, bytecode and RECORD included.

    Return the sources that the interpreter cannot compile. Console scripts and ``.data`` folders are not
    handled.
    """
    site_packages = prefix / python.site_packages
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    (metadata,) = site_packages.glob("*.dist-info")
    (metadata / "INSTALLER").write_text("pip\n")
    (metadata / "REQUESTED").touch()
    set_dates(prefix)
    failed = compile_folders(python, downloads, prefix, INSTALLED, [python.site_packages])
    write_record(site_packages, metadata)
    set_dates(prefix)
    return failed


def write_record(site_packages: Path, metadata: Path) -> None:
    """Write RECORD in pip's form: sorted, with hash and size, which bytecode and RECORD itself go without."""
    record = metadata / "RECORD"
    rows = []
    for path in files_below(site_packages):
        name = path.relative_to(site_packages).as_posix()
        if path.suffix == ".pyc" or path == record:
            rows.append((name, "", ""))
        else:
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
            rows.append((name, f"sha256={digest}", str(path.stat().st_size)))
    with record.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(sorted(rows))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())


def set_dates(folder: Path) -> None:
    """Give every file below a folder the fixed source date."""
    for path in files_below(folder):
        os.utime(path, (SOURCE_DATE, SOURCE_DATE))


def lay_out_leftovers(wheel: Path, downloads: Path, trees: Path) -> dict[Python, Path]:
    """Lay out what each Python's variant of #4878 packed, below ``trees``; return the folder of each.

    A tree that is there already is taken as it is.
    """
    laid_out = {}
    for position, python in enumerate(PYTHONS):
        tree = trees / f"py{python.digits}"
        laid_out[python] = tree
        if tree.is_dir():
            continue
        # Under its final name only when whole, so that an interrupted run is not taken for a result.
        growing = trees / f"py{python.digits}.part"
        shutil.rmtree(growing, ignore_errors=True)
        failed = install_wheel(python, downloads, wheel, growing)
        earlier = PYTHONS[:position]
        for other in earlier:
            shutil.copytree(laid_out[other] / other.library, growing / other.library)
        if earlier:
            folders = [other.library for other in earlier]
            failed += compile_folders(python, downloads, growing, RECOMPILED, folders)
        if failed:
            raise RuntimeError(f"Python {python.version} cannot compile {failed}")
        growing.rename(tree)
    return laid_out


def build_package(
    project: Project, python: Python, tree: Path, output: Path, package_format: str | None = None
) -> Path:
    """Package a tree for a Python with rattler-build and return the package, moved into ``output``.

    Without a format the tool's default is used: ``.conda`` at its default level. The bytes of two builds
    differ, because rattler-build dates every member with the time of the build.
    """
    import rattler_build

    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="conda-prune-build-") as scratch:
        work = Path(scratch)
        # A source given as an absolute path would put this machine's paths into info/recipe.
        (work / "tree").symlink_to(tree.resolve(), target_is_directory=True)
        recipe = work / "recipe" / "recipe.yaml"
        recipe.parent.mkdir()
        recipe.write_text(recipe_text(project, python, tree), encoding="utf-8")
        (variant,) = rattler_build.Stage0Recipe.from_file(recipe).render(
            rattler_build.VariantConfig({"python": [python.version]}),
            rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform="linux-64")),
        )
        result = variant.run_build(
            output_dir=work / "output", channels=[], no_build_id=True, package_format=package_format
        )
        (built,) = result.packages
        package = Path(shutil.move(built, output / Path(built).name))
    package.chmod(0o644)
    return package


def recipe_text(project: Project, python: Python, tree: Path) -> str:
    """Return the recipe that packs a tree as it is: nothing is compiled, relocated or fetched."""
    (metadata,) = (tree / python.site_packages).glob("*.dist-info")
    licenses = sorted(path.relative_to(tree).as_posix() for path in (metadata / "licenses").glob("LICENSE*"))
    return f"""\
package:
  name: {project.name}
  version: {json.dumps(project.version)}

source:
  path: ../tree
  use_gitignore: false

build:
  number: 0
  script: cp -R lib "$PREFIX/"
  dynamic_linking:
    binary_relocation: false

requirements:
  run:
    - python >=${{{{ python }}}},<{python.next_version}.0a0
    - python_abi ${{{{ python }}}}.* *_cp{python.digits}

about:
  homepage: {project.homepage}
  license: {project.license}
  license_file: {json.dumps(licenses)}
  summary: {json.dumps(project.summary)}
"""


def facts(tree: Path, python: Python, level: int) -> dict[str, object]:
    """Return what is true of a package that holds a tree, told from the tree alone.

    ``members`` counts the files outside ``info/``. A bytecode file is stray when its folder or its tag is not
    the Python's own.
    """
    names = sorted(path.relative_to(tree).as_posix() for path in files_below(tree))
    bytecode = [name for name in names if name.endswith(".pyc")]
    own = [name for name in bytecode if name.startswith(f"{python.library}/") and f".{python.tag}." in name]
    stray = sorted(set(bytecode) - set(own))
    return {
        "python": python.version,
        "level": level,
        "members": len(names),
        "bytecode": {"total": len(bytecode), "own": len(own), "stray": len(stray)},
        "stray": stray,
    }


def write_facts(package: Path, told: dict[str, object]) -> None:
    """Write the facts of a package beside it, as ``PACKAGE.json``, with the package's sha256."""
    told = {**told, "sha256": hashlib.sha256(package.read_bytes()).hexdigest()}
    package.with_name(f"{package.name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def make_seed(downloads: Path, trees: Path, output: Path) -> None:
    """Write the six packages of the seed and their facts into ``output``, replacing those there."""
    laid_out = lay_out_leftovers(download_wheel(SEED, downloads), downloads, trees)
    for old in [*output.glob("*.conda*"), *output.glob("*.tar.bz2*")]:
        old.unlink()
    for python, tree in laid_out.items():
        package = build_package(SEED, python, tree, output)
        write_facts(package, facts(tree, python, level=15))
        if python in (PYTHONS[0], PYTHONS[-1]):
            package = build_package(SEED, python, tree, output, package_format="tar-bz2")
            write_facts(package, facts(tree, python, level=9))


def main() -> None:
    """Make the seed."""
    parser = argparse.ArgumentParser(description="Make the packages of testdata/seed again.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("seed"), help="default: testdata/seed")
    parser.add_argument("--downloads", type=Path, help="keep the downloads here (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conda-prune-seed-") as scratch:
        downloads = arguments.downloads or Path(scratch) / "downloads"
        make_seed(downloads, Path(scratch) / "trees", arguments.output)


if __name__ == "__main__":
    main()
