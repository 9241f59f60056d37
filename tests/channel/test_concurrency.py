"""Other programs at work on an index: nothing of theirs is lost, and nobody waits for itself."""

from __future__ import annotations

import asyncio
import bz2
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import conda_prune
from conda_prune import PruneError, system
from conda_prune.channel.refresh import refresh_index

from ..channels import (
    SUBDIR,
    assert_true,
    documents,
    each_record,
    index_with_rattler,
    read,
    write_stray,
)
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from ..executable import EXECUTABLE, run
from ..seed import SEEDS
from ..systems import needs_fork, needs_links, replaces_open_files

OURS, THEIRS = "ours-1.0-h123abc4_0.conda", "theirs-1.2.3-h123abc4_0.conda"
FORMS = {
    "current_repodata.json", "repodata.json", "repodata.json.bz2", "repodata.json.zst", "repodata_shards.msgpack.zst"
}  # fmt: skip


def index(channel: Path) -> None:
    """Write five forms of an index."""
    index_with_rattler(channel)
    subdir = channel / SUBDIR
    (subdir / "repodata.json.bz2").write_bytes(bz2.compress((subdir / "repodata.json").read_bytes()))
    shutil.copy(subdir / "repodata.json", subdir / "current_repodata.json")


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subdir with a package that was repaired, and an index that does not know it."""
    subdir = tmp_path_factory.mktemp("repaired") / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    package = write_stray(subdir, "ours")
    index(subdir.parent)
    conda_prune.fix(package, in_place=True, reindex="never")
    return subdir


@pytest.fixture(scope="module", params=["after the repair", "before the repair"])
def theirs(request: pytest.FixtureRequest, repaired: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that another indexer makes of the channel and of a new package, having read ours at some time."""
    subdir = tmp_path_factory.mktemp("theirs") / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    if request.param == "after the repair":
        shutil.copy(repaired / OURS, subdir)
    else:
        write_stray(subdir, "ours")
    write_package(PackageSpec("theirs"), subdir)
    index(subdir.parent)
    for package in subdir.glob("*.conda"):
        package.unlink()
    return subdir


def replace_files(theirs: Path, subdir: Path) -> None:
    """Write an index as conda-index does: each file in one step, and no shard that is there."""
    for path in sorted(theirs.rglob("*.*")):
        target = subdir / path.relative_to(theirs)
        if path.parent.name != "shards" or not target.exists():
            shutil.copy(path, f"{target}.theirs")
            os.rename(f"{target}.theirs", target)


def write_in_place(theirs: Path, subdir: Path) -> None:
    """Write an index as rattler's indexer does: into the files that are there."""
    for path in sorted(theirs.rglob("*.*")):
        (subdir / path.relative_to(theirs)).write_bytes(path.read_bytes())


CALLS = {"listdir", "open", "stat", "fstat", "fsync", "replace", "rename", "unlink", "exchange"}
"""Our calls to the system that another program can come between."""


@contextmanager
def before_call(number: int, act: Callable[[], None]) -> Iterator[list[str]]:
    """Do something before a call to the system, by its number; tell the names of all calls."""
    calls: list[str] = []

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and getattr(argument, "__module__", "") == "posix" and argument.__name__ in CALLS:
            calls.append(argument.__name__)
        elif event == "call" and frame.f_code is system.exchange.__code__:
            calls.append("exchange")
        else:
            return
        if len(calls) == number:
            sys.setprofile(None)
            act()
            sys.setprofile(trace)

    sys.setprofile(trace)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def interleave(
    repaired: Path, theirs: Path, directory: Path, act: Callable[[Path, Path], None], *, step: int, swaps: bool = True
) -> int:
    """Refresh an index again and again, while another indexer writes before each one of our calls to the system."""
    subdir = shutil.copytree(repaired, directory / "count" / SUBDIR)
    with before_call(0, lambda: None) as undisturbed:
        refresh_index(str(subdir), [OURS])
    # After the last form is swapped, it is looked at, its old version is removed, and all forms are looked at.
    last_look = max([number for number, name in enumerate(undisturbed, 1) if name == "exchange"], default=-4) + 3
    for number in sorted({*range(1, len(undisturbed) + 1, step), *range(max(1, last_look - 3), last_look + 1)}):
        subdir = shutil.copytree(repaired, directory / "run" / SUBDIR)
        with before_call(number, lambda subdir=subdir: act(theirs, subdir)) as calls:  # type: ignore[misc]
            refresh_index(str(subdir), [OURS])
        where = f"before call {number}, {calls[number - 1]}"
        if number <= last_look:
            assert_true(subdir)  # We noticed that they wrote, and renewed what they wrote of our package.
        # Where the system cannot swap files, the moment between the last look and the replacement remains.
        if swaps or calls[number - 1] not in ("replace", "rename"):
            found = documents(subdir)
            lost = [form for form, document in found.items() if THEIRS not in dict(each_record(document))]
            assert set(found) == FORMS, where
            assert lost == [], where
        refresh_index(str(subdir), [OURS])  # What they wrote after our last call is as true as they made it.
        assert_true(subdir)
        assert not [name for name in os.listdir(subdir) if name.startswith(".")], where
        shutil.rmtree(subdir.parent)
    return len(undisturbed)


