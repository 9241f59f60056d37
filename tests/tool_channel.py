"""A local channel in which conda-prune itself can be built, installed and run, without a network.

Its packages hold what is installed here: the running interpreter with its whole standard library, and, file by file,
the distributions that conda-prune needs, under the names that conda-forge gives them. Only conda-prune's own package is
built.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from .corpus.entries import AnyEntry, File, PackageSpec
from .corpus.packages import write_package
from .real_build import (
    LIBRARY,
    SITE_PACKAGES,
    VERSION,
    Channel,
    make_channel,
    python_package,
    reindex,
)

REPOSITORY = Path(__file__).resolve().parents[1]

CONDA_NAMES = {"libarchive-c": "python-libarchive-c", "msgpack": "msgpack-python"}
"""Distributions that conda-forge packages under another name than PyPI's."""

BUILD_BACKEND = ("hatchling", "pip")

_LEFT_OUT = {"site-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "_bundled"}


@dataclass(frozen=True)
class Built:
    """What rattler-build made of a recipe: the packages, one for each Python, and its log."""

    packages: tuple[Path, ...]
    log: str


@dataclass(frozen=True)
class Tested:
    """Whether a test in a package passed, and what it printed."""

    success: bool
    output: str


def make_tool_channel(directory: Path) -> Channel:
    """Make the channel, conda-prune's own package included; skip the test where this interpreter cannot be moved."""
    channel = make_channel(directory)
    write_package(whole_python(channel.subdir), channel.packages, level=1)
    for name in sorted(installed((*BUILD_BACKEND, "conda-prune"))):
        if name != "conda-prune":
            write_package(repacked(distribution(name), channel.subdir), channel.packages, level=1)
    if sys.version_info >= (3, 11):
        # Nothing imports it then, and it need not be installed here: its name is enough to solve with.
        write_package(PackageSpec("tomli", "2.0.0", "0", subdir=channel.subdir), channel.packages)
    reindex(channel)
    own = build(channel, REPOSITORY / "recipe" / "recipe.yaml", directory / "own")
    (channel.directory / "noarch").mkdir(exist_ok=True)
    shutil.copy(own.packages[0], channel.directory / "noarch")
    reindex(channel)
    return channel


def whole_python(subdir: str) -> PackageSpec:
    """Return the description of a `python` package with the standard library; it is preferred to the small one."""
    small = python_package(subdir)
    stdlib = Path(sysconfig.get_path("stdlib"))
    files: dict[str, AnyEntry] = dict(small.files)
    for parent, directories, names in os.walk(stdlib):
        directories[:] = [name for name in directories if name not in _LEFT_OUT and not name.startswith("config-")]
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                files[f"{LIBRARY}/{path.relative_to(stdlib).as_posix()}"] = File(path.read_bytes())
    extra = {**small.index_extra, "build_number": 1}
    return replace(small, build="1_cpython", files=dict(sorted(files.items())), index_extra=extra)


def installed(names: tuple[str, ...]) -> set[str]:
    """Return the names of distributions and of all that they need here, as pip spells them."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            queue += needs(distribution(name))
    return found


def needs(dist: Distribution) -> list[str]:
    """Return the names of what a distribution needs here, extras aside."""
    wanted = (Requirement(text) for text in dist.requires or ())
    return [
        wish.name.lower().replace("_", "-")
        for wish in wanted
        if wish.marker is None or wish.marker.evaluate({"extra": ""})
    ]


def repacked(dist: Distribution, subdir: str) -> PackageSpec:
    """Return the description of a package that holds an installed distribution; scripts and bytecode stay behind."""
    name = str(dist.metadata["Name"]).lower().replace("_", "-")
    depends = [f"python {VERSION}.*", *(CONDA_NAMES.get(need, need) for need in needs(dist))]
    return PackageSpec(
        CONDA_NAMES.get(name, name),
        dist.version,
        "0",
        subdir=subdir,
        depends=tuple(sorted(depends)),
        files=dict(sorted(_files(dist))),
    )


def _files(dist: Distribution) -> Iterator[tuple[str, AnyEntry]]:
    for path in dist.files or ():
        located = Path(str(dist.locate_file(path)))
        if ".." not in path.parts and path.suffix != ".pyc" and located.is_file():
            yield f"{SITE_PACKAGES}/{path.as_posix()}", File(located.read_bytes())


def build_with_hatchling(source: Path, target: str, output: Path) -> Path:
    """Return the `sdist` or the `wheel` of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(output)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = output.iterdir()
    return built


def outside_python() -> dict[str, str]:
    """Return the environment without what would lead another Python to this one's modules."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CONDA_", "VIRTUAL_ENV"))}


_BUILD = """
import os, sys
import rattler_build
from rattler_build.progress import ProgressCallback

class Log(ProgressCallback):
    def on_log(self, event):
        print(event.message, file=sys.stderr)

recipe, output, channel, subdir, *pythons = sys.argv[1:]
variants = rattler_build.Stage0Recipe.from_file(recipe).render(
    rattler_build.VariantConfig({"python": pythons} if pythons else {}),
    rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform=subdir)),
)
for variant in variants:
    result = variant.run_build(
        output_dir=output, channels=[channel], no_build_id=True, package_format="conda:1", progress_callback=Log()
    )
    print(*result.packages, sep="\\n", flush=True)
sys.stderr.flush()
os._exit(0)  # rattler's runtime may crash while the interpreter ends, after its work is done
"""

_TEST = """
import json, os, sys
import rattler_build

package, *channels = sys.argv[1:]
results = rattler_build.Package.from_file(package).run_tests(channel=channels)
print(json.dumps([[result.success, "\\n".join(result.output)] for result in results]), flush=True)
os._exit(0)
"""


def build(channel: Channel, recipe: Path, output: Path, pythons: tuple[str, ...] = ()) -> Built:
    """Build a recipe with rattler-build against the channel, for each of the Pythons."""
    done = _run(_BUILD, channel, recipe, output, channel.url, channel.subdir, *pythons)
    return Built(tuple(Path(line) for line in done.stdout.splitlines()), done.stderr)


def run_tests(channel: Channel, package: Path) -> list[Tested]:
    """Run a package's own tests with rattler-build, in an environment made from the channel."""
    done = _run(_TEST, channel, package, channel.url)
    return [Tested(success, output) for success, output in json.loads(done.stdout.splitlines()[-1])]


def _run(script: str, channel: Channel, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = outside_python() | {
        "RATTLER_CACHE_DIR": str(channel.caches / "build"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{command[3:]}: {done.stderr[-6000:]}")
    return done


def load_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    loaded = toml.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def recipe_of(path: Path) -> dict[str, Any]:
    """Return a recipe as YAML, nothing rendered."""
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(recipe, dict)
    return recipe
