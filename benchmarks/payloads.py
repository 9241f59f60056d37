"""Builds the real payloads of the benchmarks with rattler-build.

``numba-cuda``: the wheel laid out for four Pythons with the leftovers of prefix-dev/pixi #4878, the case in
which the bug was found. ``torch``: the CPU wheel for Python 3.11 with the bytecode that a Python 3.10 variant
left under ``lib/python3.10``, tagged 3.10 and 3.11, about 865 MB of tar. What an earlier run left in the folder
is used again.

Needs node, npm, pip (all with access to their registries) and py-rattler-build.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

# Scripts do not see beyond their own folder, and the seed of the tests is laid out by the same code.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testdata"))

import make_seed

NUMBA_CUDA = make_seed.Project(
    name="numba-cuda",
    version="0.20.0",
    requirement="numba-cuda==0.20.0",
    homepage="https://github.com/NVIDIA/numba-cuda",
    license="BSD-2-Clause",
    summary="CUDA target for Numba",
)

TORCH = make_seed.Project(
    name="torch",
    version="2.13.0",
    requirement="torch==2.13.0+cpu",
    homepage="https://pytorch.org",
    license="BSD-3-Clause",
    summary="Tensors and dynamic neural networks in Python with strong GPU acceleration",
    pip_options=(
        *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
        *("--index-url", "https://download.pytorch.org/whl/cpu"),
    ),
)

PYTHON_310, PYTHON_311, *_ = make_seed.PYTHONS


def build_numba_cuda(folder: Path) -> list[Path]:
    """Build numba-cuda for Python 3.10 to 3.13 into a folder; return its five packages.

    The four ``.conda`` come first, in the order of their Pythons, then the ``.tar.bz2`` of the last.
    """
    wheel = make_seed.download_wheel(NUMBA_CUDA, folder)
    trees = make_seed.lay_out_leftovers(wheel, folder, folder / "trees")
    packages = [build_once(NUMBA_CUDA, python, tree, folder) for python, tree in trees.items()]
    last = make_seed.PYTHONS[-1]
    packages.append(build_once(NUMBA_CUDA, last, trees[last], folder, archive="tar-bz2", level=9))
    return packages


def build_torch(folder: Path, level: int = 15) -> Path:
    """Build torch at a zstd level into ``folder/level-N``; return the package."""
    tree = folder / "trees" / f"py{PYTHON_311.digits}"
    if not tree.is_dir():
        growing = tree.with_suffix(".part")
        shutil.rmtree(growing, ignore_errors=True)
        make_seed.install_wheel(PYTHON_311, folder, make_seed.download_wheel(TORCH, folder), growing)
        leave_bytecode(folder, growing)
        growing.rename(tree)
    return build_once(TORCH, PYTHON_311, tree, folder / f"level-{level}", level=level)


def leave_bytecode(downloads: Path, prefix: Path) -> None:
    """Leave in a Python 3.11 prefix the bytecode of a Python 3.10 tree: what 3.10 compiled there, and 3.11 again.

    It is what #4878 leaves of an earlier variant once its sources are gone.
    """
    own, other = prefix / PYTHON_311.site_packages, prefix / PYTHON_310.site_packages
    for source in own.rglob("*.py"):
        copy = other / source.relative_to(own)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)
    # Modules that need a newer Python, and templates, have no bytecode after a real build either.
    for python in (PYTHON_310, PYTHON_311):
        make_seed.compile_folders(python, downloads, prefix, make_seed.RECOMPILED, [PYTHON_310.library])
    for source in other.rglob("*.py"):
        source.unlink()


def build_once(
    project: make_seed.Project,
    python: make_seed.Python,
    tree: Path,
    output: Path,
    archive: str = "conda",
    level: int = 15,
) -> Path:
    """Return the package of a tree in ``output``, built there with its facts unless both are there.

    The default level is also rattler-build's own.
    """
    extension = {"conda": ".conda", "tar-bz2": ".tar.bz2"}[archive]
    for package in output.glob(f"{project.name}-{project.version}-py{python.digits}h*{extension}"):
        if package.with_name(f"{package.name}.json").is_file():
            return package
    package = make_seed.build_package(project, python, tree, output, f"{archive}:{level}")
    make_seed.write_facts(package, make_seed.facts(tree, python, level))
    return package


def main() -> None:
    """Build one payload and print the paths of its packages."""
    parser = argparse.ArgumentParser(description="Build the real payloads of the benchmarks.")
    parser.add_argument("payload", choices=["numba-cuda", "torch"])
    parser.add_argument("folder", type=Path, help="downloads, trees and packages go here and are used again")
    parser.add_argument("--level", type=int, default=15, help="zstd level of the torch package (default: 15)")
    arguments = parser.parse_args()
    if arguments.payload == "torch":
        packages = [build_torch(arguments.folder, arguments.level)]
    else:
        packages = build_numba_cuda(arguments.folder)
    for package in packages:
        print(package)


if __name__ == "__main__":
    main()
