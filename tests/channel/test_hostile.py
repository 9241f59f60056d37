"""An index that names paths: nothing outside of its directory is opened, written or removed."""

from __future__ import annotations

import bz2
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import conda_prune
from conda_prune.channel.index import read_index
from conda_prune.errors import CannotWrite
from conda_prune.system import NotRegular

from ..channels import (
    SUBDIR,
    assert_true,
    documents,
    each_record,
    index_with_rattler,
    read,
    state,
    write,
    write_shards,
)
from ..channels import write_stray as write_stray_package
from ..executable import run
from ..systems import needs_links, needs_pipes

OURS = "ours-1.0-h123abc4_0.conda"
VICTIM = "victim-1.0-0.conda"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("indexed") / "channel"
    (channel / SUBDIR).mkdir(parents=True)
    write_stray_package(channel / SUBDIR, "ours")
    index_with_rattler(channel)
    return channel


@pytest.fixture
def subdir(indexed: Path, tmp_path: Path) -> Path:
    """A channel's subdir; next to the channel is a directory with files that others own."""
    (tmp_path / "outside").mkdir()
    for name in (VICTIM, "repodata.json", "secret.json"):
        (tmp_path / "outside" / name).write_bytes(b"what others own")
    return shutil.copytree(indexed, tmp_path / "channel") / SUBDIR


def in_packages(subdir: Path, key: str) -> None:
    value = read(subdir)
    value["packages.conda"][key] = dict(value["packages.conda"][OURS])
    write(subdir, value)


def in_legacy_packages(subdir: Path, key: str) -> None:
    value = read(subdir)
    value["packages"][key] = {}
    write(subdir, value)


def in_a_revision(subdir: Path, key: str) -> None:
    value = read(subdir)
    value["v3"] = {"conda": {key.removesuffix(".conda"): {}}}
    write(subdir, value)


def in_a_revisions_ending(subdir: Path, key: str) -> None:
    value = read(subdir)
    value["v4"] = {f"x/{key}": {"a": {}}}
    write(subdir, value)


def in_a_sibling(subdir: Path, key: str) -> None:
    value = read(subdir)
    write(subdir, {"packages.conda": {**value["packages.conda"], key: {}}}, "current_repodata.json")


def in_a_shard(subdir: Path, key: str) -> None:
    index = documents(subdir)["repodata_shards.msgpack.zst"]
    index["shards"]["ours"]["packages.conda"][key] = {}
    write_shards(subdir, index)


PLACES = [in_packages, in_legacy_packages, in_a_revision, in_a_sibling, in_a_shard]
KEYS = {
    "absolute": "{outside}/" + VICTIM,
    "parent": "../../outside/" + VICTIM,
    "below": "shards/" + VICTIM,
    "backslash": "..\\..\\outside\\" + VICTIM,
    "drive": "C:" + VICTIM,
    "NUL": "a\0b.conda",
    "hidden": "." + VICTIM,
    "newline": "a\nb.conda",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_key_that_is_a_path_is_refused(subdir: Path, place: Callable[[Path, str], None], key: str) -> None:
    place(subdir, key.format(outside=subdir.parent.parent / "outside"))
    before = state(subdir.parent.parent)
    with pytest.raises(CannotWrite, match=r"which is not the name of a package's file \(CEP 26\)"):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(subdir.parent.parent) == before


@pytest.mark.parametrize("key", ["repodata.json", "x.txt", "", OURS.removesuffix(".conda")])
def test_key_that_is_no_package_is_refused(subdir: Path, key: str) -> None:
    in_packages(subdir, key)
    before = state(subdir.parent.parent)
    with pytest.raises(CannotWrite, match="which is not the name of a package's file"):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(subdir.parent.parent) == before


def test_ending_that_is_a_path_is_refused(subdir: Path) -> None:
    in_a_revisions_ending(subdir, "../../outside")
    before = state(subdir.parent.parent)
    with pytest.raises(CannotWrite, match="which is not the name of a package's file"):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(subdir.parent.parent) == before


def test_a_key_that_is_a_path_is_one_line(subdir: Path) -> None:
    victim = subdir.parent.parent / "outside" / VICTIM
    in_packages(subdir, str(victim))
    before = state(subdir.parent.parent)
    done = run("fix", "--in-place", subdir.parent)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"error: {subdir / OURS}: the index next to it cannot be refreshed: repodata.json has a record"
    )
    assert repr(str(victim))[1:-1] in line, "with the backslashes of Windows doubled"
    assert state(subdir.parent.parent) == before


