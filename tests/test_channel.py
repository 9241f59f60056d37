"""A channel's index after a fix: the records of what was replaced are true, in every form, and all else is kept."""

from __future__ import annotations

import asyncio
import bz2
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import zstandard

from conda_prune import Result, fix
from conda_prune.errors import NotAPackage
from conda_prune.places.channel import refresh_indexes, write_index

from .corpus.entries import PackageSpec
from .corpus.packages import write_package
from .seed import CLEAN, SEEDS, STRAY
from .test_cli import run

SUBDIR = "linux-64"
INDEX = """
import asyncio, os, sys
import rattler.index
asyncio.run(rattler.index.index_fs(sys.argv[1], repodata_revisions=sys.argv[2:] or None, force=True))
sys.stdout.flush()
os._exit(0)
"""
QUERY = """
import asyncio, json, os, sys
import rattler

async def query(url, subdir, *names):
    sources = rattler.SourceConfig(sharded_enabled=True, zstd_enabled=False, bz2_enabled=False, jlap_enabled=False)
    gateway = rattler.Gateway(cache_dir=sys.argv[1], default_config=sources)
    found = await gateway.query([rattler.Channel(url)], [subdir], list(names), recursive=False)
    return {record.file_name: record.sha256.hex() for records in found for record in records}

print(json.dumps(asyncio.run(query(*sys.argv[2:]))), flush=True)
os._exit(0)
"""


def index(channel: Path, *revisions: str) -> None:
    """Index a channel as its owner does: by rattler's indexer, in a process that does not outlive it."""
    subprocess.run([sys.executable, "-c", INDEX, channel, *revisions], check=True, capture_output=True)


@pytest.fixture
def subdir(tmp_path: Path) -> Path:
    """The indexed subdir of a channel with every package of the seed."""
    directory = tmp_path / "channel" / SUBDIR
    directory.mkdir(parents=True)
    for seed in SEEDS:
        seed.copy(directory)
    index(tmp_path / "channel")
    return directory


