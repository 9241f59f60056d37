"""Files next to a package that vouch for its old bytes are reported and stay; packages in caches are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conda_prune import fix

from ..channels import state
from ..executable import run
from ..seed import CLEAN, STRAY

ATTESTATIONS = [
    *(".sigstore", ".sigstore.json", ".attestation", ".intoto", ".sig", ".asc"),
    *(".v0.sigs", ".sigs", f".sigs.{'0123456789abcdef' * 4}"),
]


@pytest.mark.parametrize("ending", ATTESTATIONS)
def test_attestation_is_reported_and_stays(tmp_path: Path, ending: str) -> None:
    package = STRAY[0].copy(tmp_path)
    sidecar = tmp_path / (package.name + ending)
    sidecar.write_bytes(b"vouches for the old bytes")
    [warning] = fix(package, in_place=True).warnings
    assert warning == (
        f"{sidecar} vouches for bytes that the repair replaces: "
        "if the package is published, raise its build number and build it again; otherwise, attest it again"
    )
    assert sidecar.read_bytes() == b"vouches for the old bytes"


@pytest.mark.parametrize("ending", [*ATTESTATIONS, ".sha256"])
def test_sidecar_of_a_replaced_result_is_invalid(tmp_path: Path, ending: str) -> None:
    package = STRAY[0].copy(tmp_path)
    sidecar = tmp_path / "out" / (package.name + ending)
    sidecar.parent.mkdir()
    sidecar.touch()
    result = fix(package, output_dir=sidecar.parent)
    assert result.warnings == (f"{sidecar} is invalid now: it vouches for the old bytes; make it again",)


def test_checksum_is_reported_as_invalid_and_stays(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    sidecar = tmp_path / f"{package.name}.sha256"
    sidecar.write_bytes(b"checksum of the old bytes")
    result = fix(package, in_place=True)
    assert result.warnings == (f"{sidecar} is invalid now: it vouches for the old bytes; make it again",)
    assert sidecar.read_bytes() == b"checksum of the old bytes"


@pytest.mark.parametrize("ending", [".sigs.0123", f".sigs.{'G' * 64}", ".conda.orig", "x.sig"])
def test_file_that_only_looks_like_a_sidecar_is_not_reported(tmp_path: Path, ending: str) -> None:
    package = STRAY[0].copy(tmp_path)
    (tmp_path / (package.name + ending)).touch()
    assert fix(package, in_place=True).warnings == ()


def test_sidecar_is_reported_by_the_command(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    (tmp_path / f"{package.name}.sha256").touch()
    done = run("fix", "--in-place", package)
    assert done.returncode == 0
    assert f"{package}.sha256 is invalid now" in done.stderr


def test_sidecar_of_a_clean_package_does_not_matter(tmp_path: Path) -> None:
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
def test_package_in_a_cache_is_refused_with_the_reason(
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


def test_extracted_package_next_to_its_archive_is_no_cache(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    (tmp_path / package.name.removesuffix(package.suffix) / "info").mkdir(parents=True)
    assert run("fix", "--in-place", package).returncode == 0
