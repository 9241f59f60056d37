"""The progress bar: one for all packages, on a terminal only, within its width, erased before anything is printed."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from conda_prune.report.progress import OverallProgress

from ..executable import EXECUTABLE
from ..seed import CLEAN, STRAY

WORK = """
import time
from conda_prune.report.progress import OverallProgress, PackageProgress, can_be_shown
packages = {{"/tmp/\\033[2Jname.conda": 300, "/tmp/other.conda": 100}}
shown = can_be_shown(quiet={quiet})
with OverallProgress(packages, shown=shown) as overall:
    for path in packages:
        with PackageProgress(path, overall.receive, shown=shown) as progress:
            progress.expect(100)
            progress(10)
            time.sleep({seconds})
            progress(40)
            time.sleep({seconds} / 2)
        with overall.hidden():
            print("done", flush=True)
"""
ERASED = b"\033[2K"


def on_terminal(
    *command: str, columns: int = 80, stop_after: float | None = None, variables: Mapping[str, str] | None = None
) -> bytes:
    """Return what a command prints to a terminal, which is its standard output and its standard error.

    `stop_after` is the number of seconds after which Ctrl-C is sent.
    """
    pty = pytest.importorskip("pty", reason="Windows has no pseudoterminals with a file descriptor")
    import fcntl
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    hidden = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    clean = {name: value for name, value in os.environ.items() if name not in hidden}
    process = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env={**clean, "TERM": "xterm", **(variables or {})}
    )
    os.close(child)
    printed = b""
    started = time.monotonic()
    while True:
        if stop_after is not None and time.monotonic() - started > stop_after:
            process.send_signal(signal.SIGINT)
            stop_after = None
        try:
            if not select.select([parent], [], [], 0.2)[0]:
                assert time.monotonic() - started < 120, printed
                continue
            piece = os.read(parent, 4096)
        except OSError:  # Linux reports a closed terminal as an error.
            break
        if not piece:
            break
        printed += piece
    os.close(parent)
    process.wait()
    return printed


def work(*, quiet: bool = False, seconds: float = 1.2, **environment: str) -> bytes:
    return on_terminal(sys.executable, "-c", WORK.format(quiet=quiet, seconds=seconds), variables=environment)


def frames(printed: bytes) -> list[str]:
    """Return every picture of the bar, without control sequences."""
    plain = re.sub(rb"\033\[[0-9;?]*[A-Za-z]", b"", printed).decode()
    return re.findall(r"\[\d+/\d+\][^\r\n]*", plain)


def test_one_bar_for_all_packages_appears_after_a_second() -> None:
    printed = work()
    pictures = frames(printed)
    assert any(picture.startswith("[0/2] ") and " 38%" in picture for picture in pictures), pictures
    assert any(picture.startswith("[1/2] ") and " left" in picture for picture in pictures), pictures
    assert b"name.conda" in printed
    assert b"\033[2Jname" not in printed, "names are escaped"


def test_the_bar_is_erased_before_something_is_printed() -> None:
    printed = work()
    for before in printed.split(b"done")[:-1]:
        assert before.rstrip(b"\r").endswith(ERASED), before[-80:]
    assert printed.rindex(b"\033[?25h") > printed.rindex(b"\033[?25l"), "the cursor is shown again"


@pytest.mark.parametrize(
    ("quiet", "seconds", "environment"),
    [
        pytest.param(False, 0, {}, id="short-work"),
        pytest.param(True, 0.6, {}, id="quiet"),
        pytest.param(False, 0.6, {"CI": "true"}, id="ci"),
        pytest.param(False, 0.6, {"TERM": "dumb"}, id="dumb-terminal"),
    ],
)
def test_no_bar_is_drawn_otherwise(quiet: bool, seconds: float, environment: dict[str, str]) -> None:
    assert work(quiet=quiet, seconds=seconds, **environment) == b"done\r\ndone\r\n"


def test_no_bar_is_drawn_without_a_terminal() -> None:
    script = WORK.format(quiet=False, seconds=0.6)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout + done.stderr).splitlines() == [b"done", b"done"]


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_the_bar_fits_the_terminal(tmp_path: Path, columns: int, jobs: str) -> None:
    for number in range(150):
        shutil.copy(STRAY[0].path, tmp_path / f"{'long-name-' * 8}{number}-{STRAY[0].path.name}")
    script = "import conda_prune.report.progress as p; p._DELAY = 0; from conda_prune.cli import main; main()"
    command = (sys.executable, "-c", script, "check", "--deep", "-j", jobs, str(tmp_path))
    pictures = frames(on_terminal(*command, columns=columns))
    assert len(pictures) > 10
    assert {int(re.findall(r"/(\d+)", picture)[0]) for picture in pictures} == {150}
    assert max(map(len, pictures)) <= columns, max(pictures, key=len)


def test_the_bar_does_not_change_what_is_printed(tmp_path: Path) -> None:
    for number in range(30):
        CLEAN[0].copy(tmp_path).rename(tmp_path / f"{number}{CLEAN[0].path.suffix}")
    STRAY[0].copy(tmp_path)
    script = "import conda_prune.report.progress as p; p._DELAY = {}; from conda_prune.cli import main; main()"
    arguments = ("check", str(tmp_path))
    with_bar, without = (
        on_terminal(sys.executable, "-c", script.format(delay), *arguments, variables={"NO_COLOR": "1"})
        for delay in (0, 1000)
    )
    assert b"/31]" in with_bar
    drawn = re.compile(rb"\[\d+/31\][^\n]*\n?|(?<=\n)  \S*\.conda\s*|\033\[[0-9;?]*[A-Za-z]|\r")
    assert drawn.sub(b"", with_bar).split() == drawn.sub(b"", without).split()


def test_the_picture_can_be_made_while_the_bar_is_erased() -> None:
    """rich's own thread makes it while it holds a lock that erasing needs: they must not wait for each other."""
    overall = OverallProgress({"a.conda": 1}, shown=True)
    made = threading.Event()

    def make() -> None:
        overall._picture(80)
        made.set()

    with overall, overall.hidden():
        threading.Thread(target=make, daemon=True).start()
        assert made.wait(30)


def test_ctrl_c_erases_the_bar_and_shows_the_cursor(tmp_path: Path) -> None:
    for number in range(2000):
        os.symlink(STRAY[0].path, tmp_path / f"{number}{STRAY[0].path.suffix}")
    printed = on_terminal(EXECUTABLE, "check", "--deep", str(tmp_path), stop_after=3)
    assert frames(printed), printed
    assert printed.rindex(b"\033[?25h") > printed.rindex(b"\033[?25l")
    assert b"Traceback" not in printed
