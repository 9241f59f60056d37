"""Builds with rattler-build in which the bug of prefix-dev/pixi #4878 happens: two Pythons, one tree.

The recipe installs a module into a tree that outlives the variant, as pixi's build directory did before 0.60, and packs
all of it. The newer Python is the running interpreter, so rattler-build compiles bytecode with it; the older one is a
name only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .corpus.bytecode import cached, pyc
from .corpus.packages import PackageSpec, write_package
from .real_build import VERSION, Channel, reindex

MAJOR, MINOR = sys.version_info[:2]
OLD = f"{MAJOR}.{MINOR - 1}"
TAG, OLD_TAG = f"cpython-{MAJOR}{MINOR}", f"cpython-{MAJOR}{MINOR - 1}"
NAME = "shared-tree"
SOURCE = b"ANSWER = 42\n"
MODULE = "site-packages/shared_tree/__init__.py"

STRAY = {cached(f"lib/python{OLD}/{MODULE}", OLD_TAG), cached(f"lib/python{OLD}/{MODULE}", TAG)}
"""What the package for the newer Python must not hold: the older one's, and what rattler-build compiles beside it."""
SOURCES = {f"lib/python{OLD}/{MODULE}"}
"""What is left of the older Python's tree when its bytecode is gone."""
OWN = {f"lib/python{VERSION}/{MODULE}", cached(f"lib/python{VERSION}/{MODULE}", TAG)}
"""What the package for the newer Python is to hold."""

INSTALL = (
    "mkdir -p ../kept/lib/python$PY_VER",
    "cp -R $RECIPE_DIR/python$PY_VER/. ../kept/lib/python$PY_VER/",
    "cp -R ../kept/. $PREFIX/",
)

BUILD = """
import json, os, sys
import rattler_build

recipe, output, channel, subdir, package_format, tests, *pythons = sys.argv[1:]
variants = rattler_build.Stage0Recipe.from_file(recipe).render(
    rattler_build.VariantConfig({"python": pythons}),
    rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform=subdir)),
)
tool = rattler_build.ToolConfiguration(test_strategy=tests, keep_build=True)
built = []
for variant in variants:
    try:
        result = variant.run_build(
            tool_config=tool, output_dir=output, channels=[channel], no_build_id=True,
            package_format=package_format, no_include_recipe=True,
        )
        built.append({"packages": list(map(str, result.packages)), "log": result.log, "error": None})
    except Exception as error:
        built.append({"packages": [], "log": [], "error": str(error)})
print(json.dumps(built), flush=True)
os._exit(0)
"""

INSTALL_FROM = """
import asyncio, os, sys
import rattler

subdir, prefix, spec, *channels = sys.argv[1:]

async def install():
    records = await rattler.solve(list(map(rattler.Channel, channels)), [spec], platforms=[subdir, "noarch"])
    await rattler.install(records, prefix, show_progress=False)

asyncio.run(install())
print("[]", flush=True)
os._exit(0)
"""

TEST = """
import json, os, sys
import rattler_build

package, channel = sys.argv[1:]
result = rattler_build.Package.from_file(package).run_tests(channel=[channel])
print(json.dumps([[test.success, "\\n".join(test.output)] for test in result]), flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Built:
    """What became of one variant: its package, or why there is none."""

    package: Path | None
    log: str
    error: str | None

    @property
    def path(self) -> Path:
        """The package; raises where the build failed."""
        if self.package is None:
            raise RuntimeError(self.error)
        return self.package


def with_old_python(channel: Channel) -> Channel:
    """Add a `python` that is a name and a directory only, for the older variant."""
    files = {f"lib/python{OLD}/os.py": "# the older Python\n"}
    write_package(PackageSpec("python", f"{OLD}.1", "0_cpython", channel.subdir, files=files), channel.packages)
    reindex(channel)
    return channel


def write_recipe(directory: Path, *, hook: Sequence[str] = (), test: str = "") -> Path:
    """Write the recipe, with lines after the installation and a test's command."""
    for python, tag in ((OLD, OLD_TAG), (VERSION, TAG)):
        module = directory / f"python{python}" / MODULE
        bytecode = directory / f"python{python}" / cached(MODULE, tag)
        bytecode.parent.mkdir(parents=True)
        module.write_bytes(SOURCE)
        if python == OLD:
            bytecode.write_bytes(pyc(tag, source=SOURCE))
    recipe = {
        "package": {"name": NAME, "version": "1.0.0"},
        "build": {"number": 0, "script": [*INSTALL, *hook]},
        "requirements": {"host": ["python"], "run": ["python ${{ python }}"]},
        "tests": [{"script": [test]}] if test else [],
    }
    path = directory / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def build_variants(
    channel: Channel, recipe: Path, output: Path, *, package_format: str = "conda", tests: str = "skip"
) -> list[Built]:
    """Build the recipe for both Pythons, the older one first; `tests` is rattler-build's strategy, skip or native."""
    found = _run(
        channel, BUILD, recipe, output, channel.url, channel.subdir, package_format, tests, f"{OLD}.*", f"{VERSION}.*"
    )
    return [
        Built(Path(one["packages"][0]) if one["packages"] else None, "\n".join(one["log"]), one["error"])
        for one in found
    ]


def run_tests(channel: Channel, package: Path) -> list[tuple[bool, str]]:
    """Run the tests in a finished package with rattler-build; return for each whether it passed, and what it said."""
    return [(success, output) for success, output in _run(channel, TEST, package, channel.url)]


def install_from(channel: Channel, output: Path, prefix: Path, spec: str) -> None:
    """Solve for a package of a build's output and of the channel, and install it, with py-rattler and empty caches."""
    alone = replace(channel, caches=prefix.with_name(f"{prefix.name}-caches"))
    _run(alone, INSTALL_FROM, channel.subdir, prefix, spec, output.as_uri(), channel.url)


def _run(channel: Channel, script: str, *arguments: object) -> list[Any]:
    """Run a script with this interpreter; conda-prune is on its PATH, as a build's tools are."""
    environment = os.environ | {
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
        "RATTLER_CACHE_DIR": str(channel.caches / "hook"),
    }
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    result: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return result
