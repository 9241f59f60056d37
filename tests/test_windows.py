"""What Windows does differently: open files, read-only files, long paths, names without case.

Tests without a condition run everywhere, with Windows' behavior substituted where this system behaves differently.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import check, fix, system, windows
from conda_prune.cli.package_search import find_packages
from conda_prune.environment.prefix import build_of, judge_prefix
from conda_prune.errors import CannotWrite
from conda_prune.judgement.options import Options
from conda_prune.rewrite import directory
from conda_prune.rewrite.directory import Directory
from conda_prune.rewrite.staging import Staging

from .corpus.crafted import BASE
from .corpus.packages import write_package
from .environment.test_prefix import a_full_prefix, build, files, stray_paths
from .executable import EXECUTABLE, run
from .wine import IS_WINE

on_windows = pytest.mark.skipif(os.name != "nt", reason="other systems have no such paths or sharing violations")


class Refused(PermissionError):
    """Windows' error for a file that cannot be replaced or deleted: 5 is access denied, 32 a sharing violation."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.EACCES, "Access is denied" if number == 5 else "The file is in use")
        self.winerror = number


class InUse:
    """A call that fails until it was tried `times` times."""

    def __init__(self, number: int, times: int) -> None:
        self.number, self.times = number, times
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.times:
            raise Refused(self.number)
        return "done"


@pytest.mark.parametrize("number", [5, 32, 33])
def test_a_file_that_is_open_for_a_moment_is_replaced(number: int) -> None:
    assert windows.retry_while_in_use(InUse(number, 3)) == "done"


def test_the_wait_for_an_open_file_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_PATIENCE", 0.2)
    with pytest.raises(PermissionError, match="another program has it open"):
        windows.retry_while_in_use(InUse(32, 1000))
    with pytest.raises(PermissionError, match="Access is denied"):
        windows.retry_while_in_use(InUse(5, 1000))


def test_other_errors_are_not_retried() -> None:
    fails = InUse(1314, 1)  # a privilege that is not held
    with pytest.raises(PermissionError):
        windows.retry_while_in_use(fails)
    assert fails.tries == 1


def test_a_replacement_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.conda"
    target.write_bytes(b"old")
    real, refusals = os.replace, [Refused(5), Refused(32)]

    def replaces(source: str, destination: str, **directories: None) -> None:
        if refusals:
            raise refusals.pop()
        real(source, destination)

    monkeypatch.setattr(directory, "BY_DESCRIPTOR", False)
    monkeypatch.setattr(system, "REPLACES_OPEN_FILES", False)
    monkeypatch.setattr(os, "replace", replaces)
    with Staging(str(target), str(target)) as staging:
        staging.file.write(b"new")
        staging.finish()
        staging.commit(None)
    assert not refusals
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"new", ["a.conda"])


