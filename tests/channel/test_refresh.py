"""A channel's index after a fix: the records of what was repaired are true in every form, and all else is kept."""

from __future__ import annotations

import bz2
import errno
import hashlib
import json
import ntpath
import os
import re
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

import conda_prune
from conda_prune import Result
from conda_prune.channel import files
from conda_prune.channel.refresh import refresh_index, refresh_indexes
from conda_prune.channel.rewrite import write_index
from conda_prune.errors import CannotWrite, IndexNotRefreshed, NotAPackage

from ..channels import (
    SUBDIR,
    assert_true,
    documents,
    each_record,
    index_with_rattler,
    read,
    state,
    write,
    write_stray,
)
from ..executable import run
from ..seed import CLEAN, SEEDS, STRAY
from ..systems import needs_limits, needs_links, needs_modes, needs_pipes

STRAY_CONDA = next(seed for seed in STRAY if seed.path.suffix == ".conda")
STRAY_NAMES = {seed.path.name for seed in STRAY}

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


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with every package of the seed, as rattler's indexer leaves it; tests work on copies."""
    channel = tmp_path_factory.mktemp("indexed") / "channel"
    (channel / SUBDIR).mkdir(parents=True)
    for seed in SEEDS:
        seed.copy(channel / SUBDIR)
    index_with_rattler(channel)
    return channel


@pytest.fixture
def subdir(indexed: Path, tmp_path: Path) -> Path:
    """The indexed subdir of a channel with every package of the seed."""
    return shutil.copytree(indexed, tmp_path / "channel") / SUBDIR


def records(value: dict[str, Any]) -> dict[str, Any]:
    return dict(each_record(value))


def fix(path: Path) -> Result:
    """Repair a package, and leave its index alone."""
    return conda_prune.fix(path, in_place=True, reindex="never")


# Which records are refreshed, and in which files


def test_index_of_clean_packages_is_not_written(tmp_path: Path) -> None:
    directory = tmp_path / SUBDIR
    directory.mkdir()
    for seed in CLEAN:
        seed.copy(directory)
    index_with_rattler(tmp_path)
    before = state(tmp_path)
    done = run("fix", "--in-place", tmp_path)
    assert done.returncode == 0
    assert "index " not in done.stdout
    assert state(tmp_path) == before


def test_records_of_fixed_packages_are_refreshed(subdir: Path) -> None:
    before = records(read(subdir))
    done = run("fix", "--in-place", subdir.parent)
    assert done.returncode == 0, done.stderr
    assert f"index    {subdir / 'repodata.json'}   {len(STRAY)} records refreshed" in done.stdout
    assert_true(subdir)
    after = records(read(subdir))
    for name, record in before.items():
        changed = {key for key in record if record[key] != after[name][key]}
        assert changed == ({"size", "md5", "sha256"} if name in STRAY_NAMES else set()), name
        assert record.keys() == after[name].keys()
    for name in STRAY_NAMES:
        assert f"{before[name]['sha256'][:12]}… → {after[name]['sha256'][:12]}…   {name}" in done.stdout


def test_every_form_that_is_there_is_refreshed(subdir: Path) -> None:
    text = (subdir / "repodata.json").read_bytes()
    (subdir / "repodata.json.bz2").write_bytes(bz2.compress(text))
    for name in ("current_repodata.json", "repodata_from_packages.json", "patched_repodata.json"):
        (subdir / name).write_bytes(text)
        (subdir / f"{name}.zst").write_bytes(zstandard.compress(text))
    forms = set(documents(subdir))
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)
    assert set(documents(subdir)) == forms
    after = (subdir / "repodata.json").read_bytes()
    assert zstandard.decompress((subdir / "repodata.json.zst").read_bytes()) == after
    assert bz2.decompress((subdir / "repodata.json.bz2").read_bytes()) == after
    assert served_by_shards(subdir) == {name: record["sha256"] for name, record in records(read(subdir)).items()}


