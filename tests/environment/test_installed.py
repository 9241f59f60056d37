"""An installed package is judged by its record: what the package brought counts, what the installer made does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conda_prune.environment.installed import check_installed
from conda_prune.judgement.options import Options
from conda_prune.model import Action

from ..corpus.bytecode import header, modules
from ..corpus.entries import (
    AnyEntry,
    Directory,
    File,
    Hardlink,
    Listing,
    PackageSpec,
    Symlink,
    file_at,
)
from ..corpus.packages import write_package
from ..corpus.scenario import Scenario
from ..corpus.scenarios import SCENARIOS
from ..executable import run
from ..real_build import (
    SITE_PACKAGES,
    Channel,
    install,
    make_channel,
    reindex,
)
from ..systems import skip_impossible_names
from .test_prefix import (  # noqa: F401
    no_build,
    tree,
    unpack,
    write_record,
)

TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
PY311 = ("python_abi 3.11.* *_cp311",)
TREE = "lib/python3.11/site-packages/own"
OWN = modules(TREE, "m", tags=("cpython-311",))
STRAY = modules("lib/python3.10/site-packages/own", "m", tags=("cpython-310",))


def record(prefix: Path, name: str, files: dict[str, AnyEntry], **extra: object) -> Path:
    unpack(prefix, files)
    return write_record(prefix, name, list(files), **{"depends": list(PY311), **extra})


def paths(prefix: Path, *arguments: str) -> dict[str, set[str]]:
    """Return what `check` finds to be dropped in an environment, by package."""
    done = run("check", "--prefix", prefix, "--format", "json", *arguments)
    assert done.stderr == ""
    return {
        result["package"]["name"]: {found["path"] for found in result["findings"] if found["action"] == "drop"}
        for result in json.loads(done.stdout)
    }


def test_a_clean_environment_exits_0_and_is_not_touched(tmp_path: Path) -> None:
    record(tmp_path, "own", OWN)
    before = tree(tmp_path)
    done = run("check", "--prefix", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 package: nothing to repair." in done.stdout
    assert run("check", "--installed", "own", "--prefix", tmp_path).returncode == 0
    assert tree(tmp_path) == before


def test_an_environment_without_packages_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "history").touch()
    done = run("check", "--prefix", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: no packages are installed in {tmp_path}; check the path, or use --allow-empty\n"
    assert run("check", "--prefix", tmp_path, "--allow-empty").returncode == 0


@pytest.mark.parametrize("arguments", [("--exclude", "x"), ("--no-default-excludes",)])
def test_options_of_a_search_are_refused_for_an_environment(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    record(tmp_path, "own", OWN)
    done = run("check", "--prefix", tmp_path, *arguments)
    assert done.returncode == 2
    assert f"{arguments[0]} is for searching directories" in done.stderr


def test_strays_exit_1_and_are_named(tmp_path: Path) -> None:
    record(tmp_path, "own", {**OWN, **STRAY})
    done = run("check", "--installed", "own", "--prefix", tmp_path)
    assert done.returncode == 1
    assert "own-1.0-0.json   Python 3.11 (python_abi 3.11.* *_cp311)" in done.stdout
    assert "foreign-path" in done.stdout
    assert "fix --in-place" not in done.stdout, "a record is nothing to fix"


def test_a_name_is_the_whole_name(tmp_path: Path) -> None:
    record(tmp_path, "own", OWN)
    record(tmp_path, "own-extra", STRAY)
    assert run("check", "--installed", "own", "--prefix", tmp_path).returncode == 0
    assert run("check", "--installed", "own-extra", "--prefix", tmp_path).returncode == 1
    assert run("check", "--installed", "extra", "--prefix", tmp_path).returncode == 3


def test_all_packages_of_an_environment_are_judged(tmp_path: Path) -> None:
    record(tmp_path, "clean", OWN)
    record(tmp_path, "stray", STRAY)
    assert paths(tmp_path) == {"clean": set(), "stray": {path for path in STRAY if path.endswith(".pyc")}}


def test_the_environment_is_the_tests_own_where_none_is_named(tmp_path: Path) -> None:
    record(tmp_path / "test", "own", {**OWN, **STRAY})
    record(tmp_path / "active", "own", OWN)
    active, test = {"CONDA_PREFIX": str(tmp_path / "active")}, {"PREFIX": str(tmp_path / "test")}
    assert run("check", "--installed", "own", check=False, **active, **test).returncode == 1
    assert run("check", "--installed", "own", check=False, **active).returncode == 0
    # Many a shell has PREFIX set to where `make install` goes.
    assert run("check", "--installed", "own", check=False, **active, PREFIX="/usr/local").returncode == 0
    assert run("check", "--installed", "own", CONDA_PREFIX="").returncode == 2


def entries(*typed: tuple[str, str]) -> dict[str, Any]:
    return {"paths_version": 1, "paths": [{"_path": path, "path_type": kind} for path, kind in typed]}


def test_bytecode_that_the_installer_compiled_is_not_the_packages_own(tmp_path: Path) -> None:
    """noarch python: conda, mamba and rattler record what they compile as `pyc_file`."""
    source, bytecode = f"{TREE}/m.py", f"{TREE}/__pycache__/m.cpython-311.pyc"
    compiled = entries((source, "hardlink"), (bytecode, "pyc_file"), ("bin/own", "unix_python_entry_point"))
    record(tmp_path, "own", OWN, noarch="python", depends=["python"], paths_data=compiled)
    assert paths(tmp_path) == {"own": set()}
    packed = entries((source, "hardlink"), (bytecode, "hardlink"))
    record(tmp_path, "own", OWN, noarch="python", depends=["python"], paths_data=packed)
    assert paths(tmp_path) == {"own": {bytecode}}


def test_old_records_are_believed_about_bytecode(tmp_path: Path) -> None:
    record(tmp_path, "own", OWN, noarch="python", depends=["python"], paths_data=None)
    record(tmp_path, "stray", {**OWN, **STRAY}, paths_data=None)
    assert paths(tmp_path) == {"own": set(), "stray": {path for path in STRAY if path.endswith(".pyc")}}


def test_untagged_bytecode_is_judged_by_its_installed_file(tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = {
        f"{TREE}/m.py": "",
        f"{TREE}/m.pyc": File(header("cpython-310")),
        f"{TREE}/n.py": "",
        f"{TREE}/n.pyc": File(header("cpython-311")),
    }
    record(tmp_path, "own", files)
    assert paths(tmp_path) == {"own": {f"{TREE}/m.pyc"}}
    (tmp_path / TREE / "m.pyc").unlink()
    assert paths(tmp_path) == {"own": set()}, "what is gone says nothing"


def test_deep_looks_at_every_magic_number(tmp_path: Path) -> None:
    record(tmp_path, "own", {f"{TREE}/__pycache__/m.cpython-311.pyc": File(header("cpython-310")), f"{TREE}/m.py": ""})
    assert "misnamed" not in run("check", "--prefix", tmp_path).stdout
    assert "misnamed" in run("check", "--prefix", tmp_path, "--deep").stdout


@pytest.mark.parametrize("path", ["../outside/m.pyc", "/etc/m.pyc", "a\0b.pyc"])
def test_a_record_that_points_outside_is_not_followed(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "m.pyc").write_bytes(header("cpython-310"))
    (tmp_path / "p" / "conda-meta").mkdir(parents=True)
    write_record(tmp_path / "p", "own", [path, path.replace(".pyc", ".py")], depends=list(PY311))
    assert run("check", "--prefix", tmp_path / "p").returncode == 0


BROKEN = [
    pytest.param('{"name": "broken"', "is not valid JSON", id="cut"),
    pytest.param("", "is not valid JSON", id="empty"),
    pytest.param("[]", "is not a JSON object", id="a-list"),
    pytest.param('{"name": "broken", "version": "1", "build": 0}', "has no build", id="build-is-a-number"),
    pytest.param('{"name": "broken", "version": "1", "build": "0"}', "lists no files", id="no-files"),
    pytest.param("[" * 100_000, "nested too deeply", id="deep"),
]


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_a_broken_record_is_one_error_and_others_are_checked(tmp_path: Path, text: str, says: str) -> None:
    record(tmp_path, "aaa", STRAY)
    record(tmp_path, "zzz", STRAY)
    (tmp_path / "conda-meta" / "broken-1.0-0.json").write_text(text)
    done = run("check", "--prefix", tmp_path)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "conda-meta" / "broken-1.0-0.json") in done.stderr
    assert says in done.stderr
    assert "aaa-1.0-0.json" in done.stdout
    assert "zzz-1.0-0.json" in done.stdout
    assert run("check", "--installed", "broken", "--prefix", tmp_path).returncode == 3
    assert run("check", "--installed", "aaa", "--prefix", tmp_path).returncode == 1


def test_a_record_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    record(tmp_path, "own", OWN)
    (tmp_path / "conda-meta" / "broken-1.0-0.json").write_bytes(b'{"name": "\xff"}')
    done = run("check", "--prefix", tmp_path)
    assert done.returncode == 3
    assert "UTF-8" in done.stderr


WRONG = [
    pytest.param(["--installed", "absent"], 3, "absent is not installed", id="not-installed"),
    pytest.param(["--installed", "own", "package.conda"], 2, "do not name packages as well", id="with-paths"),
    pytest.param(["--files-from", "list.txt"], 2, "do not name packages as well", id="with-files-from"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), WRONG)
def test_a_wrong_call_is_a_clear_line(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    record(tmp_path, "own", OWN)
    done = run("check", "--prefix", tmp_path, *arguments)
    assert done.returncode == code
    assert says in done.stderr


def test_what_is_no_prefix_is_a_clear_line(tmp_path: Path) -> None:
    for place, says in ((tmp_path / "absent", "no such directory"), (tmp_path, "no conda-meta directory")):
        done = run("check", "--prefix", place)
        assert done.returncode == 3
        assert done.stderr.startswith(f"error: {place}: ")
        assert says in done.stderr


SAME = [
    pytest.param(scenario, id=scenario.id)
    for scenario in SCENARIOS
    # What the archive alone says does not reach a record; files of noarch packages are installed elsewhere.
    if not (scenario.spec.info or scenario.refused or scenario.spec.index_extra.get("noarch") == "python")
    and scenario.spec.paths_json is Listing.TRUE
]


@pytest.mark.parametrize("scenario", SAME)
def test_an_installed_package_is_judged_as_before_it_was_installed(scenario: Scenario, tmp_path: Path) -> None:
    spec = scenario.spec
    entries = {path: entry for path, entry in spec.entries.items() if not isinstance(entry, Directory)}
    skip_impossible_names(entries)
    if os.name == "nt" and any(isinstance(entry, Symlink) for entry in entries.values()):
        pytest.skip("Windows needs a privilege to make symbolic links")
    contents = {path: file_at(entries, path) or "" if isinstance(e, Hardlink) else e for path, e in entries.items()}
    unpack(tmp_path, contents)
    index = {"version": spec.version, "build": spec.build, "depends": list(spec.depends), "subdir": spec.subdir}
    index |= spec.index_extra
    path = write_record(tmp_path, spec.name, list(entries))
    value = json.loads(path.read_text()) | {key: value for key, value in index.items() if value is not None}
    for entry in value["paths_data"]["paths"]:
        if isinstance(entries[entry["_path"]], Symlink):
            entry["path_type"] = "softlink"
    path.write_text(json.dumps(value))
    (result,) = check_installed(str(tmp_path), spec.name, Options())
    # Links that go because their target goes are no findings of their own.
    links = {path for path, entry in entries.items() if isinstance(entry, Symlink)}
    found = {found.path for found in result.findings if found.action is Action.DROP}
    assert found - links == scenario.drops - links
    assert found <= scenario.drops


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with the running Python, a clean noarch package, and one that ships its bytecode."""
    channel = make_channel(tmp_path_factory.mktemp("installed"))
    (channel.directory / "noarch").mkdir(exist_ok=True)
    for name, tags in (("clean-noarch", ()), ("stray-noarch", (TAG,))):
        files = modules(f"site-packages/{name.replace('-', '_')}", "__init__", tags=tags)
        write_package(
            PackageSpec(name, subdir="noarch", depends=("python",), files=files, index_extra={"noarch": "python"}),
            channel.directory / "noarch",
        )
    reindex(channel)
    return channel


