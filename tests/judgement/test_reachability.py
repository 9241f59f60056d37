"""Files that `.pth` files and links lead to are kept, and a forecast says what was not read."""

from __future__ import annotations

import os
import site
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune import Result, check, fix
from conda_prune.environment.installed import check_installed
from conda_prune.environment.prefix import Build, judge_prefix
from conda_prune.judgement.contents import Contents
from conda_prune.judgement.options import Options
from conda_prune.judgement.plan import make_plan
from conda_prune.model import (
    Action,
    Component,
    FileKind,
    Format,
    Identity,
    Package,
)
from conda_prune.model import File as ModelFile

from ..corpus.bytecode import modules
from ..corpus.entries import AnyEntry, File, Symlink
from ..corpus.packages import FORMATS, PackageSpec, write_package
from ..corpus.scenario import conda_forge, for_311
from ..environment.test_prefix import no_build, unpack, write_record  # noqa: F401
from .builders import contents_with, in_cache, paths_found

SITE = "lib/python3.11/site-packages"
OTHER = "lib/python3.10/site-packages"
PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
OLD = modules(OTHER, "q/a", tags=("cpython-311",))
STRAY = f"{OTHER}/q/__pycache__/a.cpython-311.pyc"


def dropped(result: Result) -> set[str]:
    return {finding.path for finding in result.findings if finding.action is Action.DROP}


def package_with(directory: Path, pth: dict[str, AnyEntry], **options: Any) -> Path:
    """Write a package for Python 3.11 with a tree of 3.10 and these other files."""
    return write_package(for_311("roads", OLD | pth), directory, **options)


LINES = [
    pytest.param("../../python3.10/site-packages\n", False, id="relative"),
    pytest.param("../../python3.10/site-packages/q", False, id="a-directory-of-the-tree"),
    pytest.param("../../python3.10", False, id="the-whole-tree"),
    pytest.param("./../../../lib//python3.10/site-packages/./  \n", False, id="not-normalized"),
    pytest.param("\ufeff../../python3.10/site-packages\n", False, id="byte-order-mark"),
    pytest.param("# first\n\nimport os; os.x\nown\n../../python3.10/site-packages\r\n", False, id="the-last-line"),
    pytest.param(f"{PLACEHOLDER}/lib/python3.10/site-packages\n", False, id="absolute"),
    pytest.param("", True, id="empty"),
    pytest.param("own\n", True, id="elsewhere"),
    pytest.param("# ../../python3.10/site-packages\n", True, id="comment"),
    pytest.param("import sys; sys.path.append('../../python3.10/site-packages')\n", True, id="code-is-not-run"),
    pytest.param("../../python3.10/site-packages/other\n", True, id="another-directory-of-the-tree"),
    pytest.param("../..\n", True, id="around-all-trees"),
    pytest.param("../../../../lib/python3.10/site-packages\n", True, id="above-the-package"),
    pytest.param("/lib/python3.10/site-packages\n", True, id="absolute-elsewhere"),
    pytest.param(f"{PLACEHOLDER}x/lib/python3.10/site-packages\n", True, id="another-prefix"),
]


@pytest.mark.parametrize(("text", "is_dropped"), LINES)
@pytest.mark.parametrize("format_", FORMATS)
def test_a_directory_named_in_a_pth_file_is_kept(text: str, is_dropped: bool, format_: Any, tmp_path: Path) -> None:
    pth = File(text.encode(), prefix_placeholder=PLACEHOLDER)
    path = package_with(tmp_path, {f"{SITE}/road.pth": pth}, format=format_)
    before = path.read_bytes()
    for result in (check(path), check(path, deep=True)):
        assert dropped(result) == ({STRAY} if is_dropped else set())
    assert ("remain" in " ".join(check(path).notes)) is is_dropped, "a reachable tree is not foreign"
    assert fix(path, in_place=True).status == ("fixed" if is_dropped else "clean")
    assert (path.read_bytes() == before) is not is_dropped


