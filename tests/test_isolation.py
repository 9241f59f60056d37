"""Child processes execute nothing from the current directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import conda_prune

PACKAGE = Path(conda_prune.__file__).parent
SHADOWS = (
    "types", "signal", "os", "runpy", "site", "sitecustomize", "usercustomize", "encodings", "pkgutil", "pickle",
    "multiprocessing", "tomllib", "rattler", "click", "zstandard", "libarchive", "yaml", "_yaml", "cffi",
)  # fmt: skip
"""Modules that a child may import: from the standard library, our dependencies, and some that may be missing."""

PARENT = "import subprocess, sys, conda_prune.isolation as isolation; sys.exit(subprocess.call(isolation.command({})))"
"""A process that starts a child."""


def plant(directory: Path) -> Path:
    """Fill a directory with modules that write a file when they are executed; return the path of that file."""
    mark = directory / "executed"
    for name in SHADOWS:
        (directory / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write('{name} ')\n")
    return mark


def run(command: list[str], directory: Path, **environment: str) -> str:
    """Run a command in a directory; return what it printed."""
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def child_of(*options: str, module: str, arguments: tuple[str, ...] = ()) -> list[str]:
    """Return the command of a parent that runs a module in a child."""
    code = PARENT.format(", ".join(map(repr, (module, *arguments))))
    # `python -c` puts the current directory first. Remove it, so that the parent itself starts safely.
    return [sys.executable, *options, "-c", f"import sys; '' in sys.path and sys.path.remove('')\n{code}"]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    (tmp_path / "hostile").mkdir()
    return tmp_path / "hostile"


def test_child_does_not_import_from_the_current_directory(hostile: Path) -> None:
    mark = plant(hostile)
    assert conda_prune.__version__ in run(child_of("-I", module="conda_prune", arguments=("--version",)), hostile)
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("entry", ["", ".", "{cwd}", "../hostile"])
def test_python_path_does_not_add_the_current_directory(hostile: Path, entry: str) -> None:
    # With such a PYTHONPATH, the parent itself would import them, so the modules are only created after it has started.
    script = hostile.parent / "parent.py"
    script.write_text(
        "import sys, subprocess\n"
        "from pathlib import Path\n"
        "import conda_prune.isolation\n"
        f"for name in {SHADOWS}:\n"
        "    Path(name + '.py').write_text('open(\"executed\", \"a\").write(' + repr(name) + ')')\n"
        "sys.exit(subprocess.call(conda_prune.isolation.command('conda_prune', '--version')))\n"
    )
    value = os.pathsep.join([entry.format(cwd=hostile), str(hostile.parent / "other")])
    assert conda_prune.__version__ in run([sys.executable, str(script)], hostile, PYTHONPATH=value)
    assert (hostile / "signal.py").exists()
    assert not (hostile / "executed").exists(), (hostile / "executed").read_text()


def test_child_finds_what_python_path_adds(tmp_path: Path, hostile: Path) -> None:
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "addition.py").write_text("import sys; print('added', *map(ascii, sys.argv[1:]))\n")
    command = child_of(module="addition", arguments=("a b", "ü"))
    assert run(command, hostile, PYTHONPATH=str(tmp_path / "added")) == "added 'a b' '\\xfc'\n"


def test_child_runs_the_package_of_its_parent(tmp_path: Path) -> None:
    """In a checkout that is not installed, `python -m conda_prune` finds the package in the current directory."""
    mark = plant(tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "conda_prune", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "conda_prune" / "where.py").write_text("print(__file__)\n")
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\ndel sys.path[0]\n"
        "import importlib.util, subprocess\n"
        "sys.path.insert(0, '')\n" + PARENT.format("'conda_prune.where'") + "\n"
    )
    assert run([sys.executable, str(script)], tmp_path) == f"{tmp_path / 'conda_prune' / 'where.py'}\n"
    assert not mark.exists(), mark.read_text()


def test_child_of_a_zip_application_finds_the_application(tmp_path: Path, hostile: Path) -> None:
    mark = plant(hostile)
    application = tmp_path / "application.pyz"
    with zipfile.ZipFile(application, "w") as file:
        file.writestr("__main__.py", PARENT.format("'conda_prune.inside'"))
        file.writestr("conda_prune/__init__.py", "")
        file.writestr("conda_prune/inside.py", "print(__file__)")
        file.writestr("conda_prune/isolation.py", (PACKAGE / "isolation.py").read_text("utf-8"))
    printed = run([sys.executable, os.path.join("..", application.name)], hostile)
    assert printed == f"{application / 'conda_prune' / 'inside.py'}\n"
    assert not mark.exists(), mark.read_text()


def test_child_starts_from_the_directory_of_our_dependencies() -> None:
    import click

    command = child_of("-I", module="conda_prune", arguments=("--version",))
    assert conda_prune.__version__ in run(command, Path(click.__file__).parent.parent)
