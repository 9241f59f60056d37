"""PATHS: what a directory search finds and skips, globs, lists of paths, and runs that find nothing."""

from __future__ import annotations

import bz2
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_prune.cli.package_search import find_packages

from ..clock import cpu_time
from ..corpus.packages import PackageSpec, Position, write_package
from ..executable import EXECUTABLE, run
from ..seed import CLEAN, SEEDS, STRAY

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege to make links")

CONDA, STRAY_CONDA = CLEAN[0], STRAY[0]
TAR_BZ2 = next(seed for seed in CLEAN if seed.path.name.endswith(".tar.bz2"))


def source_archive(path: Path, *, mode: str = "w:bz2", format: int = tarfile.PAX_FORMAT) -> Path:
    """Write a source archive as upstream projects publish it: one directory, no info/."""
    path.parent.mkdir(parents=True, exist_ok=True)
    headers = {"comment": "3338dea"} if format == tarfile.PAX_FORMAT else None
    with tarfile.open(path, mode, format=format, pax_headers=headers) as tar:  # type: ignore[call-overload]
        for name, text in (("foo-1.0/setup.py", b"print(1)\n"), ("foo-1.0/info/README", b"info\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        for name, kind, target in (("foo-1.0/l", tarfile.SYMTYPE, "/etc/passwd"), ("foo-1.0/f", tarfile.FIFOTYPE, "")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return path


def put(directory: Path) -> Path:
    """Copy a clean package into a directory, which is created if needed."""
    directory.mkdir(parents=True, exist_ok=True)
    return CONDA.copy(directory)


def checked(*arguments: object) -> list[str]:
    """Return the paths of the packages that a check works on, and assert that it has no error."""
    done = run("check", *arguments, "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    return [result["path"] for result in json.loads(done.stdout)]


# What a search finds


def test_results_of_an_earlier_run_are_not_repaired_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    STRAY_CONDA.copy(tmp_path)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        done = run("fix", ".", "-o", "repaired")
        assert done.returncode == 0
        assert "1 of 1 package repaired" in done.stdout
    assert os.listdir("repaired") == [STRAY_CONDA.path.name]
    assert f"not searched: {os.path.join('.', 'repaired')}" in run("fix", ".", "-o", "repaired", "-v").stderr
    assert run("fix", "repaired", "-o", "again").returncode == 0


def test_an_empty_path_is_wrong_usage() -> None:
    done = run("check", "", CONDA.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: a path is empty; check the variable that it comes from")


def test_a_file_is_not_an_output_directory(tmp_path: Path) -> None:
    package = STRAY_CONDA.copy(tmp_path)
    before = package.read_bytes()
    done = run("fix", package, "-o", package)
    assert done.returncode == 2
    assert f"-o {package} is not a directory; name the directory for the results" in done.stderr
    assert package.read_bytes() == before


def test_source_archive_is_not_an_error(tmp_path: Path) -> None:
    package = STRAY_CONDA.copy(tmp_path)
    source_archive(tmp_path / "sources" / "foo-1.0_abcdef12.tar.bz2")
    assert checked(tmp_path) == [str(package)]
    done = run("fix", "--in-place", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 package repaired" in done.stdout


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_verbose_counts_source_archives(tmp_path: Path, jobs: str) -> None:
    put(tmp_path)
    source_archive(tmp_path / "a" / "foo-1.0.tar.bz2")
    source_archive(tmp_path / "a" / "foo-2.0.tar.bz2", format=tarfile.GNU_FORMAT)
    done = run("check", "-v", "-j", jobs, tmp_path)
    assert done.returncode == 0
    assert "2 .tar.bz2 files are not packages (they have no info/index.json)" in done.stderr.splitlines()


@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_package_is_found_wherever_its_info_is(tmp_path: Path, position: Position) -> None:
    files = {f"share/{number}": bytes([number]) * 50_000 for number in range(20)}
    spec = PackageSpec("old", "1.0", "0", subdir="linux-64", files=files)
    path = write_package(spec, tmp_path, format=".tar.bz2", writer="cph1", info_position=position)
    assert checked(tmp_path) == [str(path)]


@pytest.mark.parametrize("size", [0, 1, 4, 100, -30, -1])
def test_truncated_tar_bz2_may_be_a_package(tmp_path: Path, size: int) -> None:
    put(tmp_path)
    source = source_archive(tmp_path / "foo-1.0-0.tar.bz2")
    source.write_bytes(source.read_bytes()[:size])
    done = run("check", tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {source}: ")


def test_damaged_tar_bz2_may_be_a_package(tmp_path: Path) -> None:
    content = bz2.decompress(source_archive(tmp_path / "foo-1.0-0.tar.bz2").read_bytes())
    second = content.index(b"foo-1.0/info/README")
    damaged = tmp_path / "foo-1.0-0.tar.bz2"
    for text in (content[:second] + b"\xff" * 512 + content[second + 512 :], content[: second + 100], b"no tar"):
        damaged.write_bytes(bz2.compress(text))
        done = run("check", tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    damaged.write_bytes(b"<html>404</html>")
    assert run("check", tmp_path).returncode == 3


def test_named_archive_without_index_is_an_error(tmp_path: Path) -> None:
    source = source_archive(tmp_path / "foo-1.0.tar.bz2")
    assert run("check", source).returncode == 3
    # A shell expands output/*/*.tar.bz2 like this.
    in_cache = source_archive(tmp_path / "src_cache" / "foo-1.0.tar.bz2")
    package = TAR_BZ2.copy(tmp_path)
    assert checked(in_cache, package) == [str(package)]
    assert run("check", in_cache).returncode == 2


# What a search skips


NOT_SEARCHED = [
    *(".git", ".hg", ".pixi/artifacts-v0/foo/abc", ".pixi/envs/default/pkgs", "artifacts-v0/foo", ".venv/lib"),
    *("broken", "src_cache", "bld/rattler-build_foo_1/work", "build_cache", "git_cache", "foo_1699999999999/work"),
    *("foo_1699999999999/_h_env_placehold_placehold/share", "foo_1699999999999/_build_env/share"),
    *("foo_1699999999999/_test_env_placehold_plac/share", "foo_1/work_moved_foo-1.0-0_linux-64", "foo_1/test_tmp"),
    "bld/rattler-build_foo_1/host_env_placehold_placehold/share",
]  # fmt: skip


@pytest.mark.parametrize("directory", NOT_SEARCHED)
def test_other_tools_directories_are_not_searched(tmp_path: Path, directory: str) -> None:
    wanted = put(tmp_path / "linux-64")
    unwanted = put(tmp_path / directory)
    assert checked(tmp_path) == [str(wanted)]
    assert set(checked("--no-default-excludes", tmp_path)) == {str(wanted), str(unwanted)}
    # A named directory is searched, even if it is an excluded one or below one.
    assert checked(unwanted.parent) == [str(unwanted)]
    assert checked(unwanted) == [str(unwanted)]


@pytest.mark.parametrize("marker", ["conda-meta/history", "urls.txt", ".cache.lock"])
def test_environments_and_package_caches_are_not_searched(tmp_path: Path, marker: str) -> None:
    wanted = put(tmp_path / "linux-64")
    unwanted = put(tmp_path / "cache" / "below")
    (tmp_path / "cache" / marker).parent.mkdir(exist_ok=True)
    (tmp_path / "cache" / marker).write_text("")
    assert checked(tmp_path) == [str(wanted)]
    assert checked(tmp_path / "cache") == [str(unwanted)]
    assert "not searched: " + str(tmp_path / "cache") in run("check", "-v", tmp_path).stderr.splitlines()


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        pytest.param(["a"], ["b/a.conda", "b/c/x.conda"], id="a name is a directory"),
        pytest.param(["a.conda"], ["a/x.conda", "b/c/a/x.conda", "b/c/x.conda"], id="a name is a file"),
        pytest.param(["x.*"], ["b/a.conda"], id="a glob of names"),
        pytest.param(["b/c"], ["a/x.conda", "b/a.conda"], id="a path"),
        pytest.param(["c/a"], None, id="a path starts at the top"),
        pytest.param(["**/c/a"], ["a/x.conda", "b/a.conda", "b/c/x.conda"], id="a path below any directory"),
        pytest.param(["b/*.conda", "a/"], [], id="several patterns"),
        pytest.param(["a/"], ["b/a.conda", "b/c/x.conda"], id="only directories"),
        pytest.param(["output/b"], ["a/x.conda"], id="a path from the current directory"),
        pytest.param(["./output/b/"], ["a/x.conda"], id="the same with a dot"),
        pytest.param(["output", "nothing"], None, id="never what is named"),
        pytest.param(["*/output/b/c/**"], None, id="never by what is above"),
    ],
)  # fmt: skip
def test_exclude_patterns(tmp_path: Path, patterns: list[str], left: list[str] | None) -> None:
    output = tmp_path / "output"
    everything = ["a/x.conda", "b/a.conda", "b/c/a/x.conda", "b/c/x.conda"]
    for name in everything:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(CONDA.path.read_bytes())
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        found = find_packages(["output"], exclude=patterns)
    finally:
        os.chdir(before)
    expected = everything if left is None else left
    assert sorted(Path(package.below).as_posix() for package in found.packages) == expected
    options = [word for pattern in patterns for word in ("--exclude", pattern)]
    done = subprocess.run(
        [EXECUTABLE, "check", "output", *options, "--format", "json"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == (0 if expected else 2)


# Links


@needs_links
def test_linked_directory_is_searched(tmp_path: Path) -> None:
    package = put(tmp_path / "elsewhere")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "linux-64").symlink_to("../elsewhere")
    assert checked(tmp_path / "output") == [str(tmp_path / "output" / "linux-64" / package.name)]


@needs_links
def test_directory_is_searched_once_and_under_its_own_path(tmp_path: Path) -> None:
    package = put(tmp_path / "linux-64")
    (tmp_path / "a-link").symlink_to("linux-64")
    (tmp_path / "another").symlink_to("linux-64")
    assert checked(tmp_path, tmp_path / "a-link", tmp_path / "linux-64") == [str(package)]


@needs_links
def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    package = put(tmp_path / "output" / "linux-64")
    put(tmp_path / "sibling")
    for name, target in (("self", "."), ("self-2", "."), ("up", ".."), ("root", "/"), ("nowhere", "nowhere")):
        (tmp_path / "output" / name).symlink_to(target)
        (tmp_path / "output" / "linux-64" / name).symlink_to(target)
    assert checked(tmp_path / "output") == [str(package)]
    assert checked(str(tmp_path / "output" / "**" / "*.conda")) == [str(package)]


@needs_links
def test_links_into_excluded_directories_are_not_followed(tmp_path: Path) -> None:
    package = put(tmp_path / "output" / "linux-64")
    put(tmp_path / "output" / "bld" / "rattler-build_foo_1" / "result")
    (tmp_path / "output" / "latest").symlink_to("bld/rattler-build_foo_1")
    assert checked(tmp_path / "output") == [str(package)]


# Globs and lists


def test_glob_without_a_match_is_reported(tmp_path: Path) -> None:
    pattern = str(tmp_path / "no-*.conda")
    done = run("check", pattern)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: no files match {pattern}; check the paths, or use --allow-empty\n"
    done = run("check", pattern, put(tmp_path))
    assert (done.returncode, done.stderr) == (0, f"warning: no files match {pattern}\n")
    assert run("check", pattern, "--allow-empty").returncode == 0


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("*", ["a/b/x.conda", "a/x.conda", "x.conda"], id="directories are searched, other files ignored"),
        pytest.param("*/x.conda", ["a/x.conda"], id="one level"),
        pytest.param("**/x.conda", ["a/b/x.conda", "a/x.conda", "x.conda"], id="any level"),
        pytest.param("a/**", ["a/b/x.conda", "a/x.conda"], id="all below"),
        pytest.param("**/b", ["a/b/x.conda"], id="a directory at any level"),
        pytest.param("**/a/*.conda", ["a/x.conda"], id="in the middle"),
        pytest.param("[a-c]/?.conda", ["a/x.conda"], id="classes"),
    ],
)
def test_globs_are_expanded(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in ("x.conda", "a/x.conda", "a/b/x.conda"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(CONDA.path.read_bytes())
    (tmp_path / "rattler-build-log.txt").write_text("log")
    assert sorted(Path(path).relative_to(tmp_path).as_posix() for path in checked(tmp_path / pattern)) == expected


@pytest.mark.parametrize(
    ("pattern", "opened"),
    [
        ("a/**/x.conda", {"a", "a/b", "a/b/c"}),
        ("**/b/*.conda", {".", "a", "a/b", "a/b/c", "d", "d/e"}),
        ("*/b/**", {".", "a", "a/b", "a/b/c", "d"}),
        ("[d]/**/x.conda", {".", "d", "d/e"}),
    ],
)
def test_a_glob_opens_only_directories_that_may_match(
    tmp_path: Path, pattern: str, opened: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b/c", "d/e"):
        (tmp_path / name).mkdir(parents=True)
    scanned = []
    scandir = os.scandir

    def recorded(path: str) -> object:
        scanned.append(Path(path).relative_to(tmp_path).as_posix())
        return scandir(path)

    monkeypatch.setattr(os, "scandir", recorded)
    find_packages([f"{tmp_path}/{pattern}"])
    assert set(scanned) == opened


def test_a_glob_with_many_stars_takes_little_time(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*"abcdefghijklmnopqrst")
    directory.mkdir(parents=True)
    package = put(directory)
    started = cpu_time()
    assert [package.path for package in find_packages([f"{tmp_path}/" + "**/*/" * 9 + "**/*.conda"]).packages] == [
        str(package)
    ]
    assert find_packages([f"{tmp_path}/" + "**/*/" * 9 + "**/no.conda"]).packages == ()
    assert cpu_time() - started < 5, "trying every division of the path among the stars takes hours"


def test_name_with_brackets_is_not_a_glob(tmp_path: Path) -> None:
    path = tmp_path / "foo[1].conda"
    path.write_bytes(CONDA.path.read_bytes())
    assert checked(path) == [str(path)]


@pytest.mark.parametrize("text", ["", "\n\n  \n"])
@pytest.mark.parametrize("source", ["file", "stdin", "dash"])
def test_empty_list_is_an_error(tmp_path: Path, text: str, source: str) -> None:
    (tmp_path / "list").write_text(text)
    arguments = {"file": ["--files-from", str(tmp_path / "list")], "stdin": ["--files-from", "-"], "dash": ["-"]}
    for command in (["check"], ["fix", "--in-place"]):
        for extra, code in (([], 2), (["--allow-empty"], 0)):
            done = subprocess.run(
                [EXECUTABLE, *command, *arguments[source], *extra], input=text, capture_output=True, text=True
            )
            assert (done.returncode, done.stdout) == (code, "")
            (line,) = done.stderr.splitlines()
            assert "no conda packages: " in line
            assert line.startswith("error: ") is (code == 2)


def test_list_may_have_windows_line_ends(tmp_path: Path) -> None:
    package = put(tmp_path)
    (tmp_path / "list").write_bytes(f"\ufeff{package}\r\n\r\n".encode())
    assert checked("--files-from", tmp_path / "list") == [str(package)]


def test_file_is_checked_once(tmp_path: Path) -> None:
    package = put(tmp_path / "a")
    other = f"{tmp_path}/a/../a/{package.name}"
    assert checked(package, tmp_path, other, tmp_path / "*" / "*.conda") == [str(package)]


# Nothing found


def empty_outputs(directory: Path) -> Iterator[Path]:
    """Yield directories without a package."""
    (directory / "nothing").mkdir()
    yield directory / "nothing"
    source_archive(directory / "sources" / "foo-1.0.tar.bz2")
    yield directory / "sources"
    put(directory / "failed" / "broken")
    source_archive(directory / "failed" / "src_cache" / "foo-1.0.tar.bz2")
    yield directory / "failed"


def test_run_without_a_package_is_an_error(tmp_path: Path) -> None:
    for directory in empty_outputs(tmp_path):
        for command in (["check"], ["fix", "--in-place"], ["fix", "-o", tmp_path / "out"], ["check", "-j", "2"]):
            done = run(*command, directory)
            assert (done.returncode, done.stdout) == (2, ""), directory
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"error: no conda packages in {directory}")
            done = run(*command, directory, "--allow-empty")
            assert (done.returncode, done.stdout) == (0, ""), directory
            assert done.stderr.startswith(f"no conda packages in {directory}")
    assert json.loads(run("check", "--format", "json", "--allow-empty", tmp_path / "nothing").stdout) == []
    assert run("check", "--allow-empty", "-q", tmp_path / "nothing").stderr == ""


def test_error_lists_what_was_not_searched(tmp_path: Path) -> None:
    *_, directory = empty_outputs(tmp_path)
    done = run("check", directory)
    assert f"not searched: {directory / 'broken'}, {directory / 'src_cache'}; " in done.stderr
    assert "--no-default-excludes" in done.stderr
    assert "--allow-empty" in done.stderr
    assert "1 .tar.bz2 file is not a package (it has no info/index.json)" in run("check", tmp_path / "sources").stderr


def test_failed_package_is_not_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "x-1-0.conda").write_bytes(b"PK")
    assert run("check", tmp_path, "--allow-empty").returncode == 3
    assert run("check", tmp_path / "absent.conda", "--allow-empty").returncode == 3


def test_allow_empty_accepts_a_missing_output_directory(tmp_path: Path) -> None:
    done = run("check", tmp_path / "output", "--allow-empty")
    assert (done.returncode, done.stderr) == (0, f"no conda packages in {tmp_path / 'output'}\n")
    assert run("check", tmp_path / "output").returncode == 3


def test_every_seed_is_found(tmp_path: Path) -> None:
    for seed in SEEDS:
        seed.copy(tmp_path)
    assert len(checked(tmp_path)) == len(SEEDS)