ACTS = [replace_files, write_in_place]


@replaces_open_files
@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_lost_wherever_another_indexer_writes(
    repaired: Path, theirs: Path, tmp_path: Path, act: Callable[[Path, Path], None]
) -> None:
    assert interleave(repaired, theirs, tmp_path, act, step=3) > 100


@replaces_open_files
@pytest.mark.long
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "cannot swap"])
def test_long_another_indexer_before_every_call(
    repaired: Path, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Path, Path], None], swaps: bool,
) -> None:  # fmt: skip
    if not swaps:
        monkeypatch.setattr(system, "exchange", lambda one, other: False)
    interleave(repaired, theirs, tmp_path, act, step=1, swaps=swaps)


def test_index_that_changes_for_good_is_given_up(
    repaired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    sync = system.sync_file

    def sync_and_write(descriptor: int) -> None:
        sync(descriptor)
        os.utime(subdir / "repodata.json")

    monkeypatch.setattr(system, "sync_file", sync_and_write)
    before = documents(subdir)
    with pytest.raises(PruneError, match=r"repodata\.json was changed by another program"):
        refresh_index(str(subdir), [OURS])
    assert documents(subdir) == before
    assert not [name for name in os.listdir(subdir) if name.startswith(".")]


def test_form_that_is_half_written_is_read_again(repaired: Path, tmp_path: Path) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    whole = (subdir / "repodata.json").read_bytes()
    (subdir / "repodata.json").write_bytes(whole[:100])
    finish = f"import time; time.sleep(0.08); open({str(subdir / 'repodata.json')!r}, 'wb').write({whole!r})"
    writer = subprocess.Popen([sys.executable, "-c", f"print(flush=True); {finish}"], stdout=subprocess.PIPE)
    assert writer.stdout
    writer.stdout.readline()
    result = refresh_index(str(subdir), [OURS])
    writer.wait()
    assert result is not None
    assert_true(subdir)


@replaces_open_files
def test_package_that_is_replaced_meanwhile_is_hashed_again(repaired: Path, tmp_path: Path) -> None:
    subdir = shutil.copytree(repaired, tmp_path / "count" / SUBDIR)
    with before_call(0, lambda: None) as undisturbed:
        refresh_index(str(subdir), [OURS])

    def replace_package(subdir: Path) -> None:
        write_stray(subdir, "ours", index_extra={"license": "MIT"}).rename(subdir / f"{OURS}.new")
        os.rename(subdir / f"{OURS}.new", subdir / OURS)

    for number in [number for number, name in enumerate(undisturbed, 1) if name in ("open", "fstat")][::4]:
        subdir = shutil.copytree(repaired, tmp_path / str(number) / SUBDIR)
        with before_call(number, lambda subdir=subdir: replace_package(subdir)):  # type: ignore[misc]
            refresh_index(str(subdir), [OURS])
        refresh_index(str(subdir), [OURS])  # As the run that replaced it does in the end.
        assert_true(subdir)


# Our own runs


def test_two_runs_at_once_leave_a_true_index(tmp_path: Path) -> None:
    subdir = tmp_path / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    for seed in SEEDS:
        seed.copy(subdir)
    index(tmp_path / "channel")

    async def both() -> None:
        command = [sys.executable, "-m", "conda_prune", "fix", "--in-place"]
        runs = [
            await asyncio.create_subprocess_exec(*command, *(str(subdir / s.path.name) for s in half), stdout=-3)
            for half in (SEEDS[::2], SEEDS[1::2])
        ]
        assert [await one.wait() for one in runs] == [0, 0]

    asyncio.run(both())
    assert_true(subdir)
    assert not [name for name in os.listdir(subdir) if name.startswith(".")]


@pytest.mark.parametrize(
    "link", [pytest.param(os.symlink, id="symbolic", marks=needs_links), pytest.param(os.link, id="hard")]
)
@pytest.mark.parametrize("form", ["current_repodata.json", "repodata_from_packages.json"])
def test_form_that_is_a_link_to_another_does_not_wait(
    repaired: Path, tmp_path: Path, link: Callable[[Path, Path], None], form: str
) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    (subdir / form).unlink(missing_ok=True)
    link(Path("repodata.json") if link is os.symlink else subdir / "repodata.json", subdir / form)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 0
    assert "1 record refreshed" in done.stdout
    assert (subdir / form).is_symlink() is (link is os.symlink)
    assert_true(subdir)


@needs_links
def test_forms_that_are_links_to_one_file_are_written_once(repaired: Path, tmp_path: Path) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    (subdir / "repodata.json").rename(subdir / "index-of-today")
    for form in ("repodata.json", "current_repodata.json", "repodata_from_packages.json"):
        (subdir / form).unlink(missing_ok=True)
        (subdir / form).symlink_to("index-of-today")
    for reindex in ("auto", "always"):
        conda_prune.fix(subdir / OURS, in_place=True, reindex=reindex)
        assert_true(subdir)
        assert (subdir / "repodata.json").is_symlink()


HOLD = """
import sys, time
from conda_prune.channel.files import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held(subdir: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock on an index in another process."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, subdir, str(seconds)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()


def test_waiting_for_another_run_is_announced_after_a_second(repaired: Path, tmp_path: Path) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    with held(subdir, 60) as holder:
        command = [EXECUTABLE, "fix", "--in-place", str(subdir)]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert waiting.stderr
        line = waiting.stderr.readline()
        holder.kill()
        told, _ = waiting.communicate(timeout=60)
    who = f"process {holder.pid}" if sys.platform == "linux" and os.path.exists("/proc/locks") else "another run"
    assert line == f"waiting for {who}, which is working on the index in {subdir}\n"
    assert waiting.returncode == 0
    assert "1 record refreshed" in told
    assert_true(subdir)


def test_waiting_for_less_than_a_second_is_not_announced(repaired: Path, tmp_path: Path) -> None:
    subdir = shutil.copytree(repaired, tmp_path / SUBDIR)
    with held(subdir, 0.3):
        done = run("fix", "--in-place", subdir)
    assert (done.returncode, done.stderr) == (0, "")
    assert_true(subdir)


@needs_fork
def test_interrupted_refresh_is_finished_by_the_next(repaired: Path, tmp_path: Path) -> None:
    """Whatever call a run is killed at, every form is whole, and the next run makes all of them true."""
    subdir = shutil.copytree(repaired, tmp_path / "count" / SUBDIR)
    with before_call(0, lambda: None) as undisturbed:
        refresh_index(str(subdir), [OURS])
    for number in range(1, len(undisturbed) + 1, 4):
        subdir = shutil.copytree(repaired, tmp_path / "run" / SUBDIR)
        child = os.fork()
        if child == 0:
            with before_call(number, lambda: os.kill(os.getpid(), 9)):
                refresh_index(str(subdir), [OURS])
            os._exit(0)
        os.waitpid(child, 0)
        assert documents(subdir).keys() == FORMS
        assert read(subdir)
        refresh_index(str(subdir), [OURS])
        assert_true(subdir)
        assert not [name for name in os.listdir(subdir) if name.startswith(".")], undisturbed[number - 1]
        shutil.rmtree(subdir.parent)
