"""A file is replaced completely or not at all, with its mode and attributes, even while others work on it."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace as replace_spec
from pathlib import Path

import pytest

from conda_prune import check, fix, system
from conda_prune.archive.container import identity_of
from conda_prune.errors import CannotWrite, Changed
from conda_prune.model import Identity
from conda_prune.operations.retry import memory_limit
from conda_prune.rewrite import directory
from conda_prune.rewrite.staging import Staging, remove_leftover, temporary_of

from ..corpus.crafted import BASE
from ..corpus.packages import write_package

OLD, NEW = b"old content", b"new content"
posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no modes or numbers of owners, and needs a privilege to make links"
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "package.conda"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def identity(path: Path) -> Identity:
    return identity_of(os.stat(path))


def replace(target: Path, content: bytes = NEW, backup: str | None = None) -> tuple[str, ...]:
    expected = identity(target)
    with Staging(str(target), str(target)) as staging:
        staging.file.write(content)
        staging.finish()
        return staging.commit(expected, backup)


def names(target: Path) -> list[str]:
    return sorted(os.listdir(target.parent))


def test_nothing_is_left_without_a_commit(target: Path) -> None:
    before = identity(target)
    with Staging(str(target), str(target)) as staging:
        staging.file.write(NEW)
        assert names(target) == [os.path.basename(staging.path), target.name]
    assert names(target) == [target.name]
    assert identity(target) == before


def test_an_error_leaves_nothing(target: Path) -> None:
    def fails() -> None:
        with Staging(str(target), str(target)) as staging:
            staging.file.write(NEW)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (names(target), target.read_bytes()) == ([target.name], OLD)


def test_a_commit_replaces_the_target(target: Path) -> None:
    assert replace(target) == ()
    assert (names(target), target.read_bytes()) == ([target.name], NEW)


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o755, 0o2644], ids=oct)
def test_the_mode_is_kept_exactly(target: Path, mode: int) -> None:
    target.chmod(mode)
    replace(target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@posix
@pytest.mark.skipif(
    os.name == "nt" or os.getuid() != 0, reason="Windows has no chown, and elsewhere only root may use it"
)
def test_the_owner_is_kept_if_allowed(target: Path) -> None:
    os.chown(target, 1234, 5678)
    replace(target)
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 5678)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux has os.setxattr")
def test_extended_attributes_are_kept(target: Path) -> None:
    try:
        os.setxattr(target, "user.origin", b"here")
    except OSError as error:
        pytest.skip(f"this file system has none: {error}")
    replace(target)
    assert os.getxattr(target, "user.origin") == b"here"


def test_the_modification_time_is_now(target: Path) -> None:
    os.utime(target, (1, 1))
    replace(target)
    assert target.stat().st_mtime > 1_000_000_000, "indexers compare this time"


@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_a_target_that_another_program_changed_is_left_alone(target: Path, change: str) -> None:
    expected = identity(target)
    with Staging(str(target), str(target)) as staging:
        staging.file.write(NEW)
        staging.finish()
        if change == "removed":
            target.unlink()
        else:
            if change == "replaced":
                target.unlink()
            target.write_bytes(b"theirs, and longer")
        with pytest.raises(Changed):
            staging.commit(expected)
    assert names(target) == ([] if change == "removed" else [target.name])
    assert change == "removed" or target.read_bytes() == b"theirs, and longer"


def test_a_backup_keeps_the_old_content_and_its_inode(target: Path) -> None:
    inode = target.stat().st_ino
    assert replace(target, backup=".orig") == (), "there is no warning about the backup itself"
    backup = target.with_name(target.name + ".orig")
    assert (backup.read_bytes(), backup.stat().st_ino, target.read_bytes()) == (OLD, inode, NEW)


def test_a_backup_is_never_overwritten(target: Path) -> None:
    backup = target.with_name(target.name + ".orig")
    backup.write_bytes(b"precious")
    with pytest.raises(CannotWrite, match="already exists"):
        replace(target, backup=".orig")
    assert (backup.read_bytes(), target.read_bytes()) == (b"precious", OLD)
    assert names(target) == [target.name, backup.name]


def test_an_existing_backup_of_the_target_is_used(target: Path) -> None:
    backup = target.with_name(target.name + ".orig")
    backup.write_bytes(OLD)
    replace(target, backup=".orig")
    assert (backup.read_bytes(), target.read_bytes()) == (OLD, NEW)


def test_a_backup_is_removed_if_the_replacement_fails(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(source: str, destination: str, **directories: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", refuses)
    with pytest.raises(CannotWrite, match="cannot be replaced: Input/output error"):
        replace(target, backup=".orig")
    assert (names(target), target.read_bytes()) == ([target.name], OLD)


def test_without_hard_links_the_backup_is_a_copy(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(source: str, destination: str, **more: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    os.utime(target, ns=(500, 700))  # NTFS counts in steps of 100 ns.
    assert replace(target, backup=".orig") == ()
    backup = target.with_name(target.name + ".orig")
    assert (backup.read_bytes(), backup.stat().st_mtime_ns, target.read_bytes()) == (OLD, 700, NEW)
    assert names(target) == [target.name, backup.name]


@posix
def test_a_hard_link_is_broken_with_a_warning(target: Path) -> None:
    other = target.with_name("other")
    os.link(target, other)
    (warning,) = replace(target)
    assert "another name" in warning
    assert (other.read_bytes(), target.read_bytes()) == (OLD, NEW)


@posix
def test_a_link_is_kept_and_its_file_is_replaced(target: Path) -> None:
    first, second = target.with_name("first.conda"), target.parent.parent / "second.conda"
    first.symlink_to(target.name)
    second.symlink_to(first)
    with Staging(str(second), str(second)) as staging:
        assert os.path.dirname(staging.path) == str(target.parent)
        staging.file.write(NEW)
        staging.finish()
        staging.commit(identity(target))
    assert (os.readlink(first), os.readlink(second)) == (target.name, str(first))
    assert target.read_bytes() == NEW
    assert not target.is_symlink()


@posix
@pytest.mark.parametrize("what", ["file", "directory"])
def test_read_only_is_refused_before_anything_is_written(target: Path, what: str) -> None:
    read_only = target if what == "file" else target.parent
    mode = stat.S_IMODE(read_only.stat().st_mode)
    read_only.chmod(mode & ~0o222)
    try:
        with pytest.raises(CannotWrite, match="read-only"):
            replace(target)
        assert names(target) == [target.name]
    finally:
        read_only.chmod(mode)


def test_an_output_directory_is_made(tmp_path: Path, target: Path) -> None:
    made = tmp_path / "a" / "b" / "package.conda"
    with Staging(str(made), str(target)) as staging:
        staging.file.write(NEW)
        staging.finish()
        staging.commit(None)
    assert made.read_bytes() == NEW


def test_a_new_output_directory_is_removed_after_a_failure(tmp_path: Path, target: Path) -> None:
    (tmp_path / "mine").mkdir()
    for made in ("a/b", "mine/b"):
        with Staging(str(tmp_path / made / "package.conda"), str(target)) as staging:
            staging.file.write(NEW)
        assert sorted(os.listdir(tmp_path)) == ["mine", "work"]
    assert os.listdir(tmp_path / "mine") == []


def test_an_output_directory_that_is_not_empty_is_kept(tmp_path: Path, target: Path) -> None:
    with Staging(str(tmp_path / "a" / "b" / "package.conda"), str(target)):
        (tmp_path / "a" / "other").touch()
    assert os.listdir(tmp_path / "a") == ["other"]


def test_an_output_directory_removed_by_another_run_is_remade(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "a" / "b" / "package.conda"
    real = system.remove_abandoned
    failing = [made.parent, made.parent.parent]

    def remove(path: str, dir_fd: int | None = None, *, wait: bool = True) -> None:
        while failing:
            failing.pop(0).rmdir()
        real(path, dir_fd, wait=wait)

    monkeypatch.setattr(system, "remove_abandoned", remove)
    with Staging(str(made), str(target)) as staging:
        staging.file.write(NEW)
        staging.finish()
        staging.commit(None)
    assert made.read_bytes() == NEW


def test_a_file_that_cannot_be_created_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems report "not found" for what they do not support. It must not be tried again forever."""

    def fails(path: str, dir_fd: int | None = None) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(system, "create_locked", fails)
    with pytest.raises(CannotWrite, match=r"a file cannot be made in .*: No such file"):
        replace(target)
    assert names(target) == [target.name]


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path, target: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotWrite, match="cannot be made"):
        Staging(str(tmp_path / "file" / "below" / "x.conda"), str(target)).__enter__()


