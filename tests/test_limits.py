"""One package can only use a limited amount of output, files, metadata and memory, and large packages still work."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import conda_package_handling.api
import conda_package_streaming.extract
import pytest
import rattler.package_streaming
import zstandard

from conda_prune import (
    Limits,
    PruneError,
    check,
    fix,
)
from conda_prune.errors import BadMetadata, LimitExceeded
from conda_prune.judgement.contents import content_wanted

from .clock import cpu_time
from .corpus.bombs import (
    BOMBS,
    RECIPE,
    MemberBomb,
    TextBomb,
    write_bomb,
)
from .corpus.crafted import (
    BASE,
    SITE,
    conda_members,
    from_frame,
    from_tar,
    pax_header,
    tar_of,
)
from .corpus.packages import (
    FORMATS,
    GNU,
    Format,
    component_tars,
    tar_member,
    write_package,
    zstd_frame,
)
from .corpus.tars import END
from .corpus.zips import ZipMember, zip_archive
from .executable import EXECUTABLE

ROOT = Path(__file__).parent.parent
UNLISTED = replace(BASE, paths_json=None, legacy_listings=False)

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits memory by RLIMIT_AS and measures it in /proc"
)


def run(*arguments: str | Path, memory: int | None = None) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run the command line; return its result, and its peak memory in bytes, which is 0 on Windows."""
    code = (
        "import subprocess, sys\n"
        "if sys.platform == 'win32':\n"
        "    done = subprocess.run([sys.executable, '-m', 'conda_prune', *sys.argv[2:]])\n"
        "    print(0, file=sys.stderr)\n"
        "    sys.exit(done.returncode)\n"
        "import resource\n"
        "limit = int(sys.argv[1])\n"
        "if limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "done = subprocess.run([sys.executable, '-m', 'conda_prune', *sys.argv[2:]])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(done.returncode if done.returncode >= 0 else 100 - done.returncode)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(memory or 0), *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    *lines, peak = done.stderr.splitlines()
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, "\n".join(lines)), int(peak) << 10


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("lib/m.so", 0), ("info/licenses/LICENSE", 0), ("info/recipe/build.sh", 0), ("share/RECORD", 0),
        ("info/recipe/meta.yaml", 0), ("info/recipe/conda_build_config.yaml", 0),
        ("lib/__pycache__/m.cpython-311.pyc", 16), ("lib/m.pyc", 16),
        ("info/paths.json", None), ("lib/m-1.dist-info/RECORD", None),
        ("info/index.json", 4 << 20), ("info/hash_input.json", 1 << 20), ("info/recipe/rendered_recipe.yaml", 2 << 20),
    ],
)  # fmt: skip
def test_only_the_needed_part_of_a_file_is_kept(path: str, kept: int | None) -> None:
    """None means everything, because the file may be edited."""
    assert content_wanted(path) == kept or (kept is None and content_wanted(path) >= Limits().text)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("limits", "option"),
    [(Limits(unpacked=4096), "--max-unpacked"), (Limits(members=2), "--max-members"), (Limits(text=64), "--max-text")],
    ids=["unpacked", "members", "text"],
)
def test_each_limit_stops_the_work_and_names_its_option(
    tmp_path: Path, format_: Format, limits: Limits, option: str
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    before = package.read_bytes()
    for work in (check, partial(fix, in_place=True)):
        with pytest.raises(LimitExceeded, match=option):
            work(package, limits=limits)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


def test_the_window_limit_stops_the_work_and_names_its_option(tmp_path: Path) -> None:
    """conda-package-handling 1.x always writes a window of 128 MiB, even for small content."""
    package = write_package(BASE, tmp_path, writer="cph1")
    before = package.read_bytes()
    for work in (check, partial(fix, in_place=True)):
        with pytest.raises(LimitExceeded, match=r"134217728 bytes is larger than 134217727; .* --max-window"):
            work(package, limits=Limits(window=(128 << 20) - 1))
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])
    assert fix(package, in_place=True, limits=Limits(window=128 << 20)).status == "fixed"


