"""A prefix before it is packaged: what is stray goes, what a record owns stays, and nothing outside is ever touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conda_prune import system
from conda_prune.environment.prefix import build_of, judge_prefix
from conda_prune.environment.prune import FileIdentity, prune
from conda_prune.errors import CannotWrite, Changed
from conda_prune.judgement.options import Options
from conda_prune.model import Drop, Edit, Rewrite
from conda_prune.rewrite import directory as directory_module
from conda_prune.rewrite.directory import Directory

from ..corpus.bytecode import modules, pyc, record
from ..corpus.entries import AnyEntry, File, Symlink
from ..executable import run
from ..systems import needs_links, needs_modes, needs_names_in_bytes
from ..unreadable import make_unreachable, needs_unreachable

SITE_PACKAGES = "lib/python3.11/site-packages"
OWN = modules(f"{SITE_PACKAGES}/own", "__init__", "m", tags=("cpython-311",))
OLD_TREE = modules("lib/python3.10/site-packages/own", "__init__", tags=("cpython-310",))
OLD_TAG = modules(f"{SITE_PACKAGES}/own", "m", tags=("cpython-310",), sources=False)
BUILD_VARIABLES = ("PREFIX", "PKG_NAME", "PKG_VERSION", "PKG_BUILD_STRING", "PY_VER", "SP_DIR", "CONDA_BUILD", "SUBDIR")


@pytest.fixture(autouse=True)
def no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are no build, also where they run in one."""
    for variable in BUILD_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def unpack(prefix: Path, files: Mapping[str, AnyEntry]) -> Path:
    """Make a prefix that holds the files."""
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    for name, entry in files.items():
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Symlink):
            path.symlink_to(entry.target)
        elif isinstance(entry, File):
            path.write_bytes(entry.data)
        else:
            path.write_bytes(entry.encode() if isinstance(entry, str) else bytes(entry))  # type: ignore[arg-type]
    return prefix


def write_record(prefix: Path, name: str, files: list[str], **extra: object) -> Path:
    """Write a record as rattler does, in short."""
    value = {
        "name": name,
        "version": "1.0",
        "build": "0",
        "depends": [],
        "files": files,
        "paths_data": {"paths_version": 1, "paths": [{"_path": path, "path_type": "hardlink"} for path in files]},
    }
    path = prefix / "conda-meta" / f"{name}-{value['version']}-{value['build']}.json"
    path.write_text(json.dumps(value | extra))
    return path


def build(prefix: Path, **variables: str) -> dict[str, str]:
    """Return the variables that a build script finds."""
    defaults = {"PREFIX": str(prefix), "PKG_NAME": "own", "PY_VER": "3.11", "CONDA_BUILD": "1"}
    return {**defaults, "SP_DIR": str(prefix / SITE_PACKAGES), **variables}


