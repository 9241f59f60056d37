"""Real builds without a network: a channel whose `python` is this interpreter, rattler-build, and prefixes to run in.

The `python` package holds no more of the running interpreter than starts it and compiles: its executable, its shared
library where it has one, and the modules that `py_compile` imports. That keeps a build at a few seconds. Whatever runs
rattler runs in a process of its own, with a cache of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from .corpus.entries import AnyEntry
from .corpus.packages import (
    File,
    PackageSpec,
    Symlink,
    write_package,
)

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"lib/python{VERSION}"
SITE_PACKAGES = f"{LIBRARY}/site-packages"
DEPENDS = (f"python >={VERSION},<{sys.version_info.major}.{sys.version_info.minor + 1}.0a0",)
"""What a package that is built with this python depends on, as conda-forge's python makes it do."""


@dataclass(frozen=True)
class Channel:
    """A local channel with a `python`, and the directory for the caches of everything that uses it."""

    directory: Path
    subdir: str
    caches: Path

    @property
    def url(self) -> str:
        return self.directory.as_uri()

    @property
    def packages(self) -> Path:
        """Where the channel's packages for this machine are."""
        return self.directory / self.subdir


def make_channel(directory: Path) -> Channel:
    """Make a channel that holds this interpreter as `python`; skip the test where it cannot be moved."""
    if os.name != "posix" or sys.implementation.name != "cpython":
        pytest.skip("the packed interpreter is a CPython in the layout of a POSIX system")
    channel = Channel(directory / "channel", _run(SUBDIR, directory).strip(), directory / "caches")
    channel.packages.mkdir(parents=True)
    write_package(python_package(channel.subdir), channel.packages, level=1)
    reindex(channel)
    prefix = directory / "python-alone"
    install(channel, prefix, "python")
    found = subprocess.run([prefix / "bin/python", "-Ic", "import sys; print(sys.prefix)"], stdout=subprocess.PIPE)
    if found.stdout.decode().strip() != str(prefix.resolve()):
        pytest.skip("this interpreter does not run from another prefix")
    return channel


def python_package(subdir: str) -> PackageSpec:
    """Return the description of a `python` package that holds the running interpreter."""
    return PackageSpec(
        "python",
        f"{VERSION}.{sys.version_info.micro}",
        "0_cpython",
        subdir=subdir,
        files=dict(sorted(_interpreter())),
    )


def _interpreter() -> list[tuple[str, AnyEntry]]:
    executable = Path(os.path.realpath(sys.executable))
    files: list[tuple[str, AnyEntry]] = [
        (f"bin/python{VERSION}", File(executable.read_bytes(), 0o755)),
        ("bin/python", Symlink(f"python{VERSION}")),
        ("bin/python3", Symlink(f"python{VERSION}")),
    ]
    for variable in ("INSTSONAME", "LDLIBRARY"):
        library = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var(variable)))
        if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.is_file():
            files.append((f"lib/{library.name}", File(library.read_bytes(), 0o755)))
    listed = subprocess.run([executable, "-IBc", MODULES], check=True, stdout=subprocess.PIPE).stdout
    stdlib, modules = json.loads(listed)
    for module in modules:
        name = Path(module).relative_to(stdlib).as_posix()
        if not name.startswith("site-packages/"):
            files.append((f"{LIBRARY}/{name}", File(Path(module).read_bytes())))
    return files


MODULES = """
import encodings.ascii, encodings.idna, encodings.latin_1, encodings.utf_8
import argparse, compileall, gettext, importlib.metadata, importlib.util, json, locale, py_compile, runpy, site, sys
import sysconfig, traceback
from pathlib import Path
sysconfig.get_config_vars()
paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
stdlib = sysconfig.get_path("stdlib")
paths = {Path(path) for path in paths if path and path.startswith(stdlib)}
# 3.13's collections.abc says of itself that it is another module.
paths |= {beside for path in paths if path.parent != Path(stdlib) for beside in path.parent.glob("*.py")}
print(json.dumps([stdlib, sorted(map(str, paths))]))
"""

SUBDIR = "from rattler.platform import Platform; print(Platform.current())"

INDEX = """
import asyncio, os, sys
import rattler.index
asyncio.run(rattler.index.index_fs(sys.argv[1], force=True))
sys.stdout.flush()
os._exit(0)  # rattler's runtime may crash while the interpreter ends, after its work is done
"""

INSTALL = """
import asyncio, os, sys
import rattler

async def install(channel, prefix, *specs):
    records = await rattler.solve([rattler.Channel(channel)], list(specs), platforms=[sys.argv[1], "noarch"])
    await rattler.install(records, prefix, show_progress=False)

asyncio.run(install(*sys.argv[2:]))
sys.stdout.flush()
os._exit(0)
"""

BUILD = """
import os, sys
import rattler_build

recipe, output, channel, subdir, package_format, python = sys.argv[1:]
(variant,) = rattler_build.Stage0Recipe.from_file(recipe).render(
    rattler_build.VariantConfig({"python": [python]}),
    rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform=subdir)),
)
result = variant.run_build(output_dir=output, channels=[channel], no_build_id=True, package_format=package_format)
# rattler-build goes on without the bytecode that it could not make.
failures = [line for line in result.log if "Error compiling" in line]
print(*failures, file=sys.stderr, flush=True)
print(*result.packages, flush=True)
os._exit(1 if failures else 0)
"""


def reindex(channel: Channel) -> None:
    """Write the channel's index anew: of packages that were added, and of those that changed."""
    _run(INDEX, channel.caches, channel.directory)


def install(channel: Channel, prefix: Path, *specs: str) -> None:
    """Install packages of the channel into a new prefix, with py-rattler and a package cache that nobody used yet."""
    _run(INSTALL, channel.caches / prefix.name, channel.subdir, channel.url, prefix, *specs)


def build(channel: Channel, recipe: Path, output: Path, package_format: str = "conda") -> Path:
    """Build a recipe with rattler-build against the channel's python; return the package.

    `package_format` is rattler-build's: `conda`, `tar-bz2`, or either with a level (`conda:1`).
    """
    printed = _run(
        BUILD, channel.caches / "build", recipe, output, channel.url, channel.subdir, package_format, f"{VERSION}.*"
    )
    return Path(printed.splitlines()[-1])


def _run(script: str, cache: Path, *arguments: object) -> str:
    """Run a script with this interpreter and rattler's caches in `cache`; return what it prints."""
    environment = os.environ | {"RATTLER_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[3:]}: {done.stderr[-4000:]}")
    return done.stdout
