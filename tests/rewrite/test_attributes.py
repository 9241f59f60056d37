"""A repaired package has the mode, owner and access control list of the original, and never gives more rights."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conda_prune import PruneError, fix

from ..corpus.crafted import BASE
from ..corpus.packages import FORMATS, Format, write_package

pytestmark = pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux has os.setxattr")

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
NOBODY = 0xFFFFFFFF
USER_OBJECT, USER, GROUP_OBJECT, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32

Entry = tuple[int, int, int]


def access_list(*entries: Entry) -> bytes:
    """Return entries (tag, permissions, user or group) as Linux stores them (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


GENEROUS = access_list(
    (USER_OBJECT, 6, NOBODY), (USER, 6, 1234), (GROUP_OBJECT, 4, NOBODY), (MASK, 6, NOBODY), (OTHER, 0, NOBODY)
)
"""Another user may write, and the file's group may only read. The group bits of the mode are the mask, which is 6."""
OF_DIRECTORY = access_list(
    (USER_OBJECT, 7, NOBODY), (USER, 7, 4321), (GROUP_OBJECT, 7, NOBODY), (MASK, 7, NOBODY), (OTHER, 7, NOBODY)
)


def give_list(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error}")


def list_of(path: Path) -> bytes | None:
    return os.getxattr(path, ACCESS) if ACCESS in os.listxattr(path) else None


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fixed(package: Path, mode: str) -> Path:
    """Fix a package in place or into a directory, and return the result."""
    if mode == "output":
        (package.parent / "out").mkdir(exist_ok=True)
        fix(package, output_dir=package.parent / "out")
        return package.parent / "out" / package.name
    fix(package, in_place=True)
    return package


MODES = ["in-place", "output"]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_the_access_control_list_is_kept(tmp_path: Path, format_: Format, mode: str) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    give_list(package, ACCESS, GENEROUS)
    before = mode_of(package)
    result = fixed(package, mode)
    assert (list_of(result), mode_of(result)) == (GENEROUS, before)


@pytest.mark.parametrize("mode", MODES)
def test_the_default_list_of_a_directory_is_not_inherited(tmp_path: Path, mode: str) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    package.chmod(0o640)
    for directory in (tmp_path, tmp_path / "out"):
        directory.mkdir(exist_ok=True)
        give_list(directory, DEFAULT, OF_DIRECTORY)
    (tmp_path / "witness").touch()
    assert list_of(tmp_path / "witness") is not None, "a new file here gets a list"
    assert list_of(package) is None
    result = fixed(package, mode)
    assert (list_of(result), mode_of(result)) == (None, 0o640)


def test_the_list_of_the_package_wins_over_the_default(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    give_list(package, ACCESS, GENEROUS)
    give_list(tmp_path, DEFAULT, OF_DIRECTORY)
    fix(package, in_place=True)
    assert list_of(package) == GENEROUS


def test_a_copied_clean_package_inherits_no_list(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    fix(package, in_place=True)
    package.chmod(0o604)
    (tmp_path / "out").mkdir()
    give_list(tmp_path / "out", DEFAULT, OF_DIRECTORY)
    result = fixed(package, "output")
    assert (list_of(result), mode_of(result)) == (None, 0o604)


def test_a_copied_backup_keeps_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object, **more: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    package = write_package(BASE, tmp_path, format=".conda")
    give_list(package, ACCESS, GENEROUS)
    give_list(tmp_path, DEFAULT, OF_DIRECTORY)
    monkeypatch.setattr(os, "link", refuses)
    fix(package, backup=".orig", in_place=True)
    assert list_of(package.with_name(package.name + ".orig")) == GENEROUS


@pytest.mark.parametrize("value", [GENEROUS, b"a list that nobody can parse"], ids=["list", "nonsense"])
def test_without_its_list_a_file_gives_no_more_rights(
    tmp_path: Path, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a list, the group bits of the mode are the mask, which may allow more than the group's own entry."""

    def refuses(*arguments: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    package = write_package(BASE, tmp_path, format=".conda")
    give_list(package, ACCESS, GENEROUS)
    assert mode_of(package) & 0o070 == 0o060
    monkeypatch.setattr(os, "setxattr", refuses)
    monkeypatch.setattr(os, "getxattr", lambda file, name: value)
    result = fixed(package, "output")
    assert mode_of(result) & 0o070 == (0o040 if value == GENEROUS else 0)


def test_attributes_that_sign_the_content_are_not_copied(tmp_path: Path) -> None:
    """Privileges and measurements apply to the old content only."""
    package = write_package(BASE, tmp_path, format=".conda")
    capability = struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)  # linux/capability.h: struct vfs_cap_data
    try:
        os.setxattr(package, "security.capability", capability)
    except OSError as error:
        pytest.skip(f"capabilities cannot be given to a file here: {error}")
    fix(package, in_place=True)
    assert "security.capability" not in os.listxattr(package)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EINVAL])
@pytest.mark.parametrize("call", ["fchmod", "fchown"])
def test_a_file_system_without_modes_or_owners_is_enough(
    tmp_path: Path, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are the errors of vfat and CIFS."""

    def refuses(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    package = write_package(BASE, tmp_path, format=".conda")
    monkeypatch.setattr(os, call, refuses)
    for _ in range(2):
        result = fixed(package, "output")
        assert result.is_file()
    assert fixed(package, "in-place").is_file()


@pytest.mark.parametrize("call", ["fchmod", "fchown"])
def test_a_file_system_that_fails_is_an_error(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    package = write_package(BASE, tmp_path, format=".conda")
    before = package.read_bytes()
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(PruneError, match="Input/output error"):
        fix(package, in_place=True)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


AS_ANOTHER_USER = """
import os, sys
from conda_prune.judgement.options import Options
from conda_prune.operations.fix import FixOptions, fix_package

package, before, output = sys.argv[1:]
# This imports all that a fix needs, which another user may not be able to read.
fix_package(package, Options(), FixOptions(output_dir=before))
os.setgroups([4321]), os.setgid(1234), os.setuid(1234)
fix_package(package, Options(), FixOptions(output_dir=output))
"""


@pytest.mark.skipif(
    os.name == "nt" or os.getuid() != 0, reason="Windows has no setuid, and elsewhere only root may use it"
)
@pytest.mark.parametrize("group", [0, 4321], ids=["another-group", "a-group-of-the-user"])
def test_set_id_bits_are_not_kept_for_another_owner(group: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)  # pytest's own directories are private
        directory.chmod(0o755)
        if any(not parent.stat().st_mode & stat.S_IXOTH for parent in directory.parents):
            pytest.skip("other users cannot reach the directory for temporary files")
        package = write_package(BASE, directory, format=".conda")
        os.chown(package, 0, group)
        package.chmod(0o6755)
        (directory / "before").mkdir()
        (directory / "out").mkdir()
        (directory / "out").chmod(0o777)
        arguments = map(str, (package, directory / "before", directory / "out"))
        command = [sys.executable, "-c", AS_ANOTHER_USER, *arguments]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        result = directory / "out" / package.name
        owner = result.stat().st_uid, result.stat().st_gid
        assert (*owner, mode_of(result)) == ((1234, group, 0o2755) if group == 4321 else (1234, 1234, 0o755))
        fix(package, in_place=True)
        assert mode_of(package) == 0o6755, "the owner is the same"