def hook(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `conda-prune prefix`; a dict among the arguments holds variables."""
    variables = {k: v for argument in arguments if isinstance(argument, dict) for k, v in argument.items()}
    return run("prefix", *(one for one in arguments if not isinstance(one, dict)), check=False, **variables)


def tree(prefix: Path) -> dict[str, bytes | str | None]:
    """Return everything below a directory: files with their content, links with their target, directories."""
    found: dict[str, bytes | str | None] = {}
    for parent, directories, names in os.walk(prefix):
        for name in directories + names:
            path = Path(parent, name)
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[path.relative_to(prefix).as_posix()] = content
    return found


def files(prefix: Path) -> set[str]:
    return {path for path, content in tree(prefix).items() if content is not None}


def test_a_clean_prefix_stays_as_it_is(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OWN)
    write_record(prefix, "python", ["lib/python3.11/os.py"], version="3.11.9")
    before = tree(prefix)
    for arguments in ([], ["--fix"]):
        assert hook(*arguments, build(prefix)).returncode == 0
        assert tree(prefix) == before


def test_a_build_for_windows_has_names_without_case(tmp_path: Path) -> None:
    stray = "Lib/python3.10/site-packages/own/__pycache__/m.cpython-311.pyc"
    prefix = unpack(tmp_path / "p", {"Lib/site-packages/own/m.py": "", stray: b""})
    assert hook(build(prefix, SUBDIR="linux-64", SP_DIR="")).returncode == 0
    assert hook("--fix", build(prefix, SUBDIR="win-64", SP_DIR="")).returncode == 0
    assert files(prefix) == {"Lib/site-packages/own/m.py"}


def test_without_fix_findings_exit_1_and_nothing_is_written(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE, **OLD_TAG})
    before = tree(prefix)
    done = hook(build(prefix))
    assert done.returncode == 1
    assert f"{prefix}   Python 3.11 (PY_VER 3.11)" in done.stdout
    assert "foreign-path" in done.stdout
    assert "foreign-tag" in done.stdout
    assert f"conda-prune prefix --fix {prefix}" in done.stdout
    assert tree(prefix) == before


def test_fix_removes_strays_and_emptied_directories(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE, **OLD_TAG, "share/empty/keep": ""})
    (prefix / "share/made-empty").mkdir()
    before = tree(prefix)
    stray = {path for path in {**OLD_TREE, **OLD_TAG} if path.endswith(".pyc")}
    done = hook("--fix", build(prefix))
    assert done.returncode == 0, done.stderr
    assert "fixed " in done.stdout
    assert f"{len(stray)} files dropped" in done.stdout
    gone = stray | {"lib/python3.10/site-packages/own/__pycache__"}
    assert tree(prefix) == {path: content for path, content in before.items() if path not in gone}
    assert hook(build(prefix)).returncode == 0


def test_a_whole_tree_goes_on_request(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    assert hook("--fix", "--extend-select", "foreign-tree", build(prefix)).returncode == 0
    assert not (prefix / "lib/python3.10").exists()
    assert files(prefix) == set(OWN)


def test_what_a_record_owns_is_not_touched(tmp_path: Path) -> None:
    owned = {**modules("lib/python3.10/site-packages/other", "m", tags=("cpython-310", "cpython-39"))}
    stray = modules("lib/python3.10/site-packages/other", "n", tags=("cpython-310",))
    prefix = unpack(tmp_path / "p", {**OWN, **owned, **stray})
    write_record(prefix, "other", list(owned))
    conda_meta = tree(prefix / "conda-meta")
    done = hook("--fix", "--select", "all", build(prefix))
    assert done.returncode == 0, done.stderr
    assert files(prefix) - set(OWN) == {*owned, "conda-meta/other-1.0-0.json"}
    assert tree(prefix / "conda-meta") == conda_meta


def test_a_record_that_lists_only_files_owns_them(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    write_record(prefix, "other", list(OLD_TREE), paths_data=None)
    assert hook("--fix", build(prefix)).returncode == 0
    assert files(prefix) >= set(OLD_TREE)


def test_an_emptied_directory_that_a_record_owns_stays(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    write_record(prefix, "other", ["lib/python3.10"])
    hook("--fix", "--extend-select", "foreign-tree", build(prefix))
    assert (prefix / "lib/python3.10").is_dir()
    assert not (prefix / "lib/python3.10/site-packages").exists()


def test_the_source_may_belong_to_another_package(tmp_path: Path) -> None:
    """conda-forge/gdal-feedstock #1199: bytecode of a dependency, in a package that has nothing to do with Python."""
    dependency = modules("lib/python3.14/site-packages/_distutils_hack", "__init__", tags=("cpython-314",))
    prefix = unpack(tmp_path / "p", dependency)
    write_record(prefix, "setuptools", [path for path in dependency if path.endswith(".py")])
    assert hook("--fix", "--python", "none", {"PREFIX": str(prefix)}).returncode == 0
    assert files(prefix) == {
        "conda-meta/setuptools-1.0-0.json",
        *(path for path in dependency if path.endswith(".py")),
    }


def test_the_list_of_installed_files_follows(tmp_path: Path) -> None:
    own = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    listing = record(SITE_PACKAGES, {**OWN, **OLD_TAG}, own)
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TAG, own: listing})
    (prefix / own).chmod(0o640)
    elsewhere = tmp_path / "package cache"
    os.link(prefix / own, elsewhere)
    assert hook("--fix", build(prefix)).returncode == 0
    left = (prefix / own).read_text().splitlines()
    assert left == [line for line in listing.data.decode().splitlines() if "cpython-310" not in line]
    assert os.name == "nt" or (prefix / own).stat().st_mode & 0o777 == 0o640
    assert elsewhere.read_bytes() == listing.data, "another name of the file keeps its content"
    assert {path for path in files(prefix) if "conda-prune" in path} == set()