@on_windows
def test_a_package_that_is_open_is_fixed_once_it_is_closed(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    file = package.open("rb")
    threading.Timer(1, file.close).start()
    assert fix(package, in_place=True).status == "fixed"
    assert os.listdir(tmp_path) == [package.name]


@on_windows
def test_a_package_that_stays_open_is_reported(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    before = package.read_bytes()
    started = time.monotonic()
    with package.open("rb"), pytest.raises(CannotWrite, match="the file cannot be replaced: "):
        fix(package, in_place=True)
    assert time.monotonic() - started < 30
    assert (os.listdir(tmp_path), package.read_bytes()) == ([package.name], before)


# The read-only attribute


@pytest.fixture
def read_only_files_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only files cannot be deleted, as on Windows."""
    real = os.unlink

    def unlinks(path: str, *, dir_fd: int | None = None) -> None:
        if not os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & stat.S_IWRITE:
            raise Refused(5)
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(directory, "BY_DESCRIPTOR", False)
    monkeypatch.setattr(system, "REPLACES_OPEN_FILES", False)
    if os.name != "nt":
        monkeypatch.setattr(os, "unlink", unlinks)


@pytest.mark.usefixtures("read_only_files_stay")
def test_a_read_only_file_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "read-only"
    path.touch()
    path.chmod(stat.S_IREAD)
    windows.remove(str(path))
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("read_only_files_stay")
def test_read_only_strays_are_removed_from_a_prefix(tmp_path: Path) -> None:
    prefix = a_full_prefix(tmp_path)
    for path in stray_paths():
        (prefix / path).chmod(stat.S_IREAD)
    result = judge_prefix(str(prefix), build_of(build(prefix)), Options(), fix=True)
    assert result.status == "fixed"
    assert not files(prefix) & set(stray_paths())
    assert os.listdir(prefix / "conda-meta") == []


def test_the_read_only_attribute_of_a_directory_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    monkeypatch.setattr(system, "DIRECTORIES_HAVE_MODES", False)
    tmp_path.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        with Directory.open(str(tmp_path)) as opened:
            if not opened.may_write():
                pytest.skip("only root may write to this directory, and this is another user")
        assert fix(package, in_place=True).status == "fixed"
    finally:
        tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.skipif(os.name != "nt", reason="other systems refuse by mode")
def test_a_read_only_package_is_not_replaced(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    package.chmod(stat.S_IREAD)
    with pytest.raises(CannotWrite, match="the file is read-only"):
        fix(package, in_place=True)
    package.chmod(stat.S_IREAD | stat.S_IWRITE)


# Libraries in C


@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_libarchive_reads_a_result_without_its_descriptor(
    tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "SHARES_DESCRIPTORS", False)
    package = write_package(BASE, tmp_path, format=format_)  # type: ignore[arg-type]
    assert fix(package, in_place=True).status == "fixed"
    assert check(package).status == "clean"


@pytest.mark.parametrize("format_", [".conda", ".tar.bz2"])
def test_names_that_libarchive_decodes_by_the_code_page_are_compared(
    tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, ffi = pytest.importorskip("libarchive.entry"), pytest.importorskip("libarchive.ffi")

    def decoded(entry: Any) -> str:
        return str(ffi.entry_pathname(entry._entry_p).decode("cp1252", "replace"))

    if os.name != "nt":
        monkeypatch.setattr(entry.ArchiveEntry, "pathname", property(decoded))
    files = {**BASE.files, "share/\u00f1and\u00fa/e\u0301": b"x"}
    package = write_package(replace(BASE, files=files), tmp_path, format=format_)  # type: ignore[arg-type]
    assert fix(package, in_place=True).status == "fixed"


# Paths

LONG = "d" * 200
PATHS = {
    "short": ("C:\\a.conda", "C:\\a.conda"),
    "long": (f"C:\\{LONG}\\{LONG}\\a.conda", f"\\\\?\\C:\\{LONG}\\{LONG}\\a.conda"),
    "slashes": (f"C:/{LONG}/{LONG}/a.conda", f"\\\\?\\C:\\{LONG}\\{LONG}\\a.conda"),
    "dots": (f"C:\\{LONG}\\.\\x\\..\\{LONG}", f"\\\\?\\C:\\{LONG}\\{LONG}"),
    "share": (f"\\\\server\\share\\{LONG}\\{LONG}", f"\\\\?\\UNC\\server\\share\\{LONG}\\{LONG}"),
    "share with slashes": (f"//server/share/{LONG}/{LONG}", f"\\\\?\\UNC\\server\\share\\{LONG}\\{LONG}"),
    "short share": ("\\\\server\\share\\a.conda", "\\\\server\\share\\a.conda"),
    "extended": (f"\\\\?\\C:\\{LONG}\\{LONG}", f"\\\\?\\C:\\{LONG}\\{LONG}"),
    "device": (f"\\\\.\\C:\\{LONG}\\{LONG}", f"\\\\.\\C:\\{LONG}\\{LONG}"),
    "a directory's limit": ("C:\\" + "d" * 244, "C:\\" + "d" * 244),
    "beyond a directory's limit": ("C:\\" + "d" * 245, "\\\\?\\C:\\" + "d" * 245),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.values(), ids=PATHS)
def test_long_paths_get_a_prefix(path: str, expected: str) -> None:
    assert windows.extended(path) == expected


@on_windows
@pytest.mark.parametrize("path", ["a.conda", "C:a.conda", "\\a.conda"])
def test_relative_paths_are_kept_if_they_are_short(path: str) -> None:
    assert windows.extended(path) == path


@on_windows
def test_files_at_a_long_path_are_listed_and_read(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / ("f" * 100)
    os.makedirs(windows.extended(str(deep)))
    Path(windows.extended(str(deep / "file"))).write_bytes(b"content")
    with Directory.open(str(deep)) as opened:
        assert opened.names() == ["file"]
        opened.rename("file", "renamed")
        assert opened.status("renamed").st_size == 7
    with system.open_regular(str(deep / "renamed")) as file:
        assert file.read() == b"content"


@on_windows
@pytest.mark.skipif(IS_WINE, reason="GetFinalPathNameByHandle of Wine takes no path longer than MAX_PATH")
def test_a_package_and_a_prefix_at_a_long_path_are_fixed(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    os.makedirs(windows.extended(str(deep)))
    package = write_package(BASE, Path(windows.extended(str(deep))), format=".conda")
    path = deep / package.name
    assert [found.path for found in find_packages([str(tmp_path)]).packages] == [str(path)]
    assert fix(path, in_place=True).status == "fixed"
    assert check(path).status == "clean"
    assert "1 package: nothing to repair" in run("check", deep).stdout
    prefix = a_full_prefix(Path(windows.extended(str(deep))))
    assert judge_prefix(str(deep / "p"), build_of(build(prefix)), Options(), fix=True).status == "fixed"
    assert not files(prefix) & set(stray_paths())


@on_windows
def test_a_search_starts_at_the_root_of_a_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`C:` without a slash is the current directory of the drive."""
    package = write_package(BASE, tmp_path, format=".conda")
    monkeypatch.chdir(tmp_path)
    drive, rest = os.path.splitdrive(str(tmp_path))
    assert "no files match" in run("check", f"{drive}/no-such-directory-of-a-test/**/*.conda").stderr
    for pattern in (f"{drive}{rest}\\**\\*.conda", f"{drive}**\\*.conda"):
        assert package.name in run("check", "-v", pattern).stdout
    assert run("check", f"{drive}{package.name}").returncode == 1


@on_windows
@pytest.mark.parametrize("name", ["NUL.conda", "CON.conda", "AUX.tar.bz2"])
def test_a_device_is_not_a_package(name: str, tmp_path: Path) -> None:
    done = run("check", name)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


# Names without case


def test_names_that_differ_in_case_are_one_file_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    composed, decomposed = "lib/\u00e9.py", "lib/e\u0301.py"
    assert system.name_key(composed) == system.name_key(decomposed) == system.name_key(composed.upper())
    assert system.name_key("lib/e.py") != system.name_key(composed)


def test_names_keep_their_case_on_linux() -> None:
    if sys.platform != "linux":
        pytest.skip("this system ignores case")
    assert system.name_key("Lib/A.py") != system.name_key("lib/a.py")


@pytest.mark.parametrize(
    "platform",
    ["darwin", pytest.param("linux", marks=pytest.mark.skipif(os.name == "nt", reason="Windows ignores case"))],
)
def test_a_file_of_a_package_is_kept_under_another_spelling(
    tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages own `lib` and `Lib`: on macOS, that is one directory, with the name that came first."""
    from .environment.test_prefix import write_record

    monkeypatch.setattr(sys, "platform", platform)
    prefix = a_full_prefix(tmp_path)
    (stray, *others) = stray_paths()
    write_record(prefix, "other", [stray.replace("lib", "Lib", 1)])
    judge_prefix(str(prefix), build_of(build(prefix)), Options(), fix=True)
    assert (stray in files(prefix)) == (platform == "darwin")
    assert not files(prefix) & set(others)


@pytest.mark.parametrize("name", ["Crafted-1.0-0.conda", "crafted-1.0-0.conda"])
def test_results_that_differ_in_case_collide(tmp_path: Path, name: str) -> None:
    for directory_name, file_name in (("a", "crafted-1.0-0.conda"), ("b", name)):
        (tmp_path / directory_name).mkdir()
        write_package(BASE, tmp_path / directory_name, format=".conda").rename(tmp_path / directory_name / file_name)
    done = run("fix", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out")
    collides = name == "crafted-1.0-0.conda" or system.name_key("A") == system.name_key("a")
    assert (done.returncode == 2) == collides
    assert ("would both become" in done.stderr) == collides


@pytest.mark.parametrize("subdir", ["win-64", "osx-arm64", "noarch", "linux-64"])
def test_a_kept_file_with_the_path_of_a_dropped_one_is_noted(tmp_path: Path, subdir: str) -> None:
    """On Windows, a client writes both to one file, so which content it gets depends on their order."""
    cache = "share/m/__pycache__"
    files = {**BASE.files, f"{cache}/m.cpython-310.pyc": b"x", f"{cache}/M.cpython-310.pyc": b"y"}
    package = write_package(replace(BASE, subdir=subdir, files=files), tmp_path, format=".conda")
    keep = f"{cache}/M.*"
    noted = {deep: check(package, keep=[keep], deep=deep).notes for deep in (False, True)}
    expected = (
        f"{cache}/M.cpython-310.pyc and the dropped {cache}/m.cpython-310.pyc "
        "are one file where case is ignored, as on Windows and macOS"
    )
    for notes in noted.values():
        assert (expected in notes) == (subdir != "linux-64")
    fix(package, in_place=True, keep=[keep])
    assert check(package, keep=[keep]).notes == ()


# Commands and processes


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("C:\\RUNNER~1\\a-1.0_0.conda", "C:\\RUNNER~1\\a-1.0_0.conda"),
        ("a+b=c@d", "a+b=c@d"),
        ("C:\\Program Files\\a", '"C:\\Program Files\\a"'),
        ("C:\\Program Files\\", '"C:\\Program Files\\\\"'),
        *((word, f'"{word}"') for word in ("a,b", "a;b", "a&b", "(a)", "a'b", "@a", "~a", "#a", "%a%", "$a", "a^b")),
    ],
)
def test_words_are_quoted_for_both_shells(word: str, expected: str) -> None:
    assert windows.quoted(word) == expected


@on_windows
def test_the_memory_of_the_process_is_known() -> None:
    before = windows.resident()
    content = b"x" * (1 << 26)
    assert 1 << 20 < before < windows.resident() - len(content) // 2


# Standard output


def test_output_has_the_same_line_ends_on_every_system() -> None:
    for arguments in (["explain", "--all"], ["schema"], ["--help"], ["check", "no-such.conda"]):
        done = subprocess.run([EXECUTABLE, *arguments], capture_output=True, check=False)
        assert b"\n" in done.stdout + done.stderr
        assert b"\r" not in done.stdout + done.stderr


# Ctrl-C and Ctrl-Break

INTERRUPTED = """
import os, signal, sys, threading, time
number, directory = getattr(signal, sys.argv[1]), os.path.dirname(sys.argv[2])

def interrupt():
    while len(os.listdir(directory)) == 1:
        time.sleep(0.02)
    time.sleep(0.3)
    signal.raise_signal(number)

threading.Thread(target=interrupt, daemon=True).start()
sys.argv = ["conda-prune", "fix", "--in-place", "--threads", "1", "--level", "22", sys.argv[2]]
from conda_prune.cli import main
main()
"""
"""Windows calls the handlers of these signals in a thread of their own ("CTRL+C and CTRL+BREAK Signals")."""


@pytest.mark.parametrize("name", ["SIGINT", "SIGBREAK"])
def test_a_signal_from_another_thread_ends_the_work_at_once(name: str, tmp_path: Path) -> None:
    if not hasattr(signal, name):
        pytest.skip("only Windows has Ctrl-Break")
    words = random.Random(3).choices([b"%d " % number for number in range(4000)], k=6_000_000)
    files = {**BASE.files, "share/large": b"".join(words)}
    package = write_package(replace(BASE, files=files), tmp_path, format=".conda", level=1)
    before = package.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, name, package], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 128 + getattr(signal, name), done.stderr
    assert (os.listdir(tmp_path), package.read_bytes()) == ([package.name], before)
