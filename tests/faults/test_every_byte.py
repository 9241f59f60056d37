"""A package that is truncated or has a flipped bit is refused, or still has exactly the same content."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from conda_prune import PruneError, check, fix
from tests.corpus.crafted import BASE
from tests.corpus.packages import FORMATS, Format, write_package
from tests.corpus.tars import read_components

SEED = Path(__file__).parent.parent.parent / "testdata" / "seed"
REAL: dict[Format, str] = {
    ".conda": "pyproject_hooks-1.3.3-py311h48b7412_0.conda",
    ".tar.bz2": "pyproject_hooks-1.3.3-py313hf70daa8_0.tar.bz2",
}


def content_of(package: Path) -> dict[str, tuple[bytes, str, bytes]]:
    """What Python's own readers find in a package: type, target and content of every member."""
    members = {}
    for tar in read_components(package).values():
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                members[member.name] = (member.type, member.linkname, stream.read() if stream else b"")
    return members


class Victim:
    """A package whose bytes are damaged. Counts damage that is detected, and raises AssertionError for other damage."""

    def __init__(self, directory: Path, package: Path) -> None:
        self.path = directory / package.name
        self.good = package.read_bytes()
        self.path.write_bytes(self.good)
        self._content = content_of(self.path)
        fix(self.path, in_place=True)
        self._fixed = content_of(self.path)
        self.refused = self.harmless = 0

    def becomes(self, damaged: bytes) -> None:
        """Check one damaged version: either an error that leaves it unchanged, or all content is unchanged."""
        self.path.write_bytes(damaged)
        inode = self.path.stat().st_ino
        try:
            check(self.path, deep=True)
        except PruneError:
            self.refused += 1
            with pytest.raises(PruneError):
                fix(self.path, in_place=True)
            assert (self.path.read_bytes(), self.path.stat().st_ino) == (damaged, inode)
            assert os.listdir(self.path.parent) == [self.path.name]
            return
        self.harmless += 1
        assert content_of(self.path) == self._content, "a silent corruption"
        fix(self.path, in_place=True)
        assert content_of(self.path) == self._fixed, "a silent corruption"

    def is_truncated(self, length: int) -> None:
        """Check the package without its end, which must be refused."""
        refused = self.refused
        self.becomes(self.good[:length])
        with pytest.raises(PruneError):
            check(self.path)
        assert self.refused == refused + 1, f"{length} of {len(self.good)} bytes are accepted as a package"

    def has_flipped(self, bit: int) -> None:
        data = bytearray(self.good)
        data[bit // 8] ^= 1 << bit % 8
        self.becomes(bytes(data))


def crafted(directory: Path, format_: Format) -> Victim:
    (directory / "made").mkdir()
    (directory / "work").mkdir()
    return Victim(directory / "work", write_package(BASE, directory / "made", format=format_))


def bits(victim: Victim, count: int) -> list[int]:
    return random.Random(1).sample(range(8 * len(victim.good)), min(count, 8 * len(victim.good)))


@pytest.mark.parametrize("format_", FORMATS)
def test_every_truncation_of_a_small_package_is_refused(format_: Format, tmp_path: Path) -> None:
    victim = crafted(tmp_path, format_)
    for length in range(len(victim.good)):
        victim.is_truncated(length)


@pytest.mark.parametrize("format_", FORMATS)
def test_flipped_bits_of_a_small_package_are_detected_or_harmless(format_: Format, tmp_path: Path) -> None:
    victim = crafted(tmp_path, format_)
    for bit in bits(victim, 2000):
        victim.has_flipped(bit)
    assert victim.refused > victim.harmless


def test_every_flipped_byte_of_a_payload_is_detected(tmp_path: Path) -> None:
    victim = crafted(tmp_path, ".conda")
    with zipfile.ZipFile(io.BytesIO(victim.good)) as archive:
        size = next(info.file_size for info in archive.infolist() if info.filename.startswith("pkg-"))
    start = victim.good.index(b"\x28\xb5\x2f\xfd")
    for at in range(start, start + size):
        victim.has_flipped(8 * at + at % 8)
    assert (victim.refused, victim.harmless) == (size, 0), "the zip's CRC-32 covers it"


@pytest.mark.long
@pytest.mark.parametrize("format_", FORMATS)
def test_long_every_truncation_of_a_real_package_is_refused(format_: Format, tmp_path: Path) -> None:
    victim = Victim(tmp_path, SEED / REAL[format_])
    for length in range(len(victim.good)):
        victim.is_truncated(length)
    print(f"{format_}: {victim.refused} truncations refused")


@pytest.mark.long
@pytest.mark.parametrize("format_", FORMATS)
def test_long_flipped_bits_of_a_real_package_are_detected(format_: Format, tmp_path: Path) -> None:
    victim = Victim(tmp_path, SEED / REAL[format_])
    for bit in bits(victim, 20_000):
        victim.has_flipped(bit)
    print(f"{format_}: {victim.refused} flips refused, {victim.harmless} without effect")
