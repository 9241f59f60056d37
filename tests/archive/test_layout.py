"""Where the members of rattler's tars are is predicted from their names, kinds and sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conda_prune.archive.container import Archive
from conda_prune.archive.layout import predict
from conda_prune.archive.reader import read_package
from conda_prune.archive.tar import Spans
from conda_prune.model import Component, FileKind, Limits
from conda_prune.model import File as Fact

from ..corpus.crafted import BASE
from ..corpus.entries import AnyEntry, Directory, File, Symlink
from ..corpus.packages import write_package
from ..seed import SEEDS, Seed

ZIPPED = [seed for seed in SEEDS if seed.path.suffix == ".conda"]


def payload_of(package: Path) -> Component:
    with Archive(str(package), Limits()) as archive:
        components = read_package(archive, lambda path: 0, payload=True).components
        return next(component for component in components if component.name == "pkg")


def check(payload: Component) -> None:
    predicted = predict("pkg", payload.files, payload.size)
    assert predicted is not None
    assert list(predicted.spans) == [span._replace(name="") for span in payload.spans]
    assert predicted.size == payload.size


@pytest.mark.parametrize("seed", ZIPPED, ids=lambda seed: seed.id)
def test_real_packages_are_predicted(seed: Seed) -> None:
    check(payload_of(seed.path))


@pytest.mark.parametrize("length", [99, 100, 101, 300, 510, 511, 512, 513, 1030])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_long_names_and_odd_sizes_are_predicted(tmp_path: Path, length: int, size: int) -> None:
    name = ("directory/" * 200)[: length - 1] + "x"
    files: dict[str, AnyEntry] = {name.replace("/x", "xx"): File(b"x" * size), "z": Symlink(name[:50])}
    check(payload_of(write_package(replace(BASE, files=files), tmp_path, level=1)))


def test_directories_and_unknown_sizes_are_not_predicted(tmp_path: Path) -> None:
    spec = replace(BASE, files={**BASE.files, "share/empty": Directory()})
    payload = payload_of(write_package(spec, tmp_path, level=1))
    assert predict("pkg", payload.files, payload.size) is None
    assert predict("pkg", [Fact("a", FileKind.FILE, None)], 2048) is None


@pytest.mark.parametrize("wrong", [-512, 512])
def test_a_tar_of_another_size_is_not_predicted(wrong: int) -> None:
    payload = payload_of(ZIPPED[0].path)
    assert predict("pkg", payload.files, payload.size + wrong) is None


def test_bounds_are_compared_from_an_index_on() -> None:
    one, other = Spans(), Spans()
    for spans, second in ((one, 1024), (other, 1536)):
        spans.append("a", 0, 512, 512)
        spans.append("b", 512, second, second)
    assert not one.same_bounds(other, 0)
    assert not one.same_bounds(other, 1)
    assert one.same_bounds(other, 2)
    other.append("c", 1536, 2048, 2048)
    assert not other.same_bounds(one, 2), "a member more than expected"