def in_long_mode(tar: bytes) -> bytes:
    """A frame with a window of 256 MiB, as `zstd --long=28` writes it."""
    settings = zstandard.ZstdCompressionParameters(window_log=28, chain_log=16, hash_log=16, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    return stream.compress(tar) + stream.flush()


@pytest.mark.parametrize("component", ["pkg", "info"])
def test_a_package_in_long_mode_gets_a_smaller_window(tmp_path: Path, component: str) -> None:
    package = from_frame(in_long_mode, component)(tmp_path)
    with pytest.raises(LimitExceeded, match="268435456 bytes is larger than 134217728, which is what conda clients"):
        fix(package, in_place=True)
    wide = Limits(window=256 << 20)
    judged = check(package, deep=True, limits=wide)
    assert judged.notes == (f"the {component} component's zstd window is larger than conda clients accept",)
    fixed = fix(package, in_place=True, limits=wide)
    assert (fixed.status, fixed.findings) == ("fixed", judged.findings)
    assert fixed.notes == judged.notes
    again = check(package, deep=True)
    assert (again.status, again.notes) == ("clean", ())
    rattler.package_streaming.extract(package, tmp_path / "rattler")
    conda_package_streaming.extract.extract(package, tmp_path / "cps")


def test_a_clean_package_in_long_mode_only_gets_a_note(tmp_path: Path) -> None:
    package = from_frame(in_long_mode, "pkg")(tmp_path)
    fix(package, in_place=True, limits=Limits(window=256 << 20))
    with zipfile.ZipFile(package) as file:
        members = [ZipMember(name, file.read(name)) for name in file.namelist()]
    [index] = [index for index, member in enumerate(members) if member.name.startswith("pkg-")]
    tar = zstandard.ZstdDecompressor().stream_reader(members[index].data).read()
    members[index] = replace(members[index], data=in_long_mode(tar))
    package.write_bytes(zip_archive(members))
    before = package.read_bytes()
    result = fix(package, in_place=True, limits=Limits(window=256 << 20))
    assert (result.status, len(result.notes), package.read_bytes()) == ("clean", 1, before)


@pytest.mark.parametrize("option", ["--max-unpacked=4K", "--max-members=2", "--max-text=64"])
@pytest.mark.parametrize("command", [["check", "--deep"], ["fix", "--in-place"]], ids=["check", "fix"])
def test_the_options_set_the_limits(tmp_path: Path, command: list[str], option: str) -> None:
    package = write_package(BASE, tmp_path)
    done, _ = run(*command, package, option)
    assert done.returncode == 3
    assert option.partition("=")[0] in done.stderr
    again, _ = run(*command, package, option.partition("=")[0] + "=1000000")
    assert again.returncode != 3


def test_the_option_sets_the_limit_of_the_window(tmp_path: Path) -> None:
    package = write_package(BASE, tmp_path, writer="cph1")
    for size, code in (("64M", 3), ("128M", 1)):
        done, _ = run("check", "--deep", package, f"--max-window={size}")
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize("size", ["", "64X", "-1", "1.5G", "G"])
def test_an_invalid_size_is_a_usage_error(size: str) -> None:
    done, _ = run("check", "x.conda", f"--max-text={size}")
    assert done.returncode == 2
    assert "such as 64G" in done.stderr


def zeros(size: int) -> Iterator[bytes]:
    piece = bytes(1 << 20)
    for _ in range(size >> 20):
        yield piece


def bomb(path: Path, size: int, *, stated: bool) -> Path:
    """A package of a few kilobytes whose payload is one file with `size` zeros."""
    info, pkg = component_tars(BASE)
    header = bytearray(tar_member("share/zeros"))
    header[124:136] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    total = len(b"".join(pkg)) + len(header) + size + len(END)
    packer = zstandard.ZstdCompressor(write_content_size=stated).compressobj(size=total if stated else -1)
    frame = packer.compress(b"".join(pkg) + bytes(header))
    frame += b"".join(packer.compress(piece) for piece in zeros(size)) + packer.compress(END) + packer.flush()
    path.write_bytes(zip_archive(conda_members(zstd_frame(tar_of(info)), frame)))
    return path


def bz2_bomb(path: Path, size: int) -> Path:
    """A .tar.bz2 of a few kilobytes with one file of `size` zeros."""
    info, pkg = component_tars(BASE)
    header = tar_member("share/zeros", dialect=GNU)
    with tarfile.open(fileobj=io.BytesIO(header + END)) as archive:
        member = archive.getmembers()[0]
    member.size = size
    packer = bz2.BZ2Compressor(9)
    data = packer.compress(b"".join([*info, *pkg]) + member.tobuf(tarfile.GNU_FORMAT))
    data += b"".join(packer.compress(piece) for piece in zeros(size)) + packer.compress(END) + packer.flush()
    path.write_bytes(data)
    return path


@linux
def test_a_bz2_bomb_stops_at_the_limit_in_little_memory(tmp_path: Path) -> None:
    package = bz2_bomb(tmp_path / f"{BASE.stem}.tar.bz2", 600 << 20)
    assert package.stat().st_size < 10_000
    for command in (["check"], ["fix", "--in-place"]):
        done, peak = run(*command, package, "--max-unpacked=512M")
        assert done.returncode == 3
        assert "unpacks to more than 536870912 bytes" in done.stderr
        assert peak < 300 << 20
        assert os.listdir(tmp_path) == [package.name]


@linux
@pytest.mark.parametrize("stated", [True, False], ids=["size-stated", "size-hidden"])
def test_a_bomb_stops_at_the_limit_in_little_memory(tmp_path: Path, stated: bool) -> None:
    package = bomb(tmp_path / f"{BASE.stem}.conda", 2 << 30, stated=stated)
    assert package.stat().st_size < 300_000
    done, peak = run("fix", "--in-place", package, "--max-unpacked=1G")
    assert done.returncode == 3
    assert "unpacks to more than 1073741824 bytes" in done.stderr
    assert peak < 300 << 20
    assert os.listdir(tmp_path) == [package.name]


@linux
@pytest.mark.long
def test_long_a_bomb_of_a_hundred_gigabytes_stops_by_default(tmp_path: Path) -> None:
    package = bomb(tmp_path / f"{BASE.stem}.conda", 100 << 30, stated=False)
    started = time.monotonic()
    done, peak = run("fix", "--in-place", package)
    assert done.returncode == 3
    assert peak < 300 << 20
    size = package.stat().st_size
    print(f"{size} bytes to 100 GiB: {time.monotonic() - started:.0f} s, {peak >> 20} MiB")


@linux
def test_deflated_entries_cannot_fill_the_disk(tmp_path: Path) -> None:
    package = tmp_path / f"{BASE.stem}.conda"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(f"pkg-{BASE.stem}.tar.zst", "w", force_zip64=True) as entry:
            for piece in zeros(1 << 30):
                entry.write(piece)
        archive.writestr(f"info-{BASE.stem}.tar.zst", b"x")
    done, peak = run("check", package, "--max-unpacked=64M")
    assert done.returncode == 3
    assert "takes more than 67108864 bytes" in done.stderr
    assert peak < 300 << 20


@linux
@pytest.mark.parametrize(("size", "most"), [(64 << 20, 250 << 20), (7 << 20, 300 << 20)], ids=["beyond", "within"])
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.id)
def test_metadata_of_a_small_package_takes_little_memory(
    tmp_path: Path, bomb: TextBomb | MemberBomb, size: int, most: int
) -> None:
    """Without limits, metadata takes up to 30 times its size in memory: 13 GB for a package of 47 KiB."""
    package = write_bomb(bomb, size, tmp_path / f"{BASE.stem}.conda")
    assert package.stat().st_size < 200 << 10
    before = package.read_bytes()
    done, peak = run("fix", "--in-place", package)
    assert done.returncode in (0, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert peak < most
    if done.returncode == 3:
        assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


def test_metadata_out_of_proportion_is_refused_unless_allowed(tmp_path: Path) -> None:
    [bomb] = [bomb for bomb in BOMBS if bomb.id == "record-lines"]
    package = write_bomb(bomb, 16 << 20, tmp_path / f"{BASE.stem}.conda")
    with pytest.raises(LimitExceeded, match=r"metadata and names take more than .* bytes; raise --max-ratio"):
        fix(package, in_place=True)
    assert fix(package, in_place=True, limits=Limits(ratio=10_000)).status == "fixed"
    done, _ = run("check", "--deep", package, "--max-ratio=1")
    assert (done.returncode, "--max-ratio" in done.stderr) == (3, True)
    done, _ = run("check", "--deep", package, "--max-ratio=10000")
    assert done.returncode == 0


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", ["info/files", "info/has_prefix", "info/no_link", "info/paths.json"])
def test_a_listing_of_more_files_than_allowed_is_refused(tmp_path: Path, format_: Format, name: str) -> None:
    entries = [{"_path": f"share/{number}"} for number in range(50)]
    lines = "".join(f"share/{number}\n" for number in range(50)).encode()
    content = json.dumps({"paths": entries, "paths_version": 1}).encode() if name.endswith("json") else lines
    package = write_package(replace(UNLISTED, info={name: content}), tmp_path, format=format_)
    with pytest.raises(LimitExceeded, match=f"{name} lists more than 40 files; raise --max-members"):
        check(package, limits=Limits(members=40))
    check(package, limits=Limits(members=50))


@pytest.mark.parametrize(("size", "known"), [(2 << 20, True), ((2 << 20) + 1, False)], ids=["within", "beyond"])
def test_a_recipe_of_more_than_two_megabytes_is_not_read(tmp_path: Path, size: int, known: bool) -> None:
    recipe = json.dumps(
        {"finalized_dependencies": {"host": {
            "specs": [{"source": "python 3.11.*"}],
            "resolved": [{"name": "python", "version": "3.11.9", "build": "h1_0_cpython"}],
        }}}
    ).encode()  # fmt: skip
    spec = replace(BASE, build="h123abc4_0", depends=("python",), info={RECIPE: recipe.ljust(size)})
    result = check(write_package(spec, tmp_path))
    assert result.variant is not None
    assert (result.variant.python == "3.11") == known


@pytest.mark.parametrize(("size", "is_read"), [(4 << 20, True), ((4 << 20) + 1, False)], ids=["within", "beyond"])
def test_an_index_of_more_than_four_megabytes_is_refused(tmp_path: Path, size: int, is_read: bool) -> None:
    index = json.dumps({"name": "crafted", "version": "1", "build": "0", "depends": ["python 3.11.*"]}).encode()
    package = write_package(replace(BASE, info={"info/index.json": index.ljust(size)}), tmp_path)
    if is_read:
        assert check(package).status == "findings"
    else:
        with pytest.raises(LimitExceeded, match=f"info/index.json takes {size} bytes, and more than 4194304"):
            check(package)


def test_more_than_a_hundred_dependencies_on_python_are_refused(tmp_path: Path) -> None:
    """rattler takes up to 14 ms for each, so an index of 4 MiB would take an hour."""
    for count in (98, 99):
        depends = (*BASE.depends, *(f"python >=3.11.0.{number}" for number in range(count)))
        package = write_package(replace(BASE, depends=depends), tmp_path)
        if count + len(BASE.depends) <= 100:
            assert check(package).status == "findings"
        else:
            with pytest.raises(BadMetadata, match="101 dependencies on Python"):
                check(package)


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, '{"x":' * 900 + "1" + "}" * 900], ids=["list", "object"])
def test_long_values_of_another_type_are_shortened(tmp_path: Path, value: str) -> None:
    index = f'{{"name": {value}, "version": "1", "build": "0"}}'.encode()
    package = write_package(replace(BASE, info={"info/index.json": index}), tmp_path)
    with pytest.raises(BadMetadata, match=r"has a name that is not a string: |nested too deeply") as caught:
        check(package)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("format_", FORMATS)