@pytest.mark.parametrize(("name", "code"), [("clean-noarch", 0), ("stray-noarch", 1)])
def test_noarch_packages_that_rattler_installed(channel: Channel, tmp_path: Path, name: str, code: int) -> None:
    prefix = tmp_path / "prefix"
    install(channel, prefix, name)
    site_packages = prefix / SITE_PACKAGES / name.replace("-", "_")
    record = json.loads(next((prefix / "conda-meta").glob(f"{name}-*.json")).read_text())
    # py-rattler does not compile; conda and mamba do, and record it so.
    bytecode = f"{SITE_PACKAGES}/{name.replace('-', '_')}/__pycache__/__init__.{TAG}.pyc"
    if bytecode not in record["files"]:
        compile_ = "import py_compile, sys; py_compile.compile(sys.argv[1], doraise=True)"
        subprocess.run([prefix / "bin/python", "-c", compile_, site_packages / "__init__.py"], check=True)
        record["files"].append(bytecode)
        record["paths_data"]["paths"].append({"_path": bytecode, "path_type": "pyc_file"})
        next((prefix / "conda-meta").glob(f"{name}-*.json")).write_text(json.dumps(record))
    assert (prefix / bytecode).is_file()
    done = run("check", "--installed", name, "--prefix", prefix)
    assert (done.returncode, done.stderr) == (code, "")
    assert run("check", "--installed", "python", "--prefix", prefix).returncode == 0
    everything = run("check", "--prefix", prefix, "--deep", "--select", "all")
    assert everything.returncode in (0, 1)
    assert everything.stderr == ""
