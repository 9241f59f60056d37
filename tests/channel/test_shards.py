"""Indexes with shards and vouchers, as conda-index and rattler write them: what belongs to others keeps its value."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

import conda_prune
from conda_prune.errors import CannotWrite

from ..channels import (
    SUBDIR,
    assert_true,
    documents,
    each_record,
    index_with_conda_index,
    index_with_rattler,
    read,
    state,
    unpacked,
    write,
    write_shards,
    write_stray,
)
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from ..executable import run

INDEXERS: dict[str, Callable[..., None]] = {"rattler": index_with_rattler, "conda-index": index_with_conda_index}
OURS, TWIN, OTHER = "ours-1.0-h123abc4_0.conda", "ours-2.0-h123abc4_0.conda", "other-1.2.3-h123abc4_0.conda"
RUN_EXPORTS = {"weak": ["ours >=1.0,<2"]}
SHARDS = ("repodata_shards.msgpack.zst", "repodata_shards_from_packages.msgpack.zst")


@pytest.fixture(scope="module", params=INDEXERS)
def channel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with two packages of one name, one of which is clean, and another one."""
    channel = tmp_path_factory.mktemp(request.param) / "channel"
    (channel / SUBDIR).mkdir(parents=True)
    exports = {"info/run_exports.json": json.dumps(RUN_EXPORTS).encode()}
    write_stray(channel / SUBDIR, "ours", info=exports)
    write_package(PackageSpec("ours", "2.0", info=exports), channel / SUBDIR)
    write_package(PackageSpec("other", info=exports), channel / SUBDIR)
    INDEXERS[request.param](channel)
    return channel


@pytest.fixture
def subdir(channel: Path, tmp_path: Path) -> Path:
    return shutil.copytree(channel, tmp_path / "channel") / SUBDIR


