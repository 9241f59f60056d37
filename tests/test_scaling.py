"""Work takes time in proportion to each thing that a package controls.

Otherwise, a package could make one run take hours. Two measurements complement each other:

* The number of function calls of three sizes, each twice the one before. It is the same in every run, so even a small
  part that grows with the square is found. Loops without calls and searches in C are not.
* The CPU time of two sizes, the second eight times the first. It has them all, but varies: other programs take none of
  it, but they share the caches. So the bound lies between 8 (in proportion) and 64 (the square), and of several rounds
  the least counts.
"""

from __future__ import annotations

import bz2
import cProfile
import json
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import Limits, check, fix

from .clock import cpu_time
from .compression.bzip2.streams import noise
from .corpus.bytecode import cached, modules, pyc
from .corpus.crafted import BASE, SITE, conda_members, pax_header
from .corpus.entries import BUILD_TIME, AnyEntry, PackageSpec, Symlink
from .corpus.packages import GNU, Format, component_tars, tar_member, zstd_frame
from .corpus.scenario import for_311
from .corpus.tars import END
from .corpus.zips import ZipMember, zip_archive

FACTOR, TOO_MUCH = 8, 14
ROUNDS = 6
TOO_MANY = 1.15
"""Calls for the second step from one size to the next, for each of the first. The square would need 2."""
HARD_LINK, SYMBOLIC_LINK = b"1", b"2"
LIMITS = Limits(ratio=1_000_000)
"""Some of the packages are as regular as bombs are."""

STRAY = modules(SITE, "m/a", tags=("cpython-311", "cpython-310"))
SITE310 = "lib/python3.10/site-packages"
DROPPED = "lib/python3.10/__pycache__/m{}.cpython-310.pyc"


def packed(tar: bytes, count: int) -> bytes:
    """A frame as a writer makes it."""
    return zstd_frame(tar, level=1)


@dataclass(frozen=True)
class Growing:
    """A package of a size that can be chosen: what its specification says, and further members of the payload.

    `pack` makes a frame of the payload, and `entries` are more entries of the zip. `options` are those of check and
    fix. Without a `level`, blocks are copied.
    """

    id: str
    count: int
    spec: Callable[[int], PackageSpec]
    members: Callable[[int], Iterable[bytes]] = lambda count: ()
    pack: Callable[[bytes, int], bytes] = packed
    entries: Callable[[int], Iterable[ZipMember]] = lambda count: ()
    format: Format = ".conda"
    level: int | None = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, count: int, directory: Path) -> Path:
        """Write the package into a directory of its own."""
        directory.mkdir()
        info, pkg = component_tars(self.spec(count))
        pkg += self.members(count)
        path = directory / f"{BASE.stem}{self.format}"
        if self.format == ".tar.bz2":
            path.write_bytes(bz2.compress(b"".join([*info, *pkg, END]), 1))
        else:
            frames = packed(b"".join([*info, END]), 0), self.pack(b"".join([*pkg, END]), count)
            path.write_bytes(zip_archive([*conda_members(*frames), *self.entries(count)]))
        return path

    def work(self, path: Path) -> None:
        """Check and fix a package.

        With a level, since the time that it takes to recover one jumps where a component gets larger than the sample.
        """
        check(path, deep=True, limits=LIMITS, **self.options)
        fix(path, output_dir=path.parent / "out", level=self.level, threads=1, limits=LIMITS, **self.options)


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


def stamped(count: int) -> dict[str, AnyEntry]:
    """Modules whose bytecode has another time than they have."""
    sources = [f"{SITE}/s/m{number}.py" for number in range(count)]
    bytecode = pyc("cpython-311", size=100, source=b"x = 1")
    stale = bytecode[:8] + struct.pack("<I", BUILD_TIME + 60) + bytecode[12:]
    files: dict[str, AnyEntry] = dict.fromkeys(sources, "x = 1")
    return files | {cached(source, "cpython-311"): stale for source in sources}


def inode_paths(count: int) -> PackageSpec:
    """An entry that lists many names of its file, one of them dropped."""
    stray = f"{SITE}/m/__pycache__/a.cpython-310.pyc"
    names = [stray, *(f"share/{number}" for number in range(count))]
    kept = {"_path": f"{SITE}/m/a.py", "path_type": "hardlink", "inode_paths": names}
    entries = [kept, {"_path": stray, "path_type": "hardlink"}]
    return with_files({}, paths_json=json.dumps({"paths_version": 1, "paths": entries}).encode())


def raw_blocks(tar: bytes, count: int) -> bytes:
    """A frame of raw blocks: first many empty ones, then the tar in blocks of 1 KiB, then many more with zeros."""
    pieces = [b""] * count + [tar[at : at + 1024] for at in range(0, len(tar), 1024)] + [bytes(10)] * count
    blocks = b"".join((len(piece) << 3).to_bytes(3, "little") + piece for piece in pieces)
    return b"\x28\xb5\x2f\xfd\x00\x38" + blocks + b"\x01\x00\x00"