def test_always_drops_keys_that_are_paths(subdir: Path) -> None:
    outside = state(subdir.parent.parent / "outside")
    in_packages(subdir, str(subdir.parent.parent / "outside" / VICTIM))
    conda_prune.fix(subdir / OURS, in_place=True, reindex="always")
    assert dict(each_record(read(subdir))).keys() == {OURS}
    assert_true(subdir)
    assert state(subdir.parent.parent / "outside") == outside


@pytest.mark.parametrize("reindex", ["auto", "always"])
@pytest.mark.parametrize(
    "said", ["../../outside", "/outside", "..", "a/b", "", 5, None, "linux-64/../../outside", "x" * 99]
)
def test_subdir_of_an_index_is_never_a_path(subdir: Path, reindex: str, said: object) -> None:
    before = {path.relative_to(subdir.parent.parent) for path in subdir.parent.parent.rglob("*")}
    write(subdir, read(subdir) | {"info": {"subdir": said}})
    conda_prune.fix(subdir / OURS, in_place=True, reindex=reindex)
    assert read(subdir)["packages.conda"][OURS]["size"] == (subdir / OURS).stat().st_size
    after = {path.relative_to(subdir.parent.parent) for path in subdir.parent.parent.rglob("*")}
    assert before <= after
    assert {path.parts[:2] for path in after - before} <= {("channel", SUBDIR)}


@needs_links
@pytest.mark.parametrize(
    "form", ["repodata.json", "repodata.json.zst", "current_repodata.json", "repodata_shards.msgpack.zst"]
)
@pytest.mark.parametrize("reindex", ["auto", "always"])
def test_a_form_that_links_out_of_the_channel_is_refused(subdir: Path, form: str, reindex: str) -> None:
    outside = subdir.parent.parent / "outside" / form
    if (subdir / form).exists():
        shutil.move(subdir / form, outside)
    else:
        shutil.copy(subdir / "repodata.json", outside)
    (subdir / form).symlink_to(outside)
    before = state(subdir.parent.parent)
    with pytest.raises(CannotWrite, match=f"{form} is a link that leads out of its directory"):
        conda_prune.fix(subdir / OURS, in_place=True, reindex=reindex)
    assert state(subdir.parent.parent) == before


@needs_links
@pytest.mark.parametrize("reindex", ["auto", "always"])
def test_directory_of_shards_that_is_a_link_is_refused(subdir: Path, reindex: str) -> None:
    outside = subdir.parent.parent / "outside" / "shards"
    shutil.move(subdir / "shards", outside)
    (subdir / "shards").symlink_to(outside)
    before = state(subdir.parent.parent)
    with pytest.raises(CannotWrite, match=r"the directory with the shards of \S+ is a link"):
        conda_prune.fix(subdir / OURS, in_place=True, reindex=reindex)
    assert state(subdir.parent.parent) == before


