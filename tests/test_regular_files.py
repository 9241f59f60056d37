"""Only regular files are opened by name. Pipes, sockets and devices are errors, and nothing waits for them."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from conda_prune.system import NotRegular, open_named, open_regular

from .executable import run

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes, sockets or devices in directories")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def make_link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # The path of a socket is limited to about a hundred characters.
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


ODD_FILES = [
    pytest.param(make_pipe, "it is a named pipe (FIFO), not a regular file", id="pipe"),
    pytest.param(make_link_to_pipe, "it is a named pipe (FIFO), not a regular file", id="link-to-pipe"),
    pytest.param(make_link_to_device, "it is a device, not a regular file", id="link-to-device"),
    pytest.param(make_socket, "it is a socket, not a regular file", id="socket"),
    pytest.param(Path.mkdir, "it is a directory, not a regular file", id="directory"),
]


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    names = ["file"]
    if os.name != "nt":  # Windows needs a privilege to make links.
        (tmp_path / "link").symlink_to("file")
        names.append("link")
    for name in names:
        for open_ in (open_regular, open_named):
            with open_(str(tmp_path / name)) as file:
                assert file.read() == b"content"


@posix
@pytest.mark.parametrize(("make", "message"), ODD_FILES)
def test_other_files_are_refused_without_waiting(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "odd")
    for open_ in (open_regular, open_named):
        with pytest.raises(NotRegular, match=re.escape(message)) as caught:
            open_(str(tmp_path / "odd"))
        assert caught.value.strerror == message


@posix
def test_a_file_is_opened_in_an_open_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with open_regular("file", dir_fd=directory, follow_links=False) as file:
            assert file.read() == b"content"
        with pytest.raises(NotRegular, match="it is a symbolic link, not a regular file"):
            open_regular("link", dir_fd=directory, follow_links=False)
    finally:
        os.close(directory)


@posix
def test_a_refusal_leaves_no_descriptor_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to a file when it is checked, and to a pipe when it is opened."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to know which files are open")
    path = tmp_path / "file"
    path.write_bytes(b"content")
    real = os.open

    def swapping(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        path.unlink()
        os.mkfifo(path)
        return real(name, flags, mode, dir_fd=dir_fd)

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(NotRegular, match="named pipe"):
        open_regular(str(path))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases on files")
def test_a_file_with_a_lease_is_awaited(tmp_path: Path) -> None:
    """Samba uses leases. A non-blocking open fails until the holder has given up the lease."""
    import fcntl
    import signal

    path = tmp_path / "file"
    path.write_bytes(b"content")
    holder = os.open(path, os.O_RDWR)
    given_up = []

    def give_up(number: int, frame: object) -> None:
        def release() -> None:
            given_up.append(True)
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)

        threading.Timer(0.2, release).start()

    previous = signal.signal(signal.SIGIO, give_up)
    try:
        try:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"this file system has no leases: {error}")
        with open_regular(str(path)) as file:
            assert file.read() == b"content"
        assert given_up == [True]
    finally:
        signal.signal(signal.SIGIO, previous)
        os.close(holder)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash, whose process substitution is tested, is not installed")
def test_results_may_come_from_a_process_substitution(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("")
    command = f"{sys.executable} -m conda_prune report <(cat {tmp_path}/results.jsonl) {tmp_path}/results.jsonl"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_a_pipe_among_the_results_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text("")
    os.mkfifo(tmp_path / "pipe.jsonl")
    done = run("report", tmp_path / "pipe.jsonl", tmp_path / "good.jsonl")
    assert done.returncode == 3
    assert done.stderr == f"error: {tmp_path}/pipe.jsonl: it is a named pipe (FIFO), not a regular file\n"


@posix
@pytest.mark.parametrize(("make", "message"), ODD_FILES)
def test_odd_records_of_a_prefix_are_an_error(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    (tmp_path / "conda-meta").mkdir()
    good = {"name": "good", "version": "1", "build": "0", "files": []}
    (tmp_path / "conda-meta/good-1-0.json").write_text(json.dumps(good))
    make(tmp_path / "conda-meta/odd-1-0.json")
    commands: list[tuple[object, ...]] = [
        ("check", "--prefix", tmp_path),
        ("prefix", tmp_path, "--python", "3.11"),
        ("prefix", tmp_path, "--python", "3.11", "--fix"),
    ]
    for command in commands:
        done = run(*command)
        assert done.returncode == 3
        assert f"the record conda-meta/odd-1-0.json cannot be read: {message}; " in done.stderr


@posix
def test_a_pipe_named_like_bytecode_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    files = ["lib/python3.11/m.py", "lib/python3.11/m.pyc"]
    record = {"name": "p", "version": "1", "build": "0", "depends": ["python 3.11.*"], "files": files}
    (tmp_path / "conda-meta/p-1-0.json").write_text(json.dumps(record))
    (tmp_path / "lib/python3.11").mkdir(parents=True)
    (tmp_path / "lib/python3.11/m.py").write_text("")
    os.mkfifo(tmp_path / "lib/python3.11/m.pyc")
    assert run("check", "--prefix", tmp_path, "--deep").returncode == 0


@posix
def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        open_regular("a\0b")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_regular(str(tmp_path / "missing"))
    assert caught.value.errno == errno.ENOENT
