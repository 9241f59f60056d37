"""`--backup` keeps the original under another name, or nothing is done."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conda_prune import PruneError, check, fix
from conda_prune.errors import CannotWrite
from conda_prune.rewrite.directory import Directory
from conda_prune.rewrite.staging import Staging

from ..corpus.crafted import BASE
from ..corpus.packages import FORMATS, Format, write_package
from ..executable import run

posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no named pipes in directories, and needs a privilege to make links"
)


def facts(path: Path) -> tuple[int, ...]:
    """Return which file a path leads to, how many names it has, and when it was last changed."""
    status = path.lstat()
    return status.st_mode, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns


BAD_SUFFIXES = {
    "": "is empty",
    "/../../elsewhere": "contains '/'",
    "/inside": "contains '/'",
    "\\elsewhere": "contains '\\\\\\\\'",
    ":stream": "contains ':'",
    "\0": r"contains '\\x00'",
    ".a\0b": r"contains '\\x00'",
    "\n": r"contains '\\n'",
    ".\x1b[31m": r"contains '\\x1b'",
    ".orig*": r"contains '\*'",
    "..": "contains '..' or ends in a dot or a space",
    ".a..b": "contains '..' or ends in a dot or a space",
    ".": "contains '..' or ends in a dot or a space",
    ".orig ": "contains '..' or ends in a dot or a space",
    ".conda": "ends in .conda",
    ".orig.conda": "ends in .conda",
    ".orig.CONDA": "ends in .conda",
    ".tar.bz2": "ends in .tar.bz2",
    "-old.tar.bz2": "ends in .tar.bz2",
}


@pytest.mark.parametrize("suffix", BAD_SUFFIXES)
def test_a_suffix_that_leads_elsewhere_is_refused(tmp_path: Path, suffix: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    package = write_package(BASE, inside, format=".conda")
    before = facts(package)
    with pytest.raises(ValueError, match=BAD_SUFFIXES[suffix]):
        fix(package, backup=suffix, in_place=True)
    if "\0" not in suffix:
        done = run("fix", package, "--in-place", "--backup", suffix)
        assert done.returncode == 2
        assert "backup suffix" in done.stderr
    assert facts(package) == before
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", inside, package]


def test_a_bad_suffix_is_refused_before_the_package_is_opened() -> None:
    with pytest.raises(ValueError, match="backup suffix"):
        fix("missing.conda", backup="/x", in_place=True)


@pytest.mark.parametrize("suffix", [".orig", "~", ".bak-2025", " (copy)", "-é", ".conda.orig", "orig"])
@pytest.mark.parametrize("format_", FORMATS)
def test_other_suffixes_are_used_unchanged(tmp_path: Path, suffix: str, format_: Format) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    before = package.read_bytes()
    fix(package, backup=suffix, in_place=True)
    assert sorted(os.listdir(tmp_path)) == sorted([package.name, package.name + suffix])
    assert package.with_name(package.name + suffix).read_bytes() == before
    assert check(package).status == "clean"


def test_a_search_does_not_take_a_backup_for_a_package(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    before = package.read_bytes()
    for _ in range(2):
        assert run("fix", tmp_path, "--in-place", "--backup", ".orig").returncode == 0
    assert package.with_name(package.name + ".orig").read_bytes() == before


def link_to_package(backup: Path, package: Path) -> None:
    backup.symlink_to(package.name)


def link_to_copy(backup: Path, package: Path) -> None:
    shutil.copy(package, package.parent / "copy")
    backup.symlink_to("copy")


def dangling_link(backup: Path, package: Path) -> None:
    backup.symlink_to("nowhere")


def directory(backup: Path, package: Path) -> None:
    backup.mkdir()


def pipe(backup: Path, package: Path) -> None:
    os.mkfifo(backup)


def other_content(backup: Path, package: Path) -> None:
    backup.write_bytes(b"precious")


def other_content_of_that_size(backup: Path, package: Path) -> None:
    content = package.read_bytes()
    backup.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


ODD_BACKUPS: list[tuple[Callable[[Path, Path], None], str]] = [
    (link_to_package, "already exists, and is a symbolic link"),
    (link_to_copy, "already exists, and is a symbolic link"),
    (dangling_link, "already exists, and is a symbolic link"),
    (directory, "already exists, and is a directory"),
    (pipe, "already exists, and is a named pipe"),
    (other_content, "already exists, with other content"),
    (other_content_of_that_size, "already exists, with other content"),
]


@posix
@pytest.mark.parametrize(("make", "message"), ODD_BACKUPS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_else_is_accepted_as_a_backup(
    tmp_path: Path, make: Callable[[Path, Path], None], message: str, format_: Format
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    backup = package.with_name(package.name + ".orig")
    make(backup, package)
    before, target, content = facts(package), facts(backup), package.read_bytes()
    listing = sorted(os.listdir(tmp_path))
    with pytest.raises(CannotWrite, match=message):
        fix(package, backup=".orig", in_place=True)
    done = run("fix", tmp_path, "--in-place", "--backup", ".orig")
    assert done.returncode == 3
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (facts(package), package.read_bytes()) == (before, content)
    assert (facts(backup), sorted(os.listdir(tmp_path))) == (target, listing)


@pytest.mark.parametrize("linkable", [True, False], ids=["hard-links", "no-hard-links"])
@pytest.mark.parametrize("same", [True, False], ids=["the-same", "another"])
def test_a_backup_that_another_program_has_just_made_is_not_overwritten(
    tmp_path: Path, linkable: bool, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(BASE, tmp_path)
    before = package.read_bytes()
    backup = package.with_name(package.name + ".orig")
    content = before if same else b"another backup"
    real_link, real_finish = Directory.link, Staging.finish

    def link(directory: Directory, old: str, new: str, other: Directory | None = None) -> None:
        if not linkable:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        backup.write_bytes(content)
        real_link(directory, old, new, other)

    def finish(staging: Staging) -> None:
        if staging.target == str(backup):
            backup.write_bytes(content)
        real_finish(staging)

    monkeypatch.setattr(Directory, "link", link)
    monkeypatch.setattr(Staging, "finish", finish)
    if same:
        assert fix(package, backup=".orig", in_place=True).status == "fixed"
    else:
        with pytest.raises(CannotWrite, match="already exists, with other content"):
            fix(package, backup=".orig", in_place=True)
        assert package.read_bytes() == before
    assert backup.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == [package.name, backup.name]


@posix
def test_an_odd_backup_is_found_before_the_payload_is_read(tmp_path: Path) -> None:
    """The payload is damaged, but that is not reported, because the work ends before it is read."""
    package = write_package(BASE, tmp_path, format=".conda")
    content = bytearray(package.read_bytes())
    at = content.index(b"\x28\xb5\x2f\xfd")
    content[at + 20] ^= 0xFF
    package.write_bytes(content)
    with pytest.raises(PruneError, match="CRC-32"):
        fix(package, in_place=True)
    package.with_name(package.name + ".orig").symlink_to(package.name)
    with pytest.raises(CannotWrite, match="symbolic link"):
        fix(package, backup=".orig", in_place=True)


def test_a_backup_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    # Windows finds no such file when it is looked for, and refuses to make it.
    message = "cannot be replaced: " if os.name == "nt" else r"the backup .* cannot be made: File name too long"
    with pytest.raises(CannotWrite, match=message):
        fix(package, backup="-" + "x" * 300, in_place=True)
    assert os.listdir(tmp_path) == [package.name]


@posix
@pytest.mark.parametrize("format_", FORMATS)
def test_another_name_of_the_package_keeps_the_original(tmp_path: Path, format_: Format) -> None:
    """A run that is killed between the backup and the replacement leaves this."""
    package = write_package(BASE, tmp_path, format=format_)
    before = package.read_bytes()
    backup = package.with_name(package.name + ".orig")
    os.link(package, backup)
    assert fix(package, backup=".orig", in_place=True).warnings == ()
    assert backup.read_bytes() == before
    assert check(package).status == "clean"


@posix
def test_the_backup_of_a_linked_package_is_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    package = write_package(BASE, tmp_path / "store", format=".conda")
    before = package.read_bytes()
    (tmp_path / package.name).symlink_to(package)
    fix(tmp_path / package.name, backup=".orig", in_place=True)
    assert package.with_name(package.name + ".orig").read_bytes() == before
    assert (tmp_path / package.name).is_symlink()
    assert check(package).status == "clean"


def test_a_suffix_in_the_configuration_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    (tmp_path / "pyproject.toml").write_text('[tool.conda-prune]\nbackup = ".orig.conda"\n')
    monkeypatch.chdir(tmp_path)
    before = package.read_bytes()
    done = run("fix", package, "--in-place")
    assert done.returncode == 2
    assert "ends in .conda" in done.stderr
    assert package.read_bytes() == before
