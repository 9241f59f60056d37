"""A package that seems to be published is replaced only after a warning that says what to do instead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conda_prune import fix
from conda_prune.judgement.options import Options
from conda_prune.operations.fix import FixOptions, fix_package

from ..channels import SUBDIR, index_with_conda_index, index_with_rattler, read, write, write_stray
from ..executable import run
from ..seed import CLEAN, STRAY


def with_base_url(subdir: Path) -> None:
    index_with_conda_index(subdir.parent)


def with_signatures(subdir: Path) -> None:
    index_with_rattler(subdir.parent)
    signatures = {"a-1.0-0.conda": {"0" * 64: {"signature": "1" * 128}}}
    write(subdir, {**read(subdir), "signatures": signatures})


EVIDENCE = [
    pytest.param(with_base_url, "base_url https://example.org/channel", id="base-url"),
    pytest.param(with_signatures, "repodata.json has signatures", id="signatures"),
]


@pytest.fixture
def subdir(tmp_path: Path) -> Path:
    (tmp_path / "noarch").mkdir()
    subdir = tmp_path / SUBDIR
    subdir.mkdir()
    for name in "ab":
        write_stray(subdir, name)
    return subdir


@pytest.mark.parametrize("reindex", ["auto", "always", "never"])
@pytest.mark.parametrize(("publish", "evidence"), EVIDENCE)
def test_one_line_warns_of_a_published_channel(
    subdir: Path, publish: Callable[[Path], None], evidence: str, reindex: str
) -> None:
    publish(subdir)
    done = run("fix", "--in-place", "--reindex", reindex, subdir)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "published" in line]
    assert line.startswith(f"warning: the packages in {subdir} seem to be published (")
    assert evidence in line
    assert line.endswith("raise the build number and build again instead")


def test_a_published_channel_is_reported_from_python(subdir: Path) -> None:
    with_base_url(subdir)
    package = next(subdir.glob("a-*.conda"))
    assert any("seem to be published" in warning for warning in fix(package, in_place=True).warnings)


class Recorder:
    """Records warnings, and what a package holds when they arrive."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.warnings: list[tuple[str, bytes]] = []

    def expect(self, total: int) -> None:
        pass

    def __call__(self, done: int) -> None:
        pass

    def warn(self, line: str) -> None:
        self.warnings.append((line, self.package.read_bytes()))


def test_the_warning_comes_before_the_package_is_replaced(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    Path(f"{package}.sigstore").touch()
    recorder = Recorder(package)
    result = fix_package(str(package), Options(None, frozenset(), frozenset(), ()), FixOptions(), progress=recorder)
    assert result.status == "fixed"
    assert recorder.warnings == [(result.warnings[0], STRAY[0].path.read_bytes())]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_each_attested_package_is_warned_of_once(tmp_path: Path, jobs: str) -> None:
    packages = [shutil.copy(STRAY[0].path, tmp_path / f"{number}{STRAY[0].path.suffix}") for number in (1, 2)]
    for package in packages:
        Path(f"{package}.sigstore").touch()
    done = run("fix", "--in-place", "-j", jobs, *packages)
    assert sorted(line.partition(" vouches ")[0] for line in done.stderr.splitlines()) == [
        f"warning: {package}.sigstore" for package in packages
    ]


def test_a_channel_that_was_only_indexed_is_not_published(subdir: Path) -> None:
    index_with_rattler(subdir.parent)
    assert "published" not in run("fix", "--in-place", subdir).stderr


@pytest.mark.parametrize("arguments", [["check"], ["fix", "--in-place", "--dry-run"], ["fix", "-o", "out"]])
def test_only_a_replacement_is_warned_of(subdir: Path, tmp_path: Path, arguments: list[str]) -> None:
    with_base_url(subdir)
    arguments = [str(tmp_path / "out") if word == "out" else word for word in arguments]
    assert "published" not in run(*arguments, subdir).stderr


def test_a_clean_package_is_not_warned_of(tmp_path: Path) -> None:
    package = CLEAN[0].copy(tmp_path)
    (tmp_path / "repodata.json").write_text(json.dumps({"info": {"base_url": "https://example.org/"}, "packages": {}}))
    Path(f"{package}.sigstore").touch()
    assert run("fix", "--in-place", package).stderr == ""


@pytest.mark.parametrize("base_url", ["", "./", "../packages", None, 3])
def test_a_base_url_without_a_host_is_not_evidence(tmp_path: Path, base_url: object) -> None:
    package = STRAY[0].copy(tmp_path)
    (tmp_path / "repodata.json").write_text(json.dumps({"info": {"base_url": base_url}, "packages": {}}))
    assert run("fix", "--in-place", package).stderr == ""