@pytest.mark.parametrize(
    ("path", "is_dropped"),
    [
        pytest.param(f"{SITE}/road.pth", False, id="own-site-packages"),
        pytest.param("lib64/python3.11/site-packages/road.pth", False, id="lib64"),
        pytest.param("lib/python/site-packages/road.pth", False, id="CFEP-27"),
        pytest.param(f"{SITE}/sub/road.pth", True, id="deeper"),
        pytest.param("lib/python3.11/road.pth", True, id="outside"),
        pytest.param(f"{OTHER}/road.pth", True, id="in-the-other-tree"),
        pytest.param(f"{SITE}/road.pth.txt", True, id="another-ending"),
        pytest.param("opt/lib/python3.11/site-packages/road.pth", True, id="another-prefix"),
    ],
)
def test_pth_files_count_only_in_the_own_site_packages(path: str, is_dropped: bool, tmp_path: Path) -> None:
    up = "../" * path.count("/")
    package = package_with(tmp_path, {path: f"{up}{OTHER}\n"})
    assert dropped(check(package, deep=True)) == ({STRAY} if is_dropped else set())


def test_an_absolute_line_needs_a_recorded_prefix(tmp_path: Path) -> None:
    path = package_with(tmp_path, {f"{SITE}/road.pth": f"{PLACEHOLDER}/{OTHER}\n"})
    assert dropped(check(path)) == {STRAY}


def test_a_line_is_followed_through_symbolic_links(tmp_path: Path) -> None:
    """A link inside the foreign tree does not make it reachable, but a line may name the link."""
    files: dict[str, AnyEntry] = {"lib/python3.10/now": Symlink("site-packages")}
    assert dropped(check(package_with(tmp_path, files))) == {STRAY}
    files[f"{SITE}/road.pth"] = "../../python3.10/now\n"
    assert not dropped(check(package_with(tmp_path, files)))


