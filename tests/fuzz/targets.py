"""The layers that parse foreign bytes, each as a function that may raise PruneError and nothing else.

Where another reader of the same format exists, what was accepted is compared with what that one sees.
"""

from __future__ import annotations

import bz2
import io
import tarfile
import zipfile
from collections.abc import Callable

import zstandard

from conda_prune.archive.tar import TarReader
from conda_prune.archive.zip import inflate, read_zip
from conda_prune.archive.zip_write import NewContent, write_zip
from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.bzip2 import stream as bzip2
from conda_prune.compression.recompress import recompress
from conda_prune.compression.stream import Stream
from conda_prune.compression.threads import ThreadBudget
from conda_prune.compression.zstd import frame as zstd
from conda_prune.errors import LimitExceeded, PruneError
from conda_prune.judgement.bytecode import parse_bytecode, parse_header
from conda_prune.judgement.listings.paths_json import parse_listing
from conda_prune.judgement.options import Options
from conda_prune.judgement.plan import make_plan
from conda_prune.model import (
    Component,
    CompressionSettings,
    File,
    Format,
    Identity,
    Limits,
    Package,
    Span,
    Splice,
)
from tests.corpus.crafted import BASE
from tests.corpus.packages import component_tars, conda_archive, zstd_frame
from tests.corpus.tars import END
from tests.corpus.zips import ZipMember, zip_archive

LIMIT = 1 << 22
"""Bytes of output after which a target stops: more would only be slow."""