@needs_links
def test_new_shard_does_not_follow_a_link(subdir: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(subdir.parent, tmp_path / "first") / SUBDIR
    before = set(os.listdir(copied / "shards"))
    conda_prune.fix(copied / OURS, in_place=True)
    (shard,) = set(os.listdir(copied / "shards")) - before
    (subdir / "shards" / shard).symlink_to(tmp_path / "outside" / "secret.json")
    outside = state(tmp_path / "outside")
    with pytest.raises(conda_prune.PruneError, match=f"{shard} is a link"):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(tmp_path / "outside") == outside
    assert (
        read(subdir) == read(copied) or dict(each_record(read(subdir)))[OURS] != dict(each_record(read(copied)))[OURS]
    )


FORMS = [
    *("repodata.json", "repodata.json.zst", "repodata.json.bz2", "current_repodata.json"),
    *("repodata_from_packages.json", "repodata_shards.msgpack.zst", "repodata_shards_from_packages.msgpack.zst"),
    *("patch_instructions.json", "run_exports.json", "run_exports.json.zst", "channeldata.json"),
    *("repodata.jlap", "index.html"),
]
"""Every file that an indexer may write next to packages."""


def put_pipe(subdir: Path, form: str) -> None:
    (subdir / form).unlink(missing_ok=True)
    os.mkfifo(subdir / form)


def put_link_to_pipe(subdir: Path, form: str) -> None:
    (subdir / form).unlink(missing_ok=True)
    os.mkfifo(subdir / "pipe")
    (subdir / form).symlink_to("pipe")


@needs_pipes
@pytest.mark.parametrize("put", [put_pipe, put_link_to_pipe])
@pytest.mark.parametrize("form", FORMS)
def test_pipe_in_the_place_of_a_file_does_not_hang(subdir: Path, form: str, put: Callable[[Path, str], None]) -> None:
    put(subdir, form)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 0, done.stderr
    assert not (subdir / form).is_file()
    if form != "repodata.json":
        assert read(subdir)["packages.conda"][OURS]["size"] == (subdir / OURS).stat().st_size


@needs_pipes
@pytest.mark.parametrize("put", [put_pipe, put_link_to_pipe])
@pytest.mark.parametrize("form", [form for form in FORMS if "repodata" in form and not form.endswith(".jlap")])
def test_file_that_becomes_a_pipe_is_refused(subdir: Path, form: str, put: Callable[[Path, str], None]) -> None:
    """Another program replaces the file after its name was found to be that of a regular file."""
    put(subdir, form)
    with pytest.raises(NotRegular, match="named pipe"):
        read_index(str(subdir), [form])


def test_reading_a_small_index_takes_little_memory(subdir: Path) -> None:
    """No buffer is as large as a file of an index may be: Windows counts buffers as used memory."""
    (subdir / "repodata.json.bz2").write_bytes(bz2.compress((subdir / "repodata.json").read_bytes()))
    tracemalloc.start()
    try:
        for form in ("repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst"):
            read_index(str(subdir), [form])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 24


@needs_pipes
def test_pipe_in_the_place_of_a_shard_does_not_hang(subdir: Path) -> None:
    (shard,) = (subdir / "shards").iterdir()
    shard.unlink()
    os.mkfifo(shard)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 3
    assert "it is a named pipe (FIFO), not a regular file" in done.stderr


def test_patches_that_are_a_link_cost_the_link_only(subdir: Path) -> None:
    victim = subdir.parent.parent / "outside" / "secret.json"
    (subdir / "repodata.jlap").symlink_to(victim)
    conda_prune.fix(subdir / OURS, in_place=True)
    assert not (subdir / "repodata.jlap").is_symlink()
    assert victim.read_bytes() == b"what others own"


TRACE = """
import sys
paths = []
sys.addaudithook(lambda event, args: event == "open" and isinstance(args[0], str) and paths.append(args[0]))
import json, conda_prune
try:
    conda_prune.fix(sys.argv[1], in_place=True)
except conda_prune.PruneError:
    pass
print(json.dumps(paths))
"""


@pytest.mark.parametrize("place", [*PLACES, None])
def test_nothing_outside_is_opened(subdir: Path, place: Callable[[Path, str], None] | None) -> None:
    outside = str(subdir.parent.parent / "outside")
    if place is not None:
        place(subdir, f"{outside}/{VICTIM}")
    done = subprocess.run([sys.executable, "-c", TRACE, subdir / OURS], check=True, capture_output=True, text=True)
    opened: list[Any] = json.loads(done.stdout)
    assert any(str(subdir) in path for path in opened)
    assert not [path for path in opened if path.startswith(outside)]
