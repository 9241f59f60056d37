"""Whole output directories: a real one of rattler-build, and one with the directory names of conda-build.

Both contain source archives, build directories and packages that failed their tests, next to packages with stray
bytecode.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ..corpus.bytecode import pyc
from ..executable import run
from ..real_build import SUBDIR
from ..seed import CLEAN, STRAY

STRAY_FILE = "lib/python3.9/site-packages/two/__pycache__/m.cpython-39.pyc"

BUILD = """
import os, sys
import rattler_build

output, channel, subdir, *recipes = sys.argv[1:]
tool = rattler_build.ToolConfiguration(test_strategy="native", keep_build=True)
platform = rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform=subdir))
for recipe in recipes:
    for package_format in ("conda", "tar-bz2"):
        (variant,) = rattler_build.Stage0Recipe.from_file(recipe).render(rattler_build.VariantConfig({}), platform)
        try:
            variant.run_build(tool_config=tool, output_dir=output, channels=[channel], package_format=package_format)
        except Exception as error:
            print(error)
sys.stdout.flush()
os._exit(0)
"""


def source_archive(path: Path) -> Path:
    """Write an upstream source archive that contains bytecode, as it should not."""
    tree = path.parent / "two-1.0"
    tree.mkdir(parents=True)
    (tree / "m.cpython-39.pyc").write_bytes(pyc("cpython-39"))
    (tree / "m.py").write_text("m = 1\n")
    with tarfile.open(path, "w:bz2") as tar:
        tar.add(tree, "two-1.0")
    return path


def write_recipe(directory: Path, source: Path, name: str, script: list[str], test: str = "") -> Path:
    """Write a recipe that unpacks the source archive."""
    recipe = {
        "package": {"name": name, "version": "1.0"},
        "source": {"url": source.as_uri(), "sha256": hashlib.sha256(source.read_bytes()).hexdigest()},
        "build": {"script": [f"mkdir -p $PREFIX/{os.path.dirname(STRAY_FILE)}", *script]},
        # The test environment would need the run requirements.
        "requirements": {} if test else {"run": ["python_abi 3.13.* *_cp313"]},
        "tests": [{"script": [test]}] if test else [],
    }
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(recipe))
    return path


@pytest.fixture
def rattler_build_output(tmp_path: Path) -> Path:
    """The output of rattler-build after three builds: one succeeds, one script fails, and one test fails."""
    subdir = subprocess.run([sys.executable, "-c", SUBDIR], capture_output=True, text=True, check=True).stdout.strip()
    source = source_archive(tmp_path / "upstream" / "two-1.0.tar.bz2")
    copy = f"cp m.cpython-39.pyc $PREFIX/{STRAY_FILE}"
    recipes = [
        write_recipe(tmp_path, source, "good", [copy]),
        write_recipe(tmp_path, source, "script-fails", [copy, "exit 1"]),
        write_recipe(tmp_path, source, "test-fails", [copy], test="exit 1"),
    ]
    for directory in ("noarch", subdir):
        index = tmp_path / "channel" / directory / "repodata.json"
        index.parent.mkdir(parents=True)
        index.write_text('{"packages": {}, "packages.conda": {}}')
    output = tmp_path / "output"
    command = [sys.executable, "-c", BUILD, output, (tmp_path / "channel").as_uri(), subdir, *recipes]
    environment = os.environ | {"RATTLER_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300)
    names = {path.name for path in output.iterdir()}
    assert {"bld", "broken", "src_cache", subdir} <= names, done.stdout + done.stderr
    assert list((output / "src_cache").glob("*_two-1.0.tar.bz2"))
    assert len(list((output / "broken").iterdir())) == 2
    assert len(list((output / subdir).glob("good-1.0-*"))) == 2
    return output


@pytest.fixture
def conda_build_output(tmp_path: Path) -> Path:
    """The directories in the croot of conda-build, each with packages that have stray bytecode."""
    croot = tmp_path / "conda-bld"
    build = croot / "two_1699999999999"
    host = build / ("_h_env" + "_placehold" * 24)[:200]
    for directory in (croot / "linux-64", croot / "noarch", croot / "broken", build / "work" / "dist", host / "pkgs"):
        directory.mkdir(parents=True)
    for seed in (*STRAY, *CLEAN):
        seed.copy(croot / "linux-64")
    for directory in (croot / "broken", build / "work" / "dist", host / "pkgs"):
        STRAY[0].copy(directory)
    for prefix in (host, build / "_build_env", build / "_test_env_placehold_placehold"):
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "conda-meta" / "history").touch()
    source_archive(croot / "src_cache" / "two-1.0_abcdef12.tar.bz2")
    (croot / "linux-64" / ".cache").mkdir()
    for name in ("index.html", "channeldata.json", "linux-64/index.html"):
        (croot / name).write_text("{}")
    return croot


def contents(directory: Path, but: Path) -> dict[str, bytes]:
    """Return every file below a directory, except those next to the packages."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and but not in path.parents}


@pytest.mark.skipif(os.name != "posix", reason="the build scripts are for a POSIX shell")
@pytest.mark.parametrize("layout", ["rattler_build_output", "conda_build_output"])
def test_only_the_packages_are_checked_and_fixed(layout: str, request: pytest.FixtureRequest) -> None:
    output: Path = request.getfixturevalue(layout)
    (packages,) = {path.parent for path in output.glob("*-*/*.conda")}
    before = contents(output, packages)

    done = run("check", output)
    assert (done.returncode, done.stderr) == (1, "")
    verbose = run("check", "-v", "--format", "json", output)
    paths = [Path(result["path"]) for result in json.loads(verbose.stdout)]
    assert sorted(paths) == sorted(path for path in packages.iterdir() if path.name.endswith((".conda", ".tar.bz2")))
    for name in ("broken", "src_cache"):
        assert f"not searched: {output / name}" in verbose.stderr.splitlines()

    # A shell expands output/*/*.tar.bz2 like this, which names files in broken/.
    named = [path for path in output.glob("*/*.tar.bz2") if path.parent.name != "broken"]
    assert {path.parent.name for path in named} == {"src_cache", packages.name}
    assert run("check", *named).returncode == 1

    done = run("fix", "--in-place", output)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert contents(output, packages) == before
    assert run("check", output).returncode == 0