def test_attributes_that_are_not_kept_take_no_memory(tmp_path: Path, format_: Format) -> None:
    """conda-build writes each member's time as an attribute, which takes 512 MiB for half a million members."""
    attributes = [pax_header({"comment": "x" * 500_000}) + tar_member(f"share/{number}") for number in range(9)]
    package = from_tar(lambda members: tar_of([*members, *attributes]), format_, UNLISTED)(tmp_path)
    assert fix(package, in_place=True, limits=Limits(text=1_000_000)).status == "fixed"


def hard_links(target: str) -> list[bytes]:
    return [
        pax_header({"comment": "x" * 500_000})
        + tar_member(f"share/{number}", type=tarfile.LNKTYPE, linkname=f"{SITE}/m/{target}")
        for number in range(9)
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_attributes_of_hard_links_cannot_fill_the_memory(tmp_path: Path, format_: Format) -> None:
    """The headers of hard links to a dropped file are kept, because one becomes a file and the others link to it."""
    links = hard_links("__pycache__/a.cpython-310.pyc")
    package = from_tar(lambda members: tar_of([*members, *links]), format_, UNLISTED)(tmp_path)
    with pytest.raises(LimitExceeded, match="--max-text"):
        fix(package, in_place=True, limits=Limits(text=4_000_000))
    assert fix(package, in_place=True, limits=Limits(text=5_000_000)).status == "fixed"


@pytest.mark.parametrize("format_", FORMATS)
def test_attributes_of_other_hard_links_take_no_memory(tmp_path: Path, format_: Format) -> None:
    links = hard_links("a.py")
    package = from_tar(lambda members: tar_of([*members, *links]), format_, UNLISTED)(tmp_path)
    assert fix(package, in_place=True, limits=Limits(text=100_000)).status == "fixed"


@pytest.mark.parametrize("format_", FORMATS)
def test_many_ordinary_hard_links_are_not_out_of_proportion(tmp_path: Path, format_: Format) -> None:
    """Their headers take 30 MB, which is 700 times their compressed size."""
    links = [
        pax_header({"mtime": "1700000000.25"})
        + tar_member(f"share/{number}", type=tarfile.LNKTYPE, linkname=f"{SITE}/m/a.py")
        for number in range(20_000)
    ]
    package = from_tar(lambda members: tar_of([*members, *links]), format_, UNLISTED)(tmp_path)
    assert package.stat().st_size < 100_000
    assert fix(package, in_place=True).status == "fixed"


@pytest.mark.parametrize("format_", FORMATS)
def test_regular_listing_is_not_out_of_proportion(tmp_path: Path, format_: Format) -> None:
    """Entries of empty files differ in nothing but the number: 8 MB take 40 KB as bz2.

    With a lower ratio, as many bytes are beyond it as of 250,000 such files with the default one.
    """
    directory = "lib/python3.11/site-packages/some_rather_long_package_name/translations/templates"
    names = [f"{directory}/{number // 1000:04d}/message_catalogue_{number:08d}.txt" for number in range(28_000)]
    nothing = {"path_type": "hardlink", "sha256": hashlib.sha256().hexdigest(), "size_in_bytes": 0}
    listing = json.dumps({"paths": [{"_path": name, **nothing} for name in names], "paths_version": 1}, indent=2)
    members = [tar_member(name) for name in names]
    spec = replace(BASE, paths_json=lambda raw: listing.encode(), legacy_listings=False)
    package = from_tar(lambda info: tar_of([*info, *members]), format_, spec)(tmp_path)
    assert package.stat().st_size < 400_000
    assert check(package, deep=True).members > 28_000
    assert check(package, deep=True, limits=Limits(ratio=50)).members > 28_000


@pytest.mark.parametrize("format_", FORMATS)
def test_deep_directories_cannot_fill_the_memory(tmp_path: Path, format_: Format) -> None:
    """The paths of the 2000 directories in one name take 500 times as many bytes as the name."""
    deep = [pax_header({"path": f"{number}/" + "a/" * 2000 + "x"}) + tar_member("x") for number in range(10)]
    package = from_tar(lambda members: tar_of([*members, *deep]), format_)(tmp_path)
    for work in (partial(check, deep=True), partial(fix, in_place=True)):
        with pytest.raises(LimitExceeded, match="directories take more than 10000000 bytes; raise --max-text"):
            work(package, limits=Limits(text=10_000_000, ratio=1_000_000))


def test_deep_directories_of_a_listing_cannot_fill_the_memory(tmp_path: Path) -> None:
    entries = [{"_path": f"{number}/" + "a/" * 2000 + "x"} for number in range(3)]
    listing = json.dumps({"paths": entries, "paths_version": 1}).encode()
    package = write_package(replace(BASE, paths_json=listing), tmp_path)
    with pytest.raises(LimitExceeded, match=r"directories take more than .* bytes; raise --max-ratio"):
        check(package)
    assert check(package, limits=Limits(ratio=1_000_000)).status == "clean"


def test_attributes_of_more_than_two_megabytes_are_refused(tmp_path: Path) -> None:
    member = pax_header({"comment": "x" * (2 << 20)}) + tar_member("x")
    package = from_tar(lambda members: tar_of([*members, member]), ".conda")(tmp_path)
    with pytest.raises(LimitExceeded, match="name or attributes take"):
        fix(package, in_place=True)


PIECES = ["x", "a/", "./", "/", "a\\", "__pycache__/", "a.cpython-310.", "é"]


def named(name: str) -> bytes:
    return pax_header({"path": name}) + tar_member("x")


def linked(name: str) -> bytes:
    return pax_header({"linkpath": name}) + tar_member("share/l", type=tarfile.SYMTYPE, linkname="x")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("member", [named, linked])
@pytest.mark.parametrize("piece", PIECES)
def test_a_long_name_is_refused_in_linear_time(
    tmp_path: Path, piece: str, member: Callable[[str], bytes], format_: Format
) -> None:
    def seconds(length: int) -> float:
        odd = member("a" + piece * (length // len(piece)) + "z")
        package = from_tar(lambda members: tar_of([*members, odd]), format_)(tmp_path)
        before = package.read_bytes()
        started = cpu_time()
        for work in (partial(check, deep=True), partial(fix, in_place=True)):
            with pytest.raises(LimitExceeded, match="no system unpacks more than 4095") as caught:
                work(package)
            assert len(str(caught.value)) < 300
        took = cpu_time() - started
        assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])
        return took

    few, many = (min(seconds(length) for _ in range(3)) for length in (8000, 64_000))
    assert many < 16 * few, "linear is 8 at most, quadratic is 64"
    assert seconds(1_000_000) < 250 * few, "linear is 125 at most"


@pytest.mark.parametrize("length", [4095, 4096])
def test_names_that_a_system_can_unpack_are_accepted(tmp_path: Path, length: int) -> None:
    name = "share/" + "a/" * 2044 + "x" * (length - 6 - 2 * 2044)
    package = from_tar(lambda members: tar_of([*members, named(name)]), ".conda", UNLISTED)(tmp_path)
    if length <= 4095:
        assert fix(package, in_place=True).status == "fixed"
        assert fix(package, in_place=True).status == "clean"
    else:
        with pytest.raises(LimitExceeded):
            fix(package, in_place=True)


@pytest.mark.parametrize(
    ("format_", "listing"),
    # In a .tar.bz2, info/files is compared with the files themselves instead.
    [(".conda", "info/paths.json"), (".tar.bz2", "info/paths.json"), (".conda", "info/files")],
)
def test_a_listed_name_that_no_system_unpacks_is_refused(tmp_path: Path, format_: Format, listing: str) -> None:
    name = "a/" * 3000
    paths = json.dumps({"paths": [{"_path": name}], "paths_version": 1}).encode()
    spec = replace(BASE, paths_json=lambda raw: paths) if listing.endswith("json") else replace(
        BASE, paths_json=None, legacy_listings=False, info={listing: name.encode()}
    )  # fmt: skip
    package = write_package(spec, tmp_path, format=format_)
    with pytest.raises(BadMetadata, match=f"{listing} has a path of 6000 characters"):
        check(package)


LEAN = """
import os, resource, sys
from conda_prune.cli import run
more, *paths = sys.argv[1:]
for path in paths:
    # The first package makes Python import everything.
    sys.argv = ["conda-prune", "fix", "--in-place", "--threads", "1", path]
    code = run()
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + int(more), resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sys.stdout.flush()
os._exit(code)
"""


@linux
@pytest.mark.parametrize("format_", FORMATS)
def test_too_little_memory_is_reported_in_one_line(tmp_path: Path, format_: Format) -> None:
    """Increase the address space from little more than the imports take until it is enough.

    With too little, Python itself may wait forever for the first thread that it starts.
    """
    (tmp_path / "first").mkdir()
    (tmp_path / "work").mkdir()
    package = tmp_path / "work" / f"{BASE.stem}{format_}"
    (bz2_bomb if format_ == ".tar.bz2" else partial(bomb, stated=False))(package, 48 << 20)
    first = write_package(BASE, tmp_path / "first", format=format_)
    before, before_first = package.read_bytes(), first.read_bytes()
    refused, more = 0, 4 << 20
    while True:
        first.write_bytes(before_first)
        command = [sys.executable, "-c", LEAN, str(more), str(first), str(package)]
        more += (16 if format_ == ".tar.bz2" else 3) << 20
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            assert not refused
            assert package.read_bytes() == before
            continue
        assert os.listdir(package.parent) == [package.name]
        if done.returncode == 0:
            break
        assert done.returncode == 3, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {package}: there is not enough memory: "), line
        assert "MiB are allowed (ulimit -v); use --threads 1" in line
        assert package.read_bytes() == before
        refused += 1
    assert package.read_bytes() != before
    assert refused, "no step was refused: usually seven are, but those in which Python waits forever do not count"


def large(path: Path, count: int) -> Path:
    """A package with `count` small files and one stray file."""
    files = {f"share/{number // 1000}/{number}": b"" for number in range(count)}
    stray = f"{SITE}/m/__pycache__/a.cpython-310.pyc"
    entries = [*sorted(files), stray]
    nothing = {"path_type": "hardlink", "sha256": hashlib.sha256().hexdigest(), "size_in_bytes": 0}
    listing = {"paths": [{"_path": name, **nothing} for name in entries], "paths_version": 1}
    index = {"name": "large", "version": "1", "build": "py311_0", "subdir": "linux-64",
             "depends": ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"]}  # fmt: skip

    def packed(members: Iterator[tuple[str, bytes]]) -> bytes:
        out = io.BytesIO()
        packer = zstandard.ZstdCompressor(level=1)
        with (
            packer.stream_writer(out, closefd=False) as writer,
            tarfile.open(fileobj=writer, mode="w|", format=tarfile.GNU_FORMAT) as archive,
        ):
            for name, data in members:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return out.getvalue()

    info = packed(iter({"info/index.json": json.dumps(index).encode(),
                        "info/paths.json": json.dumps(listing, indent=2).encode()}.items()))  # fmt: skip
    pkg = packed((name, b"") for name in entries)
    path.write_bytes(zip_archive(conda_members(info, pkg)))
    return path


@linux
@pytest.mark.long
def test_long_a_million_files(tmp_path: Path) -> None:
    package = large(tmp_path / f"{BASE.stem}.conda", 1_000_000)
    started = time.monotonic()
    done, peak = run("fix", "--in-place", package)
    took = time.monotonic() - started
    print(f"1 000 001 files: {took:.0f} s, {peak >> 20} MiB: {done.stdout or done.stderr}")
    assert done.returncode == 0
    assert peak < 1.5 * (1 << 30)


@pytest.mark.parametrize("count", [6000])
def test_work_is_linear_in_the_number_of_files(tmp_path: Path, count: int) -> None:
    def seconds(number: int) -> float:
        package = large(tmp_path / f"{BASE.stem}.conda", number)
        started = cpu_time()
        assert fix(package, in_place=True).status == "fixed"
        return cpu_time() - started

    seconds(100)
    few, many = (min(seconds(number) for _ in range(3)) for number in (count, 4 * count))
    assert many < 6 * few, "linear is 4; searching a list of names for each name makes it 8"


@pytest.mark.long
@linux
def test_long_a_component_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    package = bomb(tmp_path / f"{BASE.stem}.conda", 5 << 30, stated=True)
    assert fix(package, in_place=True).status == "fixed"
    assert fix(package, in_place=True).status == "clean"


@pytest.mark.long
def test_long_every_client_reads_more_than_four_gigabytes(tmp_path: Path) -> None:
    """Its payload is in raw blocks, which are copied, so the result needs 64-bit sizes."""
    size = (4 << 30) + (100 << 20)
    info, pkg = component_tars(BASE)
    header = tar_member("share/zeros", dialect=GNU)
    with tarfile.open(fileobj=io.BytesIO(header + END)) as archive:
        member = archive.getmembers()[0]
    member.size = size
    package = tmp_path / f"{BASE.stem}.conda"
    with zipfile.ZipFile(package, "w") as file:
        metadata, _, small = conda_members(zstd_frame(tar_of(info)), b"")
        file.writestr(metadata.name, metadata.data)
        with file.open(f"pkg-{BASE.stem}.tar.zst", "w", force_zip64=True) as frame:
            frame.write(b"\x28\xb5\x2f\xfd\x00\x38")
            for piece in (b"".join([*pkg, member.tobuf(tarfile.GNU_FORMAT)]), *zeros(size), END):
                for start in range(0, len(piece), 1 << 17):
                    block = piece[start : start + (1 << 17)]
                    frame.write((len(block) << 3).to_bytes(3, "little") + block)
            frame.write(b"\x01\x00\x00")
        file.writestr(small.name, small.data)
    assert fix(package, in_place=True).status == "fixed"
    with zipfile.ZipFile(package) as file:
        assert file.testzip() is None
        assert file.infolist()[1].file_size > 1 << 32
    names = []
    for name, read in (
        ("rattler", rattler.package_streaming.extract),
        ("conda-package-streaming", conda_package_streaming.extract.extract),
        ("conda-package-handling", lambda path, to: conda_package_handling.api.extract(str(path), str(to))),
    ):
        read(package, tmp_path / name)
        assert (tmp_path / name / "share/zeros").stat().st_size == size
        names.append(sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*")))
        shutil.rmtree(tmp_path / name)
    assert names[0] == names[1] == names[2]
    assert fix(package, in_place=True).status == "clean"


def test_limit_errors_are_prune_errors() -> None:
    assert issubclass(LimitExceeded, PruneError)


def open_files(count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that may open `count` files."""
    command = ["sh", "-c", f'ulimit -n {count} && exec "$@"', "sh", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def python_starts(count: int) -> bool:
    """Whether Python itself starts. It needs more files if a .pth file of its environment imports a module."""
    return open_files(count, sys.executable, "-c", "pass").returncode == 0


@linux
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("options", [("check", "--deep"), ("fix", "--in-place"), ("fix", "--in-place", "-j", "2")])
def test_too_few_open_files_are_reported(tmp_path: Path, format_: Format, options: tuple[str, ...]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    packages = [write_package(BASE, tmp_path / name, format=format_) for name in ("a", "b")]
    before = packages[0].read_bytes()
    for count in filter(python_starts, (4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 32, 40)):
        for package in packages:
            package.write_bytes(before)
        done = open_files(count, EXECUTABLE, *options, *packages)
        assert done.returncode in (0 if options[0] == "fix" else 1, 3), done
        for line in done.stderr.splitlines():
            assert "oo many" in line, line
            assert "open" in line, line
            assert "report" not in line, line
            assert ".py" not in line, "a failed import is not reported as the reason"
        assert (done.returncode == 3) is bool(done.stderr)
        for package in packages:
            assert os.listdir(package.parent) == [package.name]
            assert package.read_bytes() == before or str(package) not in done.stderr
        if done.returncode != 3:
            return
    raise AssertionError("40 files were not enough")