def test_a_pth_file_that_is_a_link_keeps_every_tree(tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = {
        f"{SITE}/road.pth": Symlink("../../../share/road.txt"),
        "share/road.txt": "../../python3.10/site-packages\n",
    }
    assert not dropped(check(package_with(tmp_path, files), deep=True)), (
        "its content was not read, so every tree is kept"
    )


def test_a_pth_file_too_large_to_be_read_keeps_every_tree(tmp_path: Path) -> None:
    path = package_with(tmp_path, {f"{SITE}/road.pth": "#" * 70_000})
    assert not dropped(check(path, deep=True))


def test_lines_on_windows_have_drives_and_backslashes(tmp_path: Path) -> None:
    placeholder = "D:\\bld\\_h_env"
    for number, line in enumerate(("..\\Python3.10\\site-packages", "d:/BLD/_h_env/lib/python3.10/Site-Packages")):
        spec = PackageSpec(
            "win",
            subdir="win-64",
            depends=conda_forge("3.11"),
            files={
                "Lib/site-packages/road.pth": File(line.encode(), prefix_placeholder=placeholder),
                "Lib/python3.10/site-packages/q.pyc": b"",
            },
        )
        (tmp_path / str(number)).mkdir()
        assert not dropped(check(write_package(spec, tmp_path / str(number))))


@pytest.mark.parametrize("deep", [False, True])
def test_a_nested_tree_named_in_a_pth_file_is_not_found(deep: bool, tmp_path: Path) -> None:
    tree = "opt/ros/humble/lib/python3.10/site-packages"
    files = modules(tree, "q", tags=("cpython-311",))
    for target, kinds in ((tree, set()), ("opt/ros", {"nested-path"})):
        (tmp_path / target.replace("/", "-")).mkdir()
        spec = for_311("nested", files | {f"{SITE}/road.pth": f"../../../{target}\n"})
        path = write_package(spec, tmp_path / target.replace("/", "-"))
        findings = check(path, deep=deep, extend_select=["nested-path"]).findings
        assert {finding.kind for finding in findings} == kinds


def test_reachable_bytecode_still_needs_a_fitting_tag(tmp_path: Path) -> None:
    files = modules(OTHER, "q/a", tags=("cpython-310",)) | {f"{SITE}/road.pth": "../../python3.10/site-packages\n"}
    path = write_package(for_311("roads", OLD | files), tmp_path)
    assert dropped(check(path)) == {f"{OTHER}/q/__pycache__/a.cpython-310.pyc"}


# What was not read


def forecast(*paths: str, links: tuple[str, ...] = (), python: str = "3.11", **options: Any) -> tuple[str, ...]:
    """Return the notes of a package that is judged from its listing alone."""
    text = "".join(f"{path}\n" for path in paths).encode()
    index = f'{{"name": "a", "version": "1", "build": "0", "depends": ["python {python}.*"]}}'.encode()
    files = [ModelFile("info/index.json", size=len(index), content=index)]
    if links:
        rows = [f'{{"_path": "{path}", "path_type": "softlink"}}' for path in links]
        rows += [f'{{"_path": "{path}"}}' for path in paths]
        text = f'{{"paths": [{", ".join(rows)}], "paths_version": 1}}'.encode()
    files.append(ModelFile("info/paths.json" if links else "info/files", size=len(text), content=text))
    component = Component("info", tuple(files), (), 0)
    package = Package("a.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=False)
    plan = make_plan(package, Options(**options))
    assert plan.needs_payload is any("metadata alone" in note for note in plan.notes)
    return tuple(note for note in plan.notes if "metadata alone" in note)


def test_a_forecast_says_what_was_not_read() -> None:
    pth, legacy = f"{SITE}/road.pth", (f"{SITE}/m.py", f"{SITE}/m.pyc")
    assert forecast(STRAY, pth) == ("judged from metadata alone: 1 .pth file was not read (what it leads to is kept)",)
    assert forecast(*legacy) == (
        "judged from metadata alone: the magic number of 1 .pyc file next to its source was not read",
    )
    two = (f"{SITE}/n.py", f"{SITE}/n.pyc", f"{SITE}/other.pth")
    (note,) = forecast(STRAY, pth, *legacy, *two, links=("share/a", "share/b"))
    assert note == (
        "judged from metadata alone: the magic numbers of 2 .pyc files next to their sources were not read; "
        "2 .pth files were not read (what they lead to is kept); "
        "2 symbolic links were not followed (what they lead to is kept)"
    )
    (note,) = forecast(STRAY, links=("share/a",))
    assert note == "judged from metadata alone: 1 symbolic link was not followed (what it leads to is kept)"


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        pytest.param((f"{SITE}/road.pth", f"{SITE}/m.py"), {}, id="no-foreign-tree"),
        pytest.param((STRAY, "share/road.pth"), {}, id="no-pth-file-of-a-site-packages"),
        pytest.param((STRAY, f"{SITE}/road.pth"), {"keep": ("*",)}, id="nothing-is-dropped"),
        pytest.param((STRAY, f"{SITE}/road.pth"), {"ignore": frozenset({"foreign-path"})}, id="ignored"),
        pytest.param((in_cache(SITE, "m.cpython-310.pyc"), f"{SITE}/road.pth"), {}, id="another-rule"),
        pytest.param((f"{SITE}/tests/m.py", f"{SITE}/tests/m.pyc"), {}, id="test-data"),
        pytest.param((f"{SITE}/m.py", f"{SITE}/m.pyc"), {"ignore": frozenset({"foreign-tag"})}, id="no-magic-wanted"),
        pytest.param((f"{SITE}/m.pyc",), {}, id="no-source"),
    ],
)
def test_a_forecast_has_no_note_if_nothing_is_missing(paths: tuple[str, ...], options: Any) -> None:
    assert forecast(*paths, **options) == ()