class Held(ByteRange):
    """Bytes in memory as a byte range."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), 0, len(data))
        self.data = data

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0:
            raise ValueError("a read before the beginning")
        return self.data[offset : offset + max(0, length)]

    def slice(self, start: int, stop: int) -> ByteRange:
        if not 0 <= start <= stop:
            raise ValueError("a range that ends before it begins")
        return Held(self.data[start:stop])


def fuzz_zip(data: bytes) -> None:
    """What is accepted as a zip opens in Python, with the same entries; written again, it is the same or sound."""
    byte_range = Held(data)
    found = read_zip(byte_range)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [entry.name for entry in found.entries] == archive.namelist()
        for entry in found.entries:
            content = b"".join(inflate(byte_range, entry, LIMIT))
            assert content == archive.read(entry.name)
    out = io.BytesIO()
    new = NewContent(lambda to: to.write(b"new"), 3)
    write_zip(out, byte_range, found, {entry.name: new for entry in found.entries[:1]})
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None


def _limited(pieces: object) -> bytes:
    content = bytearray()
    for piece in pieces:  # type: ignore[attr-defined]
        content += piece
        if len(content) > LIMIT:
            raise LimitExceeded("more than is of use here")
    return bytes(content)


def fuzz_zstd(data: bytes) -> None:
    """What is accepted as a frame has the content that libzstd sees, and the same after it was written again."""
    zstd.check_window(zstd.read_frame(Held(data)))
    content = _limited(zstd.decompress(Held(data)))
    assert content == zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj().decompress(data)
    _rewritten(data, content, CompressionSettings("zstd", 1, "recorded"), zstandard.ZstdDecompressor().decompressobj)


def fuzz_bz2(data: bytes) -> None:
    """What is accepted as a stream has the content that Python sees, and the same after it was written again."""
    content = _limited(bzip2.decompress(Held(data)))
    assert content == bz2.decompress(data)
    _rewritten(
        data, content, CompressionSettings("bzip2", bzip2.read_level(Held(data)), "recorded"), bz2.BZ2Decompressor
    )


def _rewritten(data: bytes, content: bytes, settings: CompressionSettings, decompressor: Callable[[], object]) -> None:
    out = io.BytesIO()
    middle = len(content) // 2
    splices = (Splice(middle, middle + len(content) // 4, b"new"),)
    stream = Stream(Held(data), settings, len(content))
    recompress(stream, splices, out, ThreadBudget(1), lambda done: None)
    wanted = content[:middle] + b"new" + content[middle + len(content) // 4 :]
    assert decompressor().decompress(out.getvalue()) == wanted  # type: ignore[attr-defined]


def fuzz_tar(data: bytes) -> None:
    """What is accepted as a tar has the members that Python sees."""
    whole, pieces = _tar(data, len(data) + 1), _tar(data, 77)
    assert whole == pieces
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        members = archive.getmembers()
    assert [file.size for file in whole.files if file.size is not None] == [m.size for m in members if m.isreg()]
    assert [file.link for file in whole.files] == [m.linkname if m.issym() or m.islnk() else "" for m in members]


def _tar(data: bytes, size: int) -> Component:
    reader = TarReader(lambda name: 100, Limits(LIMIT, 1000, LIMIT))
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader.finish("pkg")


def fuzz_listing(data: bytes) -> None:
    parse_listing(data)


def fuzz_pyc(data: bytes) -> None:
    parse_header(data)
    parse_bytecode(data.decode("utf-8", "surrogateescape"))


SEPARATOR = b"\n--\n"
METADATA = ("info/index.json", "info/paths.json", "info/hash_input.json", "info/recipe/rendered_recipe.yaml",
            "info/recipe/meta.yaml", "lib/python3.11/site-packages/a-1.dist-info/RECORD",
            "lib/python3.11/site-packages/__pycache__/a.cpython-310.pyc")  # fmt: skip


def fuzz_metadata(data: bytes) -> None:
    """Any bytes as the files that are judged; they stand in the order of METADATA, with separators between."""
    files = tuple(
        File(path, size=len(content), sha256="0" * 64, content=content)
        for path, content in zip(METADATA, data.split(SEPARATOR), strict=False)
    )
    spans = tuple(Span(file.path, 0, 0, 0) for file in files)
    component = Component("tar", files, spans, 0, {file.path: bytes(512) for file in files})
    package = Package("fuzz.tar.bz2", Format.TAR_BZ2, Identity(0, 0, 0, 0), (component,), True)
    make_plan(package, Options(None, frozenset({"all"}), frozenset(), ()))


def _seeds() -> dict[str, list[bytes]]:
    info, pkg = (b"".join(members) + END for members in component_tars(BASE))
    index = b'{"name": "a", "version": "1", "build": "py311_0", "subdir": "linux-64", "depends": ["python_abi 3.11.*"]}'
    listing = (
        b'{"paths": [{"_path": "a", "path_type": "hardlink", "sha256": "00", "size_in_bytes": 1}], "paths_version": 1}'
    )
    record = b"a.py,,\n__pycache__/a.cpython-310.pyc,,\n"
    pyc = b"\x6f\x0d\r\n" + bytes(12)
    recipe = b"build_configuration:\n  variant:\n    python: 3.11.* *_cpython\n"
    return {
        "zip": [
            conda_archive(BASE.stem, zstd_frame(info), zstd_frame(pkg)),
            zip_archive([ZipMember("a", b"a" * 99, 8)]),
        ],
        "zstd": [zstd_frame(pkg), zstandard.ZstdCompressor(write_checksum=True).compress(info)],
        "bz2": [bz2.compress(pkg), bz2.compress(b"", 1)],
        "tar": [pkg, info],
        "listing": [listing],
        "pyc": [pyc, b"lib/__pycache__/a.cpython-310.opt-1.pyc"],
        "metadata": [SEPARATOR.join([index, listing, b'{"python": "3.11"}', recipe, b"{% set x %}", record, pyc])],
    }


SEEDS = _seeds()
TARGETS: dict[str, Callable[[bytes], None]] = {
    "zip": fuzz_zip,
    "zstd": fuzz_zstd,
    "bz2": fuzz_bz2,
    "tar": fuzz_tar,
    "listing": fuzz_listing,
    "pyc": fuzz_pyc,
    "metadata": fuzz_metadata,
}


def run(name: str, data: bytes) -> bool:
    """Run a target; return whether it accepted the bytes."""
    try:
        TARGETS[name](data)
    except PruneError as error:
        if not str(error).isprintable() and "\n" in str(error):
            raise AssertionError("an error of several lines") from error
        return False
    return True
