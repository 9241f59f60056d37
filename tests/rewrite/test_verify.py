"""The finished file is read back by an independent reader, and is not used unless it is as planned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pytest

from conda_prune import PruneError, fix
from conda_prune.archive.container import Archive
from conda_prune.archive.reader import read_package
from conda_prune.compression.recompress import recompress
from conda_prune.errors import NotVerified
from conda_prune.model import Limits
from conda_prune.rewrite import readers, rewriter, verify
from conda_prune.rewrite.libarchive import INSTALL_HINT, has_libarchive
from conda_prune.rewrite.splices import expected_members, splices_of
from conda_prune.rewrite.verify import ExpectedPackage

from ..corpus.crafted import (
    BASE,
    from_file,
    from_frame,
    from_spec,
    from_tar,
    from_zip,
    pax_header,
    tar_of,
)
from ..corpus.packages import (
    FORMATS,
    tar_member,
    write_package,
    zstd_frame,
)
from ..corpus.scenarios import SCENARIOS
from ..corpus.zips import (
    DATA_DESCRIPTOR,
    DEFLATED,
    ZipMember,
    zip_archive,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["libarchive", "stdlib"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the two independent readers."""
    monkeypatch.setattr(verify, "has_libarchive", lambda: request.param == "libarchive")
    return str(request.param)


def contents_of(package: Path) -> ExpectedPackage:
    """What the package has, as the verification expects it."""
    with Archive(str(package), Limits()) as archive:
        components = read_package(archive, lambda name: 0, payload=True).components
        members = {component.name: list(expected_members(component, {})) for component in components}
        return ExpectedPackage(archive.format, members, {}, archive.entry_names)


def verified(package: Path, original: Path) -> None:
    verify.verify(str(package), str(original), contents_of(original))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scenario", SCENARIOS[::5], ids=lambda scenario: scenario.id)
def test_sound_packages_pass(reader: str, scenario: Any, format_: Any, tmp_path: Path) -> None:
    package = write_package(scenario.spec, tmp_path, format=format_)
    verified(package, package)


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


Make: TypeAlias = Callable[[Path], Path]

EXTRA = tar_member("share/extra", b"x")
OTHER = replace(BASE, files={**BASE.files, "lib/python3.11/site-packages/m/a.py": "other"})


def zipped(edit: Callable[[list[ZipMember]], list[ZipMember]], **rest: Any) -> Make:
    return from_zip(lambda members: zip_archive(edit(members), **rest))


SABOTAGE: dict[str, tuple[str, Make]] = {
    "conda-flipped": (".conda", from_file(flipped, ".conda")),
    "conda-cut": (".conda", from_file(lambda data: data[:-30], ".conda")),
    "conda-empty": (".conda", from_file(lambda data: b"", ".conda")),
    "conda-junk-behind": (".conda", from_file(lambda data: data + b"junk", ".conda")),
    "conda-other-content": (".conda", from_spec(OTHER, ".conda")),
    "conda-member-gone": (".conda", from_tar(lambda members: tar_of(members[:-1]), ".conda")),
    "conda-member-more": (".conda", from_tar(lambda members: tar_of([*members, EXTRA]), ".conda")),
    "conda-order": (".conda", from_tar(lambda members: tar_of(members[::-1]), ".conda")),
    "conda-second-frame": (".conda", from_frame(lambda tar: zstd_frame(tar) + zstd_frame(b""), "pkg")),
    "conda-two-frames": (".conda", from_frame(lambda tar: zstd_frame(tar[:512]) + zstd_frame(tar[512:]), "pkg")),
    "conda-cut-frame": (".conda", from_frame(lambda tar: zstd_frame(tar)[:-9], "pkg")),
    "conda-no-metadata": (".conda", zipped(lambda members: members[1:])),
    "conda-other-entry": (".conda", zipped(lambda members: [*members, ZipMember("extra", b"")])),
    "conda-entries-swapped": (".conda", zipped(lambda members: members[::-1])),
    "conda-deflated": (".conda", zipped(lambda members: [replace(m, method=DEFLATED) for m in members])),
    "conda-descriptors": (".conda", zipped(lambda members: [replace(m, flags=DATA_DESCRIPTOR) for m in members])),
    "conda-wrong-crc": (".conda", zipped(lambda members: [members[0], replace(members[1], crc=1), members[2]])),
    "bz2-flipped": (".tar.bz2", from_file(flipped, ".tar.bz2")),
    "bz2-cut": (".tar.bz2", from_file(lambda data: data[:-9], ".tar.bz2")),
    "bz2-empty": (".tar.bz2", from_file(lambda data: b"", ".tar.bz2")),
    "bz2-other-content": (".tar.bz2", from_spec(OTHER, ".tar.bz2")),
    "bz2-member-gone": (".tar.bz2", from_tar(lambda members: tar_of(members[1:]), ".tar.bz2")),
    "bz2-member-more": (".tar.bz2", from_tar(lambda members: tar_of([*members, EXTRA]), ".tar.bz2")),
    "bz2-order": (".tar.bz2", from_tar(lambda members: tar_of(members[::-1]), ".tar.bz2")),
}


