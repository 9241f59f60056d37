"""Runs on one package take turns, readers see the old or the new package, and concurrent changes are detected."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import threading
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from conda_prune import PruneError, check, fix, system
from conda_prune.archive.container import Archive
from conda_prune.errors import Changed
from conda_prune.model import Limits

from ..corpus.crafted import BASE
from ..corpus.packages import FORMATS, Format, write_package
from ..wine import IS_WINE

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")


def rounds(connection: Connection, package: str) -> None:
    """Fix the package at each request from the connection, and answer with the status."""
    while connection.recv():
        try:
            connection.send(fix(package, in_place=True).status)
        except BaseException as error:
            connection.send(repr(error))


@posix
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("count", [10, pytest.param(50, marks=pytest.mark.long)])
def test_eight_processes_fix_one_package(tmp_path: Path, format_: Format, count: int) -> None:
    original = write_package(BASE, tmp_path, format=format_)
    alone = tmp_path / "alone" / original.name
    alone.parent.mkdir()
    shutil.copy(original, alone)
    fix(alone, in_place=True)
    package = tmp_path / "work" / original.name
    package.parent.mkdir()
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(8):
        mine, theirs = context.Pipe()
        processes.append(context.Process(target=rounds, args=(theirs, str(package)), daemon=True))
        processes[-1].start()
        pipes.append(mine)
    for _ in range(count):
        shutil.copy(original, package)
        for pipe in pipes:
            pipe.send(True)
        outcomes = sorted(pipe.recv() for pipe in pipes)
        assert set(outcomes) <= {"clean", "fixed"}
        assert outcomes.count("fixed") == 1, "one run fixes it, the others find it clean"
        assert package.read_bytes() == alone.read_bytes()
        assert os.listdir(package.parent) == [package.name]
    for pipe in pipes:
        pipe.send(False)
    for process in processes:
        process.join()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_reader_sees_the_old_package_or_the_new(tmp_path: Path, format_: Format) -> None:
    original = write_package(BASE, tmp_path, format=format_)
    package = tmp_path / "work" / original.name
    package.parent.mkdir()
    shutil.copy(original, package)
    old = hashlib.sha256(package.read_bytes()).hexdigest()
    fix(package, in_place=True)
    new = hashlib.sha256(package.read_bytes()).hexdigest()
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(hashlib.sha256(package.read_bytes()).hexdigest())
            except PermissionError:
                if os.name != "nt":
                    raise  # Windows refuses while it replaces the file.
            except FileNotFoundError:
                if not IS_WINE:
                    raise
            if os.name == "nt":
                time.sleep(0.02)  # A file that is open all the time cannot be replaced there.

    reader = threading.Thread(target=read)
    again = tmp_path / "again"
    shutil.copy(original, again)
    system.replacing(lambda: os.replace(again, package))
    reader.start()
    for _ in range(30):
        assert fix(package, in_place=True).status == "fixed"
        shutil.copy(original, again)
        system.replacing(lambda: os.replace(again, package))
    stop.set()
    reader.join()
    assert seen <= {old, new}
    assert seen


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
@pytest.mark.parametrize("format_", FORMATS)
def test_a_package_replaced_while_read_is_judged_again(
    tmp_path: Path, format_: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    clean = tmp_path / "clean"
    shutil.copy(package, clean)
    fixed = tmp_path / "fixed" / package.name
    fixed.parent.mkdir()
    shutil.copy(package, fixed)
    fix(fixed, in_place=True)
    real = Archive.check_unwritten
    opened: list[bool] = []

    def replacing(archive: Archive) -> None:
        # Replace the package once, between reading and replacing, as another run may do.
        if not opened:
            opened.append(True)
            os.replace(fixed, package)
        real(archive)

    monkeypatch.setattr(Archive, "check_unwritten", replacing)
    assert fix(package, in_place=True).status == "clean", "the result of the other run"
    assert sorted(os.listdir(tmp_path)) == ["clean", package.name, "fixed"]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_package_that_keeps_changing_is_given_up(
    tmp_path: Path, format_: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    content = package.read_bytes()
    attempts = []
    real = Archive.check_unwritten

    def writing(archive: Archive) -> None:
        attempts.append(True)
        os.utime(package, ns=(len(attempts) * 100, len(attempts) * 100))  # NTFS counts in steps of 100 ns.
        real(archive)

    monkeypatch.setattr(Archive, "check_unwritten", writing)
    for work in (check, partial(fix, in_place=True)):
        package.write_bytes(content)
        attempts.clear()
        with pytest.raises(Changed, match="changed while"):
            work(package)
        assert len(attempts) == 2, "it is tried twice"
    assert os.listdir(tmp_path) == [package.name]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_package_written_while_fixed_is_never_mixed(tmp_path: Path, format_: Format) -> None:
    """Another program writes in place, without a rename. The result is its bytes, or a fix of one version of them."""
    package = write_package(BASE, tmp_path, format=format_)
    good = package.read_bytes()
    fix(package, in_place=True)
    fixed = package.read_bytes()
    package.write_bytes(good)
    stop = threading.Event()
    rng = random.Random(3)

    def write() -> None:
        while not stop.is_set():
            with open(package, "r+b") as file:
                file.seek(rng.randrange(len(good)))
                file.write(b"\0" * 8)
                file.flush()
                file.seek(0)
                file.write(good)

    writer = threading.Thread(target=write)
    writer.start()
    outcomes: list[str] = []
    for _ in range(25):
        try:
            outcomes.append(fix(package, in_place=True).status)
        except PruneError as error:
            outcomes.append(type(error).__name__)
    stop.set()
    writer.join()
    content = package.read_bytes()
    assert content[: len(fixed)] == fixed or content[: len(good)] == good
    assert os.listdir(tmp_path) == [package.name]
    assert set(outcomes) <= {"fixed", "clean", "Changed", "Damaged", "Unsupported", "NotAPackage", "BadMetadata"}


def test_damage_by_another_writer_is_reported_as_a_change(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, format=".conda")
    content = package.read_bytes()

    def reads() -> None:
        with Archive(str(package), Limits()) as archive:
            package.write_bytes(content[:-9])
            archive.check_crc(archive.components[0])
            archive.whole.read(len(content) - 9, 9)

    with pytest.raises(Changed, match="changed while it was being read"):
        reads()
