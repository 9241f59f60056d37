"""A component is read back while it is written, and what is wrong with it is found as if it were read back later."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import Result, fix
from conda_prune.archive.container import Archive
from conda_prune.archive.reader import read_package
from conda_prune.errors import NotVerified
from conda_prune.model import Component, Limits
from conda_prune.rewrite import rewriter, verify
from conda_prune.rewrite.following import Following, Growth
from conda_prune.rewrite.readers import Expected
from conda_prune.rewrite.splices import expected_members
from conda_prune.rewrite.staging import Staging
from conda_prune.rewrite.verify import ExpectedTar

from ..compression.zstd.frames import MIB, mixed
from ..corpus.bytecode import pyc
from ..corpus.crafted import BASE
from ..corpus.entries import File, PackageSpec
from ..corpus.packages import FORMATS, write_package

STRAY = "lib/python3.10/site-packages/m/__pycache__/stray.cpython-310.pyc"
BIG = {"share/a": File(mixed(18 * MIB)), STRAY: File(pyc("cpython-310", STRAY)), "share/b": File(b"b" * 5000)}


@pytest.fixture(params=[True, False], ids=["libarchive", "stdlib"], autouse=True)
def _reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "has_libarchive", lambda: request.param)


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    """A file to write to, with something before the component."""
    original = tmp_path / "original.conda"
    original.write_bytes(b"original")
    with original.open("rb") as file, Staging(str(tmp_path / "a.conda"), file.fileno(), 0, replace_link=True) as made:
        made.file.write(b"before")
        yield made


class Stream:
    """A compressed component, and what is expected of it."""

    def __init__(self, folder: Path, format_: Any, spec: PackageSpec = BASE) -> None:
        package = write_package(spec, folder, format=format_, level=1)
        with Archive(str(package), Limits()) as archive:
            packed = next(one for one in archive.components if one.name != "info")
            self.name, self.codec = packed.name, packed.codec
            self.data = packed.byte_range.read(0, packed.byte_range.size)
            components = read_package(archive, lambda path: 0, payload=True).components
        self.component: Component = next(one for one in components if one.name == packed.name)
        self.crc = crc_of(self)

    @property
    def members(self) -> list[Expected]:
        return list(expected_members(self.component, {}))

    def following(self, staging: Staging, members: Any = None, *, at_once: bool = True) -> Following:
        expected = ExpectedTar(self.name, self.members if members is None else members)
        codec: Any = self.codec
        return Following(staging, staging.file, codec, expected, lambda done: None, at_once=at_once)


def crc_of(stream: Stream) -> int:
    codec: Any = stream.codec
    pieces = (piece for piece in [stream.data])
    return verify.verify_stream(pieces, codec, ExpectedTar("a", stream.members), lambda done: None)[1]


@pytest.fixture(params=FORMATS)
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Stream:
    folder = tmp_path / "package"
    folder.mkdir()
    return Stream(folder, request.param)


def write(following: Following, data: bytes, size: int = 100) -> None:
    for at in range(0, len(data), size):
        following.out.write(data[at : at + size])
    following.end()


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_what_is_written_is_read_back(staging: Staging, stream: Stream, size: int, at_once: bool) -> None:
    following = stream.following(staging, at_once=at_once)
    write(following, stream.data, size)
    assert following.result(stream.crc).size == len(stream.data)
    staging.file.flush()
    assert Path(staging.path).read_bytes() == b"before" + stream.data


@pytest.mark.parametrize("format_", FORMATS)
def test_reading_back_goes_on_while_the_writer_pauses(staging: Staging, tmp_path: Path, format_: Any) -> None:
    """Most members are compared before the last bytes are written."""
    spec = replace(BASE, files={**BASE.files, **{f"share/{at}": File(mixed(MIB)[at * 999 :]) for at in range(9)}})
    stream = Stream(tmp_path, format_, spec)
    compared = threading.Semaphore(0)

    def members() -> Iterator[Expected]:
        for member in stream.members:
            compared.release()
            yield member

    following = stream.following(staging, members())
    following.out.write(stream.data[:-1])
    for _ in range(5):
        assert compared.acquire(timeout=20)
    following.out.write(stream.data[-1:])
    following.end()
    following.result(stream.crc)


def test_members_may_be_known_later_than_the_bytes(staging: Staging, stream: Stream) -> None:
    known, members = Growth(), stream.members
    following = stream.following(staging, known.each(members.__getitem__))
    write(following, stream.data)
    for number in range(len(members)):
        time.sleep(0.01)
        known.reach(number + 1)
    known.end()
    following.result(stream.crc)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped])
def test_damage_is_found(staging: Staging, stream: Stream, damage: Any) -> None:
    following = stream.following(staging)
    write(following, damage(stream.data))
    with pytest.raises(NotVerified):
        following.result(stream.crc)


def test_another_member_is_found(staging: Staging, stream: Stream) -> None:
    members = stream.members
    members[-1] = replace(members[-1], size=members[-1].size + 1)
    following = stream.following(staging, members)
    write(following, stream.data)
    with pytest.raises(NotVerified, match="instead of"):
        following.result(stream.crc)


def test_too_few_members_are_found(staging: Staging, stream: Stream) -> None:
    following = stream.following(staging, [*stream.members, stream.members[-1]])
    write(following, stream.data)
    with pytest.raises(NotVerified, match="None instead of"):
        following.result(stream.crc)


def test_other_content_is_found(staging: Staging, stream: Stream) -> None:
    following = stream.following(staging)
    write(following, stream.data)
    with pytest.raises(NotVerified, match="does not have the expected bytes"):
        following.result(stream.crc ^ 1)


@pytest.mark.parametrize("written", [0, 1, 200])
def test_a_cancelled_verification_ends(staging: Staging, stream: Stream, written: int) -> None:
    """Neither thread of it waits any longer for a writer that has failed."""
    before = threading.active_count()
    following = stream.following(staging)
    following.out.write(stream.data[:written])
    following.cancel()
    deadline = time.monotonic() + 20
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_growing_number_is_reached_by_all_who_wait_for_it() -> None:
    growth = Growth()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(list, growth.each(str)) for _ in range(3)]
        for number in (2, 2, 5):
            growth.reach(number)
        growth.end()
        assert [one.result(20) for one in waiting] == [["0", "1", "2", "3", "4"]] * 3


def test_an_abandoned_number_ends_every_wait() -> None:
    growth = Growth()
    growth.reach(1)
    growth.abandon()
    with pytest.raises(NotVerified, match="interrupted"):
        growth.beyond(0)


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_large_component_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: Any, threads: int
) -> None:
    """The result is that of one thread, which reads back at the end."""
    followed: list[str] = []

    def recorded(*arguments: Any, **options: Any) -> Following:
        followed.append(arguments[3].component)
        return Following(*arguments, **options)

    monkeypatch.setattr(rewriter, "Following", recorded)
    package = write_package(replace(BASE, files={**BASE.files, **BIG}), tmp_path, format=format_, level=1)
    results: list[Result] = [fix(package, output_dir=tmp_path / f"{count}", threads=count) for count in (threads, 1)]
    assert [result.status for result in results] == ["fixed", "fixed"]
    several, one = (Path(str(result.output)).read_bytes() for result in results)
    assert several == one
    # A .conda of this size is repaired in one pass, which follows by itself.
    assert followed == (["tar"] if format_ == FORMATS[1] else [])


def test_a_failing_writer_of_a_followed_component_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rewriter.rewrite_component

    def fails(job: Any, component: Any, splices: Any, out: Any, *rest: Any) -> Any:
        out.write(b"BZh9")
        raise NotVerified("the reason")

    package = write_package(replace(BASE, files={**BASE.files, **BIG}), tmp_path, format=FORMATS[1], level=1)
    before = package.read_bytes(), threading.active_count()
    monkeypatch.setattr(rewriter, "rewrite_component", fails)
    with pytest.raises(NotVerified, match="the reason"):
        fix(package, in_place=True, threads=2)
    deadline = time.monotonic() + 20
    while threading.active_count() > before[1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert package.read_bytes() == before[0]
    monkeypatch.setattr(rewriter, "rewrite_component", real)
    assert fix(package, in_place=True, threads=2).status == "fixed"


def test_an_entry_of_a_zip_is_counted_as_it_is_passed_on(staging: Staging, stream: Stream) -> None:
    """`write` passes the bytes to its target, not to the file itself."""
    following = stream.following(staging)
    target = io.BytesIO()
    written: Any = following.out
    written._out = target
    following.out.write(b"some")
    assert target.getvalue() == b"some"
    following.cancel()