@pytest.mark.parametrize(("format_", "make"), SABOTAGE.values(), ids=SABOTAGE)
def test_a_sabotaged_result_is_detected(reader: str, format_: Any, make: Make, tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    sound = write_package(BASE, tmp_path / "sound", format=format_)
    if format_ == ".conda":
        sound = from_zip(zip_archive)(tmp_path / "sound")
    verified(sound, sound)
    bad = make(tmp_path)
    with pytest.raises(NotVerified):
        verified(bad, sound)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_result_that_does_not_verify_is_never_used(
    format_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    before = package.read_bytes()
    real = splices_of

    def one_too_many(component: Any, edits: Any) -> Any:
        # A plausible bug: the last splice is one block too long.
        *others, last = real(component, edits)
        return (*others, last._replace(stop=last.stop + 512))

    monkeypatch.setattr(rewriter, "splices_of", one_too_many)
    with pytest.raises(PruneError):
        fix(package, in_place=True)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


@pytest.mark.parametrize("format_", FORMATS)
def test_copied_blocks_that_do_not_fit_are_compressed_again(
    format_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(BASE, tmp_path, format=format_)
    real, plains = recompress, []

    def misfits(stream: Any, splices: Any, out: BinaryIO, budget: Any, progress: Any, plain: bool) -> Any:
        plains.append(plain)
        done = real(stream, splices, out, budget, progress, plain)
        if plain:
            return done
        out.seek(-40, os.SEEK_END)
        out.write(b"misfit")
        out.seek(0, os.SEEK_END)
        return replace(done, reused=1)

    monkeypatch.setattr(rewriter, "recompress", misfits)
    monkeypatch.setattr(rewriter, "is_small", lambda settings, size: False)
    assert fix(package, in_place=True).status == "fixed"
    assert fix(package, in_place=True).status == "clean"
    assert plains == sorted(plains)
    assert set(plains) == {False, True}


def test_a_result_that_is_wrong_twice_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(BASE, tmp_path)
    before = package.read_bytes()
    real = recompress

    def spoiled(stream: Any, splices: Any, out: BinaryIO, *rest: Any) -> Any:
        done = real(stream, splices, out, *rest)
        out.seek(-40, os.SEEK_END)
        out.write(b"misfit")
        out.seek(0, os.SEEK_END)
        return replace(done, reused=1)

    monkeypatch.setattr(rewriter, "recompress", spoiled)
    with pytest.raises(NotVerified):
        fix(package, in_place=True)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])


def test_without_libarchive_the_standard_library_verifies(tmp_path: Path) -> None:
    packages = []
    for format_ in FORMATS:
        (tmp_path / format_).mkdir()
        packages.append(write_package(BASE, tmp_path / format_, format=format_))
    environment = {**os.environ, "LIBARCHIVE": str(tmp_path / "nowhere.so")}
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune", "fix", "--in-place", *map(str, packages)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: libarchive is not installed")
    assert ("conda install" if os.name == "nt" else "apt install") in line
    for package in packages:
        verified_by_both = fix(package, in_place=True)
        assert verified_by_both.status == "clean"


