"""Work takes time in proportion to each thing that a package controls.

Every kind of input is made eight times as large. Time in proportion then grows eightfold, and time that grows with the
square, 64-fold: a package could make one run take hours. CPU time is measured, of which other programs take none, and
of several rounds the least counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import Limits, check, fix

from .corpus.bytecode import modules
from .corpus.crafted import SITE, conda_members, pax_header
from .corpus.entries import AnyEntry, PackageSpec, Symlink
from .corpus.packages import component_tars, tar_member, zstd_frame
from .corpus.scenario import for_311
from .corpus.tars import END
from .corpus.zips import zip_archive

FACTOR, TOO_MUCH = 8, 20
ROUNDS = 4
HARD_LINK, SYMBOLIC_LINK = b"1", b"2"
LIMITS = Limits(ratio=1_000_000)
"""Some of the packages are as regular as bombs are."""

STRAY = modules(SITE, "m/a", tags=("cpython-311", "cpython-310"))
SITE310 = "lib/python3.10/site-packages"
DROPPED = "lib/python3.10/__pycache__/m{}.cpython-310.pyc"


@dataclass(frozen=True)
class Growing:
    """A package of a size that can be chosen: what its specification says, and further members of the payload."""

    id: str
    count: int
    spec: Callable[[int], PackageSpec]
    members: Callable[[int], Iterable[bytes]] = lambda count: ()

    def write(self, count: int, directory: Path) -> Path:
        """Write the package into a directory of its own."""
        directory.mkdir()
        info, pkg = component_tars(self.spec(count))
        frames = (zstd_frame(b"".join([*members, END]), level=1) for members in (info, [*pkg, *self.members(count)]))
        path = directory / "growing-1.2.3-py311h1234567_0.conda"
        path.write_bytes(zip_archive(conda_members(*frames)))
        return path


def with_files(more: Mapping[str, AnyEntry], **rest: Any) -> PackageSpec:
    return for_311("growing", {**STRAY, **more}, **rest)


def plain(count: int) -> PackageSpec:
    return with_files({})


def unlisted(count: int) -> PackageSpec:
    return with_files({}, paths_json=None, legacy_listings=False)


def record_of(lines: Iterable[str]) -> PackageSpec:
    record = "".join(f"{line}\n" for line in ("m/__pycache__/a.cpython-310.pyc,,", *lines))
    return with_files({f"{SITE}/m-1.dist-info/RECORD": record})


def info_of(name: str, content: bytes) -> PackageSpec:
    return with_files({}, info={name: content}, paths_json=None, legacy_listings=False)


def index_of(key: str, count: int) -> PackageSpec:
    values = [f"dependency-{number} >=1.{number},<2" for number in range(count)]
    return with_files({}, index_extra={key: [*for_311("p", {}).depends, *values]})


def recipe_of(count: int) -> PackageSpec:
    host = "".join(f"  - name: package{number}\n    version: 1.{number}\n" for number in range(count))
    return replace(
        with_files({}, info={"info/recipe/rendered_recipe.yaml": f"host:\n{host}".encode()}), depends=("python",)
    )


def several_trees(count: int) -> dict[str, AnyEntry]:
    versions = [f"3.{minor}" for minor in range(6, 15)]
    return {
        f"lib/python{version}/site-packages/p/{kind}{number}{ending}": "x"
        for number in range(count // 9)
        for version in versions
        for kind, ending in (("m", ".py"), ("__pycache__/m", f".cpython-3{version[2:]}.pyc"))
    }


def links(count: int, target: Callable[[int], str], type: bytes = SYMBOLIC_LINK) -> Iterable[bytes]:
    for number in range(count):
        path = target(number)
        yield pax_header({"linkpath": path}) + tar_member(f"share/l{number}", type=type, linkname="x")


GROWING = [
    Growing("files", 800, lambda n: with_files({f"share/p/{number}": str(number) for number in range(n)})),
    Growing("unlisted files", 1500, plain, lambda n: (tar_member(f"share/p/{number}") for number in range(n))),
    Growing("absent files", 3000, lambda n: with_files(
        {}, paths_json=json.dumps({"paths_version": 1, "paths": [
            {"_path": f"share/{number}", "path_type": "hardlink"} for number in range(n)
        ]}).encode()
    )),
    Growing("stray bytecode", 300, lambda n: with_files(
        modules(SITE, *(f"m/b{number}" for number in range(n)), tags=("cpython-311", "cpython-310"))
    )),
    Growing("bytecode without sources", 400, lambda n: with_files(
        modules(SITE, *(f"m/b{number}" for number in range(n)), tags=("cpython-311",), sources=False)
    )),
    Growing("other trees", 900, lambda n: with_files(several_trees(n))),
    Growing("nested trees", 500, lambda n: with_files(
        {f"opt/{number}/lib/python3.10/site-packages/__pycache__/m.cpython-310.pyc": "x" for number in range(n)}
    )),
    Growing("named interpreters", 500, lambda n: with_files(
        {f"opt/python-3.{number % 15}/{number}/__pycache__/m.cpython-39.pyc": "x" for number in range(n)}
    )),
    Growing("landmarks", 300, lambda n: with_files(
        {f"opt/{number}/lib/python3.9/{name}": "x" for number in range(n)
         for name in ("os.py", "encodings/__init__.py", "__pycache__/os.cpython-39.pyc")}
    )),
    Growing("deep directories", 20, unlisted, lambda n: (
        pax_header({"path": f"share/{number}" + "/d" * 400}) + tar_member("x") for number in range(n)
    )),
    Growing("chains of links", 600, unlisted, lambda n: links(n, lambda number: f"l{number + 1}")),
    Growing("links with many parts", 20, unlisted, lambda n: links(n, lambda number: "../share/" * 400 + f"{number}")),
    Growing("length of link targets", 50, unlisted, lambda n: links(10, lambda number: "../share/" * n + "x")),
    Growing("links to directories", 500, lambda n: with_files(
        {f"share/d{number}": Symlink(f"../{SITE310}") for number in range(n)} | {f"{SITE310}/x.py": "x"}
    )),
    Growing("hard links to a dropped file", 400, unlisted, lambda n: (
        [tar_member(DROPPED.format(0), b"x")]
        + [tar_member(f"share/h{number}", type=HARD_LINK, linkname=DROPPED.format(0)) for number in range(n)]
    )),
    Growing("hard links to dropped files", 1200, unlisted, lambda n: (
        member for number in range(n) for member in (
            tar_member(DROPPED.format(number), b"x"),
            tar_member(f"share/h{number}", type=HARD_LINK, linkname=DROPPED.format(number)),
        )
    )),
    Growing("lines of a RECORD", 6000, lambda n: record_of(f"m/{number}.py,sha256=abc,1" for number in range(n))),
    Growing("quoted lines of a RECORD", 3000, lambda n: record_of(
        f'"m/{number}.py",sha256=abc,1' for number in range(n)
    )),
    Growing("an open quote in a RECORD", 6000, lambda n: record_of(['"', *(f"m/{number}.py" for number in range(n))])),
    Growing("length of a RECORD's line", 200_000, lambda n: record_of(['"' + 'a""' * n + '",,'])),
    Growing("distributions", 300, lambda n: with_files(
        {f"{SITE}/d{number}-1.dist-info/RECORD": f"d{number}.py,,\nm/__pycache__/a.cpython-310.pyc,,\n"
         for number in range(n)}
    )),
    Growing("files lines", 5000, lambda n: info_of("info/files", b"".join(b"share/%d\n" % at for at in range(n)))),
    Growing("has_prefix lines", 5000, lambda n: info_of(
        "info/has_prefix", b"".join(b"/opt/prefix text share/%d\n" % at for at in range(n))
    )),
    Growing(".pth files", 300, lambda n: with_files(
        {f"{SITE}/{number}.pth": f"../../python3.10/site-packages/{number}\n" for number in range(n)}
        | {f"{SITE310}/__pycache__/x.cpython-310.pyc": "x"}
    )),
    Growing("lines of .pth files", 50, lambda n: with_files(
        {f"{SITE}/{number}.pth": "".join(f"../../python3.10/site-packages/{number}/{line}\n" for line in range(40))
         for number in range(n)} | {f"{SITE310}/__pycache__/x.cpython-310.pyc": "x"}
    )),
    Growing("dependencies", 4000, lambda n: index_of("depends", n)),
    Growing("constraints", 8000, lambda n: index_of("constrains", n)),
    Growing("length of a dependency", 40000, lambda n: with_files(
        {}, index_extra={"depends": [*for_311("p", {}).depends, "python " + ",".join(["!=3.1"] * n)]}
    )),
    Growing("index.json", 40000, lambda n: with_files({}, index_extra={"x": list(range(n))})),
    Growing("recipe", 400, recipe_of),
    Growing("attributes", 400, unlisted, lambda n: (
        pax_header({f"key{key}": "value" for key in range(8)}) + tar_member(f"share/{number}") for number in range(n)
    )),
    Growing("attributes of one member", 3000, unlisted, lambda n: [
        pax_header({f"key{key}": "value" for key in range(n)}) + tar_member("share/x")
    ]),
    Growing("content", 8 << 20, plain, lambda n: [tar_member("share/x", b"0123456789abcdef" * (n >> 4))]),
]  # fmt: skip


@pytest.mark.parametrize("growing", GROWING, ids=lambda growing: growing.id)
def test_time_grows_no_faster_than_the_input(growing: Growing, tmp_path: Path) -> None:
    few = growing.write(growing.count, tmp_path / "few")
    many = growing.write(growing.count * FACTOR, tmp_path / "many")
    seconds = {few: float("inf"), many: float("inf")}
    for _ in range(ROUNDS):
        for path, least in seconds.items():
            seconds[path] = min(least, cpu_seconds(path))
        if seconds[many] < TOO_MUCH * seconds[few]:
            return
    raise AssertionError(f"{seconds[many] / seconds[few]:.1f} times as long for {FACTOR} times as much")


def cpu_seconds(path: Path) -> float:
    """Return how long a check and a fix of a package take.

    With a level, since the time that it takes to recover one jumps where a component gets larger than the sample.
    """
    started = time.process_time()
    check(path, deep=True, limits=LIMITS)
    fix(path, output_dir=path.parent / "out", level=1, threads=1, limits=LIMITS)
    return time.process_time() - started