@pytest.mark.parametrize("kept", ["repodata.json.zst", "repodata_shards.msgpack.zst", "current_repodata.json"])
def test_index_without_repodata_json_is_refreshed(subdir: Path, kept: str) -> None:
    (subdir / "repodata.json").rename(subdir / "current_repodata.json")
    for form in set(documents(subdir)) - {kept}:
        (subdir / form).unlink()
    done = run("fix", "--in-place", subdir)
    assert f"index    {subdir / kept}   {len(STRAY)} records refreshed" in done.stdout
    assert set(documents(subdir)) == {kept}
    assert_true(subdir)


def test_forms_that_are_not_there_do_not_appear(subdir: Path) -> None:
    for name in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
        (subdir / name).unlink()
    shutil.rmtree(subdir / "shards")
    before = set(os.listdir(subdir.parent)), set(os.listdir(subdir))
    assert run("fix", "--in-place", subdir).returncode == 0
    assert (set(os.listdir(subdir.parent)), set(os.listdir(subdir))) == before


@pytest.mark.parametrize("sibling", ["current_repodata.json", "repodata_from_packages.json", "repodata.json.bz2"])
def test_record_that_only_a_sibling_has_is_refreshed(subdir: Path, sibling: str) -> None:
    """A hotfix removes a package from repodata.json; repodata_from_packages.json still lists it."""
    text = (subdir / "repodata.json").read_bytes()
    (subdir / sibling).write_bytes(bz2.compress(text) if sibling.endswith(".bz2") else text)
    value = read(subdir)
    value["packages"], value["packages.conda"] = {}, {}
    write(subdir, value)
    before = (subdir / "repodata.json").read_bytes()
    assert run("fix", "--in-place", subdir).returncode == 0
    assert len(records(documents(subdir)[sibling])) == len(SEEDS)
    assert_true(subdir)
    assert (subdir / "repodata.json").read_bytes() == before


def served_by_shards(subdir: Path) -> dict[str, str]:
    """Return the hashes that a client reads from the shards alone, over HTTP as shards are meant to be read."""
    served = subdir.parent.parent / "served" / subdir.name
    names = {record["name"] for record in records(read(subdir)).values()}
    shutil.copytree(subdir, served, ignore=shutil.ignore_patterns("*repodata*.json*"))
    with http_server(served.parent) as url:
        caches = subdir.parent.parent / "query-cache"
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


def test_records_of_the_third_revision_are_refreshed(tmp_path: Path) -> None:
    """CEP 48: they are below `v3`, without the file's ending in their key."""
    (tmp_path / SUBDIR).mkdir()
    package = write_stray(tmp_path / SUBDIR, "third", index_extra={"repodata_revision": 3, "flags": ["a"]})
    index_with_rattler(tmp_path, "v3")
    before = read(tmp_path / SUBDIR)["v3"]["conda"][package.name.removesuffix(".conda")]
    done = run("fix", "--in-place", tmp_path)
    assert "1 record refreshed" in done.stdout, done.stderr
    after = read(tmp_path / SUBDIR)["v3"]["conda"][package.name.removesuffix(".conda")]
    assert {key for key in before if before[key] != after[key]} == {"size", "md5", "sha256"}
    assert_true(tmp_path / SUBDIR)


def test_package_in_sections_of_two_revisions_is_refreshed_in_both(subdir: Path) -> None:
    value = read(subdir)
    listed = value["packages.conda"].items()
    value["v3"] = {"conda": {key.removesuffix(".conda"): dict(record) for key, record in listed}}
    write(subdir, value)
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)


def test_packages_that_the_index_does_not_list_are_not_added(subdir: Path) -> None:
    value = read(subdir)
    del value["packages.conda"][STRAY_CONDA.path.name]
    write(subdir, value)
    assert run("fix", "--in-place", subdir).returncode == 0
    assert records(read(subdir)).keys() == records(value).keys()
    assert_true(subdir)