def read(subdir: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((subdir / "repodata.json").read_text("utf-8"))
    return value


def records(value: dict[str, Any]) -> dict[str, Any]:
    return {**value["packages"], **value["packages.conda"]}


def state(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def assert_true(subdir: Path) -> None:
    """Assert that every record is true of the file beside it."""
    for name, record in records(read(subdir)).items():
        content = (subdir / name).read_bytes()
        assert record["size"] == len(content), name
        assert record["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert record["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest(), name


def test_an_index_beside_clean_packages_is_not_written(tmp_path: Path) -> None:
    directory = tmp_path / SUBDIR
    directory.mkdir()
    for seed in CLEAN:
        seed.copy(directory)
    index(tmp_path)
    before = state(tmp_path)
    done = run("fix", "--in-place", tmp_path)
    assert done.returncode == 0
    assert "index " not in done.stdout
    assert state(tmp_path) == before


def test_the_records_of_fixed_packages_are_refreshed(subdir: Path) -> None:
    before = read(subdir)
    done = run("fix", "--in-place", subdir.parent)
    assert done.returncode == 0, done.stderr
    assert f"index    {subdir}/repodata.json   {len(STRAY)} records refreshed" in done.stdout
    assert_true(subdir)
    after = read(subdir)
    for name, record in records(before).items():
        fixed = name in {seed.path.name for seed in STRAY}
        changed = {key for key in record if record[key] != records(after)[name][key]}
        assert changed == ({"size", "md5", "sha256"} if fixed else set()), name
        assert record.keys() == records(after)[name].keys()
    for name in (seed.path.name for seed in STRAY):
        assert (
            f"{records(before)[name]['sha256'][:12]}… → {records(after)[name]['sha256'][:12]}…   {name}" in done.stdout
        )


def test_every_form_of_the_index_that_is_there_is_refreshed(subdir: Path) -> None:
    text = (subdir / "repodata.json").read_bytes()
    (subdir / "repodata.json.bz2").write_bytes(bz2.compress(text))
    (subdir / "current_repodata.json").write_bytes(text)
    assert run("fix", "--in-place", subdir).returncode == 0
    after = (subdir / "repodata.json").read_bytes()
    assert after != text
    assert zstandard.decompress((subdir / "repodata.json.zst").read_bytes()) == after
    assert bz2.decompress((subdir / "repodata.json.bz2").read_bytes()) == after
    assert json.loads((subdir / "current_repodata.json").read_bytes()) == json.loads(after)
    assert sharded(subdir) == {name: record["sha256"] for name, record in records(json.loads(after)).items()}


def test_forms_that_are_not_there_do_not_appear(subdir: Path) -> None:
    for name in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
        (subdir / name).unlink()
    shutil.rmtree(subdir / "shards")
    before = set(os.listdir(subdir.parent)), set(os.listdir(subdir))
    assert run("fix", "--in-place", subdir).returncode == 0
    assert (set(os.listdir(subdir.parent)), set(os.listdir(subdir))) == before


def sharded(subdir: Path) -> dict[str, str]:
    """Return the hashes that a client reads from the shards alone, over HTTP as shards are meant to be read."""
    served = subdir.parent.parent / "served" / subdir.name
    shutil.copytree(subdir, served, ignore=shutil.ignore_patterns("*repodata.json*"))
    with http_server(served.parent) as url:
        caches = subdir.parent.parent / "query-cache"
        names = {record["name"] for record in records(read(subdir)).values()}
        command = [sys.executable, "-c", QUERY, caches, url, subdir.name, *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@contextmanager
def http_server(directory: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def indented(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


@pytest.mark.parametrize("style", [compact, indented, json.dumps], ids=["rattler", "conda-index", "plain"])
def test_what_others_wrote_into_the_index_stays(subdir: Path, style: Callable[[Any], str]) -> None:
    value = read(subdir)
    patched, stray = records(value)[CLEAN[0].path.name], records(value)[STRAY[0].path.name]
    for record in (patched, stray):
        record["depends"].append("patched-in >=1")
        record["unknown"] = {"key": ["é", 1.50]}
    value["removed"] = ["gone-1.0-0.conda"]
    value["info"]["base_url"] = "https://example.org/"
    value["unknown"] = None
    (subdir / "repodata.json").write_text(style(value), "utf-8")
    assert run("fix", "--in-place", subdir).returncode == 0
    after = read(subdir)
    assert_true(subdir)
    assert (subdir / "repodata.json").read_text("utf-8") == style(after)
    for document in (value, after):
        for record in records(document).values():
            for key in ("size", "md5", "sha256"):
                del record[key]
    assert after == value
    assert list(after) == list(value)


def test_never_leaves_the_index_alone(subdir: Path) -> None:
    before = (subdir / "repodata.json").read_bytes()
    done = run("fix", "--in-place", "--reindex", "never", subdir)
    assert done.returncode == 0
    assert "index " not in done.stdout
    assert (subdir / "repodata.json").read_bytes() == before


def test_a_dry_run_leaves_the_index_alone(subdir: Path) -> None:
    before = state(subdir.parent)
    assert run("fix", "--in-place", "--dry-run", subdir).returncode == 1
    assert state(subdir.parent) == before


def test_without_an_index_none_is_made_unless_asked_for(subdir: Path) -> None:
    index_files = [path for path in subdir.iterdir() if "repodata" in path.name]
    for path in index_files:
        path.unlink()
    shutil.rmtree(subdir / "shards")
    assert "index " not in run("fix", "--in-place", subdir).stdout
    assert not (subdir / "repodata.json").exists()
    done = run("fix", "--in-place", "--reindex", "always", subdir)
    assert done.returncode == 0, done.stderr
    assert f"{len(SEEDS)} records refreshed" in done.stdout
    assert len(records(read(subdir))) == len(SEEDS)
    assert_true(subdir)
    assert sharded(subdir) == {name: record["sha256"] for name, record in records(read(subdir)).items()}


def test_always_writes_an_index_anew_that_was_wrong(subdir: Path) -> None:
    value = read(subdir)
    value["packages.conda"]["ghost-1.0-0.conda"] = records(value)[CLEAN[0].path.name]
    records(value)[CLEAN[0].path.name]["sha256"] = "0" * 64
    (subdir / "repodata.json").write_text(json.dumps(value))
    assert run("fix", "--in-place", "--reindex", "always", subdir).returncode == 0
    assert set(records(read(subdir))) == {seed.path.name for seed in SEEDS}
    assert_true(subdir)


def test_a_run_after_an_interrupted_one_refreshes_what_that_left(subdir: Path) -> None:
    for seed in STRAY:
        fix(subdir / seed.path.name)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 0
    assert f"{len(STRAY)} records refreshed" in done.stdout
    assert_true(subdir)


def test_packages_written_to_a_channel_with_o_are_refreshed_there(subdir: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for seed in STRAY:
        seed.copy(sources)
    assert run("fix", sources, "-o", subdir).returncode == 0
    assert_true(subdir)


def test_a_link_to_a_package_refreshes_the_channel_that_the_file_is_in(subdir: Path, tmp_path: Path) -> None:
    link = tmp_path / STRAY[0].path.name
    link.symlink_to(subdir / STRAY[0].path.name)
    assert run("fix", "--in-place", link).returncode == 0
    assert link.is_symlink()
    assert_true(subdir)


def test_packages_that_the_index_does_not_list_are_not_added(subdir: Path) -> None:
    value = read(subdir)
    del value["packages.conda"][next(s.path.name for s in STRAY if s.path.suffix == ".conda")]
    (subdir / "repodata.json").write_text(json.dumps(value))
    assert run("fix", "--in-place", subdir).returncode == 0
    assert records(read(subdir)).keys() == records(value).keys()
    assert_true(subdir)


def test_records_of_the_third_revision_are_refreshed(tmp_path: Path) -> None:
    """CEP 48: they stand below `v3`, without the file's ending in their key."""
    stray = {"lib/python3.10/site-packages/m/__pycache__/m.cpython-310.pyc": b"stray"}
    (tmp_path / "linux-64").mkdir()
    package = write_package(
        PackageSpec(
            "third",
            depends=("python_abi 3.11.* *_cp311",),
            files=stray,
            index_extra={"repodata_revision": 3, "flags": ["a"]},
        ),
        tmp_path / "linux-64",
    )
    index(tmp_path, "v3")
    before = read(tmp_path / "linux-64")["v3"]["conda"][package.name.removesuffix(".conda")]
    done = run("fix", "--in-place", tmp_path)
    assert "1 record refreshed" in done.stdout, done.stderr
    after = read(tmp_path / "linux-64")["v3"]["conda"][package.name.removesuffix(".conda")]
    assert after["sha256"] == hashlib.sha256(package.read_bytes()).hexdigest() != before["sha256"]
    assert {key for key in before if before[key] != after[key]} == {"size", "md5", "sha256"}


def test_the_refreshed_index_is_a_result_of_its_own_in_json(subdir: Path) -> None:
    before = records(read(subdir))
    done = run("fix", "--in-place", "--format", "json", subdir)
    *packages, last = json.loads(done.stdout)
    assert len(packages) == len(SEEDS)
    assert (last["path"], last["status"], last["package"]) == (f"{subdir}/repodata.json", "indexed", None)
    after = records(read(subdir))
    assert {record["file"]: (record["before"], record["after"]) for record in last["records"]} == {
        seed.path.name: (before[seed.path.name]["sha256"], after[seed.path.name]["sha256"]) for seed in STRAY
    }


def add_ghost(value: dict[str, Any]) -> str:
    value["packages.conda"]["ghost-1.0-0.conda"] = {"name": "ghost", "version": "1.0", "build": "0"}
    return json.dumps(value)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "does not parse": (lambda value: json.dumps(value)[:-7], "not valid JSON"),
    "empty": (lambda value: "", "not valid JSON"),
    "nested too deeply": (lambda value: "[" * 200_000, "no index of packages"),
    "a list": (lambda value: "[]", "no index of packages"),
    "packages is a list": (lambda value: json.dumps(value | {"packages": []}), "no index of packages"),
    "a record is a text": (
        lambda value: json.dumps(value | {"packages": {STRAY[0].path.name: "x"}}),
        "records that are no JSON objects",
    ),
    "lists what is not there": (add_ghost, "ghost-1.0-0.conda, which is not there"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_failing_index_is_reported_and_the_packages_stay_fixed(
    subdir: Path, broken: tuple[Callable[[dict[str, Any]], str], str]
) -> None:
    edit, message = broken
    (subdir / "repodata.json").write_text(edit(read(subdir)))
    before = state(subdir)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if message in line and f"{subdir}/repodata.json" in line]
    assert len(done.stderr.splitlines()) == 1
    after = state(subdir)
    changed = {name for name in after if after[name] != before[name]}
    assert after.keys() == before.keys()
    assert changed == {seed.path.name for seed in STRAY}, "the packages are fixed, no form of the index is touched"


def test_a_failing_index_is_an_error_object_in_json(subdir: Path) -> None:
    (subdir / "repodata.json").write_text("{")
    done = run("fix", "--in-place", "--format", "json", subdir)
    last = json.loads(done.stdout)[-1]
    assert (last["path"], last["status"]) == (f"{subdir}/repodata.json", "error")
    assert "not valid JSON" in last["error"]


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_an_index_that_is_read_only_is_reported_and_stays_whole(subdir: Path, name: str) -> None:
    (subdir / name).chmod(0o444)
    before = {path: content for path, content in state(subdir).items() if "repodata" in path}
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    assert "repodata.json: " in done.stderr
    assert "read-only" in done.stderr
    assert {path: content for path, content in state(subdir).items() if "repodata" in path} == before
    assert sum(line.startswith("fixed ") for line in done.stdout.splitlines()) == len(STRAY)


def test_a_channel_directory_that_is_read_only_loses_nothing(subdir: Path) -> None:
    before = state(subdir)
    subdir.chmod(0o555)
    try:
        done = run("fix", "--in-place", subdir)
    finally:
        subdir.chmod(0o755)
    assert done.returncode == 3
    assert state(subdir) == before
    assert "index " not in done.stdout


def test_an_index_outside_of_a_subdir_is_refreshed_by_what_it_says_of_itself(subdir: Path) -> None:
    flat = subdir.rename(subdir.parent / "Flat Directory")
    assert run("fix", "--in-place", flat).returncode == 0
    assert_true(flat)


def test_an_index_that_says_no_subdir_is_reported(subdir: Path) -> None:
    flat = subdir.rename(subdir.parent / "Flat Directory")
    (flat / "repodata.json").write_text(json.dumps(read(flat) | {"info": {}}))
    done = run("fix", "--in-place", flat)
    assert done.returncode == 3
    assert "no subdir" in done.stderr


def test_a_failure_to_index_costs_no_other_channel(subdir: Path, tmp_path: Path) -> None:
    other = shutil.copytree(subdir.parent, tmp_path / "other") / SUBDIR
    (subdir / "repodata.json").write_text("{")
    results = [fix(directory / seed.path.name) for directory in (subdir, other) for seed in SEEDS]
    broken, refreshed = refresh_indexes(results)
    assert (broken.status, refreshed.status) == ("error", "indexed")
    assert_true(other)


def test_two_runs_at_once_leave_a_true_index(subdir: Path) -> None:
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


def test_what_a_killed_run_left_is_no_package_and_goes(subdir: Path) -> None:
    left = subdir / ".conda-prune-index-left" / SUBDIR
    left.mkdir(parents=True)
    os.link(subdir / STRAY[0].path.name, left / STRAY[0].path.name)
    done = run("fix", "--in-place", subdir)
    assert f"{len(SEEDS)} packages" in done.stdout
    assert not left.parent.exists()
    assert_true(subdir)


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.7, 0.9, 1.1, 1.3])
def test_after_a_run_that_was_killed_the_next_one_leaves_a_true_channel(subdir: Path, delay: float) -> None:
    command = [sys.executable, "-m", "conda_prune", "fix", "--in-place", str(subdir)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        killed.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert read(subdir), "the index is whole at any time"
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)
    assert not [name for name in os.listdir(subdir) if name.startswith(".")]


SIDECARS = [".sigstore", ".sigstore.json", ".sig", ".asc", ".sha256"]


@pytest.mark.parametrize("ending", SIDECARS)
def test_a_sidecar_is_reported_as_invalid_and_stays(tmp_path: Path, ending: str) -> None:
    package = STRAY[0].copy(tmp_path)
    sidecar = tmp_path / (package.name + ending)
    sidecar.write_bytes(b"vouches for the old bytes")
    done = run("fix", "--in-place", package)
    assert done.returncode == 0
    assert f"{sidecar} is invalid now" in done.stderr
    assert sidecar.read_bytes() == b"vouches for the old bytes"
    assert fix(CLEAN[0].copy(tmp_path)).warnings == ()


def test_a_sidecar_of_a_clean_package_is_no_matter(tmp_path: Path) -> None:
    package = CLEAN[0].copy(tmp_path)
    (tmp_path / (package.name + ".sigstore")).touch()
    assert run("fix", "--in-place", package).stderr == ""


def conda_cache(directory: Path, package: Path) -> Path:
    (directory / "urls.txt").touch()
    return directory


def conda_cache_without_urls(directory: Path, package: Path) -> Path:
    info = directory / package.name.removesuffix(package.suffix) / "info"
    info.mkdir(parents=True)
    (info / "repodata_record.json").write_text("{}")
    return directory


def rattler_cache(directory: Path, package: Path) -> Path:
    (directory / f"{package.name.removesuffix('.conda')}.lock").touch()
    return directory


def pixi_cache(directory: Path, package: Path) -> Path:
    inside = directory / ".pixi" / "artifacts-v0" / "name" / "key"
    inside.mkdir(parents=True)
    (inside / "sidecar.json").write_text("{}")
    return inside


CACHES = [
    pytest.param(conda_cache, "conda's package cache", id="conda"),
    pytest.param(conda_cache_without_urls, "a package cache", id="unpacked"),
    pytest.param(rattler_cache, "rattler's package cache", id="rattler"),
    pytest.param(pixi_cache, "pixi's artifact cache", id="pixi"),
]


@pytest.mark.parametrize(("make", "reason"), CACHES)
def test_a_package_in_a_cache_is_refused_with_the_reason(
    tmp_path: Path, make: Callable[[Path, Path], Path], reason: str
) -> None:
    stray = next(seed for seed in STRAY if seed.path.suffix == ".conda")
    package = stray.copy(make(tmp_path, stray.path))
    before = state(tmp_path)
    done = run("fix", "--in-place", package)
    assert done.returncode == 3
    assert f"{package}: it is in {reason}" in done.stderr
    assert state(tmp_path) == before
    assert run("check", package).returncode == 1
    elsewhere = tmp_path.parent / f"{tmp_path.name}-out"
    assert run("fix", package, "-o", elsewhere).returncode == 0


def test_an_extracted_package_beside_its_archive_is_no_cache(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    (tmp_path / package.name.removesuffix(package.suffix) / "info").mkdir(parents=True)
    assert run("fix", "--in-place", package).returncode == 0


def test_a_broken_index_beside_clean_packages_is_no_matter(tmp_path: Path) -> None:
    """Nothing was replaced, so nothing in it became untrue by this run."""
    for seed in CLEAN:
        seed.copy(tmp_path)
    (tmp_path / "repodata.json").write_text("{")
    done = run("fix", "--in-place", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def fails_to_index(directory: Path, package: Path, message: str) -> None:
    """An index that is to be written anew and cannot be is one line, and neither it nor a package is touched."""
    before = state(directory)
    done = run("fix", "--in-place", "--reindex", "always", package)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {directory}/repodata.json: the index was not refreshed: ")
    assert message in line
    assert state(directory) == before


def test_a_damaged_package_beside_it_is_told_by_the_indexer(subdir: Path) -> None:
    whole = CLEAN[0].path.read_bytes()
    (subdir / f"broken-1.0-0{CLEAN[0].path.suffix}").write_bytes(whole[: len(whole) // 2])
    fails_to_index(subdir, subdir / CLEAN[0].path.name, "the indexer failed: ")


def test_a_link_to_nothing_beside_it_is_told(subdir: Path) -> None:
    (subdir / "dead-1.0-0.conda").symlink_to("nowhere.conda")
    fails_to_index(subdir, subdir / CLEAN[0].path.name, "No such file or directory")


def test_a_directory_in_the_place_of_an_index_is_told(subdir: Path) -> None:
    (subdir / "repodata.json").unlink()
    (subdir / "repodata.json").mkdir()
    fails_to_index(subdir, subdir / CLEAN[0].path.name, "it cannot be read: Is a directory")


def test_a_package_that_the_indexer_does_not_take_is_told(subdir: Path) -> None:
    """Its name has no version, so the indexer passes over it; another tool may have listed it all the same."""
    stray = next(seed for seed in STRAY if seed.path.suffix == ".conda")
    (subdir / stray.path.name).rename(subdir / "nameless.conda")
    value = read(subdir)
    value["packages.conda"]["nameless.conda"] = value["packages.conda"].pop(stray.path.name)
    (subdir / "repodata.json").write_text(json.dumps(value))
    before = (subdir / "repodata.json").read_bytes()
    done = run("fix", "--in-place", subdir / "nameless.conda")
    assert done.returncode == 3
    assert "the indexer did not take nameless.conda" in done.stderr
    assert (subdir / "repodata.json").read_bytes() == before
    assert "fixed " in done.stdout


def test_what_an_index_made_anew_leaves_out_is_told(subdir: Path) -> None:
    stray = next(seed for seed in STRAY if seed.path.suffix == ".conda")
    (subdir / stray.path.name).rename(subdir / "nameless.conda")
    done = run("fix", "--in-place", "--reindex", "always", subdir)
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "nameless" in line]
    assert line == "warning: nameless.conda is not in the index: the indexer cannot read it"
    assert "nameless.conda" not in records(read(subdir))


def test_no_packages_are_no_index(tmp_path: Path) -> None:
    with pytest.raises(NotAPackage, match="there are no packages beside it"):
        write_index(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def refreshed(subdir: Path) -> list[Result]:
    return list(refresh_indexes([fix(subdir / seed.path.name) for seed in STRAY]))


def test_no_room_for_the_indexers_work_is_an_error_in_words(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**arguments: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    before = (subdir / "repodata.json").read_bytes()
    (result,) = refreshed(subdir)
    assert result.status == "error"
    assert f"a directory cannot be made in {subdir}: No space left on device" in str(result.error)
    assert (subdir / "repodata.json").read_bytes() == before


def test_without_hard_links_packages_are_copied_for_the_indexer(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    (result,) = refreshed(subdir)
    assert result.status == "indexed"
    assert_true(subdir)


def test_a_record_without_a_size_is_not_taken_for_stale(tmp_path: Path) -> None:
    seed = CLEAN[0]
    (tmp_path / SUBDIR).mkdir()
    package = seed.copy(tmp_path / SUBDIR)
    index(tmp_path)
    value = read(tmp_path / SUBDIR)
    for record in records(value).values():
        del record["size"]
    (tmp_path / SUBDIR / "repodata.json").write_text(json.dumps(value))
    before = state(tmp_path)
    assert run("fix", "--in-place", package).returncode == 0
    assert state(tmp_path) == before
