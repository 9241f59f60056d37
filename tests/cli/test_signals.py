"""Ctrl-C, SIGTERM and closed pipes: no temporary file is left, and the exit code says what happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conda_prune import interruption

from ..corpus.crafted import BASE
from ..corpus.packages import write_package
from ..executable import EXECUTABLE
from .test_jobs import workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows does not send signals to other processes")

ROOT = Path(__file__).parents[2]
SEED = ROOT / "testdata" / "seed"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def signals_of_a_terminal() -> Iterator[None]:
    """Under nohup, pytest ignores SIGHUP, and so would the processes that it starts."""
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


class Directory:
    """Packages to fix, with their content before and after. Afterwards, each must have one of the two."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "work"
        self.path.mkdir()
        sources = [
            write_package(BASE, directory),
            *sorted(path for path in SEED.glob("*py313*") if path.suffix != ".json"),
        ]
        self.old = {source.name: source.read_bytes() for source in sources}
        self.restore()
        done = self.start()
        done.communicate()
        assert done.returncode == 0
        self.new = self.files()
        assert all(self.new[name] != self.old[name] for name in self.old)

    def restore(self) -> None:
        shutil.rmtree(self.path)
        self.path.mkdir()
        for name, data in self.old.items():
            (self.path / name).write_bytes(data)

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "conda_prune", "fix", "--in-place", str(self.path), *options],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.iterdir()}

    def check(self) -> None:
        found = self.files()
        assert found.keys() == self.old.keys(), "nothing temporary is left"
        for name, data in found.items():
            assert data in (self.old[name], self.new[name]), name


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return Directory(tmp_path_factory.mktemp("signals"))


def interrupted(directory: Directory, number: signal.Signals, delay: float, *options: str, group: bool = False) -> int:
    """Send a signal after some seconds, and return the exit code."""
    directory.restore()
    process = directory.start(*options)
    time.sleep(delay)
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    directory.check()
    # Before our own code runs, Python reports an interruption itself.
    assert "Traceback" not in stderr or ", in run\n" not in stderr, stderr
    return process.returncode


def moments(directory: Directory, count: int, *options: str) -> list[float]:
    """Return random times in seconds between the start of our code and the end of a run."""
    directory.restore()
    started = time.monotonic()
    directory.start(*options).communicate()
    lasts = time.monotonic() - started
    rng = random.Random(count)
    return [rng.uniform(0.15 * lasts, lasts) for _ in range(count)]


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("options", [(), ("-j", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.long)])
def test_an_interruption_leaves_nothing(
    directory: Directory, number: signal.Signals, options: tuple[str, ...], count: int
) -> None:
    # A terminal sends Ctrl-C to all processes of the group. SIGTERM is usually sent to one.
    group = number == signal.SIGINT
    codes = [
        interrupted(directory, number, moment, *options, group=group) for moment in moments(directory, count, *options)
    ]
    # A signal before our first line runs ends Python in its own way.
    assert set(codes) <= {0, CODES[number], -number}
    assert CODES[number] in codes


def test_no_worker_outlives_an_interruption(directory: Directory) -> None:
    directory.restore()
    process = directory.start("-j", "2")
    while len(working := workers(process.pid)) < 2 and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert not [pid for pid in working if os.path.exists(f"/proc/{pid}")]
    directory.check()


def test_a_closed_pipe_ends_the_run_quietly(directory: Directory) -> None:
    directory.restore()
    process = directory.start()
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 141
    assert stderr == ""
    assert directory.files() == directory.new


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a payload of which every zstd job takes much longer than a second at level 19."""
    rng = random.Random(1)
    words = [bytes(rng.choices(b"abcdefghij \n", k=rng.randint(3, 9))) for _ in range(5000)]
    text = b" ".join(rng.choices(words, k=4 << 20))
    spec = replace(BASE, files={**BASE.files, "share/text": text})
    return write_package(spec, tmp_path_factory.mktemp("slow"), level=1)


@pytest.mark.parametrize("number", interruption.SIGNALS)
@pytest.mark.parametrize("options", [("--level", "19"), ("--level", "19", "-j", "2")], ids=["alone", "workers"])
def test_interruption_does_not_wait_for_the_compressor(
    slow: Path, tmp_path: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    before = slow.read_bytes()
    packages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        packages.append(Path(shutil.copy(slow, tmp_path / name)))
    process = subprocess.Popen(
        [EXECUTABLE, "fix", "--in-place", "--threads", "2", *options, *map(str, packages)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while not list(tmp_path.glob("*/.conda-prune-*")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(2)
    assert process.poll() is None, "it is compressing"
    os.killpg(process.pid, number)
    sent = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - sent < 2
    assert process.returncode == 128 + number
    assert stderr.strip() == b""
    for package in packages:
        assert (package.read_bytes(), os.listdir(package.parent)) == (before, [package.name])


def test_signals_that_the_shell_ignores_stay_ignored(directory: Directory) -> None:
    """`nohup`, and shells without job control, let background processes ignore signals."""
    directory.restore()
    process = subprocess.Popen(
        ["sh", "-c", "trap '' HUP INT TERM; exec \"$@\"", "sh", EXECUTABLE, "fix", "--in-place", str(directory.path)],
        stdout=subprocess.PIPE,
    )
    while not directory.files().keys() - directory.old.keys() and process.poll() is None:
        time.sleep(0.001)
    for number in (signal.SIGHUP, *CODES):
        process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert directory.files() == directory.new


@pytest.mark.parametrize("number", CODES)
def test_an_interruption_while_libarchive_reads_is_not_swallowed(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that a signal handler raises inside a C callback is lost, so handlers must not run there."""
    from conda_prune import fix
    from conda_prune.rewrite import readers

    package = write_package(BASE, tmp_path)
    before = package.read_bytes()
    real = readers.Blocks.readinto

    def interrupted(blocks: readers.Blocks, buffer: object) -> int:
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        return real(blocks, buffer)

    class Arrived(BaseException):
        pass

    def arrives(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Arrived

    monkeypatch.setattr(readers.Blocks, "readinto", interrupted)
    previous = signal.signal(number, arrives)
    try:
        with pytest.raises(Arrived):
            fix(package, in_place=True)
    finally:
        time.sleep(0.3)
        signal.signal(number, previous)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])