GROWING = [
    Growing("files", 400, lambda n: with_files({f"share/p/{number}": str(number) for number in range(n)})),
    Growing("unlisted files", 2000, plain, lambda n: (tar_member(f"share/p/{number}") for number in range(n))),
    Growing("absent files", 3000, lambda n: with_files(
        {}, paths_json=json.dumps({"paths_version": 1, "paths": [
            {"_path": f"share/{number}", "path_type": "hardlink"} for number in range(n)
        ]}).encode()
    )),
    Growing("stray bytecode", 120, lambda n: with_files(
        modules(SITE, *(f"m/b{number}" for number in range(n)), tags=("cpython-311", "cpython-310"))
    )),
    Growing("bytecode without sources", 200, lambda n: with_files(
        modules(SITE, *(f"m/b{number}" for number in range(n)), tags=("cpython-311",), sources=False)
    )),
    Growing("other trees", 360, lambda n: with_files(several_trees(n))),
    Growing("nested trees", 500, lambda n: with_files(
        {f"opt/{number}/lib/python3.10/site-packages/__pycache__/m.cpython-310.pyc": "x" for number in range(n)}
    )),
    Growing("named interpreters", 500, lambda n: with_files(
        {f"opt/python-3.{number % 15}/{number}/__pycache__/m.cpython-39.pyc": "x" for number in range(n)}
    )),
    Growing("landmarks", 120, lambda n: with_files(
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
    Growing("hard links to dropped files", 500, unlisted, lambda n: (
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
    Growing("stale stamps", 150, lambda n: with_files(stamped(n)), options={"select": ("stale-stamp",)}),
    Growing("GNU names", 800, unlisted, lambda n: (
        tar_member(f"share/{at}{'x' * 150}", dialect=GNU) for at in range(n)
    )),
    Growing("long names", 200, unlisted, lambda n: (
        pax_header({"path": f"share/{number}" + "x" * 4000}) + tar_member("x") for number in range(n)
    )),
    Growing("global headers", 500, unlisted, lambda n: (
        pax_header({"mtime": str(at)}, b"g") + tar_member(f"share/{at}") for at in range(n)
    )),
    Growing("lines of an installed-files.txt", 6000, lambda n: with_files({
        f"{SITE}/m.egg-info/installed-files.txt": "../m/__pycache__/a.cpython-310.pyc\n" + "../m/a.py\n" * n
    })),
    Growing("names in an entry", 5000, inode_paths),
    Growing("zip entries", 400, plain, entries=lambda n: (ZipMember(f"other{at}", b"x") for at in range(n))),
    Growing("zstd blocks", 2000, plain, pack=raw_blocks, level=None),
    Growing("bz2 blocks", 3, unlisted, lambda n: [tar_member("share/x", noise(n * 100_000))],
            format=".tar.bz2", level=None),
    Growing("content", 8 << 20, plain, lambda n: [tar_member("share/x", b"0123456789abcdef" * (n >> 4))]),
]  # fmt: skip


@pytest.mark.parametrize("growing", GROWING, ids=lambda growing: growing.id)
def test_time_grows_no_faster_than_the_input(growing: Growing, tmp_path: Path) -> None:
    few = growing.write(growing.count, tmp_path / "few")
    many = growing.write(growing.count * FACTOR, tmp_path / "many")
    seconds = {few: float("inf"), many: float("inf")}
    for _ in range(ROUNDS):
        for path, least in seconds.items():
            started = cpu_time()
            growing.work(path)
            seconds[path] = min(least, cpu_time() - started)
        if seconds[many] < TOO_MUCH * seconds[few]:
            return
    raise AssertionError(f"{seconds[many] / seconds[few]:.1f} times as long for {FACTOR} times as much")


@pytest.mark.parametrize("growing", GROWING, ids=lambda growing: growing.id)
def test_calls_grow_no_faster_than_the_input(growing: Growing, tmp_path: Path) -> None:
    counts = [max(1, growing.count // 8) * factor for factor in (1, 2, 4)]
    packages = [growing.write(count, tmp_path / str(count)) for count in counts]
    growing.work(packages[0])  # The first run imports modules.
    few, more, many = (calls(growing, package) for package in packages)
    assert many - more < 2 * max(more - few, few // 20) * TOO_MANY, f"{few}, {more} and {many} calls for {counts}"


def calls(growing: Growing, package: Path) -> int:
    """Return how many functions a check and a fix of a package call, in Python and in C."""
    forget_results()
    profile = cProfile.Profile()
    profile.runcall(growing.work, package)
    return sum(entry.callcount for entry in profile.getstats())


def forget_results() -> None:
    """Empty the caches of functions: what was called for one size would not be called again for the next."""
    for name, module in list(sys.modules.items()):
        if name.startswith("conda_prune."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