def abandoned(target: Path) -> Path:
    """The temporary file of a run that was killed."""
    code = (
        "import os, sys\n"
        "from conda_prune.rewrite.staging import Staging\n"
        "staging = Staging(sys.argv[1], sys.argv[1]).__enter__()\n"
        "staging.file.write(b'half')\n"
        "staging.file.flush()\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=Path(__file__).parents[2])
    left = Path(temporary_of(str(target)))
    assert left.read_bytes() == b"half"
    return left


@posix
def test_the_leftover_of_a_killed_run_is_removed(target: Path) -> None:
    abandoned(target)
    replace(target)
    assert (names(target), target.read_bytes()) == ([target.name], NEW)


@posix
def test_a_leftover_can_be_removed_by_itself(target: Path) -> None:
    abandoned(target)
    remove_leftover(str(target))
    assert names(target) == [target.name]


@posix
def test_a_running_process_keeps_its_file(target: Path) -> None:
    with Staging(str(target), str(target)) as staging:
        remove_leftover(str(target))
        assert os.path.exists(staging.path)


@posix
def test_a_second_run_waits_for_the_first(target: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with Staging(str(target), str(target)) as staging:
            order.append("second begins")
            staging.file.write(b"second")
            staging.finish()
            staging.commit(None)

    with Staging(str(target), str(target)) as staging:
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        order.append("first ends")
        staging.file.write(NEW)
        staging.finish()
        staging.commit(None)
    waiting.join()
    assert order == ["first ends", "second begins"]
    assert (names(target), target.read_bytes()) == ([target.name], b"second")


@posix
def test_another_file_with_the_temporary_name_is_reported(target: Path) -> None:
    os.symlink("/etc/passwd", temporary_of(str(target)))
    with pytest.raises(CannotWrite, match="a file cannot be made"):
        replace(target)
    assert target.read_bytes() == OLD


class Elsewhere:
    """Behavior of other systems, to replace that of this one."""

    @staticmethod
    def without_locks(descriptor: int, *, wait: bool) -> bool:
        return False

    @staticmethod
    def opened(path: str) -> bool:
        """Whether this process has the file open, which Windows checks."""
        descriptors = Path("/proc/self/fd")
        return any(os.path.realpath(entry) == os.path.realpath(path) for entry in descriptors.iterdir())


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act like Windows: open files cannot be replaced, renamed or deleted; no locks; no positioned reads."""
    if os.name == "nt":
        return
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to know which files are open")
    real_replace, real_unlink = os.replace, os.unlink

    def replaces(source: str, destination: str, **directories: None) -> None:
        if Elsewhere.opened(source) or (os.path.exists(destination) and Elsewhere.opened(destination)):
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        real_replace(source, destination)

    def unlinks(path: str, *, dir_fd: None = None) -> None:
        if os.path.exists(path) and Elsewhere.opened(path):
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        real_unlink(path)

    monkeypatch.setattr(directory, "BY_DESCRIPTOR", False)
    monkeypatch.setattr(system, "REPLACES_OPEN_FILES", False)
    monkeypatch.setattr(system, "_lock", Elsewhere.without_locks)
    monkeypatch.setattr(system, "sync_directory", lambda directory: None)
    monkeypatch.setattr(os, "replace", replaces)
    monkeypatch.setattr(os, "unlink", unlinks)
    monkeypatch.delattr(os, "pread")


@pytest.mark.usefixtures("windows")
def test_staging_works_if_open_files_cannot_be_replaced(target: Path) -> None:
    replace(target, backup=".orig")
    assert target.read_bytes() == NEW
    with Staging(str(target), str(target)) as staging:
        staging.file.write(b"never")
    assert names(target) == [target.name, target.name + ".orig"]


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_a_package_is_fixed_if_open_files_cannot_be_replaced(tmp_path: Path, format_: str) -> None:
    package = write_package(BASE, tmp_path, format=format_)  # type: ignore[arg-type]
    assert fix(package, in_place=True).status == "fixed"
    assert fix(package, in_place=True).status == "clean"
    assert os.listdir(tmp_path) == [package.name]


@pytest.mark.usefixtures("windows")
def test_a_leftover_is_removed_without_locks_on_windows(target: Path) -> None:
    Path(temporary_of(str(target))).write_bytes(b"half")
    replace(target)
    assert (names(target), target.read_bytes()) == ([target.name], NEW)


@posix
def test_without_locks_a_leftover_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = abandoned(target)
    monkeypatch.setattr(system, "_lock", Elsewhere.without_locks)
    with pytest.raises(CannotWrite, match="another run is working on it, or was killed and left") as caught:
        replace(target)
    assert str(left) in str(caught.value)
    assert target.read_bytes() == OLD
    left.unlink()
    replace(target)
    assert target.read_bytes() == NEW


def test_a_directory_that_cannot_be_synced_is_a_warning(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(directory: str, dir_fd: int | None = None) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(system, "sync_directory", fails)
    (warning,) = replace(target)
    assert "power failure" in warning
    assert target.read_bytes() == NEW


@posix
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_directory_syncs_is_enough(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    system.sync_directory(str(target.parent))


def test_signals_wait_until_the_block_is_done() -> None:
    done = []

    def block() -> None:
        with system.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="this system has no /dev/shm, a second file system")
@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_an_output_directory_may_be_on_another_file_system(tmp_path: Path, format_: str) -> None:
    package = write_package(BASE, tmp_path, format=format_)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == package.stat().st_dev:
            pytest.skip("it is the same file system")
        assert fix(package, output_dir=elsewhere).status == "fixed"
        assert os.listdir(elsewhere) == [package.name]
        assert check(Path(elsewhere) / package.name).status == "clean"
    assert check(package).status == "findings"


@posix
@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_a_limit_on_the_size_of_files_is_reported(tmp_path: Path, format_: str) -> None:
    """A real failure of the system, not an injected one: a limit on the size of files."""
    package = write_package(BASE, tmp_path, format=format_)  # type: ignore[arg-type]
    before = package.read_bytes()
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))\n"
        "from conda_prune.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fix", "--in-place", str(package)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "File too large" in line
    assert f"about {len(before)} bytes are needed" in line
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


ROOM = """
import errno, os, shutil, subprocess, sys
package, room, spare = sys.argv[1:4]
size = (os.path.getsize(package) + int(spare) + 4095) // 4096 * 4096
# One more page is for the original, and the file system's own.
options = f"size={size + (os.path.getsize(package) + 4095) // 4096 * 4096}"
if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", room], capture_output=True).returncode:
    sys.exit(99)
there = os.path.join(room, os.path.basename(package))
before = os.stat(shutil.copy(package, there))
sys.argv = ["conda-prune", "fix", "--in-place", there]
from conda_prune.cli import run
code = run()
after = os.stat(there)
same = (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
with open(package, "rb") as original, open(there, "rb") as found:
    same = same and original.read() == found.read()
print(code, same, os.listdir(room) == [os.path.basename(package)])
"""


@posix
@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_space_for_one_package_is_enough(tmp_path: Path, format_: str) -> None:
    """This uses a real file system that is full, if one can be mounted here."""
    noise = random.Random(1).randbytes(300_000)
    spec = replace_spec(BASE, files={**BASE.files, "share/noise": noise})
    package = write_package(spec, tmp_path, format=format_)  # type: ignore[arg-type]
    room = tmp_path / "room"
    room.mkdir()

    def fixed_with(spare: int) -> tuple[str, str]:
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, "-c", ROOM, str(package), str(room), str(spare)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True,
        )  # fmt: skip
        if not done.stdout:
            pytest.skip(f"nothing can be mounted here: {done.stderr}")
        return done.stdout.splitlines()[-1], done.stderr

    if shutil.which("unshare") is None:
        pytest.skip("needs unshare(1)")
    assert fixed_with(0)[0] == "0 False True", "temporary space of the size of one package is enough"
    for spare in (-20_000, -150_000, -290_000):
        outcome, stderr = fixed_with(spare)
        assert outcome == "3 True True"
        (line,) = stderr.splitlines()
        assert f"No space left on device; about {package.stat().st_size} bytes are needed" in line


@pytest.mark.usefixtures("windows")
def test_a_run_that_has_its_file_open_is_awaited(target: Path) -> None:
    with Path(temporary_of(str(target))).open("wb") as at_work:
        threading.Timer(0.3, at_work.close).start()
        replace(target)
        assert at_work.closed
    assert (names(target), target.read_bytes()) == ([target.name], NEW)


@pytest.mark.usefixtures("windows")
def test_a_run_that_has_its_file_open_keeps_it(target: Path) -> None:
    left = Path(temporary_of(str(target)))
    with left.open("wb"):
        remove_leftover(str(target))
        assert left.exists()


class Denied(PermissionError):
    """Windows' error for a file that we may not remove, as opposed to one that is open."""

    winerror = 5


@pytest.mark.usefixtures("windows")
def test_a_leftover_of_another_user_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denies(path: str, *, dir_fd: None = None) -> None:
        raise Denied(errno.EACCES, "Access is denied")

    Path(temporary_of(str(target))).touch()
    monkeypatch.setattr(os, "unlink", denies)
    with pytest.raises(CannotWrite, match=r"a file cannot be made in .*: Access is denied"):
        replace(target)
    assert target.read_bytes() == OLD
    remove_leftover(str(target))


@posix
def test_a_lock_that_fails_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def fails(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(CannotWrite, match=r"a file cannot be made in .*: Input/output error"):
        replace(target)
    assert (names(target), target.read_bytes()) == ([target.name], OLD)
    Path(temporary_of(str(target))).touch()
    remove_leftover(str(target))
    assert len(names(target)) == 2, "a file that cannot be locked may be in use"


@pytest.mark.parametrize("also", [(), ("fchown",), ("listxattr",), ("sched_getaffinity",)], ids=str)
def test_staging_works_on_systems_with_fewer_calls(
    target: Path, also: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no locks, owners or limits, and macOS has no calls for attributes by these names."""
    for name in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in also:
        monkeypatch.delattr(os, name, raising=False)
    replace(target)
    assert (names(target), target.read_bytes()) == ([target.name], NEW)
    assert memory_limit() is None
    assert system.cores() >= 1


@posix
@pytest.mark.parametrize("refused", ["listxattr", "getxattr", "setxattr"])
def test_attributes_that_cannot_be_kept_are_not_an_error(
    target: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*arguments: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "listxattr", lambda file: ["user.kept"], raising=False)
    monkeypatch.setattr(os, "getxattr", lambda file, name: b"value", raising=False)
    monkeypatch.setattr(os, refused, refuses, raising=False)
    replace(target)
    assert target.read_bytes() == NEW


@pytest.mark.skipif(os.name == "nt", reason="Windows does not rename a file that is open")
@pytest.mark.parametrize("replaces_open_files", [True, False])
def test_a_removed_temporary_file_is_not_an_error(
    target: Path, replaces_open_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "REPLACES_OPEN_FILES", replaces_open_files)
    with Staging(str(target), str(target)) as staging:
        os.rename(staging.path, target.with_name("elsewhere"))
    assert names(target) == ["elsewhere", target.name]


@posix
def test_a_full_sync_is_used_if_there_is_one(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    commands: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, command: commands.append(command))
    replace(target)
    assert commands == [51]


def test_directories_are_not_synced_on_windows(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> int:
        raise PermissionError(errno.EACCES, "a directory cannot be opened")

    directory = str(target.parent)
    monkeypatch.setattr(os, "open", fails)
    monkeypatch.setattr(os, "name", "nt")
    system.sync_directory(directory)


@posix
def test_a_file_that_cannot_be_truncated_is_reported(target: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Staging(str(target), str(target), 1 << 20) as staging:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        try:
            with pytest.raises(CannotWrite, match="File too large; about 1048576 bytes are needed"):
                staging.file.truncate(1 << 21)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (names(target), target.read_bytes()) == ([target.name], OLD)


@posix
def test_a_new_file_removed_before_it_was_locked_is_remade(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run cleans up between the calls that create a file and lock it."""
    real = system._lock
    removed: list[str] = []

    def late(descriptor: int, *, wait: bool) -> bool:
        if not removed:
            removed.append(temporary_of(str(target)))
            os.unlink(removed[0])
        return real(descriptor, wait=wait)

    monkeypatch.setattr(system, "_lock", late)
    replace(target)
    assert removed
    assert (names(target), target.read_bytes()) == ([target.name], NEW)