def without_bytes(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without what the bytes of the repaired package decide."""
    copied: dict[str, Any] = msgpack.unpackb(msgpack.packb(document))
    for name, record in each_record(copied):
        if name == OURS:
            for key in ("size", "sha256", "md5"):
                del record[key]
    return copied


def test_every_value_but_the_repaired_record_stays(subdir: Path) -> None:
    before, files = documents(subdir), state(subdir)
    conda_prune.fix(subdir / OURS, in_place=True)
    after = documents(subdir)
    assert_true(subdir)
    for form, document in before.items():
        assert without_bytes(after[form]) == without_bytes(document), form
        assert dict(each_record(after[form]))[OURS] != dict(each_record(document))[OURS], form
    changed = {name for name, content in state(subdir).items() if files.get(name) != content}
    added = changed - files.keys()
    assert len(added) == 1, "the shard of ours"
    assert changed - added == {OURS, *before}
    assert files.keys() <= state(subdir).keys(), "old shards stay for clients with the old index"


def test_shards_without_json_are_refreshed(subdir: Path) -> None:
    for form in documents(subdir):
        if form not in SHARDS:
            (subdir / form).unlink()
    before = documents(subdir)
    conda_prune.fix(subdir / OURS, in_place=True)
    assert_true(subdir)
    for form, document in documents(subdir).items():
        assert without_bytes(document) == without_bytes(before[form])
        assert dict(each_record(document))[OURS] != dict(each_record(before[form]))[OURS]


def test_stale_shard_next_to_a_true_repodata_is_refreshed(subdir: Path) -> None:
    index = documents(subdir)[SHARDS[0]]
    record = dict(each_record(index))[TWIN]
    record["sha256"] = bytes(32)
    write_shards(subdir, index)
    result = conda_prune.fix(subdir / TWIN, in_place=True)
    assert (result.status, len(result.records)) == ("clean", 1)
    renewed = dict(each_record(documents(subdir)[SHARDS[0]]))[TWIN]["sha256"]
    assert renewed.hex() == read(subdir)["packages.conda"][TWIN]["sha256"]


def test_odd_values_of_a_shard_stay(subdir: Path) -> None:
    index = documents(subdir)[SHARDS[0]]
    odd = {
        "bytes": b"\xff\x00", "large": 2**64 - 1, "negative": -(2**63), "float": 1.5, "none": None, "yes": True,
        "time": msgpack.Timestamp(1, 2), "extension": msgpack.ExtType(5, b"x"), "list": [[], {}, ""],
    }  # fmt: skip
    index["info"]["odd"], index["more"] = odd, odd
    index["shards"]["ours"]["odd"] = odd
    dict(each_record(index))[OURS]["odd"] = odd
    numbered: dict[Any, Any] = dict(each_record(index))[TWIN]
    numbered[1] = odd
    write_shards(subdir, index)
    index = msgpack.unpackb(msgpack.packb(index), strict_map_key=False)
    conda_prune.fix(subdir / OURS, in_place=True)
    shard_index = msgpack.unpackb(unpacked(subdir / SHARDS[0]))
    digest = shard_index["shards"]["ours"]
    directory = subdir / shard_index["info"]["shards_base_url"]
    shard = msgpack.unpackb(unpacked(directory / f"{digest.hex()}.msgpack.zst"), strict_map_key=False)
    assert (shard_index["info"]["odd"], shard_index["more"], shard["odd"]) == (odd, odd, odd)
    assert dict(each_record(shard))[OURS]["odd"] == odd
    assert dict(each_record(shard))[TWIN] == dict(each_record(index))[TWIN]


def test_always_keeps_what_does_not_come_from_packages(subdir: Path) -> None:
    before = documents(subdir)
    conda_prune.fix(subdir / OURS, in_place=True, reindex="always")
    after = documents(subdir)
    assert_true(subdir)
    assert after.keys() == before.keys()
    for form in before:
        assert after[form].get("version") == before[form].get("version")
        assert after[form]["info"] == before[form]["info"]
        assert dict(each_record(after[form])).keys() == dict(each_record(before[form])).keys()
    assert run_exports(after) == run_exports(before)


def run_exports(forms: dict[str, Any]) -> dict[str, Any]:
    return {name: record.get("run_exports") for name, record in each_record(forms[SHARDS[0]])}


def test_revisions_in_shards_are_refreshed(tmp_path: Path) -> None:
    (tmp_path / "channel" / SUBDIR).mkdir(parents=True)
    subdir = tmp_path / "channel" / SUBDIR
    write_stray(subdir, "ours")
    write_package(PackageSpec("other"), subdir)
    index_with_conda_index(tmp_path / "channel", "v3")
    before = documents(subdir)
    assert before[SHARDS[0]]["shards"]["ours"]["v3"]["conda"]
    conda_prune.fix(subdir / OURS, in_place=True)
    assert_true(subdir)
    for form, document in documents(subdir).items():
        assert without_bytes(document) == without_bytes(before[form])


# What cannot be refreshed is found before a package is replaced


def edit_shard_index(subdir: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change an index of shards, not its shards."""
    index = msgpack.unpackb(unpacked(subdir / SHARDS[0]))
    change(index)
    (subdir / SHARDS[0]).write_bytes(zstandard.compress(msgpack.packb(index)))


URLS = ["https://a.org/b/", "//a.org/", "/abs/", "../elsewhere/", "./../x/", "a/../../b/", "a\\b", "C:x", 5, None]


@pytest.mark.parametrize("url", URLS)
def test_shards_that_are_elsewhere_are_refused(subdir: Path, url: object) -> None:
    edit_shard_index(subdir, lambda index: index["info"].update(shards_base_url=url))
    before = state(subdir.parent)
    with pytest.raises(CannotWrite, match=f"the shards of {SHARDS[0]} are not in its directory"):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(subdir.parent) == before


def shard_of_ours(subdir: Path) -> Path:
    index = msgpack.unpackb(unpacked(subdir / SHARDS[0]))
    directory = subdir / index["info"]["shards_base_url"]
    path: Path = directory / f"{index['shards']['ours'].hex()}.msgpack.zst"
    return path


def link_shard(subdir: Path) -> None:
    path = shard_of_ours(subdir)
    path.rename(subdir.parent / path.name)
    path.symlink_to(subdir.parent / path.name)


def index_with(**changes: object) -> Callable[[Path], None]:
    return lambda subdir: edit_shard_index(subdir, lambda index: index.update(changes))


def shard_with(**names: object) -> Callable[[Path], None]:
    return lambda subdir: edit_shard_index(subdir, lambda index: index["shards"].update(names))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no map": (index_with(shards=[]), "is not an index of shards"),
    "a path for a hash": (shard_with(x="../../x"), "is not named by a SHA-256"),
    "a short hash": (shard_with(x=b"x"), "is not named by a SHA-256"),
    "a shard is missing": (
        lambda subdir: shard_of_ours(subdir).unlink(),
        "cannot be read: (No such file|.* cannot find|File not found)",
    ),
    "a shard is damaged": (lambda subdir: shard_of_ours(subdir).write_bytes(b"x"), "does not have the hash in its"),
    "a shard is a link": (link_shard, "is a link, to "),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_shards_are_found_before_a_package_is_replaced(
    subdir: Path, broken: tuple[Callable[[Path], object], str]
) -> None:
    change, message = broken
    if change is link_shard and os.name == "nt":
        pytest.skip("Windows needs a privilege to make symbolic links")
    change(subdir)
    before = state(subdir.parent)
    with pytest.raises(CannotWrite, match=message):
        conda_prune.fix(subdir / OURS, in_place=True)
    assert state(subdir.parent) == before


# What vouches for the old bytes


def parts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the shards of an index of shards, or the document."""
    return list(document["shards"].values()) if "shards" in document else [document]


def vouch(document: dict[str, Any]) -> None:
    for record in dict(each_record(document)).values():
        record.update(attestations_sha256="a" * 64, legacy_bz2_md5="b" * 32, legacy_bz2_size=5)
    for part in parts(document):
        part["signatures"] = {name: {"key": {"signature": "c"}} for name, _ in each_record(part)}


def test_what_vouches_for_old_bytes_goes_and_is_announced(subdir: Path) -> None:
    for form, document in documents(subdir).items():
        if form.endswith((".zst", ".bz2")) and form not in SHARDS:
            (subdir / form).unlink()
            continue
        vouch(document)
        write_shards(subdir, document, form) if form in SHARDS else write(subdir, document, form)
    before = documents(subdir)
    done = run("fix", "--in-place", subdir)
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "vouched" in line]
    assert line == (
        f"warning: {subdir / 'repodata.json'}: removed what vouched for the old bytes of 1 package "
        "(attestations_sha256, legacy_bz2_md5, legacy_bz2_size, signatures); attest and sign again"
    )
    assert_true(subdir)
    for form, document in documents(subdir).items():
        for part, old in zip(parts(document), parts(before[form]), strict=True):
            assert part["signatures"] == {name: value for name, value in old["signatures"].items() if name != OURS}
        for name, record in each_record(document):
            kept = record.keys() & {"attestations_sha256", "legacy_bz2_md5", "legacy_bz2_size"}
            assert len(kept) == (0 if name == OURS else 3), (form, name)


def test_vouchers_of_clean_packages_stay(subdir: Path) -> None:
    value = read(subdir)
    vouch(value)
    write(subdir, value)
    before = state(subdir)
    assert not conda_prune.fix(subdir / TWIN, in_place=True).warnings
    assert state(subdir) == before


# Other files that go stale


def test_patches_to_the_old_index_are_removed(subdir: Path) -> None:
    """Clients that find a .jlap compute the old repodata.json from it."""
    for name in ("repodata.jlap", "current_repodata.jlap"):
        (subdir / name).write_text("0" * 64)
    warnings = conda_prune.fix(subdir / OURS, in_place=True).warnings
    assert f"{subdir / 'repodata.jlap'} was removed: it led clients to the old index; make it again" in warnings
    assert not (subdir / "repodata.jlap").exists()
    assert (subdir / "current_repodata.jlap").exists(), "there is no current_repodata.json that changed"


def test_patches_stay_with_an_index_that_is_not_written(subdir: Path) -> None:
    (subdir / "repodata.jlap").write_text("0" * 64)
    assert conda_prune.fix(subdir / TWIN, in_place=True).status == "clean"
    assert (subdir / "repodata.jlap").exists()


def test_page_with_old_hashes_is_reported(subdir: Path) -> None:
    page = subdir / "index.html"
    if not page.exists():
        page.write_text(f"<td>{read(subdir)['packages.conda'][OURS]['sha256']}</td>")
    before = page.read_bytes()
    warnings = conda_prune.fix(subdir / OURS, in_place=True).warnings
    assert f"{page} shows old hashes; index the channel again to renew it" in warnings
    assert page.read_bytes() == before


def test_run_exports_json_says_nothing_of_bytes_and_stays(subdir: Path) -> None:
    path = subdir / "run_exports.json"
    if not path.exists():
        write(subdir, {"info": {"subdir": SUBDIR}, "packages.conda": {OURS: {"run_exports": RUN_EXPORTS}}}, path.name)
    path.chmod(0o444)
    before = path.read_bytes(), path.stat().st_ino
    assert not [line for line in conda_prune.fix(subdir / OURS, in_place=True).warnings if path.name in line]
    assert (path.read_bytes(), path.stat().st_ino) == before


@pytest.mark.parametrize("name", ["repodata.json.gz", "repodata.json.sig", "repodata.json.zst.asc"])
def test_files_made_from_the_old_index_are_reported(subdir: Path, name: str) -> None:
    (subdir / name).write_bytes(b"old")
    warnings = conda_prune.fix(subdir / OURS, in_place=True).warnings
    if (subdir / name).with_suffix("").exists():
        assert [line for line in warnings if line.startswith(f"{subdir / name} is ")]
    assert (subdir / name).read_bytes() == b"old"