def test_keep_wins(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    assert hook("--fix", "--keep", "lib/python3.10/*", build(prefix)).returncode == 0
    assert files(prefix) == set(OLD_TREE)


def test_other_prefixes_and_caches_inside_are_not_looked_into(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OWN)
    unpack(prefix / "envs" / "other", OLD_TREE | modules("Lib/site-packages/own", "m", tags=("cpython-310",)))
    cache = unpack(prefix / "pkgs", {"urls.txt": "", **{f"own-1.0-0/{path}": entry for path, entry in OLD_TAG.items()}})
    (cache / "conda-meta").rmdir()
    before = tree(prefix)
    assert hook("--fix", "--select", "all", build(prefix)).returncode == 0
    assert tree(prefix) == before


def test_stamps_are_judged_in_packages_only(tmp_path: Path) -> None:
    """Members get the build's date when they are packed: what a stamp says of a file's date now means nothing."""
    prefix = unpack(tmp_path / "p", OWN)
    done = hook("--fix", "--extend-select", "stale-stamp", build(prefix))
    assert done.returncode == 0
    assert "stale-stamp is judged in packages only" in done.stdout
    assert hook("--fix", "--select", "all", build(prefix)).returncode == 0
    assert {path: content for path, content in tree(prefix).items() if content is not None} == {
        path: entry.data for path, entry in OWN.items() if isinstance(entry, File)
    }


def test_arguments_win_over_the_builds_variables(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    done = hook(prefix, "--python", "3.10", build(tmp_path / "elsewhere"))
    assert done.returncode == 1
    assert "Python 3.10 (--python 3.10)" in done.stdout


def test_json_says_the_same(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    (found,) = json.loads(hook("--fix", "--format", "json", build(prefix)).stdout)
    assert (found["path"], found["status"], found["package"]["name"]) == (str(prefix), "fixed", "own")
    assert found["variant"]["because"][0] == "PY_VER 3.11"
    assert {finding["path"] for finding in found["findings"] if finding["fixed"]} == {
        path for path in OLD_TREE if path.endswith(".pyc")
    }


VARIANTS = [
    pytest.param({"PY_VER": "3.11"}, None, "3.11", id="PY_VER"),
    pytest.param({"PY_VER": "3.13", "SP_DIR": "/p/lib/python3.13t/site-packages"}, None, "3.13t", id="SP_DIR-t"),
    pytest.param({"PY_VER": "3.13", "SP_DIR": "/p/lib/python3.13/site-packages"}, None, "3.13", id="SP_DIR"),
    pytest.param({"PY_VER": "3.11", "SP_DIR": r"C:\p\Lib\site-packages"}, None, "3.11", id="windows"),
    pytest.param({"PY_VER": "3.11", "SP_DIR": "/p/lib/python3.1/site-packages"}, None, "3.11", id="old-installer"),
    pytest.param({"PY_VER": "3.13"}, ("3.13.1", "h_1_cp313t"), "3.13t", id="free-threaded-record"),
    pytest.param({"PY_VER": "3.9"}, ("3.9.18", "0_73_pypy"), "pypy3.9", id="pypy-record"),
    pytest.param({"PKG_NAME": "python", "PKG_VERSION": "3.12.1", "PKG_BUILD_STRING": "h_0_cpython"}, None, "3.12",
                 id="python-itself"),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "python", "expected"), VARIANTS)
def test_the_variant_comes_from_the_build(
    tmp_path: Path, variables: dict[str, str], python: tuple[str, str] | None, expected: str
) -> None:
    prefix = unpack(tmp_path / "p", {})
    if python is not None:
        write_record(prefix, "python", [], version=python[0], build=python[1])
    result = judge_prefix(str(prefix), build_of(variables), Options())
    assert result.variant is not None
    assert (result.variant.kind, result.variant.python) == ("exact", expected)


CONTRADICTIONS = [
    pytest.param({"SP_DIR": "/p/lib/python3.10/site-packages"}, None, "SP_DIR lib/python3.10", id="SP_DIR"),
    pytest.param({"SP_DIR": ""}, "3.12.1", "conda-meta: python 3.12.1", id="conda-meta"),
    pytest.param({"SP_DIR": "", "PKG_BUILD_STRING": "py310habc_0"}, None, "build string py310", id="build-string"),
]


@pytest.mark.parametrize(("variables", "python", "named"), CONTRADICTIONS)
def test_a_build_that_says_two_pythons_is_refused(
    tmp_path: Path, variables: dict[str, str], python: str | None, named: str
) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    if python:
        write_record(prefix, "python", [], version=python)
    before = tree(prefix)
    done = hook("--fix", build(prefix, **variables))
    assert done.returncode == 3
    assert "PY_VER 3.11" in done.stdout
    assert named in done.stdout
    assert tree(prefix) == before
    assert hook("--fix", "--python", "3.11", build(prefix, **variables)).returncode == 0


def test_a_build_string_that_no_file_supports_is_a_note(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OWN)
    result = judge_prefix(str(prefix), build_of({"PY_VER": "3.11", "PKG_BUILD_STRING": "py310habc_0"}), Options())
    assert result.status == "clean"
    (note,) = result.notes
    assert note.startswith("'PY_VER 3.11' contradicts 'build string py310habc_0'; ")


@dataclass(frozen=True)
class Bad:
    """A call that cannot be served: how the prefix is spoilt, the variables, the exit code, what the line says."""

    code: int
    says: str
    spoil: Callable[[Path], object] = lambda prefix: None
    variables: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def a_file(prefix: Path) -> None:
    shutil.rmtree(prefix)
    prefix.write_text("")


def a_record(text: str) -> Callable[[Path], object]:
    return lambda prefix: (prefix / "conda-meta" / "broken-1.0-0.json").write_text(text)


def a_file_for_conda_meta(prefix: Path) -> None:
    (prefix / "conda-meta").rmdir()
    (prefix / "conda-meta").write_text("")


BAD = {
    "no prefix at all": Bad(2, "PREFIX is not set", variables={"PREFIX": ""}),
    "no such directory": Bad(3, "there is no such directory", shutil.rmtree),
    "a file": Bad(3, "it is not a prefix: it is not a directory", a_file),
    "no conda-meta": Bad(3, "no conda-meta directory", lambda p: (p / "conda-meta").rmdir(), {"CONDA_BUILD": ""}),
    "no PY_VER": Bad(2, "PY_VER is not set", variables={"PY_VER": "", "SP_DIR": ""}),
    "PY_VER is not a version": Bad(2, "is not a version of Python", variables={"PY_VER": "three"}),
    "no such Python": Bad(2, "no such Python", arguments=("--python", "3.x")),
    "conda-meta is a file": Bad(3, "its conda-meta cannot be read: ", a_file_for_conda_meta),
    "record is a directory": Bad(
        3,
        "broken-1.0-0.json cannot be read: it is a directory, not a regular file",
        lambda p: (p / "conda-meta/broken-1.0-0.json").mkdir(),
    ),
    "record cut": Bad(3, "broken-1.0-0.json is not valid JSON", a_record('{"name": "broken"')),
    "record empty": Bad(3, "broken-1.0-0.json is not valid JSON", a_record("")),
    "record is a list": Bad(3, "broken-1.0-0.json is not a JSON object", a_record("[]")),
    "record without name": Bad(3, "broken-1.0-0.json has no name", a_record("{}")),
    "record without files": Bad(3, "lists no files", a_record('{"name": "a", "version": "1", "build": "0"}')),
    "files is no list": Bad(
        3, "files that are not a list of strings", a_record('{"name": "a", "version": "1", "build": "0", "files": "x"}')
    ),
    "paths are not a list": Bad(
        3,
        "paths_data without a list",
        a_record('{"name": "a", "version": "1", "build": "0", "files": [], "paths_data": {"paths": [1]}}'),
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_line_and_nothing_is_touched(tmp_path: Path, bad: Bad) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    bad.spoil(prefix)
    before = tree(tmp_path)
    done = hook("--fix", *bad.arguments, build(prefix, **bad.variables))
    assert done.returncode == bad.code
    assert [line for line in done.stderr.splitlines() if bad.says in line], done.stderr
    assert "Traceback" not in done.stderr
    assert bad.code == 2 or len(done.stderr.splitlines()) == 1
    assert tree(tmp_path) == before


def test_a_missing_py_ver_suggests_the_installed_python(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {})
    write_record(prefix, "python", [], version="3.12.4")
    assert "use --python 3.12, any or none" in hook(prefix).stderr


def test_a_build_without_host_dependencies_has_no_conda_meta(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    (prefix / "conda-meta").rmdir()
    assert hook("--fix", build(prefix)).returncode == 0
    assert not list(prefix.rglob("*.pyc"))


@needs_modes
def test_a_read_only_directory_loses_nothing(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE, **OLD_TAG})
    locked = prefix / "lib/python3.10/site-packages/own/__pycache__"
    locked.chmod(0o555)
    before = tree(prefix)
    done = hook("--fix", build(prefix))
    locked.chmod(0o755)
    assert done.returncode == 3
    assert "read-only" in done.stderr
    assert tree(prefix) == before


@needs_links
def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    outside = unpack(tmp_path / "outside", OLD_TREE)
    prefix = unpack(tmp_path / "p", OWN)
    (prefix / "lib/python3.10").symlink_to(outside / "lib/python3.10")
    (prefix / "inside").symlink_to("lib")
    before = tree(tmp_path)
    assert hook("--fix", "--extend-select", "foreign-tag", build(prefix)).returncode == 0
    assert tree(outside) == {k.removeprefix("outside/"): v for k, v in before.items() if k.startswith("outside/")}


@needs_links
def test_a_prefix_may_be_named_through_a_link(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    link = tmp_path / "link"
    link.symlink_to(prefix)
    assert hook("--fix", link, "--python", "3.11").returncode == 0
    assert not list(prefix.rglob("*310.pyc"))


@needs_links
def test_a_link_to_stray_bytecode_goes_with_it(tmp_path: Path) -> None:
    target = next(path for path in OLD_TAG if path.endswith(".pyc"))
    link = f"{SITE_PACKAGES}/own/__pycache__/n.cpython-310.pyc"
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TAG, link: Symlink(os.path.basename(target))})
    assert hook("--fix", build(prefix)).returncode == 0
    assert files(prefix) == set(OWN)


@needs_names_in_bytes
def test_names_that_are_no_text_are_pruned_and_told_escaped(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OWN)
    directory = os.fsencode(prefix / SITE_PACKAGES / "own" / "__pycache__")
    name = os.path.join(directory, b"\xff\x1b[31m.cpython-310.pyc")
    with open(name, "wb") as file:
        file.write(pyc("cpython-310"))
    done = hook("--fix", "-v", build(prefix))
    assert done.returncode == 0, done.stderr
    assert not os.path.lexists(name)
    assert "\x1b" not in done.stdout


def carry_out(prefix: Path, edits: Mapping[str, Edit], seen: Mapping[str, FileIdentity]) -> None:
    """Carry the edits out in a prefix in which no record owns anything."""
    with Directory.open(str(prefix)) as root:
        prune(root, edits, seen, frozenset())


BY_PATH = [pytest.param(True, id="descriptors"), pytest.param(False, id="paths")]


@pytest.fixture(params=BY_PATH)
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with descriptors of directories, and as systems without them do."""
    if not request.param:
        monkeypatch.setattr(directory_module, "BY_DESCRIPTOR", False)


@pytest.mark.usefixtures("ways")
def test_a_directory_that_becomes_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Whoever can write in a prefix must not be able to aim the removal at files outside."""
    outside = unpack(tmp_path / "outside", {"site-packages/m.cpython-310.pyc": "precious"})
    prefix = unpack(tmp_path / "p", {"lib/python3.10/site-packages/m.cpython-310.pyc": "precious"})
    stray = "lib/python3.10/site-packages/m.cpython-310.pyc"
    seen = {stray: FileIdentity.of(os.lstat(prefix / stray))}
    shutil.rmtree(prefix / "lib/python3.10")
    (prefix / "lib/python3.10").symlink_to(outside)
    with pytest.raises(Changed):
        carry_out(prefix, {stray: Drop()}, seen)
    assert (outside / "site-packages/m.cpython-310.pyc").read_text() == "precious"


@pytest.mark.usefixtures("ways")
def test_a_file_that_changed_after_it_was_judged_stays(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    first, second = (path for path in sorted(OLD_TREE) if path.endswith((".py", ".pyc")))
    seen = {path: FileIdentity.of(os.lstat(prefix / path)) for path in (first, second)}
    (prefix / second).write_text("somebody else's")
    with pytest.raises(Changed):
        carry_out(prefix, {first: Drop(), second: Drop()}, seen)
    assert files(prefix) == set(OLD_TREE), "nothing was removed before all were known to be those that were judged"


@pytest.mark.usefixtures("ways")
def test_both_ways_remove_the_same(tmp_path: Path) -> None:
    own = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    content = {**OWN, **OLD_TREE, **OLD_TAG, own: record(SITE_PACKAGES, {**OWN, **OLD_TAG}, own)}
    prefix = unpack(tmp_path / "p", content)
    result = judge_prefix(
        str(prefix), build_of(build(prefix)), Options(extend_select=frozenset({"foreign-tree"})), fix=True
    )
    assert result.status == "fixed"
    assert files(prefix) == {*OWN, own}
    assert not (prefix / "lib/python3.10").exists()
    assert "cpython-310" not in (prefix / own).read_text()


@pytest.mark.usefixtures("ways")
def test_a_file_that_vanished_after_it_was_judged_costs_no_other(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD_TREE)
    first, second = (path for path in sorted(OLD_TREE) if path.endswith((".py", ".pyc")))
    seen = {path: FileIdentity.of(os.lstat(prefix / path)) for path in (first, second)}
    (prefix / second).unlink()
    with pytest.raises(Changed, match=f"{second} vanished while the prefix was judged"):
        carry_out(prefix, {first: Drop(), second: Drop()}, seen)
    assert (prefix / first).exists()


@pytest.mark.usefixtures("ways")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no RLIMIT_FSIZE")
def test_a_list_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    import resource

    path = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    prefix = unpack(tmp_path / "p", {path: "old", **OLD_TAG})
    stray = next(path for path in OLD_TAG if path.endswith(".pyc"))
    seen = {name: FileIdentity.of(os.lstat(prefix / name)) for name in (path, stray)}
    before, limits = tree(prefix), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(CannotWrite, match=f"{path} cannot be rewritten: File too large"):
            carry_out(prefix, {path: Rewrite(bytes(1 << 21), ""), stray: Drop()}, seen)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tree(prefix) == before


@pytest.mark.usefixtures("ways")
def test_without_modes_a_list_is_rewritten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no mode to give to an open file."""
    monkeypatch.delattr(os, "fchown", raising=False)
    path = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    prefix = unpack(tmp_path / "p", {path: "old"})
    carry_out(prefix, {path: Rewrite(b"new", "")}, {path: FileIdentity.of(os.lstat(prefix / path))})
    assert {name for name, content in tree(prefix).items() if content is not None} == {path}
    assert (prefix / path).read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in directories")
def test_a_pipe_with_bytecodes_name_is_not_waited_for(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    pipe = prefix / SITE_PACKAGES / "own/__pycache__/x.cpython-311.pyc"
    os.mkfifo(pipe)
    done = hook("--fix", build(prefix))
    assert done.returncode == 0, done.stderr
    assert pipe.exists()
    assert not (prefix / "lib/python3.10/site-packages/own/__pycache__").exists()


def test_an_unreadable_file_is_judged_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TAG})
    real = os.open

    def denies(path: str, flags: int, *rest: int, **more: int) -> int:
        if str(path).endswith(".pyc"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", denies)
    result = judge_prefix(str(prefix), build_of(build(prefix)), Options())
    assert {finding.path for finding in result.findings} == {path for path in OLD_TAG if path.endswith(".pyc")}


@needs_unreachable
def test_a_directory_that_cannot_be_read_costs_no_file(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    make_unreachable(prefix)
    done = hook("--fix", build(prefix))
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.endswith("cannot be read: File name too long")
    assert all((prefix / path).exists() for path in OLD_TREE)


# All or nothing


def stray_paths() -> list[str]:
    return sorted(path for path in (*OLD_TREE, *OLD_TAG) if path.endswith(".pyc"))


def a_full_prefix(tmp_path: Path) -> Path:
    own = f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    listing = record(SITE_PACKAGES, {**OWN, **OLD_TAG}, own)
    return unpack(tmp_path / "p", {**OWN, **OLD_TREE, **OLD_TAG, own: listing})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's file systems have these flags")
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_the_system_protects_is_found_before_anything_is_removed(tmp_path: Path, what: str) -> None:
    """As for root: such a file has every permission."""
    prefix = a_full_prefix(tmp_path)
    last = prefix / stray_paths()[-1]
    protected = last if what == "file" else last.parent
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", protected], capture_output=True).returncode:
        pytest.skip("no flags can be set on files here")
    try:
        before = tree(prefix)
        done = hook("--fix", build(prefix))
        assert done.returncode == 3
        assert "immutable or append-only; make it writable; nothing was changed" in done.stderr
        assert tree(prefix) == before
    finally:
        subprocess.run(["chattr", "-i", protected], check=True)
    assert hook("--fix", build(prefix)).returncode == 0


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "Device or resource busy"), KeyboardInterrupt()], ids=repr)
def test_what_fails_on_the_way_is_undone(tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of the moves: a file that is a mount point, for example, cannot be moved; or somebody presses Ctrl-C."""
    prefix = a_full_prefix(tmp_path)
    before = tree(prefix)
    real, calls, point = os.replace, 0, 0

    def fails(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            raise error
        real(*arguments, **more)

    monkeypatch.setattr(os, "replace", fails)
    while True:
        calls, point = 0, point + 1
        try:
            judge_prefix(str(prefix), build_of(build(prefix)), Options(), fix=True)
            break
        except (CannotWrite, KeyboardInterrupt):
            assert tree(prefix) == before
    assert point > len(stray_paths())
    assert not any("conda-prune" in path for path in tree(prefix))


@pytest.mark.usefixtures("ways")
def test_a_file_swapped_during_the_move_is_moved_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    target = prefix / stray_paths()[0]
    real, swapped = os.replace, list[bool]()

    def swapping(*arguments: Any, **more: Any) -> None:
        if not swapped:
            swapped.append(True)
            target.unlink()
            target.write_bytes(b"theirs")
        real(*arguments, **more)

    monkeypatch.setattr(os, "replace", swapping)
    with pytest.raises(Changed, match="was changed while the prefix was judged"):
        judge_prefix(str(prefix), build_of(build(prefix)), Options(), fix=True)
    assert target.read_bytes() == b"theirs"
    assert files(prefix) == {*OWN, *OLD_TREE}


def test_a_file_that_was_made_again_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """A killed run left a file moved away, and the build has installed a new one since."""
    prefix = unpack(tmp_path / "p", {**OWN, "conda-meta/.conda-prune-prefix.undo/dropped/share/a": "old"})
    for path, content in (("share/b", "moved back"), ("share/a", "old")):
        there = prefix / "conda-meta/.conda-prune-prefix.undo/dropped" / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(content)
    (prefix / "share").mkdir()
    (prefix / "share/a").write_text("new")
    assert hook("--fix", build(prefix)).returncode == 0
    assert {path: content for path, content in tree(prefix).items() if path.startswith(("share", "conda-meta/"))} == {
        "share": None,
        "share/a": b"new",
        "share/b": b"moved back",
    }


def test_without_fix_nothing_is_moved_back(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, "conda-meta/.conda-prune-prefix.undo/dropped/share/a": "old"})
    before = tree(prefix)
    assert hook(build(prefix)).returncode == 0
    assert tree(prefix) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege to make symbolic links")
def test_a_linked_conda_meta_is_not_written_to(tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    os.rename(prefix / "conda-meta", tmp_path / "elsewhere")
    (prefix / "conda-meta").symlink_to(tmp_path / "elsewhere")
    before = tree(tmp_path)
    done = hook("--fix", build(prefix))
    assert done.returncode == 3
    assert "conda-meta cannot be written to: Not a directory; nothing was changed" in done.stderr
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("locked", ["conda-meta", "."], ids=["conda-meta", "no-conda-meta"])
def test_a_read_only_conda_meta_is_an_error(tmp_path: Path, locked: str) -> None:
    prefix = unpack(tmp_path / "p", {**OWN, **OLD_TREE})
    if locked == ".":
        (prefix / "conda-meta").rmdir()
    before = tree(prefix)
    (prefix / locked).chmod(0o555)
    try:
        done = hook("--fix", build(prefix))
    finally:
        (prefix / locked).chmod(0o755)
    assert done.returncode == 3
    assert "conda-meta cannot be written to: its directory is read-only (mode 0555); make" in done.stderr
    assert tree(prefix) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows does not send signals to other processes")
def test_an_interrupted_run_undoes_what_it_did(tmp_path: Path) -> None:
    cache = "lib/python3.10/site-packages/own/__pycache__"
    prefix = unpack(tmp_path / "p", {f"{cache}/m{number}.cpython-310.pyc": "" for number in range(1500)})
    before = files(prefix)
    command = [sys.executable, "-m", "conda_prune", "prefix", "--fix", str(prefix), "--python", "3.11"]
    undone = 0
    for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)] * 3:
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Not at a time, but at a place: some of the files have been moved.
        while run.poll() is None and len(os.listdir(prefix / cache) if (prefix / cache).is_dir() else []) == 1500:
            time.sleep(0.001)
        run.send_signal(number)
        if run.wait() == 0:
            break  # It was done already.
        assert run.returncode == code
        assert files(prefix) == before
        undone += 1
    assert undone >= 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_run_says_that_it_waits_for_another(tmp_path: Path) -> None:
    prefix = a_full_prefix(tmp_path)
    path = str(prefix / "conda-meta/.conda-prune-prefix.tmp")
    lock = os.fdopen(system.create_locked(path), "r+b")
    command = [sys.executable, "-m", "conda_prune", "prefix", "--fix", str(prefix), "--python", "3.11"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    line = run.stderr.readline()
    system.discard(lock, path)
    assert line.startswith("waiting for ")
    assert line.endswith(f", which is working on {prefix}\n")
    assert (run.communicate()[1], run.returncode) == ("", 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_runs_in_one_prefix_take_turns(tmp_path: Path) -> None:
    prefix = a_full_prefix(tmp_path)
    runs = [
        subprocess.Popen([sys.executable, "-m", "conda_prune", "prefix", "--fix", prefix, "--python", "3.11"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]  # fmt: skip
    ends = [(run.communicate()[1], run.returncode) for run in runs]
    # One that judged the prefix before another changed it says so, and has changed nothing itself.
    assert {code for _, code in ends} <= {0, 3}
    assert all("run the command again" in said for said, code in ends if code)
    assert [code for _, code in ends].count(0) >= 1
    assert not any(path in files(prefix) for path in stray_paths())
    assert not any("conda-prune" in path for path in tree(prefix))


def test_a_rewritten_list_keeps_its_attributes(tmp_path: Path) -> None:
    prefix = a_full_prefix(tmp_path)
    listing = prefix / f"{SITE_PACKAGES}/own-1.0.dist-info/RECORD"
    if not hasattr(os, "setxattr"):
        pytest.skip("only Linux has os.setxattr")
    try:
        os.setxattr(listing, "user.origin", b"here")
    except OSError as error:
        pytest.skip(f"this file system has no extended attributes: {error}")
    before = listing.stat()
    assert hook("--fix", build(prefix)).returncode == 0
    assert os.getxattr(listing, "user.origin") == b"here"
    after = listing.stat()
    assert (after.st_mode, after.st_uid, after.st_nlink) == (before.st_mode, before.st_uid, 1)


class WindowsEntry:
    """An entry of a directory as Windows gives it: its status has neither device nor inode."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry
        self.name, self.path = entry.name, entry.path
        self.is_dir, self.is_file, self.is_symlink = entry.is_dir, entry.is_file, entry.is_symlink

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        status = list(self._entry.stat(follow_symlinks=follow_symlinks))
        status[1:4] = [0, 0, 0]
        return os.stat_result(status)


def test_a_prefix_is_fixed_where_entries_have_no_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = a_full_prefix(tmp_path)
    real = os.scandir

    @contextmanager
    def scandir(path: str = ".") -> Iterator[Iterator[WindowsEntry]]:
        with real(path) as entries:
            yield (WindowsEntry(entry) for entry in entries)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(directory_module, "BY_DESCRIPTOR", False)
    result = judge_prefix(str(prefix), build_of(build(prefix)), Options(), fix=True)
    assert result.status == "fixed"
    monkeypatch.undo()
    assert not any(path in files(prefix) for path in stray_paths())


# What is no prefix


ROOTS = (
    ["/", "C:/", "C:\\", "\\", "/.", "/../"]
    if os.name == "nt"
    else ["/", "//", "/.", "/../", "/tmp/..", "link", "link/."]
)
"""Spellings of the root of a file system. `link` is replaced by a link to it."""


@pytest.mark.parametrize("spelling", ROOTS)
@pytest.mark.parametrize("fix", [[], ["--fix"]], ids=["judged", "fixed"])
def test_the_root_of_a_file_system_is_refused(tmp_path: Path, spelling: str, fix: list[str]) -> None:
    if "link" in spelling:
        (tmp_path / "link").symlink_to("/")
    path = spelling.replace("link", str(tmp_path / "link"))
    for arguments in ([path, build(Path("/"))], [build(Path("/")) | {"PREFIX": path}], [path, "--python", "3.11"]):
        done = hook(*fix, *arguments)
        assert done.returncode == 2
        assert "is the root of a file system, not a prefix" in done.stderr


def test_the_home_directory_is_refused_unless_it_is_an_environment(tmp_path: Path) -> None:
    home = unpack(tmp_path / "users" / "me", {**OLD_TREE, ".profile": ""})
    (home / "conda-meta").rmdir()
    for prefix in (home, home.parent):
        done = hook("--fix", build(prefix) | {"HOME": str(home), "USERPROFILE": str(home)})
        assert done.returncode == 2
        assert "holds the home directory, and no conda-meta" in done.stderr
    assert (home / stray_paths()[0]).exists()
    (home / "conda-meta").mkdir()
    assert hook("--fix", build(home) | {"HOME": str(home), "USERPROFILE": str(home)}).returncode == 0
    assert not (home / stray_paths()[0]).exists()


def test_the_running_python_is_refused_unless_it_is_an_environment() -> None:
    if os.path.lexists(os.path.join(sys.prefix, "conda-meta")):
        pytest.skip("this Python is a conda environment's")
    done = hook(build(Path(sys.prefix)))
    assert done.returncode == 2
    assert "holds the Python that runs conda-prune, and no conda-meta" in done.stderr
