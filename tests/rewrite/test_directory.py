"""Obstacles to removing or replacing an entry of a directory are found before it is tried."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conda_prune import fix
from conda_prune.errors import CannotWrite
from conda_prune.rewrite import directory as directories
from conda_prune.rewrite.directory import Directory, make_directory

from ..corpus.crafted import BASE
from ..corpus.packages import write_package

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes, and needs a privilege to make links")


@pytest.fixture(params=[pytest.param(True, id="descriptors"), pytest.param(False, id="paths")])
def lookups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with descriptors of directories, and with whole paths."""
    if not request.param:
        monkeypatch.setattr(directories, "BY_DESCRIPTOR", False)


@pytest.mark.usefixtures("lookups")
def test_an_ordinary_file_has_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Directory.open(str(tmp_path)) as directory:
        assert (directory.obstacle("file"), directory.obstacle("missing")) == ("", "")


@posix
@pytest.mark.usefixtures("lookups")
def test_a_read_only_directory_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir(mode=0o555)
    with Directory.open(str(tmp_path / "sub")) as directory:
        assert directory.obstacle("file") == "its directory is read-only (mode 0555)"


@posix
@pytest.mark.usefixtures("lookups")
def test_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "file").touch()
    with Directory.open(str(tmp_path)) as directory:
        directory.enter("sub").close()
        for name in ("link", "file", "missing"):
            with pytest.raises(OSError, match=name):
                directory.enter(name)


@posix
@pytest.mark.usefixtures("lookups")
def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Directory.open(str(tmp_path / "file"))


@posix
def test_names_are_looked_up_in_the_opened_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with Directory.open(str(tmp_path / "sub")) as directory:
        assert directory.is_still_at_its_path()
        os.rename(tmp_path / "sub", tmp_path / "moved")
        assert not directory.is_still_at_its_path()
        (tmp_path / "sub").mkdir()
        assert not directory.is_still_at_its_path()
        directory.mkdir("below")
    assert os.listdir(tmp_path / "moved") == ["below"]
    assert os.listdir(tmp_path / "sub") == []


@posix
def test_a_closed_directory_is_not_used(tmp_path: Path) -> None:
    directory = Directory.open(str(tmp_path))
    directory.close()
    directory.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        directory.mkdir("below")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("lookups")
def test_missing_directories_are_made_and_returned(tmp_path: Path) -> None:
    made: list[tuple[Directory, str]] = []
    with ExitStack() as opened:
        directory = make_directory(str(tmp_path / "a" / "b"), made, opened)
        assert [name for _, name in made] == ["a", "b"]
        assert directory.is_still_at_its_path()
        assert make_directory(str(tmp_path / "a"), made, opened).exists("b")
        assert len(made) == 2


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A directory for files that not even root may remove."""
    yield tmp_path
    subprocess.run(["chattr", "-R", "-ia", str(tmp_path)], capture_output=True)


def freeze(path: Path, flag: str) -> None:
    try:
        done = subprocess.run(["chattr", flag, str(path)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs chattr(1)")
    if done.returncode:
        pytest.skip(f"no flags can be set on files here: {done.stderr}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's file systems have these flags")
@pytest.mark.parametrize("flag", ["+i", "+a"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_immutable_flags_are_obstacles(frozen: Path, flag: str, what: str) -> None:
    package = write_package(BASE, frozen, format=".conda")
    freeze(package if what == "file" else frozen, flag)
    start = "it is" if what == "file" else "its directory is"
    with Directory.open(str(frozen)) as directory:
        assert directory.obstacle(package.name) == f"{start} immutable or append-only"
    with pytest.raises(CannotWrite, match=f"{start} immutable or append-only; make it writable, or use -o DIR"):
        fix(package, in_place=True)
    assert os.listdir(frozen) == [package.name]


AS_ANOTHER_USER = """
import os, sys
from conda_prune.rewrite.directory import Directory
os.setgid(1234), os.setuid(1234)
with Directory.open(sys.argv[1]) as directory:
    print(directory.obstacle("theirs"), directory.obstacle("ours"), sep="|")
"""


@pytest.mark.skipif(
    os.name == "nt" or os.getuid() != 0, reason="Windows has no setuid, and elsewhere only root may use it"
)
def test_a_sticky_directory_is_an_obstacle_for_others() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o1777)
        if any(not parent.stat().st_mode & 1 for parent in directory.parents):
            pytest.skip("other users cannot reach the directory for temporary files")
        for file in ("ours", "theirs"):
            (directory / file).touch()
        os.chown(directory / "ours", 1234, 1234)
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER, name],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
    theirs = "it belongs to another user, and its directory is sticky (mode 1777)"
    assert done.stdout == f"{theirs}|\n"
