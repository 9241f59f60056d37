"""`-o DIR` replaces the entry with the package's name in DIR, even if it is a link, and nothing else."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from conda_prune import check, fix
from conda_prune.errors import CannotWrite

from ..corpus.crafted import BASE
from ..corpus.packages import FORMATS, Format, write_package
from ..executable import run

posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no named pipes in directories, and needs a privilege to make links"
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    directory.mkdir()
    return directory


def a_package(tmp_path: Path, format_: Format = ".conda", *, clean: bool = False) -> Path:
    (tmp_path / "in").mkdir()
    package = write_package(BASE, tmp_path / "in", format=format_)
    if clean:
        fix(package, in_place=True)
    return package


@posix
@pytest.mark.parametrize("clean", [False, True], ids=["repaired", "copied"])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_link_is_replaced_and_its_target_untouched(
    tmp_path: Path, output: Path, format_: Format, clean: bool
) -> None:
    package = a_package(tmp_path, format_, clean=clean)
    precious = tmp_path / "elsewhere"
    precious.write_bytes(b"precious")
    before = precious.stat()
    (output / package.name).symlink_to(precious)
    fix(package, output_dir=output)
    assert (precious.read_bytes(), precious.stat().st_mtime_ns) == (b"precious", before.st_mtime_ns)
    assert not (output / package.name).is_symlink()
    assert check(output / package.name).status == "clean"
    assert os.listdir(output) == [package.name]


@posix
@pytest.mark.parametrize("target", ["nowhere", "loop", "directory", "cache/x.conda"])
def test_a_link_to_anything_is_replaced(tmp_path: Path, output: Path, target: str) -> None:
    package = a_package(tmp_path)
    (tmp_path / "directory").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "urls.txt").touch()
    (tmp_path / "cache" / "x.conda").write_bytes(b"precious")
    (output / package.name).symlink_to(package.name if target == "loop" else tmp_path / target)
    fix(package, output_dir=output)
    assert stat.S_ISREG((output / package.name).lstat().st_mode)
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "cache" / "x.conda").read_bytes() == b"precious"


@posix
def test_a_link_to_the_package_itself_is_replaced(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    before = package.read_bytes()
    (output / package.name).symlink_to(package)
    assert fix(package, output_dir=output).status == "fixed"
    assert package.read_bytes() == before
    assert check(output / package.name).status == "clean"


@posix
def test_another_name_of_the_package_is_replaced(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    before = package.read_bytes()
    os.link(package, output / package.name)
    fix(package, output_dir=output)
    assert package.read_bytes() == before
    assert check(output / package.name).status == "clean"


@posix
def test_the_package_itself_is_never_the_result(tmp_path: Path, output: Path) -> None:
    """It may be named directly, through a link to it, or through a link to its directory."""
    package = a_package(tmp_path)
    before = package.read_bytes()
    (output / package.name).symlink_to(package)
    (tmp_path / "also-in").symlink_to("in")
    for named, directory in (
        (package, tmp_path / "in"),
        (package, tmp_path / "also-in"),
        (tmp_path / "also-in" / package.name, tmp_path / "in"),
        (output / package.name, tmp_path / "in"),
        (output / package.name, tmp_path / "also-in"),
        (output / package.name, output),
    ):
        with pytest.raises(CannotWrite, match="contains the package itself"):
            fix(named, output_dir=directory)
    assert package.read_bytes() == before
    assert (output / package.name).is_symlink()


@posix
def test_in_place_a_link_is_kept_and_its_file_repaired(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    (output / package.name).symlink_to(package)
    assert run("fix", output, "--in-place").returncode == 0
    assert os.readlink(output / package.name) == str(package)
    assert check(package).status == "clean"


@posix
@pytest.mark.parametrize("what", ["directory", "pipe"])
def test_a_directory_or_pipe_is_not_replaced(tmp_path: Path, output: Path, what: str) -> None:
    package = a_package(tmp_path)
    entry = output / package.name
    entry.mkdir() if what == "directory" else os.mkfifo(entry)
    with pytest.raises(CannotWrite, match=f"{package.name} is a (named )?{what}"):
        fix(package, output_dir=output)
    assert os.listdir(output) == [package.name]
    assert not stat.S_ISREG(entry.lstat().st_mode)


@posix
@pytest.mark.parametrize("clean", [False, True], ids=["repaired", "copied"])
def test_a_read_only_package_can_be_written_repeatedly(tmp_path: Path, output: Path, clean: bool) -> None:
    package = a_package(tmp_path, clean=clean)
    package.chmod(0o444)
    for _ in range(3):
        assert run("fix", package, "-o", output).returncode == 0
        assert stat.S_IMODE((output / package.name).stat().st_mode) == 0o444


@posix
def test_a_read_only_directory_is_refused(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    output.chmod(0o555)
    try:
        with pytest.raises(CannotWrite, match=r"its directory is read-only \(mode 0555\); make it writable, or use an"):
            fix(package, output_dir=output)
    finally:
        output.chmod(0o755)


@posix
def test_a_directory_that_cannot_be_listed_is_enough(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    output.chmod(0o300)
    try:
        fix(package, output_dir=output)
    finally:
        output.chmod(0o755)
    assert check(output / package.name).status == "clean"


@posix
def test_an_output_directory_behind_a_link_is_used(tmp_path: Path, output: Path) -> None:
    package = a_package(tmp_path)
    (tmp_path / "link").symlink_to("out")
    fix(package, output_dir=tmp_path / "link")
    shutil.rmtree(tmp_path / "in")
    assert check(output / package.name).status == "clean"
