"""`fix` from end to end, on real packages with the stray files of pixi #4878."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from conda_prune import check, fix
from conda_prune.archive.container import Archive
from conda_prune.archive.reader import read_package
from conda_prune.model import Package, Size
from conda_prune.operations import planning

from ..corpus.bytecode import pyc
from ..corpus.crafted import tar_of
from ..corpus.entries import AnyEntry, Symlink
from ..corpus.packages import (
    component_tars,
    conda_archive,
    read_tar_members,
    write_package,
    zstd_frame,
)
from ..corpus.scenario import for_311
from ..seed import (
    CLEAN,
    SEEDS,
    STRAY,
    Seed,
)

clean_seeds = pytest.mark.parametrize("seed", CLEAN, ids=[seed.id for seed in CLEAN])
ZIPPED = [seed for seed in STRAY if seed.path.suffix == ".conda"]
stray_seeds = pytest.mark.parametrize("seed", STRAY, ids=[seed.id for seed in STRAY])


def members(path: Path) -> dict[str, bytes]:
    """Return the raw bytes of every member of all components, by name."""
    return {name: raw for tars in read_tar_members(path).values() for name, raw in tars}


def contents(path: Path) -> dict[str, bytes]:
    """Return the content of every regular file by name, read with the standard library."""
    found: dict[str, bytes] = {}
    for raw in components(path).values():
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            for member in tar:
                if member.isreg():
                    file = tar.extractfile(member)
                    assert file is not None
                    found[member.name] = file.read()
    return found


def components(path: Path) -> dict[str, bytes]:
    """Return the uncompressed tars."""
    if path.suffix == ".bz2":
        import bz2

        return {"tar": bz2.decompress(path.read_bytes())}
    with zipfile.ZipFile(path) as archive:
        return {
            name.partition("-")[0]: zstandard.ZstdDecompressor().decompressobj().decompress(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".tar.zst")
        }


@clean_seeds
def test_a_clean_package_is_not_written(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    before = package.stat()
    assert fix(package, in_place=True).status == "clean"
    after = package.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@stray_seeds
def test_exactly_the_stray_files_are_dropped_by_fix(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    result = fix(package, in_place=True)
    assert result.status == "fixed"
    assert sorted(members(seed.path).keys() - members(package).keys()) == seed.stray
    assert sum(name.endswith(".pyc") for name in members(package)) == seed.facts["bytecode"]["own"]


@stray_seeds
def test_kept_members_keep_their_exact_bytes(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    before, after = members(seed.path), members(package)
    changed = {name for name in after if after[name] != before[name]}
    records = {name for name in after if name.endswith(".dist-info/RECORD")}
    assert changed <= {"info/paths.json"} | records
    assert list(after) == [name for name in before if name in after], "the order is the order found"


@stray_seeds
def test_paths_json_lists_exactly_the_files_in_the_package(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    files = contents(package)
    listing = json.loads(files["info/paths.json"])
    entries = {entry["_path"]: entry for entry in listing["paths"]}
    payload = {name: raw for name, raw in files.items() if not name.startswith("info/")}
    assert entries.keys() == payload.keys()
    for name, raw in payload.items():
        assert entries[name]["sha256"] == hashlib.sha256(raw).hexdigest()
        assert entries[name]["size_in_bytes"] == len(raw)


@stray_seeds
def test_paths_json_keeps_its_text(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    before, files = contents(seed.path)["info/paths.json"], contents(package)
    listing = json.loads(before)
    assert json.dumps(listing, indent=2).encode() == before, "the builder's style, which is to be kept"
    listing["paths"] = [entry for entry in listing["paths"] if entry["_path"] not in seed.stray]
    for entry in listing["paths"]:
        if entry["_path"].endswith("/RECORD"):
            content = files[entry["_path"]]
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
    assert files["info/paths.json"] == json.dumps(listing, indent=2).encode()


@stray_seeds
def test_no_listing_names_a_dropped_file(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    files = contents(package)
    removed = {os.path.basename(path) for path in seed.stray} - {os.path.basename(name) for name in files}
    records = [name for name in files if name.endswith("/RECORD")]
    assert records
    for record in records:
        site_packages = record.rsplit("/", 2)[0]
        for line in files[record].decode().splitlines():
            name = line.split(",")[0]
            if name.endswith(".pyc"):
                assert f"{site_packages}/{name}" in files, f"{record} names {name}"
    assert removed


@stray_seeds
def test_the_package_keeps_its_compression(seed: Seed, tmp_path: Path) -> None:
    """Compressing the kept content with the settings of the original gives exactly the bytes that `fix` wrote."""
    package = seed.copy(tmp_path)
    result = fix(package, in_place=True)
    assert result.compression is not None
    assert result.compression.level == seed.facts["level"]
    if package.suffix == ".bz2":
        assert result.compression.source == "recorded"
        assert package.read_bytes()[3:4] == str(seed.facts["level"]).encode()
        return
    assert result.compression.source == "reproduced"
    tars = components(package)
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if not name.endswith(".tar.zst"):
                continue
            content = tars[name.partition("-")[0]]
            settings = zstandard.ZstdCompressionParameters.from_level(
                seed.facts["level"], source_size=len(content), threads=2
            )
            assert zstandard.ZstdCompressor(compression_params=settings).compress(content) == archive.read(name)


@pytest.mark.parametrize("seed", ZIPPED, ids=[seed.id for seed in ZIPPED])
def test_the_zip_keeps_its_shape(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    with zipfile.ZipFile(seed.path) as before, zipfile.ZipFile(package) as after:
        for old, new in zip(before.infolist(), after.infolist(), strict=True):
            assert (old.filename, old.date_time, old.external_attr, old.create_system, old.create_version) == (
                new.filename, new.date_time, new.external_attr, new.create_system, new.create_version,
            )  # fmt: skip
            assert new.compress_type == zipfile.ZIP_STORED
            assert not new.flag_bits & 8, "no data descriptor"
            if new.filename.endswith(".zst"):
                header = zstandard.get_frame_parameters(after.read(new)[:18])
                assert header.content_size == len(components(package)[new.filename.partition("-")[0]])
                assert header.window_size <= 1 << 27


@stray_seeds
def test_a_second_fix_writes_nothing(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True)
    first = package.read_bytes(), package.stat().st_ino, package.stat().st_mtime_ns
    assert fix(package, in_place=True).status == "clean"
    assert (package.read_bytes(), package.stat().st_ino, package.stat().st_mtime_ns) == first


@stray_seeds
def test_the_level_option_is_used(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    result = fix(package, in_place=True, level=1)
    assert result.compression is not None
    assert (result.compression.level, result.compression.source) == (1, "asked")
    assert members(package).keys() == members(seed.path).keys() - set(seed.stray)
    assert package.stat().st_size != seed.path.stat().st_size


@pytest.mark.parametrize("seed", SEEDS, ids=[seed.id for seed in SEEDS])
def test_the_output_directory_holds_every_package_of_the_call(seed: Seed, tmp_path: Path) -> None:
    before = seed.path.read_bytes()
    result = fix(seed.path, output_dir=tmp_path / "new" / "deeper")
    assert seed.path.read_bytes() == before
    written = tmp_path / "new" / "deeper" / seed.path.name
    assert result.output == str(written)
    assert check(written, deep=True).status == "clean"
    if not seed.stray:
        assert written.read_bytes() == before


@stray_seeds
def test_the_backup_is_the_original(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True, backup=".orig")
    assert package.with_name(package.name + ".orig").read_bytes() == seed.path.read_bytes()
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@stray_seeds
def test_the_mode_is_kept(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    package.chmod(0o640)
    fix(package, in_place=True)
    assert package.stat().st_mode & 0o7777 == 0o640


@stray_seeds
def test_a_dry_run_writes_nothing(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    result = fix(package, dry_run=True)
    assert result.status == "findings"
    assert sorted(f.path for f in result.findings if f.kind == "foreign-path") == seed.stray
    assert package.read_bytes() == seed.path.read_bytes()
    assert os.listdir(tmp_path) == [package.name]


@stray_seeds
def test_files_matching_keep_are_kept(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    fix(package, in_place=True, keep=["lib/python3.10/*"])
    assert {name for name in seed.stray if name.startswith("lib/python3.10/")} <= members(package).keys()
    assert not {name for name in seed.stray if not name.startswith("lib/python3.10/")} & members(package).keys()


@stray_seeds
def test_before_and_after_describe_the_files(seed: Seed, tmp_path: Path) -> None:
    package = seed.copy(tmp_path)
    result = fix(package, in_place=True)
    for size, content in ((result.before, seed.path.read_bytes()), (result.after, package.read_bytes())):
        assert size == Size(len(content), hashlib.sha256(content).hexdigest())


def test_an_unchanged_component_keeps_its_compressed_bytes(tmp_path: Path) -> None:
    """This holds even if its settings cannot be recovered."""

    def untrue(listing: bytes) -> bytes:
        document = json.loads(listing)
        document["paths"][0]["size_in_bytes"] += 1
        return json.dumps(document).encode()

    files: dict[str, AnyEntry] = {f"share/{number}": f"{number} squared is {number**2}\n" for number in range(99)}
    spec = for_311("odd", files, paths_json=untrue)
    info, pkg = map(tar_of, component_tars(spec))
    settings = zstandard.ZstdCompressionParameters.from_level(5, min_match=6, target_length=5, search_log=2)
    odd = zstandard.ZstdCompressor(compression_params=settings).compress(pkg)
    package = tmp_path / f"{spec.stem}.conda"
    package.write_bytes(conda_archive(spec.stem, zstd_frame(info), odd))
    assert [finding.kind for finding in fix(package, in_place=True).findings] == ["stale-listing"]
    with zipfile.ZipFile(package) as archive:
        assert archive.read(f"pkg-{spec.stem}.tar.zst") == odd


@pytest.mark.parametrize("needed", [False, True], ids=["stray", "needed by a link"])
def test_the_payload_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: bool) -> None:
    """Metadata does not say where the link leads. The payload must not be decompressed for the forecast too."""
    stray = "lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc"
    files: dict[str, AnyEntry] = {
        "share/a": "a",
        "lib/python3.11/site-packages/m/a.py": "",
        stray: pyc("cpython-310", "a"),
        "share/link": Symlink(f"../{stray}" if needed else "a"),
    }
    package = write_package(for_311("link", files), tmp_path)
    reads: list[bool] = []

    def counted(archive: Archive, wanted: Callable[[str], int], *, payload: bool, **settings: Any) -> Package:
        reads.append(payload)
        return read_package(archive, wanted, payload=payload, **settings)

    monkeypatch.setattr(planning, "read_package", counted)
    assert check(package).deep
    assert reads == [False, True]
    reads.clear()
    assert fix(package, in_place=True).status == ("clean" if needed else "fixed")
    assert reads == [False, True]
