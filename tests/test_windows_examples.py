"""The build scripts of the examples run to their end in cmd.exe, with a stand-in for pip and the compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .corpus.bytecode import modules
from .environment.test_prefix import files, unpack, write_record
from .executable import EXECUTABLE

pytestmark = pytest.mark.skipif(os.name != "nt", reason="cmd.exe is Windows' shell")

EXAMPLES = Path(__file__).parents[1] / "examples"
SITE_PACKAGES = "Lib/site-packages"
STRAY = modules("Lib/python3.10/site-packages/hello", "__init__", tags=("cpython-310",))
"""What another variant of the recipe has left, in a tree with a version, as other systems have it."""

PIP = """
import os, py_compile, shutil, sys
if os.path.exists("broken"):
    sys.exit(1)
assert sys.argv[1:3] == ["install", "."], sys.argv
package = os.path.join(os.environ["SP_DIR"], "hello")
shutil.copytree(os.path.join("src", "hello"), package)
source, cache = os.path.join(package, "__init__.py"), os.path.join(package, "__pycache__")
for tag in ("311", "310"):
    py_compile.compile(source, os.path.join(cache, f"__init__.cpython-{tag}.pyc"), doraise=True)
"""
"""Instead of pip: it copies the sources and compiles them, also under the name of another variant's bytecode."""


def rattler_build_script() -> str:
    """Return the recipe's script as rattler-build writes it for cmd.exe: it stops after a command that fails."""
    recipe = yaml.safe_load((EXAMPLES / "rattler-build" / "recipe.yaml").read_text("utf-8"))
    lines = [line.replace("${{ PYTHON }}", "%PYTHON%") for line in recipe["build"]["script"]]
    assert not any("${{" in line for line in lines)
    return "\r\n".join(f"{line}\r\n@if %errorlevel% neq 0 exit /b %errorlevel%" for line in lines)


SCRIPTS = {
    "conda-build": lambda: (EXAMPLES / "conda-build" / "bld.bat").read_text("utf-8"),
    "rattler-build": rattler_build_script,
}


def build(directory: Path, script: str, prefix: Path) -> subprocess.CompletedProcess[str]:
    """Run a build script as the tools do, in a copy of the example's sources."""
    sources = directory / "hello" / "src" / "hello"
    sources.mkdir(parents=True)
    (sources / "__init__.py").write_bytes((EXAMPLES / "rattler-build" / "hello/src/hello/__init__.py").read_bytes())
    (directory / "stand-in" / "pip").mkdir(parents=True)
    (directory / "stand-in" / "pip" / "__main__.py").write_text(PIP)
    (directory / "stand-in" / "pip" / "__init__.py").touch()
    (directory / "bld.bat").write_text(script, newline="")
    environment = {
        "PATH": os.path.dirname(EXECUTABLE) + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": str(directory / "stand-in"),
        "PYTHON": sys.executable,
        "PREFIX": str(prefix),
        "PKG_NAME": "hello",
        "PKG_VERSION": "1.0.0",
        "PY_VER": "3.11",
        "SP_DIR": str(prefix / SITE_PACKAGES),
        "SUBDIR": "win-64",
        "CONDA_BUILD": "1",
    }
    return subprocess.run(
        ["cmd.exe", "/d", "/c", str(directory / "bld.bat")],
        cwd=directory / "hello",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("tool", SCRIPTS)
def test_a_build_script_ends_with_a_clean_prefix(tool: str, tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "prefix", STRAY)
    write_record(prefix, "python", ["python.exe"], version="3.11.9", build="0_cpython", subdir="win-64")
    done = build(tmp_path, SCRIPTS[tool](), prefix)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fixed " in done.stdout
    found = files(prefix)
    assert f"{SITE_PACKAGES}/hello/__init__.py" in found
    assert f"{SITE_PACKAGES}/hello/__pycache__/__init__.cpython-311.pyc" in found
    assert not any("cpython-310" in path for path in found)
    assert os.listdir(prefix / "conda-meta") == ["python-1.0-0.json"]


@pytest.mark.parametrize("tool", SCRIPTS)
def test_a_build_script_fails_if_the_installation_fails(tool: str, tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "prefix", {})
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "broken").touch()
    done = build(tmp_path, SCRIPTS[tool](), prefix)
    assert done.returncode == 1
    assert "repair" not in done.stdout, "the hook did not run"


@pytest.mark.parametrize("tool", SCRIPTS)
def test_a_build_script_fails_if_the_prefix_cannot_be_judged(tool: str, tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "prefix", STRAY)
    (prefix / "conda-meta" / "broken-1.0-0.json").write_text("{")
    done = build(tmp_path, SCRIPTS[tool](), prefix)
    assert done.returncode != 0
    assert "is not valid JSON" in done.stderr