@pytest.mark.skipif(not has_libarchive(), reason="this system has no libarchive")
def test_with_libarchive_there_is_no_warning(tmp_path: Path) -> None:
    assert fix(write_package(BASE, tmp_path), in_place=True).warnings == ()


def test_too_little_memory_is_not_a_wrong_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object) -> Any:
        raise MemoryError

    package = write_package(BASE, tmp_path)
    monkeypatch.setattr(verify, "libarchive_members", exhausted)
    monkeypatch.setattr(verify, "stdlib_members", exhausted)
    with pytest.raises(PruneError, match="not enough memory"):
        fix(package, in_place=True)
    assert os.listdir(tmp_path) == [package.name]


@pytest.mark.parametrize("format_", FORMATS)
def test_other_bytes_between_the_same_members_are_detected(reader: str, format_: Any, tmp_path: Path) -> None:
    """Readers ignore some bytes of headers and padding, but the CRC-32 of the tar covers them."""
    package = write_package(BASE, tmp_path, format=format_)
    expected = contents_of(package)
    component = next(iter(expected.members))
    with pytest.raises(NotVerified, match=f"the {component} component of the result does not have the expected bytes"):
        verify.verify(str(package), "a", replace(expected, crcs={component: 1}))


def test_a_swallowed_exception_is_raised_at_the_end() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"some"
        raise NotVerified("the reason")

    stream = readers.Blocks(blocks())
    assert stream.readinto(bytearray(9)) == 4
    assert stream.readinto(bytearray(9)) == -1
    with pytest.raises(NotVerified, match="the reason"):
        stream.drain()


def test_data_after_the_end_of_a_tar_is_read() -> None:
    blocks = iter([b"one", b"two"])
    readers.Blocks(blocks).drain()
    assert next(blocks, None) is None


def test_an_interrupted_verification_ends_by_itself(tmp_path: Path) -> None:
    """The thread that verifies continues for at most one member after the interruption."""
    package = write_package(BASE, tmp_path)
    expected = contents_of(package)
    verified_sizes: list[int] = []

    class Arrived(BaseException):
        pass

    def arrives(number: int, frame: object) -> None:
        raise Arrived

    def progress(done: int) -> None:
        verified_sizes.append(done)
        if os.name == "nt":
            signal.raise_signal(signal.SIGTERM)  # os.kill would end the process
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        interrupted.wait(60)

    interrupted = threading.Event()
    previous = signal.signal(signal.SIGTERM, arrives)
    try:
        with pytest.raises(Arrived):
            verify.verify(str(package), "a", expected, progress)
    finally:
        signal.signal(signal.SIGTERM, previous)
        interrupted.set()
    for thread in threading.enumerate():
        if thread.name.startswith("conda-prune verify"):
            thread.join(60)
            assert not thread.is_alive()
    assert len(verified_sizes) == 1 < sum(len(list(members)) for members in expected.members.values())


def test_warnings_of_libarchive_are_not_printed(tmp_path: Path) -> None:
    """For example, a name in a PAX header that is not UTF-8. The warning would not even name the package."""
    named = pax_header(b"16 path=share/\xe9\n") + tar_member("x", b"x")
    package = from_tar(lambda members: tar_of([*members, named]), ".conda")(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune", "fix", "-v", "--in-place", package],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "share" in done.stdout
    assert [line for line in done.stderr.splitlines() if line != INSTALL_HINT] == []