def test_partial_mirror_is_refreshed(subdir: Path) -> None:
    """Its index lists packages that are not there; only those of the run are looked at."""
    value = read(subdir)
    value["packages.conda"]["ghost-1.0-0.conda"] = {"name": "ghost", "version": "1.0", "build": "0", "size": 1}
    write(subdir, value)
    done = run("fix", "--in-place", subdir)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(subdir)["packages.conda"]["ghost-1.0-0.conda"] == value["packages.conda"]["ghost-1.0-0.conda"]
    assert_true(subdir)


def test_record_with_what_rattler_cannot_parse_is_refreshed(subdir: Path) -> None:
    value = read(subdir)
    record = value["packages.conda"][STRAY_CONDA.path.name]
    record["version"], record["depends"], record["build_number"] = ["not a version"], {"a": None}, "x"
    write(subdir, value)
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)


def test_empty_file_is_an_empty_index(subdir: Path) -> None:
    """CEP 36."""
    (subdir / "repodata.json").write_text("")
    assert run("fix", "--in-place", subdir).returncode == 0
    assert (subdir / "repodata.json").read_text() == ""


def test_package_without_version_in_its_name_is_refreshed(subdir: Path) -> None:
    (subdir / STRAY_CONDA.path.name).rename(subdir / "nameless.conda")
    value = read(subdir)
    value["packages.conda"]["nameless.conda"] = value["packages.conda"].pop(STRAY_CONDA.path.name)
    write(subdir, value)
    assert run("fix", "--in-place", subdir / "nameless.conda").returncode == 0
    content = (subdir / "nameless.conda").read_bytes()
    assert read(subdir)["packages.conda"]["nameless.conda"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_record_that_says_nothing_of_bytes_is_not_stale(tmp_path: Path) -> None:
    seed = CLEAN[0]
    (tmp_path / SUBDIR).mkdir()
    package = seed.copy(tmp_path / SUBDIR)
    index_with_rattler(tmp_path)
    value = read(tmp_path / SUBDIR)
    for record in records(value).values():
        for key in ("size", "sha256", "md5"):
            del record[key]
    write(tmp_path / SUBDIR, value)
    before = state(tmp_path)
    assert run("fix", "--in-place", package).returncode == 0
    assert state(tmp_path) == before


# Where the packages are


def test_packages_written_to_a_channel_with_o_are_refreshed_there(subdir: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for seed in STRAY:
        seed.copy(sources)
    assert run("fix", sources, "-o", subdir).returncode == 0
    assert_true(subdir)


@needs_links
def test_link_to_a_package_refreshes_the_channel_of_the_file(subdir: Path, tmp_path: Path) -> None:
    link = tmp_path / STRAY[0].path.name
    link.symlink_to(subdir / STRAY[0].path.name)
    assert run("fix", "--in-place", link).returncode == 0
    assert link.is_symlink()
    assert_true(subdir)


def test_index_outside_of_a_subdir_is_refreshed(subdir: Path) -> None:
    flat = subdir.rename(subdir.parent / "Flat Directory")
    write(flat, read(flat) | {"info": {}})
    assert run("fix", "--in-place", flat).returncode == 0
    assert_true(flat)


def test_index_line_has_the_separators_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, a path may come with either separator and is told with one."""
    monkeypatch.setattr(os, "path", ntpath)
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(os, "altsep", "/")
    told = [files.join(directory, "repodata.json") for directory in ("channel\\linux-64", "channel/linux-64", "a\\b/c")]
    assert told == ["channel\\linux-64\\repodata.json"] * 2 + ["a\\b\\c\\repodata.json"]


# What stays


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def indented(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def escaped(value: Any) -> str:
    return json.dumps(value | {"note": "é"}, indent="\t", sort_keys=True).replace("\n", "\r\n")


STYLES = {"rattler": compact, "conda-index": indented, "plain": json.dumps, "tabs, CRLF, escapes": escaped}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_what_others_wrote_into_the_index_stays(subdir: Path, style: Callable[[Any], str]) -> None:
    value = read(subdir)
    patched, stray = records(value)[CLEAN[0].path.name], records(value)[STRAY[0].path.name]
    for record in (patched, stray):
        record["depends"].append("patched-in >=1")
        record["unknown"] = {"key": ["e", 1.50, 10**30, -0.0, 1e300]}
    value["removed"] = ["gone-1.0-0.conda"]
    value["info"]["base_url"] = "https://example.org/"
    value["unknown"] = None
    (subdir / "repodata.json").write_bytes(style(value).encode())
    value = read(subdir)
    assert run("fix", "--in-place", subdir).returncode == 0
    after = read(subdir)
    assert_true(subdir)
    assert (subdir / "repodata.json").read_bytes() == style(after).encode()
    for document in (value, after):
        for record in records(document).values():
            for key in ("size", "md5", "sha256"):
                del record[key]
    assert after == value
    assert list(after) == list(value)


def test_half_a_character_stays_an_escape(subdir: Path) -> None:
    value = read(subdir) | {"half": "\ud800", "whole": "é"}
    (subdir / "repodata.json").write_text(json.dumps(value))
    text = (subdir / "repodata.json").read_text("ascii").replace("\\u00e9", "é")
    (subdir / "repodata.json").write_text(text, "utf-8")
    assert run("fix", "--in-place", subdir).returncode == 0
    assert {key: read(subdir)[key] for key in ("half", "whole")} == {"half": "\ud800", "whole": "é"}


def test_never_leaves_the_index_alone(subdir: Path) -> None:
    before = (subdir / "repodata.json").read_bytes()
    done = run("fix", "--in-place", "--reindex", "never", subdir)
    assert done.returncode == 0
    assert "index " not in done.stdout
    assert (subdir / "repodata.json").read_bytes() == before


def test_dry_run_leaves_the_index_alone(subdir: Path) -> None:
    before = state(subdir.parent)
    assert run("fix", "--in-place", "--dry-run", subdir).returncode == 1
    assert state(subdir.parent) == before


@needs_modes
def test_mode_of_every_form_stays(subdir: Path) -> None:
    for form in documents(subdir):
        (subdir / form).chmod(0o640)
    assert run("fix", "--in-place", subdir).returncode == 0
    assert {(subdir / form).stat().st_mode & 0o7777 for form in documents(subdir)} == {0o640}


# After interruptions


def test_run_after_an_interrupted_one_refreshes_what_that_left(subdir: Path) -> None:
    for seed in STRAY:
        fix(subdir / seed.path.name)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 0
    assert f"{len(STRAY)} records refreshed" in done.stdout
    assert_true(subdir)


@pytest.mark.parametrize("hour", [-1, 1], ids=["older than the index", "newer"])
def test_stale_record_with_the_right_size_is_refreshed(subdir: Path, hour: int) -> None:
    """A package whose stamps were corrected often has the size that it had; an indexer may have run since."""
    value = read(subdir)
    name = CLEAN[0].path.name
    records(value)[name].update(sha256="0" * 64, md5="0" * 32)
    write(subdir, value)
    time = (subdir / "repodata.json").stat().st_mtime + hour * 3600
    os.utime(subdir / name, (time, time))
    done = run("fix", "--in-place", subdir / name)
    assert "1 record refreshed" in done.stdout
    assert "1 package: nothing to repair." in done.stdout
    assert_true(subdir)


def test_what_a_killed_run_left_is_no_package_and_goes(subdir: Path) -> None:
    left = subdir / ".conda-prune-index-left" / SUBDIR
    left.mkdir(parents=True)
    os.link(subdir / STRAY[0].path.name, left / STRAY[0].path.name)
    done = run("fix", "--in-place", subdir)
    assert f"{len(SEEDS)} packages" in done.stdout
    assert not left.parent.exists()
    assert_true(subdir)


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.7, 0.9, 1.1, 1.3])
def test_run_after_a_killed_one_leaves_a_true_channel(subdir: Path, delay: float) -> None:
    command = [sys.executable, "-m", "conda_prune", "fix", "--in-place", str(subdir)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        killed.wait(delay)
    except subprocess.TimeoutExpired:
        if os.name == "nt":
            killed.kill()
        else:
            os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert read(subdir), "the index is whole at any time"
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)
    assert not [name for name in os.listdir(subdir) if name.startswith(".")]


# An index that cannot be refreshed


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "does not parse": (lambda value: json.dumps(value)[:-7], "repodata.json is not valid JSON: "),
    "nested too deeply": (lambda value: "[" * 200_000, "repodata.json is nested too deeply"),
    "a list": (lambda value: "[]", "repodata.json is not a JSON object"),
    "not UTF-8": (lambda value: json.dumps(value) + "\udcff", "repodata.json cannot be read: "),
    "packages is a list": (lambda value: json.dumps(value | {"packages": []}), "packages in repodata.json is not"),
    "packages is null": (lambda value: json.dumps(value | {"packages": None}), "packages in repodata.json is not"),
    "v3 is a string": (lambda value: json.dumps(value | {"v3": "x"}), "v3 in repodata.json is not"),
    "a record is a string": (
        lambda value: json.dumps(value | {"packages": {STRAY[0].path.name: "x"}}),
        f"the record of {STRAY[0].path.name} in repodata.json is not a JSON object",
    ),
    "a number too large": (
        lambda value: json.dumps(value | {"x": "1e400"}).replace('"1e400"', "1e400"),
        "repodata.json holds the number 1e400",
    ),
    "a number too small": (
        lambda value: json.dumps(value | {"x": "1e-400"}).replace('"1e-400"', "1e-400"),
        "repodata.json holds the number 1e-400",
    ),
    "an integer too long": (lambda value: json.dumps(value)[:-1] + f', "x": {"9" * 5000}}}', "repodata.json cannot be"),
    "a key twice": (lambda value: json.dumps(value)[:-1] + ', "info": {}}', "repodata.json has the key 'info' twice"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_index_is_found_before_a_package_is_replaced(
    subdir: Path, broken: tuple[Callable[[dict[str, Any]], str], str]
) -> None:
    edit, message = broken
    (subdir / "repodata.json").write_bytes(edit(read(subdir)).encode(errors="surrogateescape"))
    before = state(subdir)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    for name in STRAY_NAMES:
        (line,) = [line for line in done.stderr.splitlines() if line.startswith(f"error: {subdir / name}: ")]
        assert f": the index next to it cannot be refreshed: {message}" in line
        assert "--reindex never leaves the index alone" in line
    assert len(done.stderr.splitlines()) == len(STRAY)
    assert state(subdir) == before
    assert f"{len(CLEAN)} packages are clean." in done.stdout


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_read_only_form_is_found_before_a_package_is_replaced(subdir: Path, name: str) -> None:
    (subdir / name).chmod(0o444)
    before = state(subdir)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    assert f"{name} cannot be replaced: the file is read-only" in done.stderr
    assert state(subdir) == before


def test_a_read_only_form_without_repaired_packages_does_not_matter(subdir: Path) -> None:
    write(subdir, {"packages": {}}, "current_repodata.json")
    (subdir / "current_repodata.json").chmod(0o444)
    assert run("fix", "--in-place", subdir).returncode == 0
    assert_true(subdir)


@pytest.mark.parametrize("form", ["repodata.json.zst", "repodata_shards.msgpack.zst"])
@pytest.mark.parametrize("content", [b"not compressed", zstandard.compress(b"\x81\xa1")], ids=["text", "cut"])
def test_broken_compressed_form_is_found_before_a_package_is_replaced(subdir: Path, form: str, content: bytes) -> None:
    (subdir / form).write_bytes(content)
    before = state(subdir)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    assert done.stderr.count(f"the index next to it cannot be refreshed: {form} ") == len(STRAY)
    assert state(subdir) == before


def test_form_that_unpacks_to_gigabytes_is_refused(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1 << 20)
    (subdir / "repodata.json.zst").write_bytes(zstandard.compress(b" " * (1 << 21)))
    before = state(subdir)
    with pytest.raises(CannotWrite, match=r"repodata\.json\.zst is larger than 1 MiB"):
        conda_prune.fix(subdir / STRAY_CONDA.path.name, in_place=True)
    assert state(subdir) == before


@needs_limits
@pytest.mark.parametrize("form", ["repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_form_that_is_a_bomb_is_refused_in_little_memory(subdir: Path, form: str) -> None:
    """200 MB of empty lists unpack from a few kilobytes; parsed, they would take gigabytes."""
    if form == "repodata.json.zst":
        bomb = b'{"x":[' + b"[]," * 70_000_000
    else:
        bomb = b"\xdd" + (200_000_000).to_bytes(4, "big") + b"\x90" * 200_000_000
    (subdir / form).write_bytes(zstandard.compress(bomb))
    del bomb
    before = state(subdir)
    script = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))\n"
    script += "import conda_prune; conda_prune.fix(sys.argv[1], threads=1, in_place=True)"
    command = [sys.executable, "-c", script, str(subdir / STRAY_CONDA.path.name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"the index next to it cannot be refreshed: {form} is " in done.stderr
    assert state(subdir) == before


def test_a_file_merely_named_like_an_index_is_kept(subdir: Path) -> None:
    notes = [subdir / "my_repodata_notes.json", subdir / "old_repodata_shards.msgpack.zst"]
    for path in notes:
        path.write_text("not an index")
    done = run("fix", "--in-place", subdir)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.read_text() for path in notes} == {"not an index"}
    for path in notes:
        path.unlink()
    assert_true(subdir)


@needs_modes
def test_channel_directory_that_is_read_only_loses_nothing(subdir: Path) -> None:
    before = state(subdir)
    subdir.chmod(0o555)
    try:
        done = run("fix", "--in-place", subdir)
    finally:
        subdir.chmod(0o755)
    assert done.returncode == 3
    assert state(subdir) == before
    assert "index " not in done.stdout


def test_broken_index_next_to_clean_packages_does_not_matter(tmp_path: Path) -> None:
    """Nothing was replaced, so nothing in it became untrue by this run."""
    for seed in CLEAN:
        seed.copy(tmp_path)
    (tmp_path / "repodata.json").write_text("{")
    done = run("fix", "--in-place", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_index_that_breaks_during_the_run_is_reported(subdir: Path, tmp_path: Path) -> None:
    other = shutil.copytree(subdir.parent, tmp_path / "other") / SUBDIR
    results = [fix(directory / seed.path.name) for directory in (subdir, other) for seed in SEEDS]
    (subdir / "repodata.json").write_text("{")
    broken, refreshed = refresh_indexes(results)
    assert (broken.status, refreshed.status) == ("error", "indexed")
    assert broken.path == f"{subdir / 'repodata.json'}"
    assert "the index was not refreshed: repodata.json is not valid JSON" in str(broken.error)
    assert_true(other)


def test_refreshed_index_is_a_result_of_its_own_in_json(subdir: Path) -> None:
    before = records(read(subdir))
    done = run("fix", "--in-place", "--format", "json", subdir)
    *packages, last = json.loads(done.stdout)
    assert len(packages) == len(SEEDS)
    assert (last["path"], last["status"], last["package"]) == (f"{subdir / 'repodata.json'}", "indexed", None)
    after = records(read(subdir))
    assert {record["file"]: (record["before"], record["after"]) for record in last["records"]} == {
        name: (before[name]["sha256"], after[name]["sha256"]) for name in STRAY_NAMES
    }


# From Python


def test_fix_from_python_refreshes_the_index(subdir: Path) -> None:
    name = STRAY_CONDA.path.name
    before = records(read(subdir))[name]["sha256"]
    result = conda_prune.fix(subdir / name, in_place=True)
    after = hashlib.sha256((subdir / name).read_bytes()).hexdigest()
    assert result.status == "fixed"
    assert [(record.file, record.before, record.after) for record in result.records] == [(name, before, after)]
    assert_true(subdir)


def test_fix_from_python_writes_a_new_index_on_request(subdir: Path) -> None:
    for form in documents(subdir):
        (subdir / form).unlink()
    result = conda_prune.fix(subdir / STRAY_CONDA.path.name, in_place=True, reindex="always")
    assert len(result.records) == len(SEEDS)
    assert_true(subdir)


def test_fix_from_python_finds_an_obstacle_before_it_writes(subdir: Path) -> None:
    (subdir / "repodata.json").write_text("{")
    before = state(subdir)
    with pytest.raises(CannotWrite, match="the index next to it cannot be refreshed"):
        conda_prune.fix(subdir / STRAY_CONDA.path.name, in_place=True)
    assert state(subdir) == before


def test_fix_from_python_says_when_the_index_broke_meanwhile(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def and_break(source: Any, target: Any, **options: Any) -> None:
        replace(source, target, **options)
        if os.path.basename(target).endswith(".conda"):
            (subdir / "repodata.json").write_text("{")

    monkeypatch.setattr(os, "replace", and_break)
    monkeypatch.setattr(os, "rename", and_break)
    with pytest.raises(IndexNotRefreshed, match=r"repodata\.json: the index was not refreshed") as caught:
        conda_prune.fix(subdir / STRAY_CONDA.path.name, in_place=True)
    assert isinstance(caught.value.result, Result)
    assert caught.value.result.status == "fixed"


def test_fix_from_python_refuses_another_word_for_reindex(subdir: Path) -> None:
    before = state(subdir)
    with pytest.raises(ValueError, match="reindex='yes': choose auto, always or never"):
        conda_prune.fix(subdir / STRAY_CONDA.path.name, in_place=True, reindex="yes")
    assert state(subdir) == before


# --reindex always


def test_index_is_made_only_on_request(subdir: Path) -> None:
    for form in documents(subdir):
        (subdir / form).unlink()
    shutil.rmtree(subdir / "shards")
    assert "index " not in run("fix", "--in-place", subdir).stdout
    assert not documents(subdir)
    done = run("fix", "--in-place", "--reindex", "always", subdir)
    assert done.returncode == 0, done.stderr
    assert f"{len(SEEDS)} records refreshed" in done.stdout
    assert len(records(read(subdir))) == len(SEEDS)
    assert set(documents(subdir)) == {"repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"}
    assert_true(subdir)
    assert served_by_shards(subdir) == {name: record["sha256"] for name, record in records(read(subdir)).items()}


def test_always_writes_a_wrong_index_again(subdir: Path) -> None:
    value = read(subdir)
    value["packages.conda"]["ghost-1.0-0.conda"] = records(value)[CLEAN[0].path.name]
    records(value)[CLEAN[0].path.name]["sha256"] = "0" * 64
    value["info"]["base_url"], value["removed"] = "https://example.org/", ["gone-1.0-0.conda", CLEAN[0].path.name]
    value["signatures"] = {seed.path.name: {} for seed in CLEAN}
    write(subdir, value)
    write(subdir, value, "current_repodata.json")
    assert run("fix", "--in-place", "--reindex", "always", subdir).returncode == 0
    assert set(records(read(subdir))) == {seed.path.name for seed in SEEDS}
    assert_true(subdir)
    after = read(subdir)
    assert (after["info"], after["removed"]) == (value["info"], ["gone-1.0-0.conda"])
    assert list(after["signatures"]) == [CLEAN[1].path.name], "what vouched for a record that was wrong goes"
    assert set(records(documents(subdir)["current_repodata.json"])) == set(records(value)), "its selection stays"


def test_always_replaces_an_index_that_cannot_be_read(subdir: Path) -> None:
    for form in documents(subdir):
        (subdir / form).write_text("{")
    done = run("fix", "--in-place", "--reindex", "always", subdir)
    assert done.returncode == 0, done.stderr
    assert len(records(read(subdir))) == len(SEEDS)
    assert_true(subdir)


@needs_pipes
def test_always_leaves_a_damaged_package_out_and_says_why(subdir: Path) -> None:
    whole = STRAY_CONDA.path.read_bytes()
    (subdir / "broken-1.0-0.conda").write_bytes(whole[: len(whole) // 2])
    (subdir / "dead-1.0-0.conda").symlink_to("nowhere.conda")
    os.mkfifo(subdir / "pipe-1.0-0.conda")
    done = run("fix", "--in-place", "--reindex", "always", subdir / STRAY_CONDA.path.name)
    assert done.returncode == 0
    broken, dead, pipe = sorted(done.stderr.splitlines())
    assert broken.startswith("warning: broken-1.0-0.conda was left out of the index: it cannot be read as a package")
    assert dead == "warning: dead-1.0-0.conda was left out of the index: No such file or directory"
    assert pipe == "warning: pipe-1.0-0.conda was left out of the index: it is not a regular file"
    assert len(records(read(subdir))) == len(SEEDS)


def test_always_leaves_out_what_has_no_version_in_its_name(subdir: Path) -> None:
    (subdir / STRAY_CONDA.path.name).rename(subdir / "nameless.conda")
    done = run("fix", "--in-place", "--reindex", "always", subdir)
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "nameless" in line]
    assert line == "warning: nameless.conda was left out of the index: its name is not NAME-VERSION-BUILD (CEP 26)"
    assert "nameless.conda" not in records(read(subdir))


@pytest.mark.parametrize("package", [STRAY_CONDA, CLEAN[0]], ids=["stray", "clean"])
def test_directory_in_the_place_of_an_index_is_reported(subdir: Path, package: Any) -> None:
    (subdir / "repodata.json").unlink()
    (subdir / "repodata.json").mkdir()
    before = state(subdir)
    done = run("fix", "--in-place", "--reindex", "always", subdir / package.path.name)
    assert done.returncode == 3
    assert re.search(r"repodata\.json is (not a regular file|a directory)", done.stderr)
    assert state(subdir) == before


def test_always_outside_of_a_subdir_is_found_beforehand(subdir: Path) -> None:
    flat = subdir.rename(subdir.parent / "Flat Directory")
    for form in documents(flat):
        (flat / form).unlink()
    before = state(flat)
    done = run("fix", "--in-place", "--reindex", "always", flat / STRAY_CONDA.path.name)
    assert done.returncode == 3
    assert "is not a subdir of a channel, such as linux-64 or noarch" in done.stderr
    assert state(flat) == before


def test_directory_without_packages_gets_no_index(tmp_path: Path) -> None:
    with pytest.raises(NotAPackage, match="there are no packages next to it"):
        write_index(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_always_without_room_says_so(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**arguments: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    before = state(subdir)
    (result,) = refresh_indexes([fix(subdir / CLEAN[0].path.name)], always=True)
    assert result.status == "error"
    assert f"a directory cannot be made in {subdir}: No space left on device" in str(result.error)
    assert state(subdir) == before


def test_always_copies_packages_without_hard_links(subdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    (result,) = refresh_indexes([fix(subdir / seed.path.name) for seed in STRAY], always=True)
    assert result.status == "indexed"
    assert_true(subdir)


@pytest.mark.parametrize("module", ["rattler", "types", "signal", "asyncio", "msgpack"])
def test_nothing_in_the_current_directory_is_imported(
    subdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / f"{module}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.chdir(hostile)
    assert run("fix", "--in-place", "--reindex", "always", subdir).returncode == 0
    assert not (tmp_path / "executed").exists()
    assert_true(subdir)


# Cost


def test_many_new_shards_need_few_open_files(tmp_path: Path) -> None:
    """Each shard is written and closed before the next one."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on open files that a process sets")
    directory = tmp_path / SUBDIR
    directory.mkdir()
    names = [write_stray(directory, f"p{number}").name for number in range(100)]
    index_with_rattler(tmp_path)
    for number in range(100):
        write_stray(directory, f"p{number}", index_extra={"license": "MIT"})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, limits[1]))
    try:
        result = refresh_index(str(directory), names)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert result is not None
    assert len(result.records) == len(names)
    assert len(list((directory / "shards").iterdir())) == 2 * len(names)
    assert_true(directory)