def test_check_reads_the_payload_only_if_it_matters(tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    clean = for_311("roads", modules(SITE, "m", tags=("cpython-311",)) | {f"{SITE}/road.pth": "x\n"})
    assert not check(write_package(clean, tmp_path / "clean")).deep
    assert check(package_with(tmp_path, {f"{SITE}/road.pth": "x\n"})).deep
    assert not check(package_with(tmp_path, {})).deep


# Environments

SUBDIR = "win-64" if os.name == "nt" else "linux-64"
"""Paths with backslashes and drives are those of packages for Windows."""


@pytest.mark.parametrize("line", ["../../python3.10/site-packages", "{prefix}/lib/python3.10/site-packages"])
def test_pth_files_are_read_in_prefixes(line: str, tmp_path: Path) -> None:
    prefix = unpack(tmp_path / "p", OLD | {f"{SITE}/road.pth": line.format(prefix=tmp_path / "p")})
    build = Build(str(prefix), "own", "1", "0", "3.11", running=True, subdir=SUBDIR)
    assert not dropped(judge_prefix(str(prefix), build, Options(), fix=True))
    (prefix / SITE / "road.pth").write_text("elsewhere\n")
    assert dropped(judge_prefix(str(prefix), build, Options(), fix=True)) == {STRAY}


@pytest.mark.parametrize("line", ["../../python3.10/site-packages", "{prefix}/lib/python3.10/site-packages"])
def test_pth_files_are_read_in_environments(line: str, tmp_path: Path) -> None:
    files = OLD | {f"{SITE}/road.pth": line.format(prefix=tmp_path)}
    unpack(tmp_path, files)
    write_record(tmp_path, "own", list(files), depends=list(conda_forge("3.11")), subdir=SUBDIR)
    (result,) = check_installed(str(tmp_path), "own", Options())
    assert not dropped(result)
    (tmp_path / SITE / "road.pth").write_text("elsewhere\n")
    (result,) = check_installed(str(tmp_path), "own", Options())
    assert dropped(result) == {STRAY}


# What `site` itself adds to sys.path

TARGETS = (OTHER, f"{OTHER}/q", f"{OTHER}/r", "lib/python3.10", "lib", SITE, "share/q")
LINE = st.builds(
    lambda up, target, tail: f"{up}{target}{tail}",
    st.sampled_from(["../../../", "./../../.././", "", "../../../../", "# ", "import os #"]),
    st.sampled_from(TARGETS),
    st.sampled_from(["", "/", "/..", "  ", "/../q", "\t"]),
)


@pytest.mark.skipif(os.name != "posix", reason="site-packages is elsewhere on Windows")
@settings(max_examples=100, deadline=None)
@given(lines=st.lists(LINE, max_size=3))
def test_no_module_that_site_makes_importable_is_dropped(lines: list[str]) -> None:
    files: dict[str, AnyEntry] = {}
    for directory in (OTHER, f"{OTHER}/q", f"{OTHER}/r", "lib/python3.10", "share/q"):
        files |= modules(directory, "m", tags=("cpython-311",))
    files[f"{SITE}/road.pth"] = "\n".join(lines)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        root = Path(os.path.realpath(directory), "root")
        for path, entry in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(entry.data if isinstance(entry, File) else str(entry).encode())
        patch.setattr(sys, "path", [])
        site.addpackage(str(root / SITE), "road.pth", set())
        on_path = {os.path.relpath(entry, root) for entry in sys.path}
        lost = dropped(check(write_package(for_311("roads", files), Path(directory), level=1)))
    for path in lost:
        assert str(Path(path).parent.parent) not in on_path, "no module that can be imported is lost"
    assert {
        f"{where}/__pycache__/m.cpython-311.pyc" for where in (f"{OTHER}/r",) if not on_path & set(TARGETS[:4])
    } <= lost


def test_a_link_inside_a_foreign_tree_does_not_count() -> None:
    contents: Contents = contents_with(STRAY, links={"lib/python3.9": "python3.10"})
    assert contents.links["lib/python3.9"].kind is FileKind.SYMLINK
    assert paths_found("foreign-path", "3.11", contents) == {STRAY}
